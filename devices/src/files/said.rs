//! What the graph of a part does not say: its name, who wrote it, its borders, where its weights are, and which of its
//! wires are quantised.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use thalweg_planner::{DType, TensorSpec};
use tract_nnef::ast::{Identifier, QuantFormat};
use tract_onnx::tract_hir::internal::{DatumType, TypedFact};
use tract_onnx::tract_hir::tract_core::internal::{QParams, bail};
use tract_onnx::tract_hir::tract_core::prelude::TractResult;

use super::SAID;
use crate::cut::Border;
use crate::error::StageError;
use crate::tensor::{dtype, spec};

/// Bytes of the file. DenseNet-121, which has many weight tensors, has 0.1 MB.
const BYTES_MAX: usize = 16 << 20;
/// Characters of a part's name, which stands in messages.
const NAME_MAX: usize = 1024;

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    engine: String,
    pub(super) name: String,
    takes: Vec<Wire>,
    gives: Vec<Wire>,
    /// Hashes of the files, by the labels of the graph.
    pub(super) weights: BTreeMap<String, String>,
    /// The types of wires that are quantised, by their names in the graph.
    quantised: BTreeMap<String, Kind>,
}

/// A tensor at the border.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    shape: Vec<usize>,
    kind: Kind,
}

/// The engine's own type of an element.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Kind {
    Plain(DType),
    /// A number of shape arithmetic.
    Size,
    /// An integer that stands for `scale * (integer - zero_point)`.
    Affine {
        stored: DType,
        zero_point: i32,
        scale: f32,
    },
    /// An integer that stands for a number between these two.
    Between {
        stored: DType,
        min: f32,
        max: f32,
    },
    /// What is not written: never equal to anything that is.
    Unknown,
}

impl Said {
    pub(super) fn new(
        name: &str,
        engine: String,
        takes: &[Border],
        gives: &[Border],
        weights: BTreeMap<String, String>,
        quantised: Option<HashMap<Identifier, QuantFormat>>,
    ) -> TractResult<Self> {
        let borders = |borders: &[Border]| borders.iter().map(Wire::of_border).collect();
        let quantised = quantised.into_iter().flatten();
        let quantised = quantised.map(|(wire, format)| (in_text(&wire.0), Kind::of(format.datum_type()))).collect();
        let name = name.chars().take(NAME_MAX).collect();
        Ok(Self { engine, name, takes: borders(takes), gives: borders(gives), weights, quantised })
    }

    pub(super) fn write(&self) -> TractResult<Vec<u8>> {
        match toml::to_string(self) {
            Ok(text) => Ok(text.into_bytes()),
            Err(cause) => bail!("{SAID}: {cause}"),
        }
    }

    /// Refuses what another engine than `engine` has written: names and forms of operators are its own matter.
    pub(super) fn read(bytes: &[u8], engine: &str) -> Result<Self, StageError> {
        let failed = |cause: String| StageError::Unreadable { file: SAID.to_owned(), cause };
        if bytes.len() > BYTES_MAX {
            return Err(failed(format!("has {} bytes, but at most {BYTES_MAX} are allowed", bytes.len())));
        }
        let text = std::str::from_utf8(bytes).map_err(|cause| failed(format!("is no text: {cause}")))?;
        let written = toml::from_str::<Written>(text).map_err(|cause| failed(cause.message().to_owned()))?.engine;
        if written != engine {
            let written = written.chars().take(NAME_MAX).collect();
            return Err(StageError::OtherEngine { written, here: engine.to_owned() });
        }
        let said: Self = toml::from_str(text).map_err(|cause| failed(cause.message().to_owned()))?;
        if said.name.chars().count() > NAME_MAX || said.name.chars().any(char::is_control) {
            return Err(failed(format!("has a name of more than {NAME_MAX} characters, or none that can be printed")));
        }
        Ok(said)
    }

    /// What the part takes and gives.
    pub(super) fn borders(&self) -> Result<(Vec<Border>, Vec<Border>), String> {
        let borders = |wires: &[Wire]| wires.iter().map(Wire::border).collect::<Result<Vec<_>, _>>();
        Ok((borders(&self.takes)?, borders(&self.gives)?))
    }

    pub(super) fn quantised(&self) -> Result<Option<HashMap<Identifier, QuantFormat>>, String> {
        let format = |(wire, kind): (&String, &Kind)| {
            let format = QuantFormat::from_dt(kind.datum()?).ok_or_else(|| format!("calls {wire} quantised"))?;
            Ok((Identifier(wire.clone()), format))
        };
        let formats = self.quantised.iter().map(format).collect::<Result<HashMap<_, _>, String>>()?;
        Ok((!formats.is_empty()).then_some(formats))
    }
}

/// What every version of the file says.
#[derive(Deserialize)]
struct Written {
    engine: String,
}

/// A name as the graph's text has it.
fn in_text(name: &str) -> String {
    name.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '_' }).collect()
}

impl Wire {
    pub(super) fn of_border(border: &Border) -> Self {
        Self { shape: border.spec.shape.clone(), kind: Kind::of(border.datum) }
    }

    /// What the graph says of a wire.
    pub(super) fn of(fact: Option<&TypedFact>) -> Self {
        match fact.and_then(|fact| Some((spec(fact)?, fact.datum_type))) {
            Some((spec, datum)) => Self { shape: spec.shape, kind: Kind::of(datum) },
            None => Self { shape: Vec::new(), kind: Kind::Unknown },
        }
    }

    pub(super) fn print(wires: &[Self]) -> String {
        let print = |wire: &Self| match wire.kind.datum().ok().and_then(dtype) {
            Some(dtype) => TensorSpec::new(dtype, wire.shape.clone()).to_string(),
            None => "something else".to_owned(),
        };
        if wires.is_empty() { "nothing".to_owned() } else { wires.iter().map(print).collect::<Vec<_>>().join(", ") }
    }

    fn border(&self) -> Result<Border, String> {
        let datum = self.kind.datum()?;
        let dtype = dtype(datum).ok_or("has a border that cannot travel")?;
        Ok(Border { spec: TensorSpec::new(dtype, self.shape.clone()), datum })
    }
}

impl Kind {
    fn of(datum: DatumType) -> Self {
        match (datum, dtype(datum.unquantized()), datum.qparams()) {
            (DatumType::TDim, _, _) => Self::Size,
            (_, Some(stored), Some(QParams::ZpScale { zero_point, scale })) => {
                Self::Affine { stored, zero_point, scale }
            }
            (_, Some(stored), Some(QParams::MinMax { min, max })) => Self::Between { stored, min, max },
            (_, Some(dtype), None) => Self::Plain(dtype),
            (_, None, _) => Self::Unknown,
        }
    }

    fn datum(&self) -> Result<DatumType, String> {
        let (stored, params) = match self {
            Self::Size => return Ok(DatumType::TDim),
            Self::Plain(dtype) => return plain(*dtype),
            Self::Affine { stored, zero_point, scale } => {
                (stored, QParams::ZpScale { zero_point: *zero_point, scale: *scale })
            }
            Self::Between { stored, min, max } => (stored, QParams::MinMax { min: *min, max: *max }),
            Self::Unknown => return Err("has a type that is not known".to_owned()),
        };
        match stored {
            DType::U8 => Ok(DatumType::QU8(params)),
            DType::I8 => Ok(DatumType::QI8(params)),
            DType::I32 => Ok(DatumType::QI32(params)),
            _ => Err(format!("has a quantised {stored}, which does not exist")),
        }
    }
}

fn plain(dtype: DType) -> Result<DatumType, String> {
    Ok(match dtype {
        DType::F32 => DatumType::F32,
        DType::F16 => DatumType::F16,
        DType::F64 => DatumType::F64,
        DType::I8 => DatumType::I8,
        DType::U8 => DatumType::U8,
        DType::I16 => DatumType::I16,
        DType::U16 => DatumType::U16,
        DType::I32 => DatumType::I32,
        DType::U32 => DatumType::U32,
        DType::I64 => DatumType::I64,
        DType::U64 => DatumType::U64,
        DType::Bool => DatumType::Bool,
        DType::Bf16 => return Err("has a bf16, which the engine lacks".to_owned()),
    })
}
