//! Publishes builds: links them, which protects them from the garbage collector (GC roots), and
//! copies them to another store.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::build::args::BuildAllArgs;
use crate::build::report::VariantReport;
use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::nix::gc_roots::Links;
use crate::nix::names::StorePath;
use crate::nix::store;
use crate::system::interrupt::{self, Interrupted};
use crate::ui::progress::Spinner;
use crate::ui::sanitize::{hide_password_of, sanitize};

/// Links every variant that is in the store. A failed link is a warning, because the build itself
/// succeeded. `all_known` is whether the variant of each host is known.
pub fn link(
    context: &Context,
    args: &BuildAllArgs,
    variants: &mut [VariantReport],
    all_known: bool,
    findings: &mut Vec<Finding>,
) {
    let help = "the next garbage collection may delete the builds; see --out-link";
    let links = match folder(context, args).and_then(|folder| Links::open(&folder)) {
        Ok(links) => links,
        Err(error) => {
            return findings.push(Finding::warning("no-link-folder", format!("{error:#}"), help));
        }
    };
    let names = names(variants);
    for (variant, name) in variants.iter_mut().zip(&names) {
        let Some(out) = &variant.out_path else { continue };
        match links.link(&context.flake.nix, name, out) {
            Ok(link) => variant.link = Some(link.display().to_string()),
            Err(error) => {
                let message = format!("cannot link {}: {error:#}", variant.build.variant);
                findings.push(Finding::warning("no-link", message, help));
            }
        }
    }
    // If only a part of the fleet was built, the other links may be in use.
    let whole_fleet = all_known
        && args.selection.hosts.is_empty()
        && args.variant.is_empty()
        && args.backend.is_none()
        && variants.iter().all(|variant| variant.state.ok());
    let others = links.others(&names.into_iter().collect());
    if whole_fleet && !others.is_empty() {
        context.ui.status(format!(
            "no host selects {} any more; remove the link to let `nix store gc` delete it",
            others.join(", ")
        ));
    }
}

/// Returns the folder for links: by default `result/` beside flake.nix, or in the current folder
/// for a remote flake.
fn folder(context: &Context, args: &BuildAllArgs) -> Result<PathBuf> {
    Ok(match (&args.out_link, context.root()) {
        (Some(folder), _) => folder.clone(),
        (None, Some(root)) => root.join("result"),
        (None, None) => {
            std::env::current_dir().context("cannot find the current folder")?.join("result")
        }
    })
}

/// Returns a name for each build: its variant's, with its first host's if several builds have the
/// same variant name.
fn names(variants: &[VariantReport]) -> Vec<String> {
    let builds = || variants.iter().map(|variant| &variant.build);
    let mut taken = BTreeSet::new();
    builds()
        .map(|build| {
            let variant = build.variant.as_str();
            let same = builds().filter(|other| other.variant == build.variant).count();
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

/// Checks that the store can be reached, before an hour of building.
pub fn check_store(context: &Context, to: &str) -> Result<()> {
    let output = store::ping(&context.flake.nix, to)?;
    if !output.exit.ok() {
        bail!(
            "cannot reach store {to} ({}): {}\n  help: --push takes a store URL as `nix copy --to` \
             does, for example ssh-ng://HOST, s3://BUCKET or file:///FOLDER",
            output.exit,
            hide_password_of(to, &sanitize(output.stderr_text().trim()))
        );
    }
    Ok(())
}

/// Copies the variants one after another, so that each has its own result. Common paths are copied
/// once.
pub fn push(
    context: &Context,
    to: &str,
    variants: &mut [VariantReport],
    findings: &mut Vec<Finding>,
) {
    let is_cache = ["s3:", "http:", "https:", "file:"].iter().any(|scheme| to.starts_with(scheme));
    let count = variants.iter().filter(|variant| variant.out_path.is_some()).count();
    let spinner = Spinner::start(&context.ui, "pushing", count);
    let (mut unsigned, mut interrupted) = (vec![], vec![]);
    for variant in variants {
        let Some(out) = &variant.out_path else { continue };
        context.ui.debug(format!("pushing {} to {to}", variant.build.variant));
        let pushed = push_one(context, to, out);
        variant.pushed = Some(pushed.is_ok());
        let name = variant.build.variant.as_str();
        match pushed {
            Ok(keys) if keys.is_empty() && is_cache => unsigned.push(name),
            Ok(_) => {}
            Err(error) if error.is::<Interrupted>() => interrupted.push(name),
            Err(error) => {
                let printed = hide_password_of(to, &format!("{error:#}"));
                let message = format!("cannot push {name} to {to}: {printed}");
                findings.push(Finding::error("not-pushed", message, help(&printed)));
            }
        }
        spinner.done(name);
    }
    spinner.finish();
    if !interrupted.is_empty() {
        let message = format!("interrupted before {} could be pushed", interrupted.join(", "));
        findings.push(Finding::error("interrupted", message, "run the same command again"));
    }
    if !unsigned.is_empty() {
        findings.push(Finding::warning(
            "unsigned",
            format!("{to} has {} without a signature; other machines will refuse it", unsigned.join(", ")),
            "make a key with `nix key generate-secret --key-name NAME > FILE`, sign with `nix store \
             sign --key-file FILE --recursive PATH`, or push to a binary cache with \
             '?secret-key=FILE' at its URL; each machine then needs the public half in \
             trusted-public-keys",
        ));
    }
}

/// Copies a path, and checks that the other store has it. Returns the names of the keys that
/// signed it.
fn push_one(context: &Context, to: &str, out: &StorePath) -> Result<Vec<String>> {
    interrupt::check()?;
    let output = store::push(&context.flake.nix, to, out)?;
    if !output.exit.ok() {
        let stderr = output.stderr_text();
        bail!("{} ({})", last_lines(&sanitize(stderr.trim())), output.exit);
    }
    store::signers(&context.flake.nix, to, out)?
        .context("the copy succeeded, but the path is missing there")
}

fn last_lines(printed: &str) -> String {
    let lines: Vec<&str> = printed.lines().collect();
    lines[lines.len().saturating_sub(4)..].join("; ")
}

fn help(printed: &str) -> &'static str {
    if printed.contains("signature") {
        "that store only accepts paths signed by a trusted key: sign with `nix store sign \
         --key-file FILE --recursive PATH` and add the public key to its trusted-public-keys, \
         or add the remote user to its trusted-users"
    } else if printed.contains("No space left") {
        "free space there, then run the same command again; paths already there are not copied twice"
    } else {
        "run the same command again; paths already there are not copied twice. -v shows the commands"
    }
}
