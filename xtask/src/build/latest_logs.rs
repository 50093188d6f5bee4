//! `log HOST`: prints the log of a host's last build.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::build::args::LogArgs;
use crate::build::report::VariantReport;
use crate::findings::outcome::Outcome;
use crate::fleet::context::Context;
use crate::fleet::names::{HostName, VariantName};
use crate::system::{disk, files};
use crate::ui::nearest::nearest;

/// The log of a host's last build: of the variant, or of the dependency that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct LastLog {
    variant: VariantName,
    /// As in the document of build-all.
    state: String,
    file: PathBuf,
}

#[derive(Debug, Serialize)]
struct LogReport<'a> {
    schema: u32,
    command: &'static str,
    host: &'a str,
    #[serde(flatten)]
    last: &'a LastLog,
    ok: bool,
}

pub fn run(args: &LogArgs, context: &Context) -> Result<Outcome> {
    let all = read(context);
    let Some(last) = all.get(&HostName::new(args.host.clone())) else {
        let host = &args.host;
        let near = nearest(host, all.keys().map(HostName::as_str));
        let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        bail!(
            "no build of {host} has a log here{near}\n  help: a host has one once `cargo xtask \
             build-all HOST` has built it"
        );
    };
    let LastLog { variant, state, file } = last;
    let text = fs::read(file)
        .with_context(|| format!("the log of {variant} is gone: cannot read {}", file.display()))?;
    let host = args.host.as_str();
    context.ui.document(&LogReport { schema: 1, command: "log", host, last, ok: true })?;
    context.ui.status(context.ui.dim(&format!("{variant}, {state}: {}", file.display())));
    context.ui.verbatim(String::from_utf8_lossy(&text).trim_end());
    Ok(Outcome::Ok)
}

/// Records the logs of a run for `log`.
pub fn save(context: &Context, variants: &[VariantReport]) {
    let mut all = read(context);
    for variant in variants {
        let Some(log) = &variant.log else { continue };
        for host in &variant.build.hosts {
            let (state, variant) = (variant.state.to_string(), variant.build.variant.clone());
            all.insert(host.clone(), LastLog { variant, state, file: log.into() });
        }
    }
    let file = file(context);
    let written = disk::create(disk::folder_of(&file))
        .and_then(|()| files::write_atomically(&file, serde_json::to_string(&all)?.as_bytes()));
    if let Err(error) = written {
        context.ui.debug(format!("cannot note the logs for `log`: {error:#}"));
    }
}

/// Returns this fleet's file: another fleet may have a host of the same name.
fn file(context: &Context) -> PathBuf {
    let name = files::safe_name(&context.flake.reference);
    context.home.join("logs/build-latest").join(name + ".json")
}

fn read(context: &Context) -> BTreeMap<HostName, LastLog> {
    let text = fs::read_to_string(file(context)).ok();
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}
