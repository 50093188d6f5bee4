//! Lines about builds, if no bars are drawn.

use super::*;

#[test]
fn no_output_of_a_build_is_a_ci_command() {
    for hostile in ["::error::x", "  ::set-env name=a::b", "a ##[error] b", "a\tb"] {
        let shown = printable(hostile);
        assert!(!shown.trim_start().starts_with("::"), "{shown}");
        assert!(!shown.contains("##[") && !shown.contains('\t'), "{shown}");
    }
}
