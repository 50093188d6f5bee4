//! A session on a target: one connection, and locks against a second bench, whether that starts
//! on this machine, on another or on the target. Concurrent runs would disturb each other.

use anyhow::{Result, bail};

use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::system::machine_lock::{self, Lock};
use crate::system::resources::{machine_name, now};
use crate::target::{Connection, Lease, LeaseAnswer, Target};
use crate::ui::units;

/// A connected and locked target; dropping it releases the fields in this order.
pub struct Session {
    _lease: Option<Box<Lease>>,
    _connection: Option<Connection>,
    _lock: Lock,
}

/// Connects to the target and locks it. `purpose` is what another user of it is shown; with
/// `wait`, a lock of another run is waited for.
///
/// # Errors
/// [`crate::findings::finding::Finding`]: the target is in use, or cannot be reached.
pub fn open(context: &Context, target: &mut Target, purpose: &str, wait: bool) -> Result<Session> {
    let name = target.name().to_owned();
    let since = units::utc(now());
    let place = machine_lock::bench_lock(&context.home, &name);
    let holder = format!("`{purpose}` on {} since {since}", machine_name());
    let waiting = |holder: &str| {
        context.ui.status(format!("waiting for {holder}, which is measuring on {name}"));
    };
    let lock = match wait {
        true => machine_lock::lock(&place, &holder, &waiting)?,
        false => match machine_lock::try_lock(&place, &holder)? {
            Ok(lock) => lock,
            Err(holder) => bail!(busy(&holder, &name)),
        },
    };
    let connection = target.connect()?;
    if connection.is_some() {
        context.ui.debug(format!("using one connection to {name}"));
    }
    let holder = format!("process {}, {holder}", std::process::id());
    let lease = match target.lock(&holder, wait.then_some(&waiting))? {
        LeaseAnswer::Lease(lease) => Some(lease),
        LeaseAnswer::Busy(holder) => bail!(busy(&holder, &name)),
        LeaseAnswer::NoLocks => {
            if let Target::Ssh(_) = target {
                context.ui.debug(format!("{name} has no flock: other runs are not locked out"));
            }
            None
        }
    };
    Ok(Session { _lease: lease, _connection: connection, _lock: lock })
}

fn busy(holder: &str, target: &str) -> Finding {
    Finding::error(
        "busy",
        format!("{holder}, is measuring on {target}: concurrent runs would disturb each other"),
        "use --wait to wait for it to end",
    )
}
