//! What the interface in `wit/module.wit` is in Rust, for the host.

#![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "wit",
    // The larger of both worlds: what is exported is the same, and imports are offered one by one.
    world: "module-with-models",
    imports: { default: trappable },
    with: { "thalweg:module/tensors.tensor": crate::sandbox::held::Held },
});
