//! `cargo fuzz run features`: runs the target of the same name under libFuzzer.

#![no_main]

#[path = "../targets/features.rs"]
mod features;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| features::features(bytes));
