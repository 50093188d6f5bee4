//! Counts fetched and expected bytes of binary caches, as far as Nix reports them.
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, HashMap};

use crate::nix::log::Transfer;

/// Transfers from binary caches. Copies to builders are not counted.
#[derive(Debug, Default)]
pub struct Transfers {
    /// Substitutions (`None`) and their transfers.
    running: HashMap<u64, Option<Running>>,
    /// Bytes of ended transfers.
    ended: BTreeMap<Transfer, Sum>,
    expected: HashMap<(u64, Transfer), u64>,
    reported: (u64, u64),
}

#[derive(Debug, Clone, Copy)]
struct Running {
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
            self.running.insert(id, Some(Running { kind, bytes: Sum::default() }));
        }
    }

    pub fn expect(&mut self, id: u64, kind: Transfer, bytes: u64) {
        self.expected.insert((id, kind), bytes);
    }

    /// Updates a transfer. Returns whether `id` is one.
    pub fn progress(&mut self, id: u64, done: u64, all: u64) -> bool {
        let Some(Some(Running { bytes, .. })) = self.running.get_mut(&id) else { return false };
        *bytes = Sum { done: done.max(bytes.done), all: all.max(done) };
        true
    }

    pub fn stopped(&mut self, id: u64) {
        if let Some(Some(ended)) = self.running.remove(&id) {
            let sum = self.ended.entry(ended.kind).or_default();
            sum.done += ended.bytes.done;
            sum.all += ended.bytes.all;
        }
    }

    /// Returns how many more bytes are fetched and expected than at the last call, if any. Counts
    /// downloads if there are any, otherwise copies.
    pub fn grown(&mut self) -> Option<(u64, u64)> {
        let downloaded = self.sum(Transfer::Download);
        let sum = if downloaded.all > 0 { downloaded } else { self.sum(Transfer::Copy) };
        let done = sum.done.max(self.reported.0);
        let now = (done, sum.all.max(self.reported.1).max(done));
        let before = std::mem::replace(&mut self.reported, now);
        (before != now).then_some((now.0 - before.0, now.1 - before.1))
    }

    fn sum(&self, kind: Transfer) -> Sum {
        let ended = self.ended.get(&kind).copied().unwrap_or_default();
        let running = self.running.values().flatten().filter(|transfer| transfer.kind == kind);
        let reported = running.fold(ended, |sum, transfer| Sum {
            done: sum.done + transfer.bytes.done,
            all: sum.all + transfer.bytes.all,
        });
        let expected =
            self.expected.iter().filter(|((_, of), _)| *of == kind).map(|(_, bytes)| bytes).sum();
        Sum { done: reported.done, all: reported.all.max(expected) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetched_bytes_are_counted_once_and_copies_to_builders_are_not() {
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
    fn without_downloads_copies_are_counted() {
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
