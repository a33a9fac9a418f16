//! The modules as native code.

use thalweg_guest::{self as guest, Failure, Module};
use thalweg_module_crop::Crop;
use thalweg_module_ctc_decode::CtcDecode;
use thalweg_module_decode_image::DecodeImage;
use thalweg_module_find_boxes::FindBoxes;
use thalweg_module_mean_pool::MeanPool;
use thalweg_module_rules::RulesModule;
use thalweg_module_text_boxes::TextBoxes;
use thalweg_module_tokenise::Tokenise;
use thalweg_module_top_k::TopK;
use thalweg_planner::{DType, Tensor, TensorSpec};

/// A module that was configured.
pub(crate) type Run = Box<dyn Fn(&[guest::Tensor]) -> Result<Vec<guest::Tensor>, Failure>>;

/// Configures a module.
pub(crate) type Configure = fn(&str) -> Result<Run, Failure>;

/// All of them, by name.
pub(crate) const MODULES: &[(&str, Configure)] = &[
    ("decode-image", configured::<DecodeImage>),
    ("top-k", configured::<TopK>),
    ("text-boxes", configured::<TextBoxes>),
    ("crop", configured::<Crop>),
    ("ctc-decode", configured::<CtcDecode>),
    ("find-boxes", configured::<FindBoxes>),
    ("tokenise", configured::<Tokenise>),
    ("mean-pool", configured::<MeanPool>),
    ("rules", configured::<RulesModule>),
];

fn configured<M: Module + 'static>(settings: &str) -> Result<Run, Failure> {
    let module = M::configure(settings)?;
    Ok(Box::new(move |inputs| module.run(inputs)))
}

/// The tensor as the host has it.
pub(crate) fn hosted(tensor: &guest::Tensor) -> Tensor {
    let dtype = match tensor.dtype() {
        guest::DType::F32 => DType::F32,
        guest::DType::I64 => DType::I64,
        guest::DType::U8 => DType::U8,
        other => panic!("no module takes or gives {other}"),
    };
    let shape: Vec<usize> = tensor.shape().iter().map(|size| *size as usize).collect();
    Tensor::new(TensorSpec::new(dtype, shape), tensor.to_bytes().unwrap()).unwrap()
}
