//! A target to oneself: the connection to it, and the locks that keep a second bench away,
//! whether that starts on this machine, on another or on the target. Two would measure
//! each other.

use anyhow::Result;

use crate::bench::results_file;
use crate::findings::finding::Finding;
use crate::fleet::context::Context;
use crate::system::machine_lock::{self, Lock};
use crate::system::resources::machine_name;
use crate::target::{Answer, Connection, Held, Target, or_finding};
use crate::ui::units;

/// Everything ends in this order when it is dropped.
pub struct Hold {
    _there: Option<Box<Held>>,
    _connection: Option<Connection>,
    _here: Lock,
}

/// `words`: what is done, for whoever comes second. With `wait` that one waits, without it
/// is a finding.
///
/// # Errors
/// Something of ours broke. A target that refuses is a finding, too.
pub fn hold(
    context: &Context,
    target: &mut Target,
    words: &str,
    wait: bool,
) -> Result<Result<Hold, Finding>> {
    let name = target.name().to_owned();
    let since = units::utc(results_file::now());
    let place = machine_lock::bench_lock(&context.home, &name);
    let words = format!("`{words}` on {} since {since}", machine_name());
    let waiting = |holder: &str| {
        context.ui.say(format!("waiting for {holder}, which measures on {name}"));
    };
    let here = match wait {
        true => machine_lock::lock(&place, &words, &waiting)?,
        false => match machine_lock::try_lock(&place, &words)? {
            Ok(lock) => lock,
            Err(holder) => return Ok(Err(busy(&holder, &name))),
        },
    };
    let connection = match or_finding(target.connect())? {
        Ok(connection) => connection,
        Err(finding) => return Ok(Err(finding)),
    };
    if connection.is_some() {
        context.ui.detail(format!("all of {name} goes through one connection"));
    }
    let words = format!("process {}, {words}", std::process::id());
    let there = match target.lock(&words, wait.then_some(&waiting))? {
        Answer::Held(held) => Some(held),
        Answer::Busy(holder) => return Ok(Err(busy(&holder, &name))),
        Answer::NoLocks => {
            if let Target::Ssh(_) = target {
                context.ui.detail(format!("{name} has no flock: nobody else is kept away"));
            }
            None
        }
    };
    Ok(Ok(Hold { _there: there, _connection: connection, _here: here }))
}

fn busy(holder: &str, target: &str) -> Finding {
    Finding::error(
        "busy",
        format!("{holder}, is measuring on {target}: two would measure each other"),
        "--wait waits for it to end",
    )
}
