//! Errors of Nix and of nixpkgs: the code, the place and the help that they get.

use crate::nix::diagnosis::*;

const SOURCE: &str = "/nix/store/0c9xs6jgw1wbvbvqxd8gsjc40zq2pd4f-source";

/// Nix 2.26.3, `nix eval --show-trace`, a host that throws.
const THROW: &str = "error:\n       … while evaluating the attribute 'drvPath'\n         at /nix/store/0c9xs6jgw1wbvbvqxd8gsjc40zq2pd4f-source/flake.nix:31:7:\n           30|       x = 1;\n           31|       drvPath = y;\n             |       ^\n\n       … while calling the 'throw' builtin\n         at /nix/store/0c9xs6jgw1wbvbvqxd8gsjc40zq2pd4f-source/hosts/boron/default.nix:12:20:\n           11|   # a comment\n           12|   programs.llama-cpp.microarch = throw \"no such chip\";\n             |                                  ^\n\n       error: no such chip\n";

#[test]
fn what_a_stand_in_lacks_is_not_the_users_mistake() {
    let diagnosed = |printed: &str| {
        let mut finding = diagnose(printed, Some(SOURCE));
        with_testbed_advice(&mut finding);
        finding
    };
    let file = diagnosed(&format!(
        "error:\n at {SOURCE}/flake.nix:3:1:\nerror: path '/nix/store/\
         yp349x3g8ddsh0cwzjvrhb48gm3y6m9j-source/nixpkgs/nixos/modules/profiles/hardened.nix' \
         does not exist"
    ));
    assert_eq!(file.message, "the testbed has no nixpkgs/nixos/modules/profiles/hardened.nix");
    for printed in [
        "error: path '/nix/store/yp349x3g8ddsh0cwzjvrhb48gm3y6m9j-source/a.nix' does not exist",
        "error: The option `boot.initrd.enable' does not exist. Definition values:",
        "error: attribute 'raspberry-pi-4' missing",
    ] {
        let finding = diagnosed(printed);
        assert!(finding.help.starts_with("check this fleet without `--testbed`"), "{finding:?}");
    }
    let printed = "error: The option `a.b' does not exist. Definition values:\n- In `x.nix': 1\n\n\
                   Did you mean `a.c'?";
    let message = diagnosed(printed).message;
    assert_eq!(message, "The option `a.b' does not exist. Did you mean `a.c'?");
    let fetched = diagnosed("error: unable to download 'https://x.org/a': no network");
    assert!(fetched.help.contains("the testbed has nothing in this input's place"));
    let own = "error: The option `programs.llama-cpp.microarc' does not exist. Definition values:";
    assert!(diagnosed(own).help.starts_with("check the spelling"));
    // A file of the fleet's own is not the testbed's.
    let own = format!("error: path '{SOURCE}/hosts/x.nix' does not exist");
    assert!(!diagnosed(&own).help.contains("testbed"));
}

#[test]
fn the_store_path_of_a_missing_file_is_found() {
    for (message, path) in [
        ("path '/nix/store/abc-x' does not exist", Some("/nix/store/abc-x")),
        (
            "opening file '/nix/store/abc-x/a/b': No such file or directory",
            Some("/nix/store/abc-x"),
        ),
        ("path '/nix/store/abc-x' is a folder", None),
        ("path '/nix/store/' does not exist", None),
        ("path '/nix/store/abc-x", None),
        ("path '/home/x' does not exist", None),
    ] {
        assert_eq!(store_path_of_missing(message), path, "{message}");
    }
}

/// As Nix 2.18 to 2.34 and nixpkgs 24.05 to 26.11 print them.
#[test]
fn errors_of_nix_and_nixpkgs_have_codes() {
    for (code, printed) in [
        (
            "broken",
            "Refusing to evaluate package 'a-0' in /nix/store/x/a.nix:12 because it has \
             problems:\n- broken: This package is broken.\n\nSee also https://nixos.org",
        ),
        (
            "broken",
            "Package ‘a-0’ in /nix/store/x/a.nix:16 has the following problems that must be \
             acknowledged: [ \"removal\" ], refusing to evaluate.",
        ),
        (
            "platform",
            "Refusing to evaluate package 'a-0' in /nix/store/x/a.nix:1 because it is not \
             available on the requested hostPlatform:",
        ),
        ("conflict", "The option `a.b' in `/nix/store/x' is already declared in `/nix/store/y'."),
        ("conflict", "The option `a' is defined multiple times while it's expected to be unique."),
        ("no-value", "The option `a.b' is used but not defined."),
        (
            "impure",
            "access to absolute path '/etc/nixos/hardware-configuration.nix' is forbidden in pure \
             evaluation mode (use '--impure' to override)",
        ),
        ("impure", "access to absolute path '/etc' is forbidden in pure eval mode"),
        ("impure", "attribute 'currentSystem' missing"),
        (
            "impure",
            "cannot call 'getFlake' on unlocked flake reference 'github:a/b' (use --impure to \
             override)",
        ),
        ("out-of-memory", "out of memory"),
        (
            "disk-full",
            "inserting a path: database or disk is full (in '/nix/var/nix/db/db.sqlite')",
        ),
        ("no-daemon", "Nix daemon disconnected unexpectedly (maybe it crashed?)"),
        (
            "no-daemon",
            "cannot open connection to remote store 'daemon': error: reading from file: \
             Connection reset by peer",
        ),
        (
            "no-daemon",
            "cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Permission denied",
        ),
        (
            "foreign-repository",
            "opening Git repository '/etc/nixos': repository path '/etc/nixos/' is not owned by \
             current user",
        ),
        ("hash-mismatch", "NAR hash mismatch in input 'github:a/b/c', expected 'x' but got 'y'"),
        ("hash-mismatch", "mismatch in field 'narHash' of input '{\"narHash\":\"x\"}', got '{}'"),
        ("hash-mismatch", "hash mismatch in file downloaded from 'https://x.org/a.tar.gz':"),
        (
            "untracked-file",
            "source tree referenced by 'git+file:///home/a' does not contain a '/flake.nix' file",
        ),
        ("stack-overflow", "stack overflow (possible infinite recursion)"),
        ("eval-error", "cannot build '/nix/store/x.drv^out' during evaluation because the option"),
    ] {
        assert_eq!(diagnose(&format!("error: {printed}"), None).code, code, "{printed}");
    }
}

#[test]
fn a_failed_download_is_explained_by_the_servers_answer() {
    let github = "unable to download 'https://api.github.com/repos/a/b/commits/HEAD': HTTP error";
    let ssh = "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote \
               repository.\n\nPlease make sure you have the correct access rights\nand the \
               repository exists.\nerror:\n … while fetching the input 'git+ssh://x'\n\n\
               error: Failed to fetch git repository 'ssh://x'";
    for (printed, message, help) in [
        (
            &*format!("error: {github} 403\n\nresponse body:\n\n{{\"message\":\"API rate limit"),
            "HTTP error 403",
            "`access-tokens = github.com=TOKEN`",
        ),
        (&format!("error: {github} 401"), "HTTP error 401", "replace the token"),
        (&format!("error: {github} 404"), "HTTP error 404", "a private repository needs"),
        (&format!("error: {github} 504"), "HTTP error 504", "check the network"),
        (
            "error: unable to download 'https://x.org/a': SSL peer certificate or SSH remote key \
             was not OK (60)",
            "SSL peer",
            "`ssl-cert-file`",
        ),
        (ssh, "'ssh://x': git@github.com: Permission denied (publickey).", "`git ls-remote URL`"),
        // Nix 2.26.3.
        (
            "ssh: connect to host x.org port 22: Connection refused\nfatal: Could not read from \
             remote repository.\n\nPlease make sure\nfatal: Refusing to point HEAD outside of \
             refs/\nwarning: could not update cached head\nerror: resolving Git reference \
             'master': revspec 'master' not found",
            "not found: ssh: connect to host x.org port 22: Connection refused",
            "check the network",
        ),
        (
            "fatal: unable to access 'https://x.org/': Could not resolve host: x.org\nerror: \
             Cannot find Git revision 'abc' in ref 'main' of repository 'https://x.org/'!",
            "Could not resolve host",
            "check the network",
        ),
        (
            "error: resolving Git reference 'nope': revspec 'nope' not found",
            "revspec",
            "correct the branch",
        ),
        (
            "fatal: repository 'https://x.org/a/' not found\nerror: program 'git' failed with \
             exit code 128",
            "exit code 128: repository 'https://x.org/a/' not found",
            "check the network",
        ),
        ("error: executing 'git': No such file or directory", "executing 'git'", "install Git"),
        (
            "error: Cannot find Git revision 'abc' in ref 'main' of repository 'https://x.org'!",
            "revision 'abc'",
            "was rewritten",
        ),
    ] {
        let finding = diagnose(printed, Some(SOURCE));
        assert_eq!(finding.code, FETCH, "{printed}");
        assert!(finding.message.contains(message) && finding.help.contains(help), "{finding:?}");
    }
}

/// A module that imports `inputs.x.nixosModules.y`, in a host without specialArgs. Traces of
/// nixpkgs' library, on Nix 2.26.3.
#[test]
fn an_argument_that_is_not_in_special_args_is_named() {
    let trace = format!(
        "error:\n 728| addErrorContext \"while evaluating the module argument `${{name}}' in x\"\n \
         … while evaluating the module argument `inputs' in \"{SOURCE}/a.nix\":\n\n \
         … if you get an infinite recursion here, you probably \
         reference `config` in `imports`.\n\n "
    );
    let recursion =
        "error: infinite recursion encountered\n at /nix/store/x/lib/modules.nix:1:1:\n";
    let finding = diagnose(&format!("{trace}{recursion}"), Some(SOURCE));
    assert_eq!(finding.code, "module-argument");
    let expected = "the module argument `inputs` may not be in specialArgs: infinite recursion";
    assert!(finding.message.starts_with(expected), "{finding:?}");
    let code = |printed: &str| diagnose(printed, None).code;
    assert_eq!(code(&format!("{trace}error: attribute 'inputs' missing")), "module-argument");
    assert_eq!(code(&format!("{trace}error: attribute 'other' missing")), "missing-attribute");
    for standard in ["pkgs", "config"] {
        let trace = trace.replace("`inputs'", &format!("`{standard}'"));
        assert_eq!(code(&format!("{trace}{recursion}")), "infinite-recursion");
    }
}

#[test]
fn a_build_during_the_evaluation_is_explained_by_its_own_error() {
    let trace = "error:\n       … while calling the 'import' builtin\n\n       ";
    for printed in [
        format!(
            "error: builder for '/nix/store/x-a.drv' failed with exit code 1;\n       last 1 log \
             lines:\n       > boom\n{trace}error: 1 dependencies of derivation \
             '/nix/store/y-b.drv' failed to build\n"
        ),
        format!(
            "error: Cannot build '/nix/store/x-a.drv'.\n       Reason: builder failed with exit \
             code 1.\n       Last 1 log lines:\n       > boom\n{trace}error: Cannot build \
             '/nix/store/y-b.drv'.\n       Reason: 1 dependency failed.\n"
        ),
    ] {
        let message = diagnose(&printed, None).message;
        assert!(message.contains("x-a.drv") && message.ends_with("> boom"), "{message}");
    }
    let alone = format!("{trace}error: 1 dependencies of derivation '/nix/store/y-b.drv' failed");
    assert!(diagnose(&alone, None).message.contains("y-b.drv"));
}

/// Printed by Nix 2.26.3 with a full file system, without a daemon, and for another user.
#[test]
fn errors_of_the_machine_have_codes() {
    let kind = |printed: &str| diagnose(printed, None).code;
    assert_eq!(kind("error: writing to file: No space left on device"), "disk-full");
    let daemon = "error: cannot connect to socket at '/nix/x': No such file or directory";
    assert_eq!(kind(daemon), "no-daemon");
    let package = "error: The option `programs.llama-cpp.package' is read-only, but it's set \
                   multiple times. Definition values:\n";
    assert_eq!(kind(package), "conflict");
    let other_user = "error: opening lock file '/nix/var/nix/db/big-lock': Permission denied";
    assert_eq!(kind(other_user), "foreign-store");
}

#[test]
fn a_throw_lands_on_the_innermost_own_line() {
    let finding = diagnose(THROW, Some(SOURCE));
    assert_eq!(finding.message, "no such chip");
    assert_eq!(finding.place().as_deref(), Some("hosts/boron/default.nix:12"));
}

#[test]
fn frames_in_nixpkgs_are_not_the_users() {
    let stderr = format!(
        "error:\n       … while evaluating x\n         at {SOURCE}/hosts/a.nix:3:1:\n\n       … y\n         at /nix/store/1c9xs6jgw1wbvbvqxd8gsjc40zq2pd4f-source/lib/modules.nix:800:9:\n\n       error: infinite recursion encountered\n       at /nix/store/1c9xs6jgw1wbvbvqxd8gsjc40zq2pd4f-source/lib/modules.nix:1:1:\n"
    );
    let finding = diagnose(&stderr, Some(SOURCE));
    assert_eq!(finding.code, "infinite-recursion");
    assert_eq!(finding.place().as_deref(), Some("hosts/a.nix:3"));
    assert_eq!(finding.message, "infinite recursion encountered");
}

#[test]
fn a_module_error_names_its_file() {
    let stderr = format!(
        "error: A definition for option `programs.llama-cpp.microarch' is not of type `string'. Definition values:\n       - In `{SOURCE}/hosts/boron/default.nix': 5\n"
    );
    let finding = diagnose(&stderr, Some(SOURCE));
    assert_eq!(finding.code, "wrong-type");
    assert_eq!(finding.place().as_deref(), Some("hosts/boron/default.nix"));
    assert!(finding.message.contains("- In `hosts/boron/default.nix': 5"), "{}", finding.message);
}

#[test]
fn a_file_in_parentheses_ends_before_them() {
    let file = format!("{SOURCE}/hosts/a.nix");
    let printed = format!("error: module {file} ({file}) does not look like a module.");
    let place = diagnose(&printed, Some(SOURCE)).place();
    assert_eq!(place.as_deref(), Some("hosts/a.nix"));
}

#[test]
fn the_line_of_an_option_is_looked_for_in_its_file() {
    let message = "The option `programs.llama-cpp.microarchs' does not exist.";
    let file =
        "{\n  # microarchs = 1;\n  x-microarchs = 2;\n  programs.llama-cpp.microarchs = 3;\n}";
    assert_eq!(line_of_option(message, file), Some(4));
    assert_eq!(line_of_option("no option", file), None);
    let message = "The option `boot.initrd.enable' does not exist.";
    for (file, line) in [
        ("{\n  enable = mkEnableOption x;\n  boot = {\n    initrd.enable = false; }; }", Some(4)),
        ("{\n  enable = x;\n  boot.initrd = { enable = false; }; }", None),
        ("{\n  boot.initrd = { enable = false; }; }", Some(2)),
    ] {
        assert_eq!(line_of_option(message, file), line, "{file}");
    }
}

#[test]
fn a_file_that_git_does_not_track_is_explained() {
    let stderr = format!(
        "error:\n       … x\n         at {SOURCE}/hosts/default.nix:2:12:\n\n       error: path '{SOURCE}/hosts/new.nix' does not exist\n"
    );
    let finding = diagnose(&stderr, Some(SOURCE));
    assert_eq!(finding.code, "missing-file");
    assert_eq!(finding.message, "path 'hosts/new.nix' does not exist");
    assert!(finding.help.contains("git add"));
    // Nix before 2.20.
    let old = stderr.replace("path '", "getting status of '").replace("does not exist", "X");
    let finding = diagnose(&old.replace("' X", "': No such file or directory"), Some(SOURCE));
    assert_eq!(finding.code, "missing-file");
    assert_eq!(finding.place().as_deref(), Some("hosts/default.nix:2"));
    let copied = stderr.replace("path '/nix/store/", "path '/nix/store/abc-");
    assert!(diagnose(&copied, Some(SOURCE)).help.contains("git add"));
    let inside = stderr.replace(&format!("path '{SOURCE}"), "path '/nix/store/abc-source");
    let finding = diagnose(&inside, Some(SOURCE));
    assert_eq!(finding.code, "missing-file");
    assert!(!finding.help.contains("git add") && finding.help.contains("in an input"));
}

/// After `git init`, without `git add`.
#[test]
fn an_untracked_flake_is_explained() {
    let missing =
        "path '/nix/store/0ccnxa25whszw7mgbgyzdm4nqc0zwnm8-source/flake.nix' does not exist";
    let help = |printed: &str| diagnose(printed, None).help;
    assert!(help(&format!("error: {missing}")).contains("git add"));
    let of_input = format!("error:\n … while updating the flake input 'x'\n\n error: {missing}");
    assert!(help(&of_input).contains("in an input"));
}

#[test]
fn empty_output_is_a_finding_too() {
    assert_eq!(diagnose("", None).code, "eval-error");
}
