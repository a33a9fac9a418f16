//! What a module says of itself, checked: names, ports, cost, schema.

use std::fmt;

use thalweg_planner::{DType, TensorSpec};

use super::bindings::thalweg::module::{descriptions, tensors};

const PORTS_MAX: usize = 64;
const AXES_MAX: usize = 8;
const NAME_CHARS_MAX: usize = 64;
const SCHEMA_BYTES_MAX: usize = 64 << 10;

/// A second a byte: nothing that runs between two networks takes longer.
const NANOSECONDS_MAX: f64 = 1e9;

/// An input or output of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Lower-case words with `-`.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Sizes of the axes, none for one that depends on settings or inputs; or any shape.
    pub shape: Option<Vec<Option<usize>>>,
}

impl Port {
    /// Whether tensors of this type and shape go through.
    pub fn admits(&self, spec: &TensorSpec) -> bool {
        let fits = |(axis, size): (&Option<usize>, &usize)| axis.is_none_or(|axis| axis == *size);
        let shape_fits = |axes: &Vec<_>| axes.len() == spec.shape.len() && axes.iter().zip(&spec.shape).all(fits);
        self.dtype == spec.dtype && self.shape.as_ref().is_none_or(shape_fits)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |size: &Option<usize>| size.map_or_else(|| "?".to_owned(), |size| size.to_string());
        match &self.shape {
            Some(axes) => write!(out, "{}[{}]", self.dtype, axes.iter().map(size).collect::<Vec<_>>().join(",")),
            None => write!(out, "{}[...]", self.dtype),
        }
    }
}

/// A module's description.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Lower-case words with `-`.
    pub name: String,
    /// `major.minor.patch`.
    pub version: String,
    /// What goes in, in this order.
    pub inputs: Vec<Port>,
    /// What comes out, in this order.
    pub outputs: Vec<Port>,
    /// The module's guess of its own cost on a current desktop machine, for one core.
    pub nanoseconds_per_byte: f64,
    /// JSON Schema of its settings: an object.
    pub settings_schema: serde_json::Value,
}

impl Description {
    /// Checks what came from a module; the error is what is wrong.
    pub(super) fn check(given: descriptions::Description) -> Result<Self, String> {
        let name = name("the name", given.name)?;
        let version = version(given.version)?;
        let (inputs, outputs) = (ports("input", given.inputs)?, ports("output", given.outputs)?);
        let cost = given.nanoseconds_per_byte;
        if !(0.0..=NANOSECONDS_MAX).contains(&cost) {
            return Err(format!("{cost} nanoseconds a byte are not from 0 to {NANOSECONDS_MAX}"));
        }
        let text = given.settings_schema;
        if text.len() > SCHEMA_BYTES_MAX {
            return Err(format!("a schema of {} bytes is longer than {SCHEMA_BYTES_MAX}", text.len()));
        }
        let settings_schema: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("the schema of its settings is not JSON, {error}"))?;
        if !settings_schema.is_object() {
            return Err("the schema of its settings is not a JSON object".to_owned());
        }
        Ok(Self { name, version, inputs, outputs, nanoseconds_per_byte: cost, settings_schema })
    }
}

fn name(of: &str, text: String) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > NAME_CHARS_MAX || !text.bytes().all(plain) {
        let shown: String = text.chars().take(NAME_CHARS_MAX).collect();
        return Err(format!("{of} is {shown:?}, not 1 to {NAME_CHARS_MAX} of a-z, 0-9 and -"));
    }
    Ok(text)
}

fn version(text: String) -> Result<String, String> {
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()) && part.parse::<u32>().is_ok();
    if text.len() > NAME_CHARS_MAX || text.split('.').count() != 3 || !text.split('.').all(number) {
        let shown: String = text.chars().take(NAME_CHARS_MAX).collect();
        return Err(format!("the version is {shown:?}, not three numbers such as \"1.0.2\""));
    }
    Ok(text)
}

fn ports(kind: &str, given: Vec<descriptions::Port>) -> Result<Vec<Port>, String> {
    if given.len() > PORTS_MAX {
        return Err(format!("{} {kind}s are more than {PORTS_MAX}", given.len()));
    }
    let mut ports: Vec<Port> = Vec::with_capacity(given.len());
    for (at, port) in given.into_iter().enumerate() {
        let name = name(&format!("the name of {kind} {at}"), port.name)?;
        if ports.iter().any(|other| other.name == name) {
            return Err(format!("two {kind}s are called {name}"));
        }
        let axes = port.shape.as_ref().map_or(0, Vec::len);
        if axes > AXES_MAX {
            return Err(format!("{kind} {name} has {axes} axes, more than {AXES_MAX}"));
        }
        let size = |size: Option<u64>| size.map(usize::try_from).transpose();
        let shape = port.shape.map(|axes| axes.into_iter().map(size).collect()).transpose();
        let shape = shape.map_err(|_| format!("{kind} {name} has an axis that no memory holds"))?;
        ports.push(Port { name, dtype: port.dtype.into(), shape });
    }
    Ok(ports)
}

macro_rules! dtypes {
    ($($name:ident),*) => {
        impl From<tensors::Dtype> for DType {
            fn from(dtype: tensors::Dtype) -> Self {
                match dtype { $(tensors::Dtype::$name => Self::$name),* }
            }
        }

        impl From<DType> for tensors::Dtype {
            fn from(dtype: DType) -> Self {
                match dtype { $(DType::$name => Self::$name),* }
            }
        }
    };
}

dtypes!(F32, F16, Bf16, F64, I8, U8, I16, U16, I32, U32, I64, U64, Bool);

#[cfg(test)]
mod tests {
    use super::*;

    fn given(change: impl FnOnce(&mut descriptions::Description)) -> Result<Description, String> {
        let port = |name: &str| descriptions::Port {
            name: name.to_owned(),
            dtype: tensors::Dtype::F32,
            shape: Some(vec![Some(1), None]),
        };
        let mut description = descriptions::Description {
            name: "top-k".into(),
            version: "1.0.2".into(),
            inputs: vec![port("scores")],
            outputs: vec![port("best"), port("rest")],
            nanoseconds_per_byte: 0.5,
            settings_schema: "{}".into(),
        };
        change(&mut description);
        Description::check(description)
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        assert!(given(|_| ()).is_ok());
        type Change = fn(&mut descriptions::Description);
        let wrong: [(Change, &str); 9] = [
            (|it| it.name = "Top K".into(), "the name is \"Top K\""),
            (|it| it.name = "a".repeat(65), "the name is"),
            (|it| it.version = "1.0".into(), "the version is \"1.0\""),
            (|it| it.version = "1.+0.2".into(), "the version is"),
            (|it| it.outputs[1].name = "best".into(), "two outputs are called best"),
            (|it| it.inputs[0].shape = Some(vec![None; 9]), "input scores has 9 axes"),
            (|it| it.nanoseconds_per_byte = f64::NAN, "NaN nanoseconds"),
            (|it| it.settings_schema = "[]".into(), "the schema of its settings is not a JSON object"),
            (|it| it.settings_schema = "[".repeat(60_000), "the schema of its settings is not JSON"),
        ];
        for (change, expected) in wrong {
            let error = given(change).expect_err(expected);
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_port_admits_its_type_and_shape() {
        let port = |shape| Port { name: "in".into(), dtype: DType::F32, shape };
        let spec = |shape: &[usize]| TensorSpec::new(DType::F32, shape);
        let open = port(Some(vec![Some(1), None]));
        assert_eq!(open.to_string(), "f32[1,?]");
        assert!(open.admits(&spec(&[1, 1000])));
        assert!(![&[2, 1000][..], &[1000], &[1, 1000, 1]].iter().any(|shape| open.admits(&spec(shape))));
        assert!(!open.admits(&TensorSpec::new(DType::F16, [1, 1000])));
        assert!(port(None).admits(&spec(&[])) && port(None).admits(&spec(&[2, 3])));
    }
}
