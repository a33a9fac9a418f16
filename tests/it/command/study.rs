//! What else the planner can be asked: why, what elsewhere in a range, what between two aims, and what a given plan
//! costs.

use std::fs;
use std::path::PathBuf;

use super::{Folder, Ran, SILERO, SQUEEZENET, model, on};
use crate::command::shown::{check_svg, checked_report};

/// A Raspberry Pi, and this machine behind a link.
const TWO: &str = "name = \"two\"\n[[tier]]\nname = \"device\"\ndevice = \"raspberry-pi-4\"\nwatts = 3\n\
                   [[tier]]\nname = \"server\"\nwatts = 90\n\
                   [[link]]\nfrom = \"device\"\nto = \"server\"\nlink = \"wifi-5ghz\"\n";

fn two(folder: &Folder) -> PathBuf {
    folder.write("topology.toml", TWO)
}

fn ask(folder: &Folder, command: &str, more: &[&str]) -> Ran {
    on(command, &model(SQUEEZENET), &two(folder), more)
}

#[test]
fn a_plan_says_why() {
    let folder = Folder::new();
    let report = ask(&folder, "plan", &["--explain", "--json"]).json();
    checked_report(&report, false);
    let explanation = &report["explanation"];
    let candidates = explanation["candidates"].as_array().expect("candidates");
    assert!(candidates.len() > 10, "{explanation:#}");
    let beside = candidates.iter().filter_map(|candidate| candidate["beside_the_plan"].as_f64());
    assert!(beside.into_iter().all(|ratio| ratio > 0.999), "a candidate is better than the plan: {explanation:#}");
    let flips = explanation["flips"].as_array().expect("flips");
    assert!(!flips.is_empty(), "nothing would change a decision between a Raspberry Pi and a server: {explanation:#}");
    let shown = ask(&folder, "plan", &["--explain"]).good();
    for part in ["cut between device and server", "the decision changes when", "nothing binds"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
}

#[test]
fn a_sweep_tells_where_the_decision_changes() {
    let folder = Folder::new();
    let [csv, svg] = ["sweep.csv", "sweep.svg"].map(|file| folder.path(file));
    let files = [&csv, &svg].map(|file| file.to_str().expect("a path in plain letters"));
    let range = ["--sweep", "bandwidth=10kbit/s..10Gbit/s", "--csv", files[0], "--plot", files[1]];
    let shown = ask(&folder, "plan", &range).good();
    assert!(shown.contains("the bandwidth between device and server"), "{shown}");
    let csv = fs::read_to_string(csv).expect("the lines");
    assert_eq!(csv.lines().count(), 122, "{csv}");
    let regions: Vec<&str> = csv.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
    assert!(regions.is_sorted_by_key(|region| region.parse::<u32>().ok()), "{csv}");
    assert_ne!(regions.first(), regions.last(), "the same at 10 kbit/s and at 10 Gbit/s: {csv}");
    check_svg(&fs::read_to_string(svg).expect("the chart"));
    for range in ["rtt=1ms..1s", "device=0.1..10", "device@server=0.5..2", "rtt@device-server=1ms..2ms"] {
        let row = ask(&folder, "plan", &["--sweep", range, "--json"]).json();
        assert_eq!(row["points"].as_array().map(Vec::len), Some(121), "{range}");
    }
}

#[test]
fn a_frontier_goes_from_one_aim_to_the_other() {
    let folder = Folder::new();
    let svg = folder.path("frontier.svg");
    let plot = svg.to_str().expect("a path in plain letters");
    let row = ask(&folder, "plan", &["--pareto", "latency,energy", "--json", "--plot", plot]).json();
    let plans = row["plans"].as_array().expect("plans");
    let value = |at: usize| plans.iter().map(move |plan| plan["values"][at].as_f64().expect("a number"));
    assert!(value(0).is_sorted() && value(1).rev().is_sorted(), "{row:#}");
    assert!(plans.len() > 1, "a server of 90 W is faster, a device of 3 W takes less energy: {row:#}");
    check_svg(&fs::read_to_string(svg).expect("the chart"));
    assert!(ask(&folder, "plan", &["--pareto", "latency,energy"]).good().contains("decision"));
}

#[test]
fn a_saved_plan_runs_again() {
    let folder = Folder::new();
    let file = folder.path("plan.json");
    let plan = file.to_str().expect("a path in plain letters");
    let planned = ask(&folder, "plan", &["--save", plan, "--json"]).json();
    let ran = ask(&folder, "run", &["--plan", plan, "--rounds", "3", "--json"]).json();
    assert_eq!(ran["plan"]["id"], planned["plan"]["id"]);
    assert!(ran["best"]["ratio"].as_f64().is_some(), "{ran:#}");
    let other = on("plan", &model(SILERO), &two(&folder), &["--plan", plan]);
    other.bad(2, &["plan.json: the plan is for the model ", "plan again"]);
    let text = fs::read_to_string(&file).expect("the plan");
    folder.write("plan.json", text.replace("\"version\": 1", "\"version\": 9, \"new\": true"));
    ask(&folder, "plan", &["--plan", plan]).bad(2, &["format is version 9", "reads version 1"]);
    folder.write("plan.json", text.replace("\"server\"", "\"moon\"").replace("\"device\"", "\"mars\""));
    ask(&folder, "plan", &["--plan", plan]).bad(2, &["names the tier `m", "which the topology does not have"]);
    for broken in ["", "{}", "[1]", &text[..text.len() / 2]] {
        folder.write("plan.json", broken);
        ask(&folder, "plan", &["--plan", plan])
            .bad(2, &["plan.json: ", "line ", "write it with `thalweg plan --save`"]);
    }
}

#[test]
fn a_plan_by_hand_is_held_against_the_best() {
    let folder = Folder::new();
    let candidates = ask(&folder, "plan", &["--explain", "--json"]).json();
    let middle = &candidates["explanation"]["candidates"][5];
    let name = middle["crosses"][0].as_str().expect("a tensor");
    let report = ask(&folder, "plan", &["--cut", name, "--json"]).json();
    checked_report(&report, false);
    assert!(report["best"]["ratio"].as_f64() > Some(0.999), "{report:#}");
    assert_eq!(report["plan"]["tiers"][0]["sends"]["tensors"][0]["name"], middle["crosses"][0]);
    let shown = ask(&folder, "plan", &["--cut", name, "--path", "device,server"]).good();
    assert!(shown.contains("given, not searched for"), "{shown}");
    ask(&folder, "plan", &["--cut", "nowhere"]).bad(2, &["no layer and no tensor of the model is called `nowhere`"]);
    let backwards = ask(&folder, "plan", &["--cut", name, "--path", "server,device"]);
    backwards.bad(2, &["begins at `server`, but the input is at `device`"]);
    ask(&folder, "plan", &["--cut", name, "--path", "device,moon"])
        .bad(2, &["\"moon\"", "its tiers are device, server"]);
    ask(&folder, "run", &["--cut", name, "--cut", name, "--rounds", "3"])
        .bad(2, &["goes over 2 tiers", "one --cut between each two", "2 were given"]);
}

#[test]
fn a_question_that_makes_no_sense_is_refused() {
    let folder = Folder::new();
    for (question, fact) in [
        (["--sweep", "bandwith=1Mbit/s..2Mbit/s"], "write bandwidth=100kbit/s..1Gbit/s"),
        (["--sweep", "rtt=2ms..1ms"], "write the smaller value first"),
        (["--sweep", "rtt=1..2"], "the sweep has no range of values"),
        (["--sweep", "rtt@device-moon=1ms..2ms"], "its links are device-server"),
        (["--sweep", "device@moon=1..2"], "its tiers are device, server"),
        (["--pareto", "latency,speed"], "write two of latency, interval, energy, bytes, price"),
    ] {
        ask(&folder, "plan", &question).bad(2, &[fact]);
    }
}
