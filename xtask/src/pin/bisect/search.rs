//! The search for the first bad revision. Each step depends only on the verdicts so far, so an
//! interrupted search resumes from them.
//!
//! Pure: no I/O, no clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The verdict on one revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Good,
    Bad,
    /// Fails in another way, or the measurement is too noisy.
    #[serde(rename = "untold")]
    Inconclusive,
}

/// The verdicts on a sequence of revisions, of which the first is assumed to be good and the last
/// bad.
#[derive(Debug, Clone, Default)]
pub struct Search {
    revisions: usize,
    verdicts: BTreeMap<usize, Verdict>,
}

/// The next step of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Judge(usize),
    Done(Answer),
}

/// The result of a search, with indices of revisions. `good` and all earlier revisions are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    First {
        good: usize,
        bad: usize,
    },
    /// One of the revisions after `good` up to `bad`. Those before `bad` are inconclusive.
    OneOf {
        good: usize,
        bad: usize,
    },
    /// The last revision is good.
    NothingBad,
    /// The last revision is inconclusive, so there is nothing to search for.
    BadInconclusive,
    /// The first revision is bad as well, or inconclusive.
    NothingGood(Verdict),
}

impl Search {
    /// Starts a search among this number of revisions, which includes both ends.
    pub fn new(revisions: usize) -> Self {
        Self { revisions, verdicts: BTreeMap::new() }
    }

    pub fn record(&mut self, revision: usize, verdict: Verdict) {
        self.verdicts.insert(revision, verdict);
    }

    /// Returns the next step. The bad end is judged first, because its failure is searched for. The
    /// good end is judged last, and only if no revision after it is good.
    pub fn next(&self) -> Next {
        let last = self.revisions - 1;
        match self.verdicts.get(&last) {
            None => return Next::Judge(last),
            Some(Verdict::Good) => return Next::Done(Answer::NothingBad),
            Some(Verdict::Inconclusive) => return Next::Done(Answer::BadInconclusive),
            Some(Verdict::Bad) => {}
        }
        let (good, bad) = self.bounds();
        let choice = if bad > good + 1 { self.choose(good, bad) } else { None };
        if let Some(revision) = choice {
            return Next::Judge(revision);
        }
        match self.verdicts.get(&good) {
            Some(Verdict::Good) if bad == good + 1 => Next::Done(Answer::First { good, bad }),
            Some(Verdict::Good) => Next::Done(Answer::OneOf { good, bad }),
            Some(verdict) => Next::Done(Answer::NothingGood(*verdict)),
            None => Next::Judge(good),
        }
    }

    /// Returns the newest good revision, and the oldest bad one after it.
    fn bounds(&self) -> (usize, usize) {
        let is = |wanted: Verdict| move |(_, verdict): &(&usize, &Verdict)| **verdict == wanted;
        let last = self.revisions - 1;
        let bad = self.verdicts.iter().find(is(Verdict::Bad)).map_or(last, |(at, _)| *at);
        let before = self.verdicts.range(..bad);
        (before.rev().find(is(Verdict::Good)).map_or(0, |(at, _)| *at), bad)
    }

    /// Returns how many more revisions will be judged if none is inconclusive.
    pub fn steps_left(&self) -> u32 {
        let (good, bad) = self.bounds();
        let ends = u32::from(!self.verdicts.contains_key(&(self.revisions - 1)));
        match self.next() {
            Next::Done(_) => 0,
            // No revision in between: the good end is next.
            Next::Judge(_) if bad == good + 1 => 1.max(ends),
            Next::Judge(_) => (bad - good).next_power_of_two().ilog2() + ends,
        }
    }

    /// Chooses the middle revision, or one near it if that is inconclusive. None after too many
    /// inconclusive ones.
    fn choose(&self, good: usize, bad: usize) -> Option<usize> {
        // The left part is the smaller one: if all of it is bad, the good end must still be judged.
        let middle = good + (bad - good) / 2;
        let free = |at: &usize| good < *at && *at < bad && !self.verdicts.contains_key(at);
        if free(&middle) {
            return Some(middle);
        }
        let inconclusive = self.verdicts.range(good + 1..bad).count();
        let width = bad - good;
        if inconclusive >= most_inconclusive(width) {
            return None;
        }
        // Inconclusive revisions are mostly adjacent, so the distance grows quickly.
        let strides = (0..usize::BITS).map(|power| 1_usize << power);
        let strides = strides.take_while(|stride| *stride < width);
        let far = strides.flat_map(|by| [middle.checked_sub(by), middle.checked_add(by)]);
        let near = (1..width).flat_map(|by| [middle.checked_sub(by), middle.checked_add(by)]);
        far.chain(near).flatten().find(free)
    }
}

/// Returns after how many inconclusive revisions to give up.
fn most_inconclusive(width: usize) -> usize {
    4 + 4 * usize::try_from(width.next_power_of_two().ilog2()).unwrap_or(usize::MAX / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a history, and returns the answer and the judged revisions.
    fn search(revisions: usize, judge: impl Fn(usize) -> Verdict) -> (Answer, Vec<usize>) {
        let (mut search, mut judged) = (Search::new(revisions), vec![]);
        loop {
            match search.next() {
                Next::Done(answer) => return (answer, judged),
                Next::Judge(at) => {
                    assert!(!judged.contains(&at), "{at} is judged twice");
                    let left = search.steps_left();
                    search.record(at, judge(at));
                    let conclusive = search.verdicts[&at] != Verdict::Inconclusive;
                    assert!(!conclusive || search.steps_left() <= left, "{at}");
                    judged.push(at);
                }
            }
        }
    }

    fn bad_from(first: usize) -> impl Fn(usize) -> Verdict {
        move |at| if at < first { Verdict::Good } else { Verdict::Bad }
    }

    fn log2(n: usize) -> usize {
        n.next_power_of_two().ilog2() as usize
    }

    #[test]
    fn every_first_bad_revision_is_found_within_the_bound() {
        for revisions in 2..140 {
            for first in 1..revisions {
                let (answer, judged) = search(revisions, bad_from(first));
                assert_eq!(answer, Answer::First { good: first - 1, bad: first });
                // The bound for all revisions, and Git's bound for those after the good end,
                // which has one more step if the good end must be judged.
                assert!(judged.len() <= log2(revisions) + 1, "{revisions} {first}: {judged:?}");
                let after = revisions - 1;
                assert!(judged.len() <= log2(after) + 1 + usize::from(first == 1));
            }
        }
    }

    #[test]
    fn ten_thousand_commits_take_fifteen() {
        for first in [1, 2, 4_999, 5_000, 7_777, 9_999] {
            assert!(search(10_000, bad_from(first)).1.len() <= 15, "{first}");
        }
    }

    #[test]
    fn wrong_ends_are_reported() {
        assert_eq!(search(17, |_| Verdict::Good), (Answer::NothingBad, vec![16]));
        assert_eq!(search(17, |_| Verdict::Inconclusive), (Answer::BadInconclusive, vec![16]));
        let (answer, judged) = search(17, bad_from(0));
        assert_eq!((answer, judged.last()), (Answer::NothingGood(Verdict::Bad), Some(&0)));
        let (answer, _) =
            search(9, |at| if at == 0 { Verdict::Inconclusive } else { Verdict::Bad });
        assert_eq!(answer, Answer::NothingGood(Verdict::Inconclusive));
        // Neighbours: the bad end and the good end, and no more.
        assert_eq!(search(2, bad_from(1)).1, [1, 0]);
    }

    #[test]
    fn inconclusive_revisions_are_avoided() {
        for revisions in [5, 17, 33] {
            for first in 1..revisions - 1 {
                for from in 1..revisions - 1 {
                    for length in 0..6 {
                        let inconclusive = from..(from + length).min(revisions - 1);
                        let judge = |at| match inconclusive.contains(&at) {
                            true => Verdict::Inconclusive,
                            false => bad_from(first)(at),
                        };
                        let (answer, _) = search(revisions, judge);
                        // The first bad one is conclusive, and so is the one before it.
                        let clear =
                            !inconclusive.contains(&first) && !inconclusive.contains(&(first - 1));
                        let exact = Answer::First { good: first - 1, bad: first };
                        if clear {
                            assert_eq!(answer, exact, "{revisions} {first} {inconclusive:?}");
                        } else {
                            let Answer::OneOf { good, bad } = answer else {
                                panic!("{answer:?} for {revisions} {first} {inconclusive:?}")
                            };
                            assert!(good < first && first <= bad);
                            // No more candidates than necessary.
                            assert!((good + 1..bad).all(|at| inconclusive.contains(&at)));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn one_inconclusive_revision_costs_one_more_step() {
        for revisions in [4, 7, 16, 17, 40] {
            for inconclusive in 1..revisions - 1 {
                for first in
                    (1..revisions).filter(|first| ![inconclusive, inconclusive + 1].contains(first))
                {
                    let judge = |at| match at == inconclusive {
                        true => Verdict::Inconclusive,
                        false => bad_from(first)(at),
                    };
                    let (answer, judged) = search(revisions, judge);
                    assert_eq!(answer, Answer::First { good: first - 1, bad: first });
                    assert!(
                        judged.len() <= log2(revisions) + 3,
                        "{revisions} {first} {inconclusive}"
                    );
                }
            }
        }
    }

    #[test]
    fn many_inconclusive_revisions_end_the_search_in_time() {
        let judge = |at: usize| match at {
            2_000..8_000 => Verdict::Inconclusive,
            at => bad_from(5_000)(at),
        };
        let (answer, judged) = search(10_000, judge);
        let Answer::OneOf { good, bad } = answer else { panic!("{answer:?}") };
        assert!(good < 5_000 && 5_000 <= bad, "{answer:?}");
        assert!(judged.len() < 100, "{}", judged.len());
    }

    #[test]
    fn an_interrupted_search_is_resumed() {
        let (answer, judged) = search(200, bad_from(123));
        for cut in 0..judged.len() {
            let mut again = Search::new(200);
            // The order of the journal does not matter.
            judged[..cut].iter().rev().for_each(|at| again.record(*at, bad_from(123)(*at)));
            assert_eq!(again.next(), Next::Judge(judged[cut]));
        }
        assert_eq!(answer, Answer::First { good: 122, bad: 123 });
    }
}
