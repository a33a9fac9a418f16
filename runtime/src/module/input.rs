//! What a module is timed on: given on the command line, or random where its ports say what they take.

use std::path::PathBuf;
use std::str::FromStr;

use thalweg_modules::sandbox::Port;
use thalweg_modules::{numpy, random};
use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::run::{RunError, read};

/// The seed of random inputs.
const SEED: u64 = 1;

/// An input as it is written on a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenInput {
    /// `f32[1,1000]`: random numbers.
    Random(TensorSpec),
    /// `ids.npy`: a NumPy array.
    Numpy(PathBuf),
    /// `@photo.jpg`: the bytes of a file as `u8[n]`.
    Bytes(PathBuf),
}

impl FromStr for GivenInput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(file) = text.strip_prefix('@').filter(|file| !file.is_empty()) {
            return Ok(Self::Bytes(file.into()));
        }
        if text.to_ascii_lowercase().ends_with(".npy") {
            return Ok(Self::Numpy(text.into()));
        }
        let wrong = || {
            format!(
                "\"{text}\" is no input: write a type and shape such as f32[1,1000], a .npy file, or @ and any file"
            )
        };
        spec(text).map(Self::Random).ok_or_else(wrong)
    }
}

/// What `TensorSpec` prints.
fn spec(text: &str) -> Option<TensorSpec> {
    let (dtype, sizes) = text.strip_suffix(']')?.split_once('[')?;
    let dtype = DType::ALL.into_iter().find(|known| known.to_string() == dtype)?;
    if sizes.is_empty() {
        return Some(TensorSpec::new(dtype, []));
    }
    let sizes: Option<Vec<usize>> = sizes.split(',').map(|size| size.trim().parse().ok()).collect();
    Some(TensorSpec::new(dtype, sizes?))
}

impl GivenInput {
    fn tensor(&self) -> Result<Tensor, RunError> {
        Ok(match self {
            Self::Random(spec) => random::random(spec, SEED, None)?,
            Self::Numpy(file) => numpy::read(&read(file)?, &file.display().to_string(), None)?,
            Self::Bytes(file) => {
                let bytes = read(file)?;
                let spec = TensorSpec::new(DType::U8, [bytes.len()]);
                Tensor::new(spec, bytes).map_err(thalweg_modules::ModuleError::from)?
            }
        })
    }
}

/// A tensor for each port: those that are given, in their order, and random numbers for the rest, which then has to say
/// what shapes it takes.
pub(super) fn tensors(module: &str, ports: &[Port], given: &[GivenInput]) -> Result<Vec<Tensor>, RunError> {
    if given.len() > ports.len() {
        let names = ports.iter().map(|port| format!("{} {port}", port.name)).collect::<Vec<_>>().join(", ");
        let names = if ports.is_empty() { "no input".to_owned() } else { names };
        return Err(RunError::ModuleInputs { module: module.to_owned(), given: given.len(), names });
    }
    let tensor = |(at, port): (usize, &Port)| {
        let fault =
            |reason: String| RunError::ModuleInput { module: module.to_owned(), input: port.name.clone(), reason };
        let Some(given) = given.get(at) else {
            let sizes = port.shape.iter().flatten().copied().collect::<Option<Vec<usize>>>();
            let spec = port.shape.as_ref().and(sizes).map(|sizes| TensorSpec::new(port.dtype, sizes));
            let open = || fault(format!("takes {port}, whose sizes are open: give an --input for it"));
            return Ok(random::random(&spec.ok_or_else(open)?, SEED, None)?);
        };
        let tensor = given.tensor()?;
        match port.admits(tensor.spec()) {
            true => Ok(tensor),
            false => Err(fault(format!("takes {port}, not {}: give another --input for it", tensor.spec()))),
        }
    };
    ports.iter().enumerate().map(tensor).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn inputs_are_types_with_shapes_and_files() {
        let spec = TensorSpec::new(DType::F32, [1, 1000]);
        assert_eq!("f32[1,1000]".parse(), Ok(GivenInput::Random(spec.clone())));
        assert_eq!(spec.to_string().parse(), Ok(GivenInput::Random(spec)));
        assert_eq!("i64[]".parse(), Ok(GivenInput::Random(TensorSpec::new(DType::I64, []))));
        assert_eq!("a/ids.NPY".parse(), Ok(GivenInput::Numpy("a/ids.NPY".into())));
        assert_eq!("@photo.jpg".parse(), Ok(GivenInput::Bytes("photo.jpg".into())));
        for text in ["", "@", "f32", "f32[", "f32[1,]", "f31[1]", "f32[-1]", "f32[1][2]", "photo.jpg"] {
            assert!(text.parse::<GivenInput>().is_err_and(|error| error.contains(text)), "{text}");
        }
    }

    #[test]
    fn what_is_not_given_is_random_where_sizes_are_known() {
        let port = |name: &str, shape| Port { name: name.into(), dtype: DType::U8, shape };
        let [closed, open, any] =
            [port("a", Some(vec![Some(2), Some(3)])), port("b", Some(vec![None])), port("c", None)];
        let made =
            tensors("m", &[closed.clone(), open.clone()], &["u8[2,3]".parse().unwrap(), "u8[7]".parse().unwrap()]);
        assert_eq!(made.unwrap()[1].spec(), &TensorSpec::new(DType::U8, [7]));
        assert_eq!(tensors("m", std::slice::from_ref(&closed), &[]).unwrap()[0].spec().shape, [2, 3]);
        let said = |ports: &[Port], given: &[GivenInput]| tensors("m", ports, given).unwrap_err().to_string();
        assert!(said(&[open], &[]).contains("input b of module m takes u8[?], whose sizes are open"));
        assert!(said(&[any], &[]).contains("takes u8[...], whose sizes are open"));
        let wrong = ["f32[2,3]".parse().unwrap()];
        assert!(said(std::slice::from_ref(&closed), &wrong).contains("takes u8[2,3], not f32[2,3]"));
        assert!(said(&[], &wrong).contains("takes no input"));
        assert!(said(&[closed], &[wrong[0].clone(), wrong[0].clone()]).contains("2 inputs are given"));
    }
}
