//! An answer as it is stored and delivered: what it is as JSON, and then its tensors as they are.

use serde::{Deserialize, Serialize};
use thalweg_planner::Tensor;

use super::OutputOf;

/// Bytes of the length before the JSON.
const PREFIX_BYTES: usize = 4;

/// What is said of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultOf {
    /// The version of the deployment that has answered.
    pub epoch: u32,
    /// Whether the node where the request was made has answered alone.
    pub local: bool,
    /// Whether less than all of some tensor was awaited, to answer in time.
    pub coarse: bool,
    /// Its tensors in their order.
    pub outputs: Vec<OutputOf>,
}

/// Bytes that are no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what was delivered is no result: {cause}")]
pub struct NotAResult {
    /// Why not.
    pub cause: String,
}

impl ResultOf {
    /// It and its tensors as bytes.
    pub fn to_bytes(&self, outputs: &[Tensor]) -> Result<Vec<u8>, NotAResult> {
        let said = serde_json::to_vec(self).map_err(|cause| NotAResult { cause: cause.to_string() })?;
        let length = u32::try_from(said.len()).map_err(|cause| NotAResult { cause: cause.to_string() })?;
        let mut bytes = [&length.to_le_bytes(), said.as_slice()].concat();
        outputs.iter().for_each(|output| bytes.extend_from_slice(output.data()));
        Ok(bytes)
    }

    /// What [`ResultOf::to_bytes`] has made, from anywhere.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, Vec<Tensor>), NotAResult> {
        let wrong = |cause: &str| NotAResult { cause: cause.to_owned() };
        let (length, rest) = bytes.split_first_chunk::<PREFIX_BYTES>().ok_or_else(|| wrong("it is too short"))?;
        let length = u32::from_le_bytes(*length) as usize;
        let (said, mut rest) = rest.split_at_checked(length).ok_or_else(|| wrong("it is too short"))?;
        let said: Self = serde_json::from_slice(said).map_err(|cause| wrong(&cause.to_string()))?;
        let mut outputs = Vec::new();
        for OutputOf { name, spec } in &said.outputs {
            let length = usize::try_from(spec.bytes().0).ok();
            let divided = length.and_then(|length| rest.split_at_checked(length));
            let (data, left) = divided.ok_or_else(|| wrong(&format!("{name} is too short")))?;
            outputs.push(Tensor::new(spec.clone(), data.to_vec()).map_err(|cause| wrong(&cause.to_string()))?);
            rest = left;
        }
        if rest.is_empty() { Ok((said, outputs)) } else { Err(wrong("it is too long")) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use thalweg_planner::{DType, TensorSpec};

    use super::*;

    fn result() -> (ResultOf, Vec<Tensor>) {
        let output = |name: &str, sizes: &[usize]| OutputOf {
            name: name.to_owned(),
            spec: TensorSpec::new(DType::F32, sizes.to_vec()),
        };
        let outputs = vec![output("scores", &[1, 3]), output("empty", &[0, 4])];
        let tensors =
            vec![Tensor::from_f32([1, 3], &[0.5, -1.0, 2.0]).unwrap(), Tensor::from_f32([0, 4], &[]).unwrap()];
        (ResultOf { epoch: 3, local: true, coarse: false, outputs }, tensors)
    }

    #[test]
    fn a_result_comes_back_as_it_was() {
        let (said, tensors) = result();
        let bytes = said.to_bytes(&tensors).unwrap();
        assert_eq!(ResultOf::from_bytes(&bytes), Ok((said, tensors)));
    }

    #[test]
    fn what_is_no_result_is_refused() {
        let (said, tensors) = result();
        let mut bytes = said.to_bytes(&tensors).unwrap();
        for length in 0..bytes.len() {
            assert!(ResultOf::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
        bytes.push(0);
        assert!(ResultOf::from_bytes(&bytes).is_err());
        // Sizes that no memory holds take none.
        let text = serde_json::to_string(&said).unwrap().replace("[1,3]", "[4611686018427387904,4611686018427387904]");
        let bytes = [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
        assert!(ResultOf::from_bytes(&bytes).is_err());
    }
}
