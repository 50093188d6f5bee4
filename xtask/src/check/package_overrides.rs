//! Packages of a host that should be the selected variant and are not: because of another overlay, a
//! definition of the service's package, or packages from outside.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeSet;

use crate::findings::finding::Finding;
use crate::fleet::manifest::{Seen, Selection};

const PKGS: &str = "pkgs.llama-cpp";

pub fn judge(selection: &Selection) -> Vec<Finding> {
    let differs = |(_, seen): &(&String, &Seen)| is_other(seen, selection);
    let around = &selection.around;
    let found = around.packages.iter().filter(differs);
    found
        .map(|(place, seen)| {
            if place == PKGS && !around.overlaid {
                from_outside(seen, selection)
            } else {
                another(place, seen, selection)
            }
        })
        .collect()
}

fn is_other(seen: &Seen, selection: &Selection) -> bool {
    let other_build = seen.drv_path.as_ref().is_some_and(|drv| drv != selection.drv_path.as_str());
    seen.variant.as_ref() != Some(&selection.manifest.variant) || other_build
}

fn another(place: &str, seen: &Seen, selection: &Selection) -> Finding {
    let own = &selection.manifest.variant;
    let what = match &seen.variant {
        None => "is another package".to_owned(),
        Some(other) if other == own => {
            format!("is {own} with other settings ({})", how(seen, selection))
        }
        Some(other) => format!("is {other}"),
    };
    let help = if place == PKGS {
        "an overlay after llamafleet's replaces or changes `llama-cpp`: remove it, or give its \
         package another name; flags belong in `programs.llama-cpp.extraCmakeFlags`"
    } else {
        "remove this definition: the module sets the service's package to the host's variant"
    };
    // A file that is there with its line is not named without it as well.
    let with_line = |file: &String| seen.files.iter().any(|it| it.starts_with(&format!("{file}:")));
    let files: Vec<&str> =
        seen.files.iter().filter(|file| !with_line(file)).map(String::as_str).collect();
    let defined = match files.as_slice() {
        [] => String::new(),
        files => format!(" (defined in {})", files.join(", ")),
    };
    let finding = Finding::error(
        "another-package",
        format!("{place} {what}, but this host selects {own}{defined}"),
        help,
    );
    let Some((file, line)) = seen.files.last().and_then(|place| place.rsplit_once(':')) else {
        return Finding { file: seen.files.last().cloned(), ..finding };
    };
    Finding { file: Some(file.to_owned()), line: line.parse().ok(), ..finding }
}

fn from_outside(seen: &Seen, selection: &Selection) -> Finding {
    let own = &selection.manifest.variant;
    let is = seen.variant.as_ref().map_or_else(|| "nixpkgs' own".to_owned(), ToString::to_string);
    Finding::warning(
        "external-pkgs",
        format!(
            "{PKGS} is {is}, not {own}: llamafleet's overlay does not reach this host's packages, \
             which are created elsewhere (`readOnlyPkgs`, `_module.args.pkgs`), or \
             nixpkgs.overlays is forced"
        ),
        "write `config.programs.llama-cpp.package` in package lists, which is the host's variant; \
         or let the host create its packages, with both `nixpkgs.pkgs` and `nixpkgs.overlays`",
    )
}

/// What makes it another build.
fn how(seen: &Seen, selection: &Selection) -> String {
    // A changed package is built as a whole, which passes these in another way.
    const OF_PARTS: [&str; 6] = [
        "-DCMAKE_",
        "-DGGML_BACKEND_D",
        "-DGGML_BUILD_",
        "-DGGML_CPU:",
        "-DGGML_CPU_ALL_VARIANTS:",
        "-DLLAMA_USE_SYSTEM_GGML",
    ];
    let own = |flag: &&String| !OF_PARTS.iter().any(|part| flag.starts_with(part));
    let (theirs, ours): (BTreeSet<_>, BTreeSet<_>) = (
        seen.cmake_flags.iter().filter(own).collect(),
        selection.manifest.cmake_flags.iter().filter(own).collect(),
    );
    let more = theirs.difference(&ours).map(|flag| flag.as_str());
    let less = ours.difference(&theirs).map(|flag| flag.as_str());
    // A flag with another value is named by the value that it has.
    let name = |flag: &str| flag.split([':', '=']).next().unwrap_or(flag).to_owned();
    let more: Vec<&str> = more.collect();
    let changed: BTreeSet<String> = more.iter().map(|flag| name(flag)).collect();
    let less = less.filter(|flag| !changed.contains(&name(flag)));
    let all: Vec<String> =
        more.iter().map(ToString::to_string).chain(less.map(|f| format!("without {f}"))).collect();
    match all.as_slice() {
        [] => "another source, or other dependencies".to_owned(),
        [first, second, _, _, ..] => format!("{first}, {second} and {} more flags", all.len() - 2),
        few => few.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A host that selects `cpu-haswell`, with `place` as Nix describes it.
    fn found(place: &str, seen: Value, overlaid: bool) -> Vec<(&'static str, String)> {
        let around = json!({ "packages": { place: seen }, "overlaid": overlaid });
        let selection = json!({
            "manifest": {
                "variant": "cpu-haswell", "backends": ["cpu"], "microarch": "haswell",
                "system": "x86_64-linux", "rev": null, "build": null,
                "cmakeFlags": ["-DA:BOOL=TRUE", "-DB=1"],
            },
            "drvPath": "/own.drv", "output": "/own", "around": around,
        });
        let selection: Selection = serde_json::from_value(selection).unwrap();
        judge(&selection).into_iter().map(|finding| (finding.code, finding.message)).collect()
    }

    fn flags(flags: &[&str]) -> String {
        let seen =
            json!({ "variant": "cpu-haswell", "drvPath": "/other.drv", "cmakeFlags": flags });
        found(PKGS, seen, true).remove(0).1
    }

    #[test]
    fn the_same_derivation_or_an_unknown_one_of_that_name_is_no_stranger() {
        assert!(found(PKGS, json!({ "variant": "cpu-haswell" }), true).is_empty());
        let own = json!({ "variant": "cpu-haswell", "drvPath": "/own.drv" });
        assert!(found(PKGS, own, false).is_empty());
    }

    #[test]
    fn another_build_is_told_by_what_differs() {
        assert!(flags(&["-DA:BOOL=TRUE", "-DB=1"]).contains("(another source, or"));
        assert!(flags(&["-DA:BOOL=FALSE", "-DB=1"]).contains("(-DA:BOOL=FALSE)"));
        assert!(flags(&["-DB=1"]).contains("(without -DA:BOOL=TRUE)"));
        let many = flags(&["-DA:BOOL=TRUE", "-DB=1", "-DC=1", "-DD=1", "-DE=1", "-DF=1"]);
        assert!(many.contains("(-DC=1, -DD=1 and 2 more flags)"), "{many}");
    }

    #[test]
    fn the_place_is_the_users_own_file() {
        let seen = json!({ "variant": null, "drvPath": "/o.drv", "files": ["x.nix", "x.nix:7"] });
        let (code, message) = found("services.llama-cpp.package", seen, true).remove(0);
        assert_eq!(code, "another-package");
        assert!(message.ends_with("(defined in x.nix:7)"), "{message}");
    }

    #[test]
    fn packages_from_outside_excuse_pkgs_and_not_the_service() {
        let codes = |place| found(place, json!({ "variant": null }), false).remove(0).0;
        assert_eq!(codes(PKGS), "external-pkgs");
        assert_eq!(codes("services.llama-cpp.package"), "another-package");
    }
}
