//! What the guests of this repository take, natively and in the sandbox, on the same inputs: the first case of each in
//! their tests, and for pictures a photo of one megapixel.

use std::time::Duration;

use divan::Bencher;
use divan::counter::BytesCount;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use thalweg_guest::Tensor;
use thalweg_modules::sandbox::{Grants, Limit, Limits, Machine, Sandbox};
use thalweg_modules::signature::Trust;

#[allow(dead_code, clippy::unwrap_used, reason = "those of the tests, which use more of it")]
#[path = "../tests/guests/cases.rs"]
mod cases;
#[allow(clippy::unwrap_used, reason = "those of the tests")]
#[path = "../tests/guests/natively.rs"]
mod natively;

use cases::{Case, bytes, root};
use natively::{MODULES, hosted};

const NAMES: [&str; 9] =
    ["decode-image", "top-k", "text-boxes", "crop", "ctc-decode", "find-boxes", "tokenise", "mean-pool", "rules"];

const LIMITS: Limits = Limits { time_ms: Limit::of::<60_000>(), ..Limits::RECOMMENDED };

fn main() {
    divan::main();
}

/// As compiled for this machine.
#[divan::bench(args = NAMES)]
fn natively_run(bencher: Bencher<'_, '_>, name: &str) {
    let case = case(name);
    let configure = MODULES.iter().find(|(module, _)| *module == name).expect("a module").1;
    let run = configure(&case.settings).expect("settings");
    bencher.counter(read(&case)).bench_local(|| run(&case.inputs).expect("outputs"));
}

/// As a component, in a warm instance.
#[divan::bench(args = NAMES)]
fn sandboxed(bencher: Bencher<'_, '_>, name: &str) {
    let case = case(name);
    let component = std::fs::read(root().join(format!("modules/guests/artifacts/{name}.wasm"))).expect("a component");
    let sandbox = Sandbox::open(Machine::probe(), Trust::Everyone).expect("a sandbox");
    let module = sandbox.load(name, &component, &Grants::default(), &LIMITS).expect("a module");
    let mut instance = module.start(&LIMITS, &case.settings).expect("settings");
    let inputs: Vec<_> = case.inputs.iter().map(hosted).collect();
    bencher.counter(read(&case)).bench_local(|| instance.run(&inputs, Duration::MAX).expect("outputs"));
}

fn read(case: &Case) -> BytesCount {
    let len = |input: &Tensor| input.elements().expect("a size") * input.dtype().size();
    BytesCount::new(case.inputs.iter().map(len).sum::<usize>())
}

fn case(name: &str) -> Case {
    let mut case = cases::of(name).swap_remove(0);
    if name == "decode-image" {
        case.inputs = vec![bytes(megapixel())];
    }
    case
}

/// A JPEG of 1152 x 864 pixels: smooth shades, and edges of many directions, as photos have them; no noise.
fn megapixel() -> Vec<u8> {
    let level = |x: f32, y: f32, turn: f32| {
        let wave = (x * turn.cos() + y * turn.sin()) / 23.0;
        let rings = ((x - 600.0).hypot(y - 400.0) / 17.0 + turn).sin();
        (127.0 + 60.0 * wave.sin() + if rings > 0.6 { 55.0 } else { -20.0 } * (y / 864.0)) as u8
    };
    let pixel = |x: u32, y: u32| image::Rgb([0.3, 1.1, 2.0].map(|turn| level(x as f32, y as f32, turn)));
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, 85);
    RgbImage::from_fn(1152, 864, pixel).write_with_encoder(encoder).expect("a JPEG");
    jpeg
}
