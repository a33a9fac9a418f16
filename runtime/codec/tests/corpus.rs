//! Runs the fuzz targets on the inputs that are kept of them: without libFuzzer, as an ordinary test. What they check and
//! how to run them longer stands in fuzz/README.md.

use std::path::Path;

#[path = "../fuzz/targets/decode.rs"]
mod decode;
#[path = "../fuzz/targets/features.rs"]
mod features;

type Target = fn(&[u8]);

/// Each target and its name, which is that of the folder of its corpus.
const TARGETS: [(&str, Target); 2] = [("decode", decode::decode), ("features", features::features)];

#[test]
#[expect(clippy::disallowed_methods, reason = "a corpus is files; the crate itself reads none")]
fn targets_hold_on_their_corpora() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let listing = std::fs::read_dir(&folder).expect("a corpus of each target");
        let mut files: Vec<_> = listing.map(|entry| entry.expect("a file of the corpus").path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{} is empty", folder.display());
        for file in files {
            // Shown when the target panics.
            eprintln!("{}", file.display());
            target(&std::fs::read(&file).expect("a file of the corpus"));
        }
    }
}
