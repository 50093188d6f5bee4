//! A session on a target: the connection to it, and the locks that keep a second bench away,
//! whether that starts on this machine, on another or on the target: concurrent runs would
//! disturb each other.

use anyhow::{Result, bail};

use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::system::machine_lock::{self, Lock};
use crate::system::resources::{machine_name, now};
use crate::target::{Connection, Lease, LeaseAnswer, Target};
use crate::ui::units;

/// Released in this order when it is dropped.
pub struct Session {
    _there: Option<Box<Lease>>,
    _connection: Option<Connection>,
    _here: Lock,
}

/// Connects and locks. `purpose` is shown to whoever comes second, who waits if `wait` is set.
///
/// # Errors
/// [`crate::findings::finding::Finding`]: it is in use, or cannot be reached.
pub fn open(context: &Context, target: &mut Target, purpose: &str, wait: bool) -> Result<Session> {
    let name = target.name().to_owned();
    let since = units::utc(now());
    let place = machine_lock::bench_lock(&context.home, &name);
    let words = format!("`{purpose}` on {} since {since}", machine_name());
    let waiting = |holder: &str| {
        context.ui.status(format!("waiting for {holder}, which is measuring on {name}"));
    };
    let here = match wait {
        true => machine_lock::lock(&place, &words, &waiting)?,
        false => match machine_lock::try_lock(&place, &words)? {
            Ok(lock) => lock,
            Err(holder) => bail!(busy(&holder, &name)),
        },
    };
    let connection = target.connect()?;
    if connection.is_some() {
        context.ui.debug(format!("using one connection to {name}"));
    }
    let words = format!("process {}, {words}", std::process::id());
    let there = match target.lock(&words, wait.then_some(&waiting))? {
        LeaseAnswer::Lease(held) => Some(held),
        LeaseAnswer::Busy(holder) => bail!(busy(&holder, &name)),
        LeaseAnswer::NoLocks => {
            if let Target::Ssh(_) = target {
                context.ui.debug(format!("{name} has no flock: other runs are not locked out"));
            }
            None
        }
    };
    Ok(Session { _there: there, _connection: connection, _here: here })
}

fn busy(holder: &str, target: &str) -> Finding {
    Finding::error(
        "busy",
        format!("{holder}, is measuring on {target}: concurrent runs would disturb each other"),
        "use --wait to wait for it to end",
    )
}
