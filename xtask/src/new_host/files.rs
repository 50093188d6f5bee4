//! A new host's name, and its row in hosts/default.nix.
//!
//! Pure: no I/O, no clock.

use crate::hardware::cpu::Arch;
use crate::hardware::facts::Facts;
use crate::nix::names::nix_string;

/// Returns why a host name is invalid, if it is. NixOS requires a domain name label (RFC 1123).
pub fn name_problem(name: &str) -> Option<&'static str> {
    const KEYWORDS: [&str; 10] =
        ["assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"];
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || name.len() > 63 {
        Some("a host name has 1 to 63 characters")
    } else if !name.chars().all(plain) || name.starts_with('-') || name.ends_with('-') {
        Some("a host name consists of letters, digits and hyphens, with no hyphen at either end")
    } else if name == "local" {
        Some("`local` is reserved for the machine that runs xtask")
    } else if KEYWORDS.contains(&name) {
        Some("it is a Nix keyword")
    } else {
        None
    }
}

pub fn system(facts: &Facts) -> &'static str {
    match facts.cpu.arch {
        Arch::X86_64 => "x86_64-linux",
        Arch::Aarch64 => "aarch64-linux",
    }
}

/// Returns the table with another row at the end; `None` if the text is not a plain set of rows.
pub fn with_row(table: &str, name: &str, system: &str, target: &str) -> Option<String> {
    let lines: Vec<&str> = table.lines().collect();
    let end = lines.iter().rposition(|line| !line.trim().is_empty())?;
    if lines[end] != "}" {
        return None;
    }
    // Rejects expressions such as `let … in import ./other.nix // {`.
    let begin = lines.iter().position(|line| !line.trim().is_empty() && !line.starts_with('#'))?;
    if lines[begin].trim_end() != "{" && lines[begin].trim_end() != "{ }" {
        return None;
    }
    // A Nix identifier cannot start with a digit.
    let name = match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => nix_string(name),
        false => name.to_owned(),
    };
    let row = format!(
        "  {name} = {{\n    system = {};\n    target = {};\n  }};",
        nix_string(system),
        nix_string(target)
    );
    let mut text = lines[..end].join("\n");
    text.push_str(&format!("\n{row}\n}}\n"));
    Some(text)
}

/// Whether the table has a row for this host.
pub fn has_row(table: &str, name: &str) -> bool {
    let names = table.lines().filter_map(|line| line.trim().split_once('='));
    names.into_iter().any(|(row, _)| row.trim().trim_matches('"') == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_validated() {
        for good in ["carbon", "gpu-box", "3d", "X1"] {
            assert_eq!(name_problem(good), None, "{good}");
        }
        for bad in ["", "a b", "../x", "-a", "a.b", "local", "rec", "$(x)", "é", &"x".repeat(64)] {
            assert!(name_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_row_is_added_before_the_end_of_a_table() {
        let table = "# The fleet.\n{\n  a = {\n    system = \"x\";\n  };\n}\n\n";
        let more = with_row(table, "3d", "x86_64-linux", "me@box").unwrap();
        assert_eq!(
            more,
            "# The fleet.\n{\n  a = {\n    system = \"x\";\n  };\n  \"3d\" = {\n    system = \
             \"x86_64-linux\";\n    target = \"me@box\";\n  };\n}\n"
        );
        assert!(
            with_row("# None yet.\n{\n}\n", "b", "s", "t")
                .unwrap()
                .ends_with("{\n  b = {\n    system = \"s\";\n    target = \"t\";\n  };\n}\n")
        );
        assert_eq!(with_row("import ./x.nix", "b", "s", "t"), None);
        assert_eq!(with_row("let a = 1; in\n{\n}\n", "b", "s", "t"), None);
        assert_eq!(with_row("", "b", "s", "t"), None);
    }
}
