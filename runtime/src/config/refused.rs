//! Each mistake in a configuration file has its line and its advice: text in, message out.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use expect_test::{Expect, expect};

use super::Topology;
use super::read::Source;
use super::tests::{PIPELINE, TIERS, pipeline, topology};

fn refused_pipeline(rest: &str, expected: Expect) {
    let text = format!("{PIPELINE}{rest}");
    expected.assert_eq(&pipeline(&text).unwrap_err().to_string());
}

fn refused_topology(text: &str, expected: Expect) {
    expected.assert_eq(&topology(text).unwrap_err().to_string());
}

fn refused_links(links: &str, expected: Expect) {
    refused_topology(&format!("{TIERS}{links}"), expected);
}

#[test]
fn unknown_keys_get_the_nearest_known_one() {
    refused_pipeline(
        "dedline = \"5 s\"",
        expect![[r#"
        pipeline.toml:4:1: `dedline` is not a key here
          help: did you mean `deadline`?"#]],
    );
    refused_pipeline(
        "[[input]]\nzeros = true\nlabels = \"x\"",
        expect![[r#"
            pipeline.toml:6:1: `labels` is not a key here
              help: known are `name`, `shape`, `image`, `mean`, `scale`, `layout`, `npy`, `file`, `text`, `random`, `zeros`"#]],
    );
    refused_pipeline(
        "[[input]]\nrandom = { sed = 1 }",
        expect![[r#"
        pipeline.toml:5:12: `sed` is not a key here
          help: did you mean `seed`?"#]],
    );
    refused_links(
        "[[link]]\nfrom = \"device\"\nto = \"edge\"\n[link.up]\ndelay = \"1 ms\"\nrtae = \"1 bit/s\"",
        expect![[r#"
            topology.toml:13:1: `rtae` is not a key here
              help: did you mean `rate`?"#]],
    );
}

#[test]
fn values_of_another_type_are_named() {
    refused_pipeline(
        "deadline = 5",
        expect![[r#"
            pipeline.toml:4:12: `deadline`: invalid type: integer `5`
              help: write a quantity in quotes with its unit, such as "5 Mbit/s", "512 MiB" or "20 ms""#]],
    );
    refused_pipeline(
        "deadline = \"5 hours\"",
        expect![[r#"
            pipeline.toml:4:12: `deadline`: "5 hours" is not a duration
              help: write a number, a space and one of s, ms, us, ns, min, µs, such as "20 ms""#]],
    );
    refused_pipeline(
        "deadline = \"0 s\"",
        expect![[r#"
        pipeline.toml:4:12: `deadline` is "0 s"
          help: write a time above zero, such as "5 s""#]],
    );
    refused_pipeline(
        "codecs = [\"f32\", \"zip\"]",
        expect![[r#"
            pipeline.toml:4:18: `codecs`: "zip" is not a codec
              help: write f32, f16, int8, lossless, jpeg/Q or webp/Q with a quality Q from 1 to 100, such as "jpeg/90", or features/L with a level L from 1 to 24"#]],
    );
    refused_pipeline(
        "codecs = [\n  \"f32\",\n  \"f32\",\n]",
        expect![[r#"
            pipeline.toml:6:3: a second codec "f32"; the first one is in line 5
              help: remove one of them"#]],
    );
    refused_pipeline(
        "[[input]]\nimage = \"Cargo.toml\"\nmean = [1, 2]",
        expect![[r#"
            pipeline.toml:6:8: `mean`: invalid length 2
              help: write a number, or a list of three numbers for red, green and blue"#]],
    );
    refused_pipeline(
        "[[input]]\nimage = \"Cargo.toml\"\nscale = [1, 2, 0]",
        expect![[r#"
        pipeline.toml:6:9: `scale` is [1, 2, 0]
          help: write finite numbers other than zero, such as 255"#]],
    );
    refused_pipeline(
        "[[input]]\nimage = \"Cargo.toml\"\nlayout = \"chw\"",
        expect![[r#"
            pipeline.toml:6:10: `layout`: unknown variant `chw`
              help: write `nchw` or `nhwc`"#]],
    );
    refused_pipeline(
        "[[input]]\nzeros = true\nshape = [1, 0]",
        expect![[r#"
        pipeline.toml:6:13: `shape` is 0
          help: write sizes from 1"#]],
    );
    refused_pipeline(
        "[[input]]\nzeros = true\nshape = [-1]",
        expect![[r#"
            pipeline.toml:6:10: `shape`: invalid value: integer `-1`
              help: write a whole number from 0"#]],
    );
    refused_pipeline(
        "input = 3",
        expect![[r#"
            pipeline.toml:4:9: `input`: invalid type: integer `3`
              help: write a list"#]],
    );
}

#[test]
fn an_input_has_one_origin() {
    refused_pipeline(
        "",
        expect![[r#"
        pipeline.toml:1:1: there is no [[input]]
          help: add at least one [[input]]"#]],
    );
    refused_pipeline(
        "[[input]]\nname = \"x\"",
        expect![[r#"
            pipeline.toml:4:1: none of `image`, `npy`, `file`, `text`, `random`, `zeros` is given
              help: give one of `image`, `npy`, `file`, `text`, `random`, `zeros`"#]],
    );
    refused_pipeline(
        "[[input]]\nzeros = true\nnpy = \"x.npy\"",
        expect![[r#"
            pipeline.toml:4:1: `npy`, `zeros` cannot stand together
              help: give one of `image`, `npy`, `file`, `text`, `random`, `zeros`"#]],
    );
    refused_pipeline(
        "[[input]]\nzeros = false",
        expect![[r#"
        pipeline.toml:5:9: `zeros` is false
          help: write zeros = true, or another origin"#]],
    );
    refused_pipeline(
        "[[input]]\nzeros = true\nmean = 3",
        expect![[r#"
        pipeline.toml:6:8: `mean` has no meaning without `image`
          help: add `image` or remove `mean`"#]],
    );
    refused_pipeline(
        "[[input]]\nrandom = { seed = 1, low = 3 }",
        expect![[r#"
        pipeline.toml:5:10: `high` is missing
          help: add `high = …` here"#]],
    );
    refused_pipeline(
        "[[input]]\nrandom = { seed = 1, low = 3, high = 3 }",
        expect![[r#"
        pipeline.toml:5:38: `high` is 3
          help: write a finite number above `low`"#]],
    );
    refused_pipeline(
        "[[input]]\nzeros = true\n[[input]]\nzeros = true",
        expect![[r#"
        pipeline.toml:4:1: `name` is missing
          help: add `name = …` here"#]],
    );
    refused_pipeline(
        "[[input]]\nname = \"x\"\nzeros = true\n[[input]]\nname = \"x\"\nzeros = true",
        expect![[r#"
        pipeline.toml:8:8: a second input "x"; the first one is in line 5
          help: give it another name"#]],
    );
}

#[test]
fn files_that_are_named_must_exist() {
    refused_pipeline(
        "[[input]]\nimage = \"/nowhere/photo.jpg\"",
        expect![[r#"
        pipeline.toml:5:9: `image` is "/nowhere/photo.jpg", but there is no file /nowhere/photo.jpg
          help: paths are taken from the folder of this file; put the file there or correct the path"#]],
    );
    refused_pipeline(
        "[[input]]\nzeros = true\n[answer]\nlabels = \"/nowhere/labels.json\"",
        expect![[r#"
        pipeline.toml:7:10: `labels` is "/nowhere/labels.json", but there is no file /nowhere/labels.json
          help: paths are taken from the folder of this file; put the file there or correct the path"#]],
    );
    expect![[r#"
        /nowhere/topology.toml: it cannot be read: No such file or directory (os error 2)
          help: check that the path is right and the file may be read"#]]
    .assert_eq(&Topology::read(Path::new("/nowhere/topology.toml")).unwrap_err().to_string());
}

#[test]
fn tiers_are_named_once_and_known() {
    refused_topology(
        "name = \"any\"",
        expect![[r#"
        topology.toml:1:1: there is no [[tier]]
          help: add at least one [[tier]]"#]],
    );
    refused_topology(
        "name = \"any\"\n[[tier]]\nname = \"a\"\n[[tier]]\nname = \"a\"",
        expect![[r#"
        topology.toml:5:8: a second tier "a"; the first one is in line 3
          help: give it another name"#]],
    );
    refused_topology(
        "name = \"any\"\n[[tier]]\nname = \"\"",
        expect![[r#"
        topology.toml:3:8: `name` is ""
          help: write a name, such as "device""#]],
    );
    refused_topology(
        "name = \"any\"\n[[tier]]\nname = \"a\"\ndevice = \"raspberry-pi-44\"",
        expect![[r#"
            topology.toml:4:10: `device` is "raspberry-pi-44", but no device in the catalogue has this name
              help: did you mean `raspberry-pi-4`?"#]],
    );
    refused_topology(
        "name = \"any\"\n[[tier]]\nname = \"a\"\ndevice = \"toaster\"",
        expect![[r#"
            topology.toml:4:10: `device` is "toaster", but no device in the catalogue has this name
              help: known are `raspberry-pi-zero-2-w`, `raspberry-pi-3b-plus`, `raspberry-pi-4`, `raspberry-pi-5`, `x86-gateway`, `cloud-cpu`, `jetson-nano`, `jetson-orin-nano`, `jetson-agx-orin`, `cloud-gpu`"#]],
    );
    refused_topology(
        "name = \"any\"\n[[tier]]\nname = \"a\"\ndevice = \"cloud-cpu\"\nprofile = \"x\"",
        expect![[r#"
        topology.toml:2:1: `device`, `profile` cannot stand together
          help: keep one of `device`, `profile`, or none for this machine"#]],
    );
    refused_topology(
        "name = \"any\"\n[[tier]]\nname = \"a\"\nemulate = true",
        expect![[r#"
        topology.toml:4:11: `emulate` has no meaning without `device` or `profile`
          help: add `device` or `profile` or remove `emulate`"#]],
    );
    refused_topology(
        "name = \"any\"\n[[tier]]\nname = \"a\"\nmemory = \"0 MiB\"",
        expect![[r#"
        topology.toml:4:10: `memory` is "0 MiB"
          help: write a size above zero, such as "512 MiB""#]],
    );
    refused_topology(
        "name = \"any\"\n[[tier]]\nname = \"a\"\nmemory = 512",
        expect![[r#"
            topology.toml:4:10: `memory`: invalid type: integer `512`
              help: write a quantity in quotes with its unit, such as "5 Mbit/s", "512 MiB" or "20 ms""#]],
    );
}

#[test]
fn links_join_tiers_once_and_reach_all_of_them() {
    refused_links(
        "",
        expect![[r#"
        topology.toml:5:8: no links lead from "device" to "edge"
          help: add a [[link]] that joins "edge" to one of `device`, or remove the tier"#]],
    );
    refused_links(
        "[[link]]\nfrom = \"device\"\nto = \"egde\"",
        expect![[r#"
        topology.toml:10:6: `to` is "egde", but no tier has this name
          help: did you mean `edge`?"#]],
    );
    refused_links(
        "[[link]]\nfrom = \"edge\"\nto = \"edge\"",
        expect![[r#"
        topology.toml:10:6: `to` is "edge"
          help: name another tier than in `from`"#]],
    );
    let link = "[[link]]\nfrom = \"device\"\nto = \"edge\"\n";
    refused_links(
        &format!("{link}[[link]]\nfrom = \"edge\"\nto = \"device\""),
        expect![[r#"
        topology.toml:12:8: a second link between "edge" and "device"; the first one is in line 9
          help: remove one of them"#]],
    );
    refused_links(
        link,
        expect![[r#"
        topology.toml:7:8: no links lead from "device" to "cloud"
          help: add a [[link]] that joins "cloud" to one of `device`, `edge`, or remove the tier"#]],
    );
    refused_links(
        &format!("{link}price_gb = -0.1"),
        expect![[r#"
        topology.toml:11:12: `price_gb` is -0.1
          help: write a number, 0 or above"#]],
    );
    refused_topology(
        "name = \"any\"\n[[tier]]\nname = \"a\"\nwatts = inf",
        expect![[r#"
        topology.toml:4:9: `watts` is inf
          help: write a number, 0 or above"#]],
    );
    refused_links(
        &format!("{link}link = \"wifi\""),
        expect![[r#"
            topology.toml:11:8: `link` is "wifi", but no link in the catalogue has this name
              help: known are `wifi-2.4ghz`, `wifi-5ghz`, `ethernet-100`, `ethernet-gigabit`, `lte`, `5g`, `satellite-leo`, `satellite-geo`, `lora-like`, `wan-100`"#]],
    );
    refused_links(
        &format!("{link}link = \"lte\"\n[link.up]\nrate = \"1 bit/s\"\ndelay = \"1 s\""),
        expect![[r#"
        topology.toml:8:1: `link`, `up` cannot stand together
          help: keep one of `link`, `up and down`, or none for a loopback that is not shaped"#]],
    );
}

#[test]
fn figures_of_links_make_sense() {
    let shaped = |up: &str, expected| {
        let down = "[link.down]\nrate = \"1 Mbit/s\"\ndelay = \"1 ms\"";
        refused_links(&format!("[[link]]\nfrom = \"device\"\nto = \"edge\"\n{down}\n[link.up]\n{up}"), expected);
    };
    shaped(
        "rate = \"0 bit/s\"\ndelay = \"1 ms\"",
        expect![[r#"
        topology.toml:15:8: `rate` is "0 bit/s"
          help: write a bandwidth above zero, such as "5 Mbit/s""#]],
    );
    shaped(
        "rate = \"-5 Mbit/s\"\ndelay = \"1 ms\"",
        expect![[r#"
            topology.toml:15:8: `rate`: "-5 Mbit/s" is not a bandwidth
              help: write a number, a space and one of Gbit/s, Mbit/s, kbit/s, bit/s, such as "5 Mbit/s""#]],
    );
    shaped(
        "rate = \"1 Mbit/s\"\ndelay = \"1 ms\"\nloss = 1.5",
        expect![[r#"
        topology.toml:17:8: `loss` is 1.5
          help: write a share of the packets, 0 to 1: 0.01 is one in 100"#]],
    );
    shaped(
        "rate = \"1 Mbit/s\"\ndelay = \"1 ms\"\nloss = nan",
        expect![[r#"
        topology.toml:17:8: `loss` is nan
          help: write a share of the packets, 0 to 1: 0.01 is one in 100"#]],
    );
    shaped(
        "rate = \"1 Mbit/s\"\ndelay = \"1 ms\"\njitter = \"2 ms\"",
        expect![[r#"
        topology.toml:17:10: `jitter` is "2 ms"
          help: no packet arrives before it left: at most the delay"#]],
    );
    shaped(
        "rate = \"1 Mbit/s\"",
        expect![[r#"
        topology.toml:14:1: `delay` is missing
          help: add `delay = …` here"#]],
    );
    shaped(
        "rate = \"1 Mbit/s\"\ndelay = \"1 ms\"\ntrace = \"/nowhere/lte.up\"",
        expect![[r#"
        topology.toml:17:9: `trace` is "/nowhere/lte.up", but there is no file /nowhere/lte.up
          help: paths are taken from the folder of this file; put the file there or correct the path"#]],
    );
    shaped(
        "rate = \"1 Mbit/s\"\ndelay = \"1 ms\"\noutage = { every = \"1 s\", length = \"2 s\" }",
        expect![[r#"
        topology.toml:17:36: `length` is "2 s"
          help: the link must be up in between: shorter than outage.every"#]],
    );
    refused_links(
        "[[link]]\nfrom = \"device\"\nto = \"edge\"\n[link.up]\nrate = \"1 bit/s\"\ndelay = \"1 s\"",
        expect![[r#"
            topology.toml:8:1: `down` is missing
              help: add `down = …` here"#]],
    );
}

#[test]
fn files_that_are_no_text_are_refused() {
    refused_topology(
        "name = \"any\n",
        expect![[r#"
        topology.toml:1:12: this is not TOML: invalid basic string, expected `"`
          help: the language is described at https://toml.io"#]],
    );
    refused_topology(
        "name = \"any\"\nname = \"other\"",
        expect![[r#"
        topology.toml:2:1: this is not TOML: duplicate key
          help: the language is described at https://toml.io"#]],
    );
    let bytes = Source::new(Path::new("topology.toml"), b"name = \"\xC3\xA9\xFF\"".to_vec());
    expect![[r#"
        topology.toml:1:10: this is not UTF-8 text
          help: save the file as UTF-8"#]]
    .assert_eq(&bytes.err().unwrap().to_string());
}
