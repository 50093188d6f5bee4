//! Tests of the quoting and of the findings about SSH.

use super::*;

#[test]
fn only_arguments_without_special_characters_are_unquoted() {
    assert_eq!(quote(&["cat", "--", "/proc/cpuinfo"]), "cat -- /proc/cpuinfo");
    let quoted = r#"sh -c 'eval "exec $(printf "\047it\047\134\047\047s\047 \047a b\047")"'"#;
    assert_eq!(quote(&["it's", "a b"]), quoted);
}

/// csh ends quoted text at a newline and expands `!`, Nushell does not join quoted words, and
/// fish reads `\\` and `\'` inside of quotes.
#[test]
fn every_login_shell_reads_the_quoted_arguments_alike() {
    let special = quote(&["printf", "%s", "", "'", "!", "a\nb\\", "\\'", "$x`x`\"", "é"]);
    let text = special.strip_prefix("sh -c '").unwrap().strip_suffix('\'').unwrap();
    assert!(!text.contains(['\n', '\'', '!']) && text.is_ascii(), "{text}");
    assert!(text.split('\\').skip(1).all(|it| it.starts_with(['0', '1', '2', '3'])), "{text}");
}

/// The output of `ssh -G` of OpenSSH 9.2 with different user settings.
#[test]
fn a_users_shared_connections_are_recognized() {
    let settings = "hostname carbon\ncontrolmaster false\ncontrolpersist no\n";
    assert!(!shares_connections(settings));
    assert!(shares_connections("controlmaster auto\ncontrolpath /tmp/a\n"));
    assert!(shares_connections("controlmaster false\ncontrolpath /tmp/a\n"));
}

#[test]
fn a_machine_is_recognized_by_its_exact_name() {
    for same in ["carbon", "me@carbon", "ssh://me@carbon:22", "ssh://Carbon"] {
        assert!(is_machine(same, "carbon"), "{same}");
    }
    for other in ["carbon.lan", "carbon@boron", "ssh://carbon:2222", "carbonara", ""] {
        assert!(!is_machine(other, "carbon"), "{other}");
    }
    assert!(!is_machine("", ""));
}

#[test]
fn destinations_that_ssh_would_misread_are_invalid() {
    for bad in ["", "-oProxyCommand=reboot", "a b", "a\nb", "a\0"] {
        assert!(destination_problem(bad).is_some(), "{bad:?}");
    }
    for good in ["carbon", "me@carbon.lan", "ssh://me@carbon:2222", "::1"] {
        assert_eq!(destination_problem(good), None, "{good}");
    }
}

#[test]
fn a_port_and_brackets_are_not_part_of_the_address() {
    for (destination, host, port) in [
        ("carbon", "carbon", None),
        ("ssh://me@carbon:2222/", "me@carbon", Some(2222)),
        ("me@carbon:22", "me@carbon", Some(22)),
        ("me@fe80::1%eth0", "me@fe80::1%eth0", None),
        ("ssh://me@[::1]:2222", "me@::1", Some(2222)),
        ("[::1]", "::1", None),
        ("carbon:x", "carbon:x", None),
    ] {
        assert_eq!(address(destination), (host.to_owned(), port));
    }
    assert_eq!(store_uri("me@::1", &[]), "ssh-ng://me@[::1]");
    assert_eq!(store_uri("::1", &[]), "ssh-ng://[::1]");
}

#[test]
fn a_store_uri_keeps_its_parameters() {
    let parameter = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(store_uri("me@carbon", &[]), "ssh-ng://me@carbon");
    let parameters = vec![
        parameter("remote-program", "/a b/nix-daemon"),
        parameter("remote-store", "local?root=/x&y"),
    ];
    let uri = "ssh-ng://carbon?remote-program=/a%20b/nix-daemon\
               &remote-store=local%3Froot%3D/x%26y";
    assert_eq!(store_uri("carbon", &parameters), uri);
    assert_eq!(parse_store_uri(uri), Some(("carbon".into(), parameters)));
    assert_eq!(parse_store_uri("carbon"), None);
    assert_eq!(percent_decode_str("100%, %zz%4").decode_utf8_lossy(), "100%, %zz%4");
}

/// Messages of Nix 2.26.3 after its connection was cut in the middle of a copy.
#[test]
fn an_interrupted_copy_is_recognized() {
    for printed in [
        "error: unexpected end-of-file",
        "error (ignored): error: serialised integer 950166906659926009 is too large for type 'j'",
        "error: error: interrupted by the user",
    ] {
        assert_eq!(
            explain_copy("box", printed).map(|finding| finding.code),
            Some("copy-interrupted")
        );
    }
}

/// Messages of Nix 2.26.3.
#[test]
fn a_shell_that_prints_or_has_no_nix_is_recognized() {
    let end = "error: unexpected end-of-file\nerror: cannot open connection to remote store";
    for (printed, code) in [
        (": error: protocol mismatch, got 'Welcome\n   oixd", "ssh-output"),
        ("zsh:1: command not found: nix-daemon", "target-without-nix"),
        ("nix-daemon: Command not found.", "target-without-nix"),
        ("  help: `nix-daemon` is neither a Nushell built-in", "target-without-nix"),
    ] {
        let finding = explain_copy("box", &format!("{end}\n{printed}")).unwrap();
        assert_eq!(finding.code, code, "{printed}");
    }
    let printed = "protocol mismatch, got 'Welcome \n  oixd";
    assert!(explain_copy("box", printed).unwrap().message.contains("prints \"Welcome\""));
}

/// Messages of OpenSSH 9.2 in each of these situations.
#[test]
fn every_ssh_error_has_help() {
    for (printed, code) in [
        (include_str!("../../tests/fixtures/ssh/refused"), "ssh-refused"),
        (include_str!("../../tests/fixtures/ssh/no-such-host"), "ssh-no-such-host"),
        (include_str!("../../tests/fixtures/ssh/unknown-key"), "ssh-host-unknown"),
        (include_str!("../../tests/fixtures/ssh/changed-key"), "ssh-host-key-changed"),
        (include_str!("../../tests/fixtures/ssh/auth-refused"), "ssh-auth-refused"),
        (include_str!("../../tests/fixtures/ssh/unreachable"), "ssh-unreachable"),
        (include_str!("../../tests/fixtures/ssh/bad-configuration"), "ssh-configuration"),
        ("", "ssh-lost"),
    ] {
        let finding = explain("carbon", printed);
        assert_eq!(finding.code, code, "{printed}");
        assert!(!finding.help.is_empty());
    }
}
