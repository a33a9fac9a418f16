//! Reads tensors from NumPy's `.npy` files, and writes them.
//!
//! The format is the one of NumPy's `numpy.lib.format`, versions 1 to 3: a magic string, the length of a header,
//! the header (a Python dictionary with `descr`, `fortran_order` and `shape`), then the elements.

use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::{ModuleError, check_size};

/// Headers that NumPy writes take 128 bytes for arrays of ordinary rank; longer ones are refused, as NumPy does.
const HEADER_BYTES_MAX: usize = 10_000;

/// What NumPy calls element types, without the order of their bytes. It has none for bf16.
const KINDS: [(&str, DType); 12] = [
    ("f2", DType::F16),
    ("f4", DType::F32),
    ("f8", DType::F64),
    ("i1", DType::I8),
    ("u1", DType::U8),
    ("i2", DType::I16),
    ("u2", DType::U16),
    ("i4", DType::I32),
    ("u4", DType::U32),
    ("i8", DType::I64),
    ("u8", DType::U64),
    ("b1", DType::Bool),
];

/// The file of an array, in version 1 of the format; none where NumPy has no such element type.
pub fn write(tensor: &Tensor) -> Option<Vec<u8>> {
    let spec = tensor.spec();
    let (kind, _) = KINDS.iter().find(|(_, dtype)| *dtype == spec.dtype)?;
    let order = if spec.dtype.size() == 1 { '|' } else { '<' };
    let sizes: String = spec.shape.iter().map(|size| format!("{size}, ")).collect();
    // A tuple of one has a comma at its end, longer ones may have one.
    let header = format!("{{'descr': '{order}{kind}', 'fortran_order': False, 'shape': ({}), }}", sizes.trim_end());
    // Elements begin at a multiple of 64 bytes: ten stand before the header, and a line break ends it.
    let len = (10 + header.len() + 1).next_multiple_of(64) - 10;
    let count = u16::try_from(len).ok()?.to_le_bytes();
    Some([b"\x93NUMPY\x01\0", &count[..], format!("{header:<0$}\n", len - 1).as_bytes(), tensor.data()].concat())
}

/// The array in `bytes`, which must be of type and shape `expected` where one is given; `file` is what errors call it.
///
/// Elements of either byte order are read. Arrays of objects, text, dates and complex numbers, and arrays in Fortran
/// order, are refused.
pub fn read(bytes: &[u8], file: &str, expected: Option<&TensorSpec>) -> Result<Tensor, ModuleError> {
    let broken = |reason: String| ModuleError::NotNumpy { file: file.to_owned(), reason };
    let (header, data) = split(bytes).map_err(|reason| broken(reason.to_owned()))?;
    let missing = |key: &str| broken(format!("its header has no '{key}' that can be read"));
    let descr = quoted(header).ok_or_else(|| missing("descr"))?;
    let shape = sizes(header).ok_or_else(|| missing("shape"))?;
    let order = after(header, "fortran_order").ok_or_else(|| missing("fortran_order"))?;
    let unknown = || ModuleError::NumpyType { file: file.to_owned(), descr: descr.to_owned() };
    let (dtype, big_endian) = element_type(descr).ok_or_else(unknown)?;
    if !order.starts_with("False") {
        return Err(ModuleError::NumpyOrder { file: file.to_owned() });
    }
    let found = TensorSpec::new(dtype, shape);
    if let Some(expected) = expected.filter(|expected| **expected != found) {
        return Err(ModuleError::WrongInput { file: file.to_owned(), found, expected: expected.clone() });
    }
    check_size(&found)?;
    if found.bytes().0 != data.len() as u64 {
        return Err(broken(format!("{found} takes {} bytes, but {} follow its header", found.bytes().0, data.len())));
    }
    if dtype == DType::Bool && data.iter().any(|byte| *byte > 1) {
        return Err(broken("it holds a boolean that is neither 0 nor 1".to_owned()));
    }
    let mut data = data.to_vec();
    if big_endian {
        data.chunks_exact_mut(dtype.size()).for_each(<[u8]>::reverse);
    }
    Ok(Tensor::new(found, data)?)
}

/// Header and elements.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), &'static str> {
    const SHORT: &str = "it ends within its header";
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or("it does not start with \\x93NUMPY")?;
    let (len, rest) = match rest {
        [1, _, a, b, rest @ ..] => (u32::from_le_bytes([*a, *b, 0, 0]), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]), rest),
        [1..=3, ..] | [] => return Err(SHORT),
        _ => return Err("its version is not 1, 2 or 3"),
    };
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > HEADER_BYTES_MAX {
        return Err("its header is longer than 10,000 bytes");
    }
    let (header, data) = rest.split_at_checked(len).ok_or(SHORT)?;
    Ok((str::from_utf8(header).map_err(|_| "its header is not text")?, data))
}

/// What stands behind `'key':` in the header.
fn after<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{key}'"))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

/// The value of `descr` where it is a text and not the list of a structured type.
fn quoted(header: &str) -> Option<&str> {
    let value = after(header, "descr")?.strip_prefix('\'')?;
    Some(value.split_once('\'')?.0)
}

/// The value of `shape`: `()`, `(3,)`, `(1, 3)`.
fn sizes(header: &str) -> Option<Vec<usize>> {
    let (inside, _) = after(header, "shape")?.strip_prefix('(')?.split_once(')')?;
    let inside = inside.trim().trim_end_matches(',');
    if inside.is_empty() {
        return Some(Vec::new());
    }
    inside.split(',').map(|size| size.trim().parse().ok()).collect()
}

/// The type that NumPy writes as byte order, kind and size, and whether its bytes are reversed.
fn element_type(descr: &str) -> Option<(DType, bool)> {
    let kind = descr.strip_prefix(['<', '>', '|', '='])?;
    let (_, dtype) = KINDS.iter().find(|(known, _)| *known == kind)?;
    Some((*dtype, descr.starts_with('>')))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// What `numpy.save` of NumPy 2 writes, byte for byte.
    fn written(descr: &str, fortran_order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran_order}, 'shape': {shape}, }}");
        [b"\x93NUMPY\x01\0\x76\0", format!("{header:<117}\n").as_bytes(), data].concat()
    }

    fn ids() -> Vec<u8> {
        written("<i8", "False", "(1, 3)", &[7i64, -1, 1 << 40].map(i64::to_le_bytes).concat())
    }

    #[test]
    fn reads_what_numpy_writes() {
        let tensor = read(&ids(), "ids.npy", Some(&TensorSpec::new(DType::I64, [1, 3]))).unwrap();
        assert_eq!(tensor.data(), [7i64, -1, 1 << 40].map(i64::to_le_bytes).concat());
        let scalar = read(&written(">f4", "False", "()", &1.5f32.to_be_bytes()), "x.npy", None).unwrap();
        assert_eq!((scalar.spec().shape.len(), scalar.to_f32().unwrap()), (0, vec![1.5]));
        let flags = read(&written("|b1", "False", "(2,)", &[1, 0]), "x.npy", None).unwrap();
        assert_eq!((flags.spec().to_string(), flags.data()), ("bool[2]".to_owned(), [1, 0].as_slice()));
        let half = read(&written("<f2", "False", "(2, 1)", &[0, 0x3E, 0, 0xC0]), "half.npy", None).unwrap();
        assert_eq!((half.spec().to_string(), half.data()), ("f16[2,1]".to_owned(), [0, 0x3E, 0, 0xC0].as_slice()));
    }

    #[test]
    fn what_was_written_is_read_again() {
        for (_, dtype) in KINDS {
            for shape in [vec![], vec![3], vec![2, 0, 5], vec![1, 2, 3]] {
                let spec = TensorSpec::new(dtype, shape);
                let tensor = crate::random::random(&spec, 1, None).unwrap();
                let file = write(&tensor).unwrap();
                assert_eq!((file.len() - tensor.data().len()) % 64, 0);
                assert_eq!(read(&file, "x.npy", Some(&spec)).unwrap(), tensor);
            }
        }
        assert_eq!(write(&Tensor::new(TensorSpec::new(DType::Bf16, [1]), vec![0; 2]).unwrap()), None);
        let ids = Tensor::new(TensorSpec::new(DType::I64, [1, 3]), ids()[128..].to_vec()).unwrap();
        assert_eq!(write(&ids).unwrap().len(), 128 + 24);
    }

    #[test]
    fn each_fault_says_what_it_is() {
        let message =
            |bytes: &[u8]| read(bytes, "x.npy", Some(&TensorSpec::new(DType::I64, [1, 4]))).unwrap_err().to_string();
        assert!(message(b"PK\x03\x04").starts_with("x.npy is not a .npy file: it does not start with \\x93NUMPY;"));
        assert!(message(&ids()[..30]).contains("it ends within its header"));
        assert!(message(&ids()).starts_with("x.npy holds i64[1,3], but the model's input takes i64[1,4]"));
        assert!(message(&written("<c8", "False", "(0,)", &[])).contains("holds elements of type '<c8'"));
        assert!(message(&written("<i8", "True", "(2, 2)", &[0; 32])).contains("in Fortran order"));
        let short = &ids()[..ids().len() - 1];
        let error = read(short, "x.npy", None).unwrap_err().to_string();
        assert!(error.contains("i64[1,3] takes 24 bytes, but 23 follow its header"), "{error}");
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(place in any::<prop::sample::Index>(), value: u8, digits in "[0-9]{0,30}") {
            let mut bytes = ids();
            let at = place.index(bytes.len());
            bytes[at] = value;
            let _ = read(&bytes, "x.npy", None);
            let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({digits}, {digits}, 2)}}");
            let long = [b"\x93NUMPY\x01\0".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
            prop_assert!(digits.trim_matches('0').is_empty() || read(&long, "x.npy", None).is_err());
        }
    }
}
