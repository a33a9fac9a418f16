//! Pipelines, topologies, photos and labels that cannot be used: what is said.

use std::fs;
use std::path::PathBuf;

use super::{Folder, HERE, Ran, SQUEEZENET, model, of, on};
use crate::models::root;

/// A pipeline of the example's model, with more keys, an origin of its input, and what follows.
fn pipeline(folder: &Folder, keys: &str, input: &str, more: &str) -> PathBuf {
    let model = root().join("examples/models/efficientnet_lite0/efficientnet_lite0_op13.onnx");
    folder.write("topology.toml", HERE);
    let text = format!("name = \"test\"\nmodel = \"{}\"\n{keys}\n[[input]]\n{input}\n{more}\n", model.display());
    folder.write("pipeline.toml", text)
}

/// Plans with a topology of this text.
fn topology(text: &str) -> Ran {
    let folder = Folder::new();
    on("plan", &model(SQUEEZENET), &folder.write("topology.toml", text), &[])
}

/// Two tiers, `low` and `high`, and the beginning of a link from the first.
fn link(rest: &str) -> Ran {
    topology(&format!(
        "name = \"x\"\n[[tier]]\nname = \"low\"\n[[tier]]\nname = \"high\"\n[[link]]\nfrom = \"low\"\n{rest}\n"
    ))
}

#[test]
fn photos_that_do_not_decode() {
    let folder = Folder::new();
    let photo = fs::read(root().join("examples/classify/photo.jpg")).expect("the example's photo");
    let path = pipeline(&folder, "", "image = \"photo.jpg\"", "");
    let say = |bytes: &[u8], facts: &[&str]| {
        folder.write("photo.jpg", bytes);
        let message = of("plan", &path, &[]).bad(2, &[&["photo.jpg"], facts].concat());
        assert_eq!(message.lines().count(), 1, "{message}");
    };
    say(b"hello, world", &["not a JPEG or PNG photo", "convert it"]);
    say(b"", &["is empty"]);
    say(&photo[..100], &["does not decode as JPEG", "save it again"]);
    say(&photo[..photo.len() / 2], &["is cut short", "copy it again"]);
    say(b"GIF89a\x01\0\x01\0\0\0\0;", &["image/gif", "convert it"]);
    fs::remove_file(folder.path("photo.jpg")).expect("it was there");
    of("plan", &path, &[]).bad(2, &["pipeline.toml:5:9: `image` is \"photo.jpg\", but there is no file"]);
    fs::create_dir(folder.path("photo.jpg")).expect("a folder");
    of("plan", &path, &[]).bad(2, &["pipeline.toml:5:9", "no file", "help: "]);
}

#[test]
fn keys_and_values_of_a_pipeline() {
    let folder = Folder::new();
    let say = |keys: &str, input: &str, facts: &[&str]| {
        of("plan", &pipeline(&folder, keys, input, ""), &[]).bad(2, facts);
    };
    let zeros = "zeros = true";
    say("deadlin = \"5 s\"", zeros, &["pipeline.toml:3:1: `deadlin` is not a key here", "did you mean `deadline`?"]);
    say("deadline = 5", zeros, &["pipeline.toml:3:12", "integer `5`", "\"20 ms\""]);
    say("codecs = [\"zip\"]", zeros, &["pipeline.toml:3:11", "zip", "f16"]);
    say("", "zeros = true\nrandm = 1", &["pipeline.toml:6:1: `randm`", "`random`"]);
    say("", "", &["pipeline.toml:4:1", "`image`, `npy`, `file`, `text`, `random`, `zeros`"]);
    say("", "name = \"pixels\"\nzeros = true", &["pipeline.toml: [[input]] \"pixels\"", "name one of x"]);
    say("", "zeros = true\nshape = [1, 4, 224, 224]", &["the shape 1,4,224,224 for input \"x\"", ",3,224,224]"]);
    say("= 3", zeros, &["pipeline.toml:3:1: this is not TOML"]);
    let folder_without = folder.path("");
    fs::remove_file(folder.path("pipeline.toml")).expect("it was there");
    of("run", &folder_without, &[]).bad(2, &["pipeline.toml: it cannot be read", "check that the path is right"]);
}

#[test]
fn answers_that_the_model_does_not_give() {
    let folder = Folder::new();
    folder.write("labels.txt", "cat\ndog\n");
    folder.write("empty.txt", "");
    let say = |answer: &str, facts: &[&str]| {
        of("run", &pipeline(&folder, "", "zeros = true", answer), &[]).bad(2, facts);
        of("plan", &pipeline(&folder, "", "zeros = true", answer), &[]).bad(2, facts);
    };
    say("[answer]\nlabels = \"labels.txt\"", &["labels.txt has 2 labels", "f32[1,1000] has 1000 classes"]);
    say("[answer]\nlabels = \"empty.txt\"", &["empty.txt holds no labels: it is empty", "one label a line"]);
    say("[answer]\nlabels = \"none.txt\"", &["pipeline.toml:7:10: `labels` is \"none.txt\", but there is no file"]);
    let nowhere = "[answer]\nlabels = \"labels.txt\"\noutput = \"scores\"";
    say(nowhere, &["pipeline.toml: [answer] has the output \"scores\"", "name one of logits"]);
}

#[test]
fn an_answer_of_several_outputs_says_which() {
    let folder = Folder::new();
    let Some(several) = crate::models::shared("models/g2p_en/g2p_decoder_step.onnx") else { return };
    folder.write("labels.txt", "a\n");
    folder.write("topology.toml", HERE);
    let text = format!(
        "name = \"x\"\nmodel = \"{}\"\n[[input]]\nname = \"tok\"\nzeros = true\n[[input]]\nname = \"h\"\nzeros = true\n[answer]\nlabels = \"labels.txt\"\n",
        several.display()
    );
    of("plan", &folder.write("pipeline.toml", text), &[]).bad(2, &["pipeline.toml: [answer]", "add `output`, one of "]);
}

#[test]
fn keys_and_tiers_of_a_topology() {
    let misspelt = format!("{HERE}memry = \"1 GiB\"\n");
    topology(&misspelt).bad(2, &["topology.toml:4:1: `memry` is not a key here", "did you mean `memory`?"]);
    topology("name = \"x\"\n").bad(2, &["topology.toml:1:1: there is no [[tier]]", "add at least one [[tier]]"]);
    topology("").bad(2, &["topology.toml:1:1: `name` is missing"]);
    topology("tier").bad(2, &["topology.toml:1:5: this is not TOML"]);
    topology(&format!("{HERE}device = \"raspbery-pi-4\"\n")).bad(2, &["topology.toml:4:10", "`raspberry-pi-4`?"]);
    topology(&format!("{HERE}memory = \"0 MiB\"\n")).bad(2, &["topology.toml:4:10", "above zero", "\"512 MiB\""]);
    topology(&format!("{HERE}listen = \"here\"\n")).bad(2, &["topology.toml:4:10: `listen`"]);
    topology(&format!("{HERE}[[tier]]\nname = \"here\"\n"))
        .bad(2, &["topology.toml:5:8: a second tier \"here\"", "line 3"]);
    let folder = Folder::new();
    on("plan", &model(SQUEEZENET), &folder.path("none.toml"), &[]).bad(2, &["none.toml: it cannot be read"]);
    let broken = folder.write("broken.toml", b"name = \"\xff\"");
    on("plan", &model(SQUEEZENET), &broken, &[]).bad(2, &["broken.toml:1:9: this is not UTF-8 text"]);
    let profile = ["--profile", broken.to_str().expect("a path in plain letters")];
    let here = folder.write("topology.toml", HERE);
    on("plan", &model(SQUEEZENET), &here, &profile).bad(2, &["broken.toml:1:9"]);
}

#[test]
fn links_that_lead_nowhere_or_carry_nothing() {
    link("to = \"hihg\"").bad(2, &["topology.toml:8:6: `to` is \"hihg\", but no tier has this name", "`high`?"]);
    link("to = \"low\"").bad(2, &["topology.toml:8:6: `to` is \"low\"", "name another tier"]);
    link("to = \"high\"\nlink = \"wifi\"").bad(2, &["topology.toml:9:8", "no link in the catalogue has this name"]);
    let shape = |rate: &str| {
        let way = |rate: &str| format!("{{ rate = {rate}, delay = \"1 ms\" }}");
        link(&format!("to = \"high\"\nup = {}\ndown = {}", way(rate), way("\"1 Mbit/s\"")))
    };
    shape("\"0 Mbit/s\"").bad(2, &["topology.toml:9:15: `rate` is \"0 Mbit/s\"", "above zero, such as \"5 Mbit/s\""]);
    for rate in ["\"-5 Mbit/s\"", "\"5\"", "\"5 Mbits\"", "\"fast\"", "\"inf Mbit/s\"", "\"NaN bit/s\""] {
        let facts = ["topology.toml:9:15: `rate`", &format!("{rate} is not a bandwidth"), "such as \"5 Mbit/s\""];
        shape(rate).bad(2, &facts);
    }
    shape("5").bad(2, &["topology.toml:9:15: `rate`", "integer `5`", "in quotes with its unit"]);
    let apart = format!("{HERE}[[tier]]\nname = \"there\"\n");
    topology(&apart)
        .bad(2, &["topology.toml:5:8: no links lead from \"here\" to \"there\"", "add a [[link]] that joins"]);
}
