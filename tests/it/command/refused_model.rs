//! Models that cannot be used, and shapes that do not fit them: what is said.

use std::fs;
use std::path::{Path, PathBuf};

use super::onnx::{from_sizes, one_node};
use super::{Folder, HERE, PPOCR, Ran, SILERO, SQUEEZENET, model, of, on, thalweg};

fn plan(folder: &Folder, target: &Path, more: &[&str]) -> Ran {
    on("plan", target, &folder.write("topology.toml", HERE), more)
}

#[test]
fn a_file_that_is_not_there_or_no_file() {
    let folder = Folder::new();
    let missing = ["missing.onnx: cannot read the model: No such file", "check that the path is right"];
    plan(&folder, &folder.path("missing.onnx"), &[]).bad(2, &missing);
    of("verify", &folder.path("missing.onnx"), &[]).bad(2, &missing);
    of("profile", &folder.path("missing.onnx"), &[]).bad(2, &missing);
    plan(&folder, &folder.path("missing"), &[]).bad(2, &["missing: it cannot be read: No such file", "help: "]);
    fs::create_dir(folder.path("folder.onnx")).expect("a folder");
    plan(&folder, &folder.path("folder.onnx"), &[]).bad(2, &["folder.onnx: cannot read the model: Is a directory"]);
}

#[test]
fn a_model_whose_end_is_missing() {
    let folder = Folder::new();
    for file in [SQUEEZENET, SILERO] {
        let whole = fs::read(model(file)).expect("the model");
        for percent in [1, 10, 50, 90, 99] {
            let cut = &whole[..whole.len() * percent / 100];
            let facts = [&*format!("cut.onnx: its {} bytes are no ONNX model", cut.len()), "download it again"];
            plan(&folder, &folder.write("cut.onnx", cut), &[]).bad(2, &facts);
        }
        let cut = folder.write("cut.onnx", &whole[..whole.len() - 1]);
        plan(&folder, &cut, &[]).bad(2, &["cut.onnx", "end in the middle of Model"]);
    }
}

#[test]
fn what_is_no_model() {
    let folder = Folder::new();
    let say = |bytes: &[u8], why: &str| plan(&folder, &folder.write("no.onnx", bytes), &[]).bad(2, &["no.onnx", why]);
    say(b"", "its 0 bytes are no ONNX model: the file is empty");
    say(b"hello, world\n", "they are text");
    say(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS");
    say(&[0xff; 100], "no ONNX model: ");
    say(&fs::read(crate::models::root().join("examples/classify/photo.jpg")).expect("a photo"), "no ONNX model: ");
}

#[test]
fn an_operator_that_the_engine_lacks() {
    let folder = Folder::new();
    let path = folder.write("odd.onnx", one_node("FrobnicateV2", &[1, 4]));
    plan(&folder, &path, &[]).bad(2, &["odd.onnx", "no operator \"FrobnicateV2\" (node \"node\")", "export the model"]);
    let fine = folder.write("fine.onnx", one_node("Relu", &[1, 4]));
    plan(&folder, &fine, &[]).good();
}

#[test]
fn constants_that_no_machine_could_hold() {
    let folder = Folder::new();
    let path = folder.write("huge.onnx", from_sizes("ConstantOfShape", &[1 << 20, 1 << 20]));
    plan(&folder, &path, &[]).bad(2, &["huge.onnx", "node \"big\" (ConstantOfShape) asks for 1099511627776 elements"]);
    let fine = folder.write("fine.onnx", from_sizes("ConstantOfShape", &[4, 4]));
    plan(&folder, &fine, &[]).good();
    let wide = folder.write("wide.onnx", one_node("Relu", &[1, 1 << 40]));
    plan(&folder, &wide, &[]).bad(2, &["f32[1,1099511627776]", "check its shape"]);
}

#[test]
fn sizes_that_the_model_leaves_open() {
    let folder = Folder::new();
    plan(&folder, &model(PPOCR), &[]).bad(2, &[PPOCR, "input \"x\"", "fix it with --shape x=1,3,SIZE,SIZE\n"]);
}

#[test]
fn shapes_that_do_not_fit() {
    let folder = Folder::new();
    let shaped = |shape: &str, facts: &[&str]| plan(&folder, &model(PPOCR), &["--shape", shape]).bad(2, facts);
    shaped("y=1,3,96,96", &[PPOCR, "the shape 1,3,96,96 for input \"y\"", "no such input, only x"]);
    shaped("x=3,96,96", &["the shape 3,96,96 for input \"x\" does not fit: the model takes ["]);
    shaped("x=1,4,96,96", &["the shape 1,4,96,96 for input \"x\" does not fit: the model takes [", ",3,"]);
    // Sizes that the model cannot bring together again after it has halved them.
    shaped("x=1,3,97,101", &["node \"p2o.Concat.0\" (InferenceConcat)", "does not hold", "try another shape"]);
    shaped("x=1,3,999999,999999", &["f32[1,3,999999,999999] takes 12000 GB", "check its shape"]);
    let fixed = model(SQUEEZENET);
    plan(&folder, &fixed, &["--shape", "data_0=2,3,224,224"]).bad(2, &["the model takes [1,3,224,224]"]);
}

#[test]
fn shapes_that_are_none() {
    for shape in ["", "x", "x=", "=1,3", "x=1,,3", "x=1,3,0,5", "x=-1,3", "x=1.5", "x=a", "x=1,99999999999999999999"] {
        let facts = [&*format!("\"{shape}\" is not a shape"), "such as x=1,3,224,224"];
        of("verify", &model(PPOCR), &["--shape", shape]).bad(2, &facts);
    }
}

#[test]
fn usage_that_is_not_understood() {
    assert_eq!(thalweg(Vec::<PathBuf>::new()).code, 2, "no command");
    thalweg(["rum"]).bad(2, &["unrecognized subcommand 'rum'", "'run'"]);
    of("run", &model(SQUEEZENET), &["--topolgy", "x"]).bad(2, &["'--topolgy'", "'--topology'"]);
    of("run", &model(SQUEEZENET), &["--rounds", "2"]).bad(2, &["'2'", "--rounds", "3..="]);
    of("run", &model(SQUEEZENET), &[]).bad(2, &["no topology", "--topology FILE"]);
}
