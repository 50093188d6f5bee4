//! How long a build on another machine may take. Nix keeps `timeout` and `max-silent-time`
//! itself, here and on `ssh://` builders; to an `ssh-ng://` builder it does not pass them
//! on, and a build that hangs there hangs for ever (Nix 2.26).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::build::command::Limits;
use crate::build::tracker::Update;
use crate::nix::log::Event;
use crate::nix::names::DrvPath;

/// What Nix gets to give a build up by itself first.
const MARGIN: Duration = Duration::from_secs(3);

/// A build that has begun on its builder.
#[derive(Debug)]
struct Span {
    /// The builder's own activity.
    id: u64,
    began: Instant,
    spoke: Instant,
}

#[derive(Debug)]
pub struct Patience {
    timeout: Option<Duration>,
    silence: Option<Duration>,
    away: BTreeMap<DrvPath, Span>,
}

impl Patience {
    pub fn new(limits: &Limits) -> Self {
        Self {
            timeout: limits.timeout.map(Duration::from_secs),
            silence: limits.max_silent_time.map(Duration::from_secs),
            away: BTreeMap::new(),
        }
    }

    /// Of a build on another machine the start is told twice: when it is handed over, and
    /// by the machine when what it needs is there. Only `ssh-ng://` builders tell.
    pub fn hear(&mut self, event: &Event, machine: Option<&str>) {
        match event {
            Event::BuildStarted { id, drv, .. } if machine.is_some() => {
                let now = Instant::now();
                self.away.insert(drv.clone(), Span { id: *id, began: now, spoke: now });
            }
            // What was made is copied back after that, which is not the build's time.
            Event::Stopped { id } => self.away.retain(|_, span| span.id != *id),
            _ => {}
        }
    }

    pub fn follow(&mut self, update: &Update) {
        match update {
            Update::Line { drv, .. } | Update::Phase { drv, .. } => {
                if let Some(span) = self.away.get_mut(drv) {
                    span.spoke = Instant::now();
                }
            }
            Update::Stopped { drv } => {
                self.away.remove(drv);
            }
            _ => {}
        }
    }

    /// A build that has had its time, and what became of it.
    pub fn exhausted(&self) -> Option<(DrvPath, String)> {
        let past = |since: Instant, limit: Option<Duration>| {
            limit.filter(|limit| since.elapsed() > *limit + MARGIN)
        };
        self.away.iter().find_map(|(drv, span)| {
            let (seconds, of) = match past(span.began, self.timeout) {
                Some(limit) => (limit, ""),
                None => (past(span.spoke, self.silence)?, " of silence"),
            };
            Some((drv.clone(), format!("timed out after {} seconds{of}", seconds.as_secs())))
        })
    }
}
