//! Nix's `--log-format internal-json`: one line of standard error to one event.
//!
//! Source: src/libutil/logging.{hh,cc} of Nix. Numbers are added with every release,
//! so what is unknown is skipped; only the fields that are used must be right.

use serde_json::Value;

use crate::domain::names::{DrvPath, StorePath};

/// One line, as far as it matters to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Activity 105: a build, perhaps on another machine.
    BuildStarted { id: u64, drv: DrvPath, machine: String },
    /// Activity 108: a path is fetched from a binary cache.
    SubstituteStarted { id: u64, path: StorePath, from: String },
    /// Activity 104: what [`Event::Progress`] of this id counts is builds.
    BuildsStarted { id: u64 },
    /// The end of any activity.
    Stopped { id: u64 },
    /// Result 104.
    Phase { id: u64, phase: String },
    /// Result 101 or 107.
    LogLine { id: u64, line: String },
    /// Result 105, without what is expected and running.
    Progress { id: u64, done: u64, failed: u64 },
    /// A message; level 0 is an error, 1 a warning.
    Message { level: u64, text: String },
    /// A line that is not Nix's JSON: a program below wrote to standard error itself.
    Raw(String),
    /// Known to be of no use here, or unknown.
    Skipped,
}

const BUILDS: u64 = 104;
const BUILD: u64 = 105;
const SUBSTITUTE: u64 = 108;
const BUILD_LOG_LINE: u64 = 101;
const SET_PHASE: u64 = 104;
const PROGRESS: u64 = 105;
const POST_BUILD_LOG_LINE: u64 = 107;

pub fn parse(line: &[u8]) -> Event {
    let text = String::from_utf8_lossy(line);
    let Some(json) = text.strip_prefix("@nix ") else {
        return Event::Raw(text.into_owned());
    };
    // A line cut short by a kill is shown, not lost.
    let Ok(value) = serde_json::from_str::<Value>(json) else {
        return Event::Raw(text.into_owned());
    };
    event(&value).unwrap_or(Event::Skipped)
}

fn event(value: &Value) -> Option<Event> {
    let number = |name: &str| value.get(name).and_then(Value::as_u64);
    let field = |index: usize| value.get("fields")?.get(index);
    let text = |index: usize| field(index).and_then(Value::as_str).map(str::to_owned);
    match value.get("action")?.as_str()? {
        "msg" => Some(Event::Message {
            level: number("level").unwrap_or(3),
            text: value.get("msg")?.as_str()?.to_owned(),
        }),
        "start" => match number("type")? {
            BUILD => Some(Event::BuildStarted {
                id: number("id")?,
                drv: DrvPath::new(text(0)?),
                machine: text(1).unwrap_or_default(),
            }),
            BUILDS => Some(Event::BuildsStarted { id: number("id")? }),
            SUBSTITUTE => Some(Event::SubstituteStarted {
                id: number("id")?,
                path: StorePath::new(text(0)?),
                from: text(1).unwrap_or_default(),
            }),
            _ => None,
        },
        "stop" => Some(Event::Stopped { id: number("id")? }),
        "result" => {
            let id = number("id")?;
            match number("type")? {
                BUILD_LOG_LINE | POST_BUILD_LOG_LINE => Some(Event::LogLine { id, line: text(0)? }),
                SET_PHASE => Some(Event::Phase { id, phase: text(0)? }),
                PROGRESS => Some(Event::Progress {
                    id,
                    done: field(0)?.as_u64()?,
                    failed: field(3)?.as_u64()?,
                }),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Recorded with Nix 2.26.3: `nix build --log-format internal-json`.
    #[test]
    fn a_build_is_followed_from_start_to_stop() {
        let start = br#"@nix {"action":"start","fields":["/nix/store/a.drv","",1,1],"id":11,"level":3,"parent":0,"text":"building '/nix/store/a.drv'","type":105}"#;
        assert_eq!(
            parse(start),
            Event::BuildStarted {
                id: 11,
                drv: DrvPath::new("/nix/store/a.drv"),
                machine: String::new()
            }
        );
        assert_eq!(
            parse(br#"@nix {"action":"result","fields":["buildPhase"],"id":11,"type":104}"#),
            Event::Phase { id: 11, phase: "buildPhase".into() }
        );
        assert_eq!(
            parse(br#"@nix {"action":"result","fields":["[3/9] x"],"id":11,"type":101}"#),
            Event::LogLine { id: 11, line: "[3/9] x".into() }
        );
        assert_eq!(parse(br#"@nix {"action":"stop","id":11}"#), Event::Stopped { id: 11 });
    }

    #[test]
    fn what_is_unknown_or_broken_is_no_error() {
        assert_eq!(parse(br#"@nix {"action":"start","id":1,"type":999}"#), Event::Skipped);
        assert_eq!(parse(br#"@nix {"action":"result","id":1,"type":104}"#), Event::Skipped);
        assert_eq!(
            parse(br#"@nix {"action":"start","id":1,"#),
            Event::Raw(r#"@nix {"action":"start","id":1,"#.into())
        );
        assert_eq!(parse(b"warning: a"), Event::Raw("warning: a".into()));
        assert_eq!(parse(&[0xff, 0xfe]), Event::Raw("\u{fffd}\u{fffd}".into()));
    }
}
