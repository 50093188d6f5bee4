//! Finds packages of a host that should be the selected variant but are not: because of another
//! overlay, a definition of the service's package, or a nixpkgs that is created elsewhere.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeSet;

use crate::findings::finding::Finding;
use crate::fleet::manifest::{SeenPackage, Selection};

const PKGS: &str = "pkgs.llama-cpp";

pub fn findings(selection: &Selection) -> Vec<Finding> {
    let context = &selection.context;
    let overrides = context.packages.iter().filter(|(_, seen)| is_override(seen, selection));
    overrides
        .map(|(place, seen)| match place == PKGS && !context.overlaid {
            true => external(seen, selection),
            false => overridden(place, seen, selection),
        })
        .collect()
}

fn is_override(seen: &SeenPackage, selection: &Selection) -> bool {
    let other_build = seen.drv_path.as_ref().is_some_and(|drv| drv != selection.drv_path.as_str());
    seen.variant.as_ref() != Some(&selection.manifest.variant) || other_build
}

fn overridden(place: &str, seen: &SeenPackage, selection: &Selection) -> Finding {
    let own = &selection.manifest.variant;
    let what = match &seen.variant {
        None => "is another package".to_owned(),
        Some(other) if other == own => {
            format!("is {own} with other settings ({})", difference(seen, selection))
        }
        Some(other) => format!("is {other}"),
    };
    let help = if place == PKGS {
        "an overlay after llamafleet's replaces or changes `llama-cpp`: remove it, or give its \
         package another name; flags belong in `programs.llama-cpp.extraCmakeFlags`"
    } else {
        "remove this definition: the module sets the service's package to the host's variant"
    };
    // A file that is listed with a line need not be named without it.
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

/// Returns the finding for a nixpkgs that the module's overlay does not reach.
fn external(seen: &SeenPackage, selection: &Selection) -> Finding {
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

/// Describes how the builds differ: by their CMake flags, if possible.
fn difference(seen: &SeenPackage, selection: &Selection) -> String {
    // An overridden package is not built from parts, which changes these flags.
    const OF_PARTS: [&str; 6] = [
        "-DCMAKE_",
        "-DGGML_BACKEND_D",
        "-DGGML_BUILD_",
        "-DGGML_CPU:",
        "-DGGML_CPU_ALL_VARIANTS:",
        "-DLLAMA_USE_SYSTEM_GGML",
    ];
    fn relevant(flags: &[String]) -> BTreeSet<&str> {
        let flags = flags.iter().map(String::as_str);
        flags.filter(|flag| !OF_PARTS.iter().any(|part| flag.starts_with(part))).collect()
    }
    let (theirs, ours) = (relevant(&seen.cmake_flags), relevant(&selection.manifest.cmake_flags));
    let name = |flag: &str| flag.split([':', '=']).next().unwrap_or(flag).to_owned();
    let added: Vec<&str> = theirs.difference(&ours).copied().collect();
    // A flag with another value is only listed with the new one.
    let changed: BTreeSet<String> = added.iter().map(|flag| name(flag)).collect();
    let removed = ours.difference(&theirs).filter(|flag| !changed.contains(&name(flag)));
    let removed = removed.map(|flag| format!("without {flag}"));
    let all: Vec<String> = added.iter().map(ToString::to_string).chain(removed).collect();
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

    /// Checks a host that selects `cpu-haswell` and has the package `seen` at `place`.
    fn found(place: &str, seen: Value, overlaid: bool) -> Vec<(&'static str, String)> {
        let context = json!({ "packages": { place: seen }, "overlaid": overlaid });
        let selection = json!({
            "manifest": {
                "variant": "cpu-haswell", "backends": ["cpu"], "microarch": "haswell",
                "system": "x86_64-linux", "rev": null, "build": null,
                "cmakeFlags": ["-DA:BOOL=TRUE", "-DB=1"],
            },
            "drvPath": "/own.drv", "output": "/own", "context": context,
        });
        let selection: Selection = serde_json::from_value(selection).unwrap();
        findings(&selection).into_iter().map(|finding| (finding.code, finding.message)).collect()
    }

    fn flags(flags: &[&str]) -> String {
        let seen =
            json!({ "variant": "cpu-haswell", "drvPath": "/other.drv", "cmakeFlags": flags });
        found(PKGS, seen, true).remove(0).1
    }

    #[test]
    fn the_same_derivation_or_an_unknown_one_of_that_name_is_no_override() {
        assert!(found(PKGS, json!({ "variant": "cpu-haswell" }), true).is_empty());
        let own = json!({ "variant": "cpu-haswell", "drvPath": "/own.drv" });
        assert!(found(PKGS, own, false).is_empty());
    }

    #[test]
    fn another_build_is_described_by_its_flags() {
        assert!(flags(&["-DA:BOOL=TRUE", "-DB=1"]).contains("(another source, or"));
        assert!(flags(&["-DA:BOOL=FALSE", "-DB=1"]).contains("(-DA:BOOL=FALSE)"));
        assert!(flags(&["-DB=1"]).contains("(without -DA:BOOL=TRUE)"));
        let many = flags(&["-DA:BOOL=TRUE", "-DB=1", "-DC=1", "-DD=1", "-DE=1", "-DF=1"]);
        assert!(many.contains("(-DC=1, -DD=1 and 2 more flags)"), "{many}");
    }

    #[test]
    fn the_finding_names_the_file_and_line() {
        let seen = json!({ "variant": null, "drvPath": "/o.drv", "files": ["x.nix", "x.nix:7"] });
        let (code, message) = found("services.llama-cpp.package", seen, true).remove(0);
        assert_eq!(code, "another-package");
        assert!(message.ends_with("(defined in x.nix:7)"), "{message}");
    }

    #[test]
    fn an_external_nixpkgs_does_not_explain_the_services_package() {
        let codes = |place| found(place, json!({ "variant": null }), false).remove(0).0;
        assert_eq!(codes(PKGS), "external-pkgs");
        assert_eq!(codes("services.llama-cpp.package"), "another-package");
    }
}
