//! Answers of machine.sh, whole and not.

use super::*;

#[test]
fn an_answer_that_ends_early_is_no_machine() {
    assert_eq!(Machine::read("#llamafleet os-release\nID=nixos\n"), None);
    let nothing = Machine::read("#llamafleet end\n").unwrap();
    assert_eq!(nothing, Machine::default());
}

#[test]
fn only_nixos_has_a_release() {
    let release = |os: &str| nixos_release(os);
    assert_eq!(release("ID=nixos\nVERSION_ID=\"25.11\"\n"), Some("25.11".into()));
    assert_eq!(release("ID=debian\nVERSION_ID=\"12\"\n"), None);
    assert_eq!(release(""), None);
}

#[test]
fn a_line_of_a_file_is_no_section() {
    let answer =
        "#llamafleet nixos\nfile a.nix\n|#llamafleet end\n|{ }\nfile b.nix\n|\n#llamafleet end\n";
    let machine = Machine::read(answer).unwrap();
    assert_eq!(machine.nixos.files["a.nix"], "#llamafleet end\n{ }\n");
    assert_eq!(machine.nixos.files["b.nix"], "\n");
}
