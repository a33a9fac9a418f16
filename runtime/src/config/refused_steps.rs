//! Each mistake in the steps of a pipeline has its line and its advice.

#![allow(clippy::unwrap_used)]

use expect_test::{Expect, expect};

use super::tests::pipeline;

const INPUT: &str = "name = \"any\"\n[[input]]\nname = \"photo\"\nfile = \"Cargo.toml\"\n";

fn refused(rest: &str, expected: Expect) {
    let message = pipeline(&format!("{INPUT}{rest}")).unwrap_err().to_string();
    expected.assert_eq(&message.replace(env!("CARGO_MANIFEST_DIR"), "FOLDER"));
}

fn refused_step(keys: &str, expected: Expect) {
    refused(&format!("[[step]]\nname = \"decode\"\n{keys}"), expected);
}

#[test]
fn a_step_is_a_model_or_a_module() {
    refused(
        "",
        expect![[r#"
        pipeline.toml:1:1: none of `model`, `[[step]]` is given
          help: give one of `model`, `[[step]]`"#]],
    );
    refused_step(
        "inputs = \"photo\"",
        expect![[r#"
        pipeline.toml:5:1: none of `model`, `module` is given
          help: give one of `model`, `module`"#]],
    );
    refused_step(
        "inputs = \"photo\"\nmodel = \"Cargo.toml\"\nmodule = \"top-k\"",
        expect![[r#"
        pipeline.toml:5:1: `model`, `module` cannot stand together
          help: give one of `model`, `module`"#]],
    );
    refused_step(
        "inputs = \"photo\"\nmodel = \"Cargo.toml\"\ntext_max = \"1 KiB\"",
        expect![[r#"
        pipeline.toml:9:12: `text_max` has no meaning without `module`
          help: add `module` or remove `text_max`"#]],
    );
    refused_step(
        "inputs = \"photo\"\nmodule = \"top-k\"\ncodebooks = \"x\"",
        expect![[r#"
        pipeline.toml:9:13: `codebooks` has no meaning without `model`
          help: add `model` or remove `codebooks`"#]],
    );
    refused_step(
        "inputs = \"photo\"\nmodule = \"topk\"",
        expect![[r#"
        pipeline.toml:8:10: `module` is "topk", but no module of the program has this name
          help: did you mean `top-k`?"#]],
    );
    refused_step(
        "inputs = \"photo\"\nmodule = \"./top.wasm\"",
        expect![[r#"
        pipeline.toml:8:10: `module` is "./top.wasm", but there is no file FOLDER/top.wasm
          help: paths are taken from the folder of this file; put the file there or correct the path"#]],
    );
}

#[test]
fn links_name_what_is_there() {
    refused_step(
        "inputs = \"foto\"\nmodule = \"top-k\"",
        expect![[r#"
        pipeline.toml:7:10: `inputs` is "foto", but no input, or step above this one, has this name
          help: did you mean `photo`?"#]],
    );
    refused_step(
        "inputs = { scores = \"later.x\" }\nmodule = \"top-k\"",
        expect![[r#"
        pipeline.toml:7:21: `scores` is "later.x", but no input, or step above this one, has this name
          help: known are `photo`"#]],
    );
    refused_step(
        "inputs = 3\nmodule = \"top-k\"",
        expect![[r#"
        pipeline.toml:7:10: `inputs`: invalid type: integer `3`
          help: write the name of an input or output, or a table of them"#]],
    );
    refused_step(
        "module = \"top-k\"",
        expect![[r#"
        pipeline.toml:5:1: `inputs` is missing
          help: add `inputs = …` here"#]],
    );
}

#[test]
fn names_and_limits_make_sense() {
    refused(
        "[[step]]\nname = \"a.b\"\ninputs = \"photo\"\nmodule = \"top-k\"",
        expect![[r#"
        pipeline.toml:6:8: `name` is "a.b"
          help: write a name without dots and slashes, such as "detect""#]],
    );
    refused(
        "[[step]]\nname = \"photo\"\ninputs = \"photo\"\nmodule = \"top-k\"",
        expect![[r#"
        pipeline.toml:6:8: a second step or input "photo"; the first one is in line 3
          help: give it another name"#]],
    );
    let module = "inputs = \"photo\"\nmodule = \"top-k\"\n";
    refused_step(
        &format!("{module}memory = \"5 GiB\""),
        expect![[r#"
            pipeline.toml:9:10: `memory` is "5 GiB"
              help: write a size from 1 B to 1 GiB"#]],
    );
    refused_step(
        &format!("{module}time = \"0 ms\""),
        expect![[r#"
        pipeline.toml:9:8: `time` is "0 ms"
          help: write a time from 1 ms to 10 min"#]],
    );
    refused_step(
        &format!("{module}text_max = \"0 B\""),
        expect![[r#"
        pipeline.toml:9:12: `text_max` is "0 B"
          help: write a size from 1 B to 16 MiB"#]],
    );
    refused_step(
        &format!("{module}files = {{ labels = \"none.txt\" }}"),
        expect![[r#"
        pipeline.toml:9:20: `labels` is "none.txt", but there is no file FOLDER/none.txt
          help: paths are taken from the folder of this file; put the file there or correct the path"#]],
    );
}

#[test]
fn keys_of_steps_need_steps() {
    refused(
        "[draw]\nphoto = \"a\"\nboxes = \"b\"",
        expect![[r#"
        pipeline.toml:5:1: `draw` has no meaning without [[step]]
          help: add [[step]] or remove `draw`"#]],
    );
}
