//! Good input: each command does what it says.

use serde_json::Value;
use thalweg_devices::{Model, Shapes};

use super::{Folder, HERE, PPOCR, SILERO, SQUEEZENET, model, of, on, thalweg};
use crate::command::shown::{check_svg, checked_report};
use crate::models::{root, shared};

#[test]
fn a_model_runs_over_three_nodes() {
    let folder = Folder::new();
    let plot = folder.path("plot.svg");
    let loopback = root().join("examples/loopback/topology.toml");
    let plot_argument = plot.to_str().expect("a path in plain letters");
    let ran = on("run", &model(SQUEEZENET), &loopback, &["--rounds", "3", "--json", "--plot", plot_argument]);
    let report = ran.json();
    checked_report(&report, true);
    let baselines = report["baselines"].as_array().expect("baselines");
    let single = baselines.iter().filter(|row| row["single_place"] == true).count();
    assert_eq!((single, baselines.len()), (3, 5), "each tier alone, and two published planners: {report:#}");
    assert_eq!(report["outputs"][0]["spec"], "f32[1,1000,1,1]");
    assert!(report["emulated"].as_array().is_some_and(Vec::is_empty), "nothing is emulated here");
    check_svg(&std::fs::read_to_string(plot).expect("the plot"));
}

#[test]
fn a_model_with_state_runs_and_is_shown_as_tables() {
    let folder = Folder::new();
    let topology = folder.write("topology.toml", HERE);
    let shown = on("run", &model(SILERO), &topology, &["--rounds", "3"]).good();
    for part in ["here", "ms measured", "silero_vad_16k_sequence"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    checked_report(&on("run", &model(SILERO), &topology, &["--rounds", "3", "--json"]).json(), true);
}

#[test]
fn the_example_recognises_an_espresso_on_several_tiers() {
    let report = of("run", &root().join("examples/classify"), &["--rounds", "3", "--json"]).json();
    checked_report(&report, true);
    assert_eq!(report["classes"][0]["label"], "espresso");
    assert_eq!(report["classes"].as_array().map(Vec::len), Some(5));
    let tiers = report["plan"]["tiers"].as_array().expect("tiers");
    let computing = tiers.iter().filter(|tier| tier["layers"].as_u64() > Some(0)).count();
    assert!(computing >= 2, "only {computing} tiers compute: {report:#}");
    assert!(!report["emulated"].as_array().expect("a list").is_empty(), "what is emulated is told");
}

#[test]
fn a_plan_is_printed_and_nothing_runs() {
    let folder = Folder::new();
    let topology = folder.write("topology.toml", HERE);
    let shown = on("plan", &model(SQUEEZENET), &topology, &[]).good();
    assert!(shown.contains("predicted, nothing was run"), "{shown}");
    let plot = folder.path("plot.svg");
    let plot_argument = plot.to_str().expect("a path in plain letters");
    checked_report(&on("plan", &model(SQUEEZENET), &topology, &["--json", "--plot", plot_argument]).json(), false);
    check_svg(&std::fs::read_to_string(plot).expect("the plot"));
}

#[test]
fn a_plan_and_a_run_tell_what_computes_each_tier_where_there_is_a_choice() {
    let loopback = root().join("examples/loopback/topology.toml");
    let ask = |command, more: &[&str]| on(command, &model(SILERO), &loopback, &[&["--json"], more].concat());
    for (command, more) in [("plan", &[][..]), ("run", &["--rounds", "3"])] {
        let without = ask(command, more).json();
        assert!(without["plan"]["tiers"][0]["computed_on"].is_null(), "there is no choice: {without:#}");
        let ran = ask(command, &[more, &["--adapter", "llvmpipe"]].concat());
        if ran.errors.contains("leave --adapter out") {
            eprintln!("skipped: no Vulkan in software here: {}", ran.errors);
            continue;
        }
        let report = ran.json();
        checked_report(&report, command == "run");
        for tier in report["plan"]["tiers"].as_array().expect("tiers") {
            let told: Vec<&str> =
                tier["computed_on"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            assert_eq!(told.is_empty(), tier["part"].is_null(), "{tier:#}");
            assert!(told.iter().all(|name| *name == "cpu" || name.starts_with("llvmpipe")), "{told:?}");
        }
    }
}

#[test]
fn a_profile_is_a_reference_and_a_tier() {
    let folder = Folder::new();
    let profile = folder.path("machine.toml");
    let path = profile.to_str().expect("a path in plain letters");
    let said = of("profile", &model(SILERO), &["-o", path]).good();
    assert!(said.contains("machine.toml") && said.contains("written"), "{said}");
    let tier = format!("{HERE}profile = \"machine.toml\"\n");
    let topology = folder.write("topology.toml", tier);
    let report = on("plan", &model(SILERO), &topology, &["--profile", path, "--json"]).json();
    checked_report(&report, false);
    let again = on("plan", &model(SILERO), &topology, &["--profile", path, "--json"]).json();
    assert_eq!(report["plan"], again["plan"], "a profile with the model's times leaves nothing to measure");
    let printed = of("profile", &model(SILERO), &[]).good();
    assert!(printed.contains("matrix_product = "), "{printed}");
    assert!(of("profile", &model(SILERO), &["--json"]).json()["cores"].as_u64() > Some(0));
}

#[test]
fn a_model_is_the_same_each_time_it_is_read() {
    let hash = || Model::load(&model(SILERO), &Shapes::new()).expect("a model").hash_text();
    let first = hash();
    (0..16).for_each(|_| assert_eq!(hash(), first, "nodes that differ in it refuse each other"));
}

#[test]
fn every_cut_of_small_models_is_exact() {
    let several = shared("models/g2p_en/g2p_decoder_step.onnx");
    let models =
        [Some(model(SQUEEZENET)), Some(model(SILERO)), shared("models/mnist_cnn/mnist_cnn_op13.onnx"), several];
    for path in models.into_iter().flatten() {
        let said = of("verify", &path, &[]).good();
        let count = said.split_once(": ").and_then(|(_, rest)| rest.split(' ').next()).expect("a count");
        assert!(said.contains(&format!("{count} of {count} cuts equal the whole bit for bit")), "{said}");
        let rows = of("verify", &path, &["--json"]).json();
        let rows = rows.as_array().expect("a list of cuts");
        assert_eq!(rows.len().to_string(), count);
        assert!(rows.iter().all(|row| row["exact"] == Value::Bool(true)), "{rows:#?}");
    }
}

#[test]
fn open_sizes_are_fixed_on_the_command_line() {
    let folder = Folder::new();
    let topology = folder.write("topology.toml", HERE);
    let report = on("plan", &model(PPOCR), &topology, &["--shape", "x=1,3,64,96", "--json"]).json();
    checked_report(&report, false);
    let larger = on("plan", &model(PPOCR), &topology, &["--shape", "x=1,3,128,96", "--json"]).json();
    assert!(larger["model"]["macs"].as_u64() > report["model"]["macs"].as_u64());
}

#[test]
fn help_and_version_are_answers() {
    for arguments in [&["--help"][..], &["run", "--help"], &["help", "verify"]] {
        let help = thalweg(arguments.iter().copied()).good();
        assert!(help.contains("Usage: thalweg"), "{help}");
    }
    assert!(thalweg(["--help"]).good().starts_with("Makes a neural network flow"));
    let version = thalweg(["--version"]).good();
    assert!(version.starts_with("thalweg ") && version.trim().ends_with(char::is_numeric), "{version}");
}
