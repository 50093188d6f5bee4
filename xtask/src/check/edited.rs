//! Finds the hosts that the user has edited since the last evaluation, to evaluate them first.

use std::time::SystemTime;

use walkdir::WalkDir;

use crate::fleet::context::Context;
use crate::fleet::eval_cache;
use crate::fleet::names::HostName;

/// Returns the hosts with a file in hosts/NAME that is newer than the last evaluation.
pub fn since_last_evaluation(context: &Context, hosts: &[HostName]) -> Vec<HostName> {
    let Some(root) = context.root() else { return vec![] };
    let Some(last) = eval_cache::written(&context.home, root) else { return vec![] };
    let is_edited = |host: &&HostName| {
        let folder = root.join("hosts").join(host.as_str());
        let entries = WalkDir::new(folder).into_iter().flatten();
        let times = entries.filter_map(|entry| entry.metadata().ok()?.modified().ok());
        times.max().is_some_and(|newest: SystemTime| newest > last)
    };
    hosts.iter().filter(is_edited).cloned().collect()
}

/// Returns all hosts, the edited ones first.
pub fn first(hosts: &[HostName], edited: &[HostName]) -> Vec<HostName> {
    let mut hosts = hosts.to_vec();
    hosts.sort_by_key(|host| !edited.contains(host));
    hosts
}
