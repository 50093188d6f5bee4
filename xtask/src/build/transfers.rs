//! Bytes fetched from binary caches, and expected, as far as Nix reports them.
//!
//! Pure: no I/O, no clock.

use std::collections::HashMap;

use crate::nix::log::Transfer;

/// Copies to builders are not counted.
#[derive(Debug, Default)]
pub struct Transfers {
    /// Substitutions and their transfers, with their progress where it is in bytes.
    running: HashMap<u64, Option<Moving>>,
    /// Of those that ended.
    copied: Sum,
    downloaded: Sum,
    expected: HashMap<(u64, Transfer), u64>,
    reported: (u64, u64),
}

#[derive(Debug, Clone, Copy)]
struct Moving {
    kind: Transfer,
    bytes: Sum,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    done: u64,
    all: u64,
}

impl Transfers {
    pub fn substitution(&mut self, id: u64) {
        self.running.insert(id, None);
    }

    pub fn started(&mut self, id: u64, parent: u64, kind: Transfer) {
        if self.running.contains_key(&parent) {
            self.running.insert(id, Some(Moving { kind, bytes: Sum::default() }));
        }
    }

    pub fn expect(&mut self, id: u64, kind: Transfer, bytes: u64) {
        self.expected.insert((id, kind), bytes);
    }

    /// Whether `id` is one of these.
    pub fn progress(&mut self, id: u64, done: u64, all: u64) -> bool {
        let Some(Some(moving)) = self.running.get_mut(&id) else { return false };
        let seen = moving.bytes.done;
        moving.bytes = Sum { done: done.max(seen), all: all.max(done) };
        true
    }

    pub fn stopped(&mut self, id: u64) {
        if let Some(Some(ended)) = self.running.remove(&id) {
            let sum = match ended.kind {
                Transfer::Copy => &mut self.copied,
                Transfer::Download => &mut self.downloaded,
            };
            sum.done += ended.bytes.done;
            sum.all += ended.bytes.all;
        }
    }

    /// Bytes fetched and expected since the last call, if there are any. Downloads are counted if
    /// there are any, otherwise what arrives in the store.
    pub fn grown(&mut self) -> Option<(u64, u64)> {
        let downloaded = self.sum(Transfer::Download);
        let sum = if downloaded.all > 0 { downloaded } else { self.sum(Transfer::Copy) };
        let done = sum.done.max(self.reported.0);
        let now = (done, sum.all.max(self.reported.1).max(done));
        let before = std::mem::replace(&mut self.reported, now);
        (before != now).then_some((now.0 - before.0, now.1 - before.1))
    }

    fn sum(&self, kind: Transfer) -> Sum {
        let ended = match kind {
            Transfer::Copy => self.copied,
            Transfer::Download => self.downloaded,
        };
        let running = self.running.values().flatten().filter(|moving| moving.kind == kind);
        let seen = running.fold(ended, |sum, moving| Sum {
            done: sum.done + moving.bytes.done,
            all: sum.all + moving.bytes.all,
        });
        let expected =
            self.expected.iter().filter(|((_, of), _)| *of == kind).map(|(_, bytes)| bytes).sum();
        Sum { done: seen.done, all: seen.all.max(expected) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fetched_is_counted_once_and_what_goes_to_a_builder_is_not() {
        let mut transfers = Transfers::default();
        transfers.expect(1, Transfer::Download, 100);
        transfers.expect(1, Transfer::Copy, 400);
        transfers.substitution(2);
        transfers.started(3, 2, Transfer::Copy);
        transfers.started(4, 3, Transfer::Download);
        transfers.started(5, 0, Transfer::Copy);
        assert!(transfers.progress(4, 30, 60));
        assert!(transfers.progress(3, 120, 240));
        assert!(!transfers.progress(5, 7, 7));
        assert_eq!(transfers.grown(), Some((30, 100)));
        assert_eq!(transfers.grown(), None);
        transfers.progress(4, 60, 60);
        for id in [4, 3, 2] {
            transfers.stopped(id);
        }
        assert_eq!(transfers.grown(), Some((30, 0)));
        assert!(transfers.running.is_empty());
    }

    #[test]
    fn without_a_server_what_arrives_counts() {
        let mut transfers = Transfers::default();
        transfers.substitution(2);
        transfers.started(3, 2, Transfer::Copy);
        transfers.progress(3, 5, 9);
        assert_eq!(transfers.grown(), Some((5, 9)));
        // Nix restarts a copy after a broken connection.
        transfers.progress(3, 1, 9);
        assert_eq!(transfers.grown(), None);
    }
}
