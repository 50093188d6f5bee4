//! Tests with complete and incomplete output of machine.sh.

use super::*;

#[test]
fn incomplete_output_is_rejected() {
    assert_eq!(Machine::read("#llamafleet os-release\nID=nixos\n"), None);
    let nothing = Machine::read("#llamafleet end\n").unwrap();
    assert_eq!(nothing, Machine::default());
}

#[test]
fn only_nixos_has_a_release() {
    assert_eq!(nixos_release("ID=nixos\nVERSION_ID=\"25.11\"\n"), Some("25.11".into()));
    assert_eq!(nixos_release("ID=debian\nVERSION_ID=\"12\"\n"), None);
    assert_eq!(nixos_release(""), None);
}

#[test]
fn a_line_of_a_file_is_not_a_section() {
    let output =
        "#llamafleet nixos\nfile a.nix\n|#llamafleet end\n|{ }\nfile b.nix\n|\n#llamafleet end\n";
    let machine = Machine::read(output).unwrap();
    assert_eq!(machine.nixos.files["a.nix"], "#llamafleet end\n{ }\n");
    assert_eq!(machine.nixos.files["b.nix"], "\n");
}
