//! What the interfaces in `wit/module.wit` and `wit-nn/wasi-nn.wit` are in Rust, for the host.

#![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "wit",
    // The larger of both worlds: what is exported is the same, and imports are offered one by one.
    world: "module-with-models",
    imports: { default: trappable },
    with: { "thalweg:module/tensors.tensor": crate::sandbox::held::Held },
});

/// Models as WASI standardises them.
pub mod nn {
    wasmtime::component::bindgen!({
        path: "wit-nn",
        world: "ml",
        imports: { default: trappable },
        with: {
            "wasi:nn/tensor.tensor": crate::sandbox::held::Held,
            "wasi:nn/graph.graph": crate::sandbox::host::nn::Graph,
            "wasi:nn/inference.graph-execution-context": crate::sandbox::host::nn::Context,
            "wasi:nn/errors.error": crate::sandbox::host::nn::Fault,
        },
    });
}
