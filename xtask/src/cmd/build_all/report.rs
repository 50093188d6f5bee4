//! What a run of build-all tells: a person, a program, a CI system.

use std::path::Path;

use anyhow::Result;

use crate::cmd::check::folder_in_checkout;
use crate::cmd::ci::{Ci, Told};
use crate::cmd::context::Context;
use crate::domain::build::BuildState;
use crate::domain::build_report::{BuildReport, VariantReport};
use crate::domain::{compile_error, junit};
use crate::sys::build_log;
use crate::ui::{self, github};

pub fn tell(context: &Context, ci: &Ci, mut report: BuildReport) -> Result<()> {
    report.variants.iter_mut().for_each(find_first_error);
    context.ui.document(&report)?;
    ui::build::print(&context.ui, &report);
    ci.tell(Told {
        cases: &|| junit::of_build(&report),
        annotations: &|| {
            let folder = folder_in_checkout(context).unwrap_or_default();
            github::build::annotations(&report, &folder)
        },
        summary: &|| github::build::summary(&report),
    })
}

/// A parallel build goes on for hundreds of lines after its first error, which is then not
/// in the end of the log.
fn find_first_error(variant: &mut VariantReport) {
    if matches!(variant.state, BuildState::Failed | BuildState::DependencyFailed) {
        let log = variant.log.as_ref().map(|log| build_log::lines(Path::new(log)));
        variant.first_error = log.and_then(compile_error::first);
    }
}
