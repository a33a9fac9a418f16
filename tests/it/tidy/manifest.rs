//! What manifests say of dependencies: each is declared once, in the root of its workspace, with a reason; and members
//! know each other only along the arrows.

use super::Fault;

/// Guests are written without the host. Its tests and benches run them, natively and as components.
const MODULES: &[&str] = &[
    "thalweg-planner",
    "thalweg-guest",
    "thalweg-module-top-k",
    "thalweg-module-ctc-decode",
    "thalweg-module-text-boxes",
    "thalweg-module-crop",
    "thalweg-module-find-boxes",
    "thalweg-module-tokenise",
    "thalweg-module-mean-pool",
    "thalweg-module-decode-image",
    "thalweg-module-rules",
    "thalweg-module-cascade",
    "thalweg-pack",
];

/// Its benches read models' answers as the guests do.
const RUNTIME: &[&str] = &[
    "thalweg-planner",
    "thalweg-devices",
    "thalweg-modules",
    "thalweg-pack",
    "thalweg-codec",
    "thalweg-flow",
    "thalweg-module-ctc-decode",
    "thalweg-module-find-boxes",
    "thalweg-module-tokenise",
];

/// A member and the members that it may depend on.
const ARROWS: [(&str, &[&str]); 21] = [
    ("planner", &[]),
    ("devices", &["thalweg-planner"]),
    ("modules", MODULES),
    ("modules/guest", &[]),
    ("modules/pack", &[]),
    ("modules/guests/top-k", &["thalweg-guest"]),
    ("modules/guests/ctc-decode", &["thalweg-guest"]),
    ("modules/guests/text-boxes", &["thalweg-guest"]),
    ("modules/guests/crop", &["thalweg-guest"]),
    ("modules/guests/find-boxes", &["thalweg-guest"]),
    ("modules/guests/tokenise", &["thalweg-guest"]),
    ("modules/guests/mean-pool", &["thalweg-guest"]),
    ("modules/guests/decode-image", &["thalweg-guest"]),
    ("modules/guests/rules", &["thalweg-guest"]),
    ("modules/tests/models/cascade", &["thalweg-guest"]),
    ("modules/tests/models/wasi-nn", &["thalweg-guest"]),
    ("runtime/codec", &["thalweg-planner"]),
    // A workspace of its own: fuzzing takes another compiler than the rest.
    ("runtime/codec/fuzz", &["thalweg-planner", "thalweg-codec"]),
    ("runtime/flow", &["thalweg-planner"]),
    ("runtime", RUNTIME),
    ("tests", &["thalweg-planner", "thalweg-devices", "thalweg-modules", "thalweg-codec", "thalweg-flow", "thalweg"]),
];

/// Whether a manifest is the root of a workspace.
pub(super) fn is_root(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == "[workspace]")
}

/// In a root's manifest each dependency from elsewhere stands below a comment with its reason, or in such a block.
pub(super) fn reasons(path: &str, text: &str) -> Vec<Fault> {
    let lines: Vec<&str> = text.lines().collect();
    let ours = |name: &str| name == "thalweg" || name.starts_with("thalweg-");
    let unexplained = dependencies(text).filter(|dependency| !ours(dependency.name));
    let unexplained = unexplained.filter(|dependency| {
        let mut block = lines[..dependency.at].iter().rev().take_while(|line| !line.trim().is_empty());
        !block.any(|line| line.starts_with('#'))
    });
    let message = |name| format!("`{name}` has no reason: say above it in a comment what it is for");
    unexplained.map(|dependency| Fault::new(path, dependency.at, message(dependency.name))).collect()
}

/// Members take versions and features from the root, so that one place decides on each.
pub(super) fn declared_once(path: &str, text: &str) -> Vec<Fault> {
    let own = dependencies(text).filter(|dependency| !dependency.from_root);
    let message =
        |name| format!("`{name}` is declared here: declare it in the root and write `{name}.workspace = true`");
    own.map(|dependency| Fault::new(path, dependency.at, message(dependency.name))).collect()
}

/// Members depend on each other along the arrows only; development dependencies are no exception.
pub(super) fn arrows(path: &str, text: &str) -> Vec<Fault> {
    let member = path.trim_end_matches("/Cargo.toml");
    let Some((_, known)) = ARROWS.iter().find(|(name, _)| *name == member) else {
        return vec![Fault::new(path, 0, "a new member: say in tests/it/tidy/manifest.rs whom it may depend on")];
    };
    let ours = dependencies(text).filter(|dependency| dependency.name.starts_with("thalweg"));
    let against = ours.filter(|dependency| !known.contains(&dependency.name));
    let message =
        |name| format!("{member} may not depend on `{name}`: siblings never meet, arrows point to the planner");
    against.map(|dependency| Fault::new(path, dependency.at, message(dependency.name))).collect()
}

struct Dependency<'a> {
    at: usize,
    name: &'a str,
    from_root: bool,
}

/// The dependencies of every table of them, one a line, as this project writes its manifests.
fn dependencies(text: &str) -> impl Iterator<Item = Dependency<'_>> {
    let mut in_table = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        if let Some(table) = line.strip_prefix('[') {
            in_table = table.trim_end().ends_with("dependencies]");
            return None;
        }
        let name = line.split(['.', '=', ' ']).next().filter(|_| in_table && line.contains('='))?;
        let from_root = line.contains(".workspace = true") || line.contains("{ workspace = true");
        (!name.is_empty() && !name.starts_with('#')).then_some(Dependency { at, name, from_root })
    })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::listed;
    use super::*;

    fn check(faults: &[Fault], expect: &Expect) {
        expect.assert_eq(&listed(faults));
    }

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let text = "[workspace.dependencies]\nthalweg = { path = \"runtime\" }\n# Hashes.\nblake3 = \"1\"\nrand = \"1\"\n\n\
                    half = \"2\"\n[profile.dev]\ndebug = false\n";
        check(
            &reasons("Cargo.toml", text),
            &expect![[r#"
                Cargo.toml:7: `half` has no reason: say above it in a comment what it is for
            "#]],
        );
    }

    #[test]
    fn a_root_is_told_by_its_table() {
        assert!(is_root("[workspace]\nresolver = \"3\"\n"));
        assert!(!is_root("[package]\nversion.workspace = true\n[workspace.dependencies]\n"));
    }

    #[test]
    fn a_version_in_a_member_is_found() {
        let text = "[dependencies]\nhalf.workspace = true\nrand = { workspace = true, features = [\"std\"] }\n\
                    [target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n[[bench]]\nname = \"a\"\n";
        check(
            &declared_once("modules/Cargo.toml", text),
            &expect![[r#"
                modules/Cargo.toml:5: `libc` is declared here: declare it in the root and write `libc.workspace = true`
            "#]],
        );
    }

    #[test]
    fn an_arrow_the_wrong_way_is_found() {
        let text = "[dev-dependencies]\nthalweg-planner.workspace = true\nthalweg-tests.workspace = true\n";
        check(
            &arrows("devices/Cargo.toml", text),
            &expect![[r#"
                devices/Cargo.toml:3: devices may not depend on `thalweg-tests`: siblings never meet, arrows point to the planner
            "#]],
        );
        check(
            &arrows("gateway/Cargo.toml", text),
            &expect![[r#"
                gateway/Cargo.toml:1: a new member: say in tests/it/tidy/manifest.rs whom it may depend on
            "#]],
        );
    }
}
