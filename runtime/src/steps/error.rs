//! Why the steps of a pipeline do not fit together.

use thalweg_planner::TensorSpec;

/// What is wrong with the links of a step, or with what is answered or drawn. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StepError {
    #[error("step \"{step}\" has no input \"{port}\": its inputs are {known}")]
    NoSuchPort { step: String, port: String, known: String },
    #[error("step \"{step}\" also takes \"{port}\", {wants}: add it to its `inputs`")]
    Unlinked { step: String, port: String, wants: String },
    #[error("{user} takes \"{source_name}\", which nothing gives: there are {known}")]
    NoSuchSource { user: String, source_name: String, known: String },
    #[error(
        "step \"{step}\" takes {wants} as \"{port}\", but \"{source_name}\" is {got}: change what makes it, or link \
         another one"
    )]
    Misfit { step: String, port: String, wants: String, source_name: String, got: TensorSpec },
    #[error(
        "the input \"{input}\" has no type of its own, and step \"{step}\", a module, does not fix one: give a `file`, a \
         `text` or an `npy`"
    )]
    Untyped { input: String, step: String },
    #[error("the input \"{input}\" is taken by no step: link it or remove it")]
    Unused { input: String },
    #[error("the step \"{step}\" makes nothing that is answered or that another step takes: use it or remove it")]
    UnusedStep { step: String },
    #[error("the setting `{key}` of step \"{step}\" is given twice: in `settings` and in `files`")]
    Twice { step: String, key: String },
    #[error("{file}, for the setting `{key}` of step \"{step}\", is no {what}: {cause}")]
    Setting { step: String, key: String, file: String, what: &'static str, cause: String },
    #[error("[draw] has the {key} \"{name}\", which is {got}, not {wants}")]
    Undrawable { key: &'static str, name: String, got: TensorSpec, wants: &'static str },
    #[error("[draw] has the boxes \"{name}\", which are not answered: add them to `answers`")]
    NotAnswered { name: String },
}
