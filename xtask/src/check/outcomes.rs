//! The results of evaluating hosts.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::findings::finding::Finding;
use crate::fleet::manifest::Selection;
use crate::fleet::names::HostName;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    Ok,
    Finding,
    EvalError,
    Timeout,
    OutOfMemory,
    /// The host does not use the module.
    Unsupported,
}

/// Writes the state as in the JSON.
impl fmt::Display for HostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The result of one host's evaluation: the variant that it selects, or why it selects none.
pub type Evaluated = Result<Box<Selection>, Unselected>;

#[derive(Debug, Clone)]
pub struct Unselected {
    pub state: HostState,
    pub findings: Vec<Finding>,
}

/// The evaluation of several hosts, with the seconds that each took.
#[derive(Debug, Default)]
pub struct Outcomes(BTreeMap<HostName, (Evaluated, f64)>);

impl Outcomes {
    pub fn insert(&mut self, host: HostName, evaluated: Evaluated, seconds: f64) {
        self.0.insert(host, (evaluated, seconds));
    }

    /// Removes and returns a host's result. A missing result is an evaluation error.
    pub fn take(&mut self, host: &HostName) -> (Evaluated, f64) {
        self.0.remove(host).unwrap_or_else(|| {
            let finding = Finding::error(
                "no-answer",
                "the evaluator exited without a result for this host",
                "run the check again with -v; if it happens again, report a bug",
            );
            (Err(Unselected { state: HostState::EvalError, findings: vec![finding] }), 0.0)
        })
    }

    pub fn hosts(&self) -> Vec<HostName> {
        self.0.keys().cloned().collect()
    }

    /// Returns the hosts that select a variant.
    pub fn selected(&self) -> impl Iterator<Item = (&HostName, &Selection)> {
        self.0.keys().filter_map(|host| Some((host, self.selection(host)?)))
    }

    pub fn selection(&self, host: &HostName) -> Option<&Selection> {
        self.0.get(host)?.0.as_deref().ok()
    }

    /// Returns the hosts that select no variant: they fail, or do not use the module.
    pub fn without_variant(&self) -> Vec<HostName> {
        self.0.keys().filter(|host| self.selection(host).is_none()).cloned().collect()
    }

    pub fn uses_module(&self, host: &HostName) -> bool {
        !self.0.get(host).is_some_and(|(evaluated, _)| lacks_module(evaluated))
    }

    pub fn any_uses_module(&self) -> bool {
        self.0.keys().any(|host| self.uses_module(host))
    }

    pub fn drop_unsupported(&mut self) {
        self.0.retain(|_, (evaluated, _)| !lacks_module(evaluated));
    }
}

fn lacks_module(evaluated: &Evaluated) -> bool {
    evaluated.as_ref().is_err_and(|failure| failure.state == HostState::Unsupported)
}
