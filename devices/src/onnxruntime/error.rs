//! Why onnxruntime does not compute something. The CPU does then.

use std::path::PathBuf;

/// An error of onnxruntime, or of what is made for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OnnxruntimeError {
    /// The library cannot be loaded.
    #[error(
        "{}: onnxruntime cannot be loaded: {cause}; get it with `pip install onnxruntime`, it is in the folder \
         onnxruntime/capi (libonnxruntime.so.1.*), or take NVIDIA's package on a Jetson",
        path.display()
    )]
    NotLoaded {
        /// Where it was to be.
        path: PathBuf,
        /// What the system, or the library, says.
        cause: String,
    },
    /// A process keeps the first library that it loads.
    #[error("{}: onnxruntime is loaded from {} already, and a process loads one", wanted.display(), loaded.display())]
    Another {
        /// The one that was to be loaded too.
        wanted: PathBuf,
        /// The one that is.
        loaded: PathBuf,
    },
    /// The library was built without a provider.
    #[error(
        "{}: this onnxruntime has no provider {provider}; get one that has it, such as `pip install onnxruntime-gpu`, or \
         NVIDIA's package on a Jetson",
        path.display()
    )]
    NoProvider {
        /// The library.
        path: PathBuf,
        /// What was asked for.
        provider: &'static str,
    },
    /// Something of a part has no counterpart in ONNX.
    #[error("{node} ({op}) has no counterpart in onnxruntime: {why}")]
    Unsupported {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// What of it.
        why: String,
    },
    /// The library refuses a part, or its provider does not start.
    #[error("onnxruntime cannot prepare {part}: {cause}")]
    Prepare {
        /// Which part.
        part: String,
        /// What it says.
        cause: String,
    },
    /// The library failed on these tensors.
    #[error("onnxruntime failed on {part}: {cause}")]
    Run {
        /// Which part.
        part: String,
        /// What it says.
        cause: String,
    },
}
