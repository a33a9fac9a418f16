//! What stands in the way of a plan or a run although every file can be read: what is said.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::{Folder, HERE, SQUEEZENET, model, of, on};
use crate::models::root;

#[test]
fn a_model_that_fits_on_no_tier() {
    let folder = Folder::new();
    let two = "name = \"small\"\n[[tier]]\nname = \"low\"\nmemory = \"1 MiB\"\n[[tier]]\nname = \"high\"\nmemory = \"1 MiB\"\n\
               [[link]]\nfrom = \"low\"\nto = \"high\"\n";
    let topology = folder.write("topology.toml", two);
    for command in ["plan", "run"] {
        let facts = ["fits on no tier", "need ", "has 874 kB after 20 % headroom", "give a tier more `memory`"];
        on(command, &model(SQUEEZENET), &topology, &[]).bad(2, &facts);
    }
}

#[test]
fn an_address_that_is_taken() {
    let folder = Folder::new();
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let topology = folder.write("topology.toml", format!("{HERE}listen = \"{address}\"\n"));
    let facts = ["tier \"here\" cannot listen on", &address, "in use", "free that address"];
    on("run", &model(SQUEEZENET), &topology, &["--rounds", "3"]).bad(2, &facts);
    on("plan", &model(SQUEEZENET), &topology, &[]).good();
}

#[test]
fn a_deadline_that_the_link_cannot_keep() {
    let folder = Folder::new();
    // A model of which the first tier holds nothing, so that all of it waits for the link.
    let slow = "{ rate = \"1 Mbit/s\", delay = \"200 ms\" }";
    let topology = format!(
        "name = \"far\"\n[[tier]]\nname = \"low\"\nmemory = \"1 MiB\"\n[[tier]]\nname = \"high\"\n\
         [[link]]\nfrom = \"low\"\nto = \"high\"\nup = {slow}\ndown = {slow}\n"
    );
    folder.write("topology.toml", topology);
    let text = format!(
        "name = \"late\"\nmodel = \"{}\"\ndeadline = \"150 ms\"\n[[input]]\nzeros = true\n",
        model(SQUEEZENET).display()
    );
    let pipeline = folder.write("pipeline.toml", text);
    let facts = ["the plan gave no answer within 150 ms", "the deadline of", "pipeline.toml", "were predicted"];
    of("run", &pipeline, &["--rounds", "3"]).bad(1, &facts);
}

#[test]
fn results_that_have_no_place() {
    let folder = Folder::new();
    let nowhere = folder.path("no/folder/x");
    let nowhere = nowhere.to_str().expect("a path in plain letters");
    let topology = folder.write("topology.toml", HERE);
    let facts = [nowhere, "cannot write it: No such file or directory", "a folder that exists"];
    let started = Instant::now();
    of("run", &root().join("examples/classify"), &["--plot", nowhere]).bad(2, &facts);
    on("plan", &model(SQUEEZENET), &topology, &["--plot", nowhere]).bad(2, &facts);
    of("profile", &model(SQUEEZENET), &["-o", nowhere]).bad(2, &facts);
    assert!(started.elapsed() < Duration::from_secs(1), "nothing is computed for results that have no place");
}

#[test]
fn models_that_cannot_be_cut_that_way() {
    let folder = Folder::new();
    let one = folder.write("one.onnx", super::onnx::one_node("Relu", &[1, 4]));
    of("verify", &one, &[]).bad(2, &["one has no place to cut"]);
}

/// Programs are built without it, unless they are asked to be.
#[test]
fn onnxruntime_in_a_program_that_cannot_load_it() {
    let facts = ["it was built without the feature `ort`, so build it with", "leave --onnxruntime out"];
    of("profile", &model(SQUEEZENET), &["--onnxruntime", "libonnxruntime.so", "--compare"]).bad(2, &facts);
}
