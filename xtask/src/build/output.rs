//! What a run of build-all tells: a person, a program, a CI system.

use std::path::Path;

use anyhow::Result;

use crate::build::report::{BuildReport, VariantReport};
use crate::build::variants::BuildState;
use crate::build::{compile_error, log as build_log};
use crate::check::command::folder_in_checkout;
use crate::ci::run::{Ci, Told};
use crate::fleet::context::Context;

pub fn tell(context: &Context, ci: &Ci, mut report: BuildReport) -> Result<()> {
    report.variants.iter_mut().for_each(find_first_error);
    context.ui.document(&report)?;
    crate::build::view::print(&context.ui, &report);
    ci.tell(Told {
        cases: &|| crate::build::junit::of_build(&report),
        annotations: &|| {
            let folder = folder_in_checkout(context).unwrap_or_default();
            crate::build::github::annotations(&report, &folder)
        },
        summary: &|| crate::build::github::summary(&report),
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
