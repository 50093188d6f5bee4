//! Parses Nix's `--log-format internal-json`, in which each line of standard error is an event.
//!
//! Source: src/libutil/logging.{hh,cc} of Nix. Releases of Nix add activities and results, so
//! unknown ones are skipped; only the fields that are used must be valid.
//!
//! Pure: no I/O, no clock.

use serde::Serialize;
use serde_json::Value;

use crate::nix::names::{DrvPath, StorePath};
use crate::ui::sanitize::sanitize;

/// An event, with the fields that are used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Activity 105: a build, on `machine` if that is not empty.
    BuildStarted { id: u64, drv: DrvPath, machine: String },
    /// Activity 108: Nix fetches a path from a binary cache.
    SubstituteStarted { id: u64, path: StorePath },
    /// Activity 100 or 101: a copy or download that belongs to the activity `parent`.
    TransferStarted { id: u64, parent: u64, kind: Transfer },
    /// Activity 104 of this Nix, not of a builder's: [`Event::Progress`] with this id counts
    /// builds.
    BuildsStarted { id: u64 },
    /// The end of any activity.
    Stopped { id: u64 },
    /// Result 104.
    Phase { id: u64, phase: String },
    /// Result 101 or 107.
    LogLine { id: u64, line: String },
    /// Result 105: counts builds or bytes, depending on the activity.
    Progress { id: u64, done: u64, expected: u64, running: u64, failed: u64 },
    /// Result 106: the expected bytes of all transfers of one kind.
    Expected { id: u64, kind: Transfer, bytes: u64 },
    /// A message; level 0 is an error, 1 a warning.
    Message { level: u64, text: String },
    /// A line that is not JSON of Nix: a child process wrote it to standard error.
    Raw(String),
    /// An event that is unknown or not used.
    Skipped,
}

/// A kind of transfer, counted in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Transfer {
    /// An uncompressed store path.
    Copy,
    /// A compressed file from a server.
    Download,
}

const COPY_PATH: u64 = 100;
const FILE_TRANSFER: u64 = 101;
const BUILDS: u64 = 104;
const BUILD: u64 = 105;
const SUBSTITUTE: u64 = 108;
const BUILD_WAITING: u64 = 111;
const BUILD_LOG_LINE: u64 = 101;
const SET_PHASE: u64 = 104;
const PROGRESS: u64 = 105;
const SET_EXPECTED: u64 = 106;
const POST_BUILD_LOG_LINE: u64 = 107;

/// Maximum bytes of a JSON line; a longer one is treated as text.
const LONGEST: usize = 16 << 20;

/// Joins lines that arrive in pieces of `piece` bytes, the maximum that a pipe's reader passes on.
#[derive(Debug)]
pub struct Reader {
    piece: usize,
    pending: Vec<u8>,
}

impl Reader {
    pub fn new(piece: usize) -> Self {
        Self { piece, pending: vec![] }
    }

    /// Adds a piece. Returns the event at the end of a line.
    pub fn read(&mut self, line: &[u8]) -> Option<Event> {
        if self.pending.is_empty() && line.len() < self.piece {
            return Some(parse(line));
        }
        self.pending.extend_from_slice(line);
        if line.len() >= self.piece && self.pending.len() < LONGEST {
            return None;
        }
        Some(parse(&std::mem::take(&mut self.pending)))
    }

    /// Returns the event of a last line without an end.
    pub fn finish(&mut self) -> Option<Event> {
        (!self.pending.is_empty()).then(|| parse(&std::mem::take(&mut self.pending)))
    }
}

pub fn parse(line: &[u8]) -> Event {
    let text = String::from_utf8_lossy(line);
    match text.strip_prefix("@nix ").map(serde_json::from_str::<Value>) {
        Some(Ok(object @ Value::Object(_))) => event(&object).unwrap_or(Event::Skipped),
        // A line that was cut off because Nix was killed is shown too.
        _ => Event::Raw(text.into_owned()),
    }
}

fn event(line: &Value) -> Option<Event> {
    let fields = &line["fields"];
    let text = |index: usize| fields[index].as_str().map(str::to_owned);
    let count = |index: usize| fields[index].as_u64();
    let id = line["id"].as_u64();
    match line["action"].as_str()? {
        "msg" => Some(Event::Message {
            level: line["level"].as_u64().unwrap_or(3),
            text: line["msg"].as_str()?.to_owned(),
        }),
        "start" => {
            let parent = line["parent"].as_u64().unwrap_or(0);
            let transfer = |kind| Some(Event::TransferStarted { id: id?, parent, kind });
            match line["type"].as_u64()? {
                BUILD => Some(Event::BuildStarted {
                    id: id?,
                    drv: DrvPath::new(text(0)?),
                    machine: text(1).unwrap_or_default(),
                }),
                BUILDS if parent == 0 => Some(Event::BuildsStarted { id: id? }),
                SUBSTITUTE => {
                    Some(Event::SubstituteStarted { id: id?, path: StorePath::new(text(0)?) })
                }
                BUILD_WAITING => waiting(&sanitize(line["text"].as_str()?)),
                COPY_PATH => transfer(Transfer::Copy),
                FILE_TRANSFER => transfer(Transfer::Download),
                _ => None,
            }
        }
        "stop" => Some(Event::Stopped { id: id? }),
        "result" => match line["type"].as_u64()? {
            BUILD_LOG_LINE | POST_BUILD_LOG_LINE => {
                Some(Event::LogLine { id: id?, line: text(0)? })
            }
            SET_PHASE => Some(Event::Phase { id: id?, phase: text(0)? }),
            PROGRESS => Some(Event::Progress {
                id: id?,
                done: count(0)?,
                expected: count(1).unwrap_or(0),
                running: count(2).unwrap_or(0),
                failed: count(3).unwrap_or(0),
            }),
            SET_EXPECTED => {
                let kind = match count(0)? {
                    COPY_PATH => Transfer::Copy,
                    FILE_TRANSFER => Transfer::Download,
                    _ => return None,
                };
                Some(Event::Expected { id: id?, kind, bytes: count(1)? })
            }
            _ => None,
        },
        _ => None,
    }
}

/// Returns a warning if Nix waits for another Nix process. Waiting for a machine is normal.
fn waiting(text: &str) -> Option<Event> {
    let paths = text.strip_prefix("waiting for lock on ")?;
    let text = format!("waiting for another Nix process's build of {paths}");
    Some(Event::Message { level: 1, text })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            parse(
                br#"@nix {"action":"result","fields":["[3/9] \u2018x\u2019"],"id":11,"type":101}"#
            ),
            Event::LogLine { id: 11, line: "[3/9] ‘x’".into() }
        );
        assert_eq!(parse(br#"@nix {"action":"stop","id":11}"#), Event::Stopped { id: 11 });
        assert_eq!(
            parse(br#"@nix {"action":"result","fields":[101,15001165],"id":46,"type":106}"#),
            Event::Expected { id: 46, kind: Transfer::Download, bytes: 15_001_165 }
        );
        assert_eq!(
            parse(br#"@nix {"action":"result","fields":[2,3,1,0],"id":90,"type":105}"#),
            Event::Progress { id: 90, done: 2, expected: 3, running: 1, failed: 0 }
        );
    }

    #[test]
    fn the_builds_of_a_builder_are_not_counted_as_ours() {
        let ours = br#"@nix {"action":"start","id":1,"level":0,"parent":0,"text":"","type":104}"#;
        let nested = br#"@nix {"action":"start","id":2,"level":0,"parent":9,"text":"","type":104}"#;
        assert_eq!(parse(ours), Event::BuildsStarted { id: 1 });
        assert_eq!(parse(nested), Event::Skipped);
    }

    #[test]
    fn unknown_events_are_skipped_and_broken_lines_are_text() {
        assert_eq!(parse(br#"@nix {"action":"start","id":1,"type":999}"#), Event::Skipped);
        assert_eq!(parse(br#"@nix {"action":"result","id":1,"type":104}"#), Event::Skipped);
        let odd = br#"@nix {"action":"stop","id":7,"new":{"a":[-1,1.5,null,true]},"type":[{}]}"#;
        assert_eq!(parse(odd), Event::Stopped { id: 7 });
        for raw in ["@nix {\"action\":\"start\",\"id\":1,", "@nix null", "warning: a", ""] {
            assert_eq!(parse(raw.as_bytes()), Event::Raw(raw.into()));
        }
        assert_eq!(parse(&[0xff, 0xfe]), Event::Raw("\u{fffd}\u{fffd}".into()));
    }

    #[test]
    fn a_line_of_megabytes_is_one_line() {
        let long = "x".repeat(3 << 20);
        let json = format!(r#"@nix {{"action":"result","fields":["{long}"],"id":1,"type":101}}"#);
        let mut reader = Reader::new(1 << 20);
        let mut events = json.as_bytes().chunks(1 << 20).filter_map(|piece| reader.read(piece));
        assert_eq!(events.next(), Some(Event::LogLine { id: 1, line: long }));
        assert_eq!(events.next(), None);
        assert_eq!(reader.finish(), None);
        // A line without end is passed on before it fills the memory.
        let mut reader = Reader::new(1 << 20);
        let piece = vec![b'y'; 1 << 20];
        let seen = (0..40).filter(|_| reader.read(&piece).is_some()).count();
        assert_eq!(seen, 2);
        assert!(matches!(reader.finish(), Some(Event::Raw(rest)) if rest.len() == 8 << 20));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_lose_a_line(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            if !shown.starts_with("@nix ") {
                prop_assert_eq!(parse(&bytes), Event::Raw(shown));
            }
            parse(&[b"@nix ", bytes.as_slice()].concat());
        }

        #[test]
        fn every_log_line_comes_out_as_it_went_in(line in any::<String>(), id in any::<u64>()) {
            let json = serde_json::json!({
                "action": "result", "fields": [line], "id": id, "type": 101,
            });
            prop_assert_eq!(parse(format!("@nix {json}").as_bytes()), Event::LogLine { id, line });
        }

        #[test]
        fn a_cut_line_is_shown(at in 5..97usize) {
            let whole = r#"@nix {"action":"result","fields":["[3/9] Building"],"id":11,"type":101}"#;
            let cut = &whole[..at.min(whole.len() - 1)];
            prop_assert_eq!(parse(cut.as_bytes()), Event::Raw(cut.into()));
        }
    }

    // Recorded with Nix 2.26.3, two `nix build` of one derivation; the other with more
    // builds than builders.
    #[test]
    fn waiting_for_another_nix_is_a_warning_and_waiting_for_a_machine_is_not() {
        let lock = r#"@nix {"action":"start","id":129016522604549,"level":1,"parent":0,"text":"waiting for lock on \u001b[35;1m'/nix/store/pcb9-hf-lock'\u001b[0m","type":111}"#;
        let text =
            "waiting for another Nix process's build of '/nix/store/pcb9-hf-lock'".to_owned();
        assert_eq!(parse(lock.as_bytes()), Event::Message { level: 1, text });
        let machine = r#"@nix {"action":"start","id":130493991354375,"level":1,"parent":0,"text":"waiting for a machine to build '/nix/store/hshx-1.drv'","type":111}"#;
        assert_eq!(parse(machine.as_bytes()), Event::Skipped);
    }
}
