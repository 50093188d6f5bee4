//! What is done with what was built: links that keep it from the garbage collector, and
//! copies in another store.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::build::args::BuildAllArgs;
use crate::build::report::VariantReport;
use crate::build::variants::Build;
use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::nix::diagnosis::strip_escapes;
use crate::nix::gc_roots::Links;
use crate::nix::store;
use crate::system::interrupt::Interrupted;
use crate::system::process::Exit;
use crate::ui::progress::Spinner;

/// Links every variant that is in the store. What cannot be linked is told: the build
/// itself is well.
pub fn link(
    context: &Context,
    args: &BuildAllArgs,
    builds: &[Build],
    variants: &mut [VariantReport],
    findings: &mut Vec<Finding>,
) {
    let help = "what was built is in the store until the next garbage collection; see --out-link";
    let links = match folder(context, args).and_then(|folder| Links::open(&folder)) {
        Ok(links) => links,
        Err(error) => {
            return findings.push(Finding::warning("no-links", format!("{error:#}"), help));
        }
    };
    let names = names(builds);
    for (variant, name) in variants.iter_mut().zip(&names) {
        let Some(out) = &variant.out_path else { continue };
        match links.link(&context.flake.nix, name, out) {
            Ok(link) => variant.link = Some(link.display().to_string()),
            Err(error) => {
                let message = format!("{} is not linked: {error:#}", variant.variant);
                findings.push(Finding::warning("no-link", message, help));
            }
        }
    }
    // Of a part of the fleet, the other links are the other part's.
    let whole_fleet = args.selection.hosts.is_empty()
        && args.variant.is_empty()
        && args.backend.is_none()
        && variants.iter().all(|variant| variant.state.well());
    let others = links.others(&names.into_iter().collect());
    if whole_fleet && !others.is_empty() {
        context.ui.say(format!(
            "kept as well, though no host selects it now: {} (remove the link to let \
             `nix store gc` have it)",
            others.join(", ")
        ));
    }
}

/// `result/` beside flake.nix, where it can be there.
fn folder(context: &Context, args: &BuildAllArgs) -> Result<PathBuf> {
    match (&args.out_link, context.folder()) {
        (Some(folder), _) => Ok(folder.clone()),
        (None, Some(root)) => Ok(root.join("result")),
        (None, None) => {
            Ok(std::env::current_dir().context("cannot tell the current folder")?.join("result"))
        }
    }
}

/// A name for each build: the variant's, with a host's where two builds have one.
fn names(builds: &[Build]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    builds
        .iter()
        .map(|build| {
            let variant = build.variant.as_str();
            let same = builds.iter().filter(|other| other.variant == build.variant).count();
            let who = build.hosts.first().map(|host| host.as_str());
            let who = who.or(build.packages.first().map(String::as_str));
            let mut name = match who.filter(|_| same > 1) {
                Some(who) => format!("{variant}-{who}"),
                None => variant.to_owned(),
            };
            while !taken.insert(name.clone()) {
                name.push('_');
            }
            name
        })
        .collect()
}

/// Whether the store can be had, asked before an hour of building.
pub fn greet(context: &Context, to: &str) -> Result<()> {
    let answer = store::greet(&context.flake.nix, to)?;
    if !answer.exit.ok() {
        bail!(
            "the store {to} cannot be had ({}): {}\n  help: --push takes what `nix copy --to` takes, \
             for example ssh-ng://HOST, s3://BUCKET or file:///FOLDER",
            answer.exit,
            strip_escapes(answer.stderr_text().trim())
        );
    }
    Ok(())
}

/// Copies every variant that is in the store there, one after another, so that each has an
/// answer of its own; what they share goes once.
pub fn push(
    context: &Context,
    to: &str,
    variants: &mut [VariantReport],
    findings: &mut Vec<Finding>,
) {
    let nix = &context.flake.nix;
    let count = variants.iter().filter(|variant| variant.out_path.is_some()).count();
    let spinner = Spinner::start(&context.ui, "pushing", count);
    let mut unsigned = vec![];
    for variant in variants {
        let Some(out) = &variant.out_path else { continue };
        context.ui.detail(format!("pushing {} to {to}", variant.variant));
        let pushed = match store::push(nix, to, out) {
            Ok(answer) if answer.exit.ok() => confirm(context, to, variant, &mut unsigned),
            Ok(answer) if answer.exit == Exit::Interrupted => Err(Interrupted.into()),
            Ok(answer) => {
                let said = strip_escapes(answer.stderr_text().trim());
                Err(anyhow::anyhow!("{} ({})", last_lines(&said), answer.exit))
            }
            Err(error) => Err(error),
        };
        variant.pushed = Some(pushed.is_ok());
        if let Err(error) = pushed {
            let said = format!("{error:#}");
            let message = format!("{} is not in {to}: {said}", variant.variant);
            findings.push(Finding::error("not-pushed", message, help(&said)));
        }
        spinner.done(variant.variant.as_str());
    }
    spinner.finish();
    if !unsigned.is_empty() {
        findings.push(Finding::warning(
            "unsigned",
            format!("{to} has {} without a signature: other machines will refuse it", unsigned.join(", ")),
            "make a key with `nix key generate-secret --key-name NAME > FILE`, sign with `nix store \
             sign --key-file FILE --recursive PATH`, or push to a binary cache with \
             '?secret-key=FILE' at its URL; each machine then needs the public half in \
             trusted-public-keys",
        ));
    }
}

/// Nothing is called pushed that the store there does not answer for.
fn confirm(
    context: &Context,
    to: &str,
    variant: &VariantReport,
    unsigned: &mut Vec<String>,
) -> Result<()> {
    let Some(out) = &variant.out_path else { bail!("it is not built") };
    match store::signers(&context.flake.nix, to, out)? {
        None => bail!("it took the copy and does not have it"),
        // Of what machine to machine is copied, the copy asks for them, or nobody does.
        Some(keys) => {
            let is_cache =
                ["s3:", "http:", "https:", "file:"].iter().any(|scheme| to.starts_with(scheme));
            if keys.is_empty() && is_cache {
                unsigned.push(variant.variant.as_str().to_owned());
            }
            Ok(())
        }
    }
}

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(4)..].join("; ")
}

fn help(said: &str) -> &'static str {
    if said.contains("signature") {
        "the store there takes only what is signed by a key that it trusts: sign with `nix store \
         sign --key-file FILE --recursive PATH` and name the public half in its \
         trusted-public-keys, or make the user there one of its trusted-users"
    } else if said.contains("No space left") {
        "make room there, then run the same again: what is there already is not copied twice"
    } else {
        "run the same again: what is there already is not copied twice; -v shows the commands"
    }
}
