//! `cargo fuzz run decode`: runs the target of the same name under libFuzzer.

#![no_main]

#[path = "../targets/decode.rs"]
mod decode;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decode::decode(bytes));
