//! `thalweg calibrate`: what it makes, goes on with, shows again, and refuses.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::shown::check_svg;
use super::{Folder, Ran, SILERO, model, of};
use crate::models::root;

/// A small model that was trained: it tells whether a line of text is upside down.
const TURNED: &str = "ppocr/ch_ppocr_mobile_v2.0_cls_infer.onnx";
const SHAPE: [&str; 2] = ["--shape", "x=1,3,48,96"];

/// A folder with so many photos that differ, beside what is no sample.
fn photos(folder: &Folder, name: &str, count: usize) -> PathBuf {
    let photo = fs::read(root().join("examples/classify/photo.jpg")).expect("the example's photo");
    let path = folder.path(name);
    fs::create_dir(&path).expect("a folder of samples");
    for index in 0..count {
        fs::write(path.join(format!("{name}{index}.jpg")), changed(&photo, index)).expect("a photo");
    }
    fs::write(path.join("README.txt"), "not a photo").expect("a file");
    path
}

/// The photo with another value in one of its quantisation tables, which makes another picture.
fn changed(photo: &[u8], index: usize) -> Vec<u8> {
    let table = photo.windows(2).position(|two| two == [0xFF, 0xDB]).expect("a table");
    let mut photo = photo.to_vec();
    photo[table + 5] = 2 + 9 * index as u8;
    photo
}

/// `thalweg calibrate` of that model on `samples`, quickly.
fn calibrate(samples: &Path, file: &Path, more: &[&str]) -> Ran {
    let paths = [samples, file].map(|path| path.to_str().expect("a path in plain letters"));
    let start = ["--samples", paths[0], "-o", paths[1], "--effort", "0", "--cuts-max", "1"];
    of("calibrate", &model(TURNED), &[&start[..], &SHAPE, more].concat())
}

#[test]
fn a_codebook_is_made_gone_on_with_and_shown_again() {
    let folder = Folder::new();
    let samples = photos(&folder, "photo", 6);
    let [file, plot] = ["x.codebook", "x.svg"].map(|name| folder.path(name));
    // With two classes the highest score is soon the same.
    let error = ["--judge", "error"];
    let first = calibrate(&samples, &file, &error).good();
    for part in ["fitted to 4 samples, measured on 2 others", "bits an element", "cuts are left out", "x.codebook"] {
        assert!(first.contains(part), "{part} is not in {first}");
    }
    let written = fs::read(&file).expect("codebooks");
    let again = calibrate(&samples, &file, &error).good();
    assert!(again.contains("1 of 1 cuts were there already"), "{again}");
    assert_eq!(fs::read(&file).expect("codebooks"), written, "nothing is computed again");

    let arguments = ["-o", file.to_str().expect("plain"), "--report", plot.to_str().expect("plain"), "--json"];
    let books = of("calibrate", &model(TURNED), &[&arguments[..], &SHAPE].concat()).json();
    check_svg(&fs::read_to_string(plot).expect("a picture"));
    let codecs = books["cuts"][0]["codecs"].as_array().expect("codecs");
    let named = |codec: &&Value| codec["codec"].as_str().is_some_and(|name| name.starts_with("features/"));
    let levels: Vec<&Value> = codecs.iter().filter(named).collect();
    let bytes = |level: &Value| level["tensors"][0]["bytes"].as_f64().expect("bytes");
    assert!(levels.len() > 1 && levels.is_sorted_by(|one, other| bytes(one) < bytes(other)), "{books:#}");
    assert_eq!((&books["fitted"], &books["measured"]), (&4.into(), &2.into()));

    let layer = books["cuts"][0]["tensors"][0]["name"].as_str().expect("a name").to_owned();
    let named = calibrate(&samples, &file, &[&error[..], &["--at", &layer]].concat()).good();
    assert!(named.contains("1 of 1 cuts were there already"), "{named}");
    let others = photos(&folder, "other", 4);
    calibrate(&others, &file, &error).bad(2, &["x.codebook", "other samples or settings", "--fresh"]);
    calibrate(&samples, &file, &["--judge", "cosine"]).bad(2, &["other samples or settings", "--fresh"]);
    let arguments = ["-o", file.to_str().expect("plain")];
    of("calibrate", &model(SILERO), &arguments).bad(2, &["x.codebook are of the model", "--fresh to replace it"]);
    assert_eq!(fs::read(&file).expect("codebooks"), written, "what is refused changes nothing");
}

#[test]
fn a_pipeline_has_pictures_as_rivals_and_labels_say_what_is_right() {
    let folder = Folder::new();
    let text = format!(
        "name = \"small\"\nmodel = \"{}\"\n[[input]]\nimage = \"{}\"\nmean = 127.5\nscale = 127.5\nshape = [1, 3, 48, 96]\n",
        model(TURNED).display(),
        root().join("examples/classify/photo.jpg").display(),
    );
    let pipeline = folder.write("pipeline.toml", text);
    let [samples, measured] = ["photo", "measured"].map(|name| photos(&folder, name, 3));
    let labels = folder.write("labels.json", r#"{"measured0.jpg": {"classes": [0, 1]}, "measured1.jpg": 0}"#);
    let paths = [&samples, &measured, &labels].map(|path| path.to_str().expect("a path in plain letters"));
    let sources = ["--samples", paths[0], "--measure", paths[1], "--labels", paths[2], "--judge", "argmax"];
    let quick = ["--effort", "0", "--cuts-max", "1", "--json"];
    // The first two photos of both folders are the same picture, so only the names differ: nothing is left to fit to.
    of("calibrate", &pipeline, &[&sources[..], &quick].concat()).bad(2, &["0 samples to fit to and 3 others"]);
    let others = photos(&folder, "others", 7);
    let other = ["--samples", others.to_str().expect("plain"), "--measure", paths[1], "--labels", paths[2]];
    let books = of("calibrate", &pipeline, &[&other[..], &quick].concat()).json();
    assert_eq!((&books["fitted"], &books["measured"]), (&4.into(), &3.into()), "{books:#}");
    assert!(books["accuracy"].is_number() && books["cuts"][0]["codecs"][0]["accuracy_loss"].is_number(), "{books:#}");
    let rivals: Vec<_> = books["rivals"].as_array().expect("rivals").iter().map(|rival| &rival["codec"]).collect();
    assert!(rivals.contains(&&"jpeg/80".into()) && rivals.contains(&&"webp/80".into()), "{rivals:?}");
    assert!(folder.path("ch_ppocr_mobile_v2.0_cls_infer.codebook").exists(), "it stands beside the pipeline");
}

#[test]
fn samples_that_cannot_be_used() {
    let folder = Folder::new();
    let file = folder.path("x.codebook");
    let empty = folder.path("empty");
    fs::create_dir(&empty).expect("a folder");
    calibrate(&folder.path("none"), &file, &[]).bad(2, &["none: cannot read it", "the path is right"]);
    calibrate(&empty, &file, &[]).bad(2, &["empty: there are no samples in it", "put .jpg"]);
    let two = photos(&folder, "two", 2);
    calibrate(&two, &file, &[]).bad(2, &["two: 2 samples to fit to and 0 others", "three in one folder"]);
    let broken = photos(&folder, "broken", 3);
    fs::write(broken.join("broken1.jpg"), "no photo").expect("a file");
    calibrate(&broken, &file, &[]).bad(2, &["broken1.jpg is of an unknown format", "convert it"]);
    fs::remove_file(broken.join("broken1.jpg")).expect("it was there");
    fs::write(broken.join("broken1.npy"), "no array").expect("a file");
    calibrate(&broken, &file, &[]).bad(2, &["broken1.npy is not a .npy file"]);
    let good = photos(&folder, "good", 3);
    fs::create_dir(good.join("inside")).expect("a folder");
    calibrate(&good, &file, &[]).bad(2, &["inside: it has no file for the input \"x\"", "add x.npy"]);
    let of_silero = ["--samples", two.to_str().expect("plain")];
    of("calibrate", &model(SILERO), &of_silero)
        .bad(2, &["two0.jpg: the model has several inputs", "a folder for each"]);
    assert!(!file.exists(), "nothing is left of what failed");
}

#[test]
fn places_and_files_that_are_not_there() {
    let folder = Folder::new();
    let samples = photos(&folder, "photo", 3);
    let file = folder.path("x.codebook");
    let arguments = ["-o", file.to_str().expect("plain")];
    of("calibrate", &model(TURNED), &[&arguments[..], &SHAPE].concat())
        .bad(2, &["x.codebook: there are no codebooks yet", "--samples"]);
    let unknown = calibrate(&samples, &file, &["--at", "conv_9"]);
    unknown.bad(2, &["--at names \"conv_9\"", "no layer or tensor", "most similar layer"]);
    let labels = folder.write("labels.json", r#"{"someone.jpg": 3}"#);
    let labels = ["--labels", labels.to_str().expect("plain")];
    calibrate(&samples, &file, &labels).bad(2, &["labels.json: it names none of the measured samples"]);
    folder.write("x.codebook", "something else");
    calibrate(&samples, &file, &[]).bad(2, &["x.codebook holds no codebooks", "--fresh to replace it"]);
    let nowhere = folder.path("no/folder/x.codebook");
    calibrate(&samples, &nowhere, &[]).bad(2, &["cannot write it", "a folder that exists"]);
}
