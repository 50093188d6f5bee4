//! Seeded random numbers: the same seed gives the same numbers.
//!
//! Pure: no I/O, no clock.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014),
/// which accepts any seed and is fast.
#[derive(Debug, Clone)]
pub struct SplitMix(pub u64);

impl SplitMix {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `n`. The remainder's bias is negligible for a small `n`.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % (n.max(1) as u64)).unwrap_or_default()
    }

    /// Shuffles the items; each order is equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The orders in which builds run in turns, one for each round. Every second order is the previous
/// one reversed: if the machine slows down during the run, this affects all builds alike.
pub struct Orders {
    random: SplitMix,
    order: Vec<usize>,
    is_next_reversed: bool,
}

impl Orders {
    pub fn new(seed: u64, builds: usize) -> Self {
        Self { random: SplitMix(seed), order: (0..builds).collect(), is_next_reversed: false }
    }

    /// Returns the order of the next round.
    pub fn draw(&mut self) -> &[usize] {
        match self.is_next_reversed {
            true => self.order.reverse(),
            false => self.random.shuffle(&mut self.order),
        }
        self.is_next_reversed = !self.is_next_reversed;
        &self.order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_build_runs_as_early_as_the_others() {
        let mut orders = Orders::new(1, 3);
        let mut first = vec![];
        for _ in 0..20 {
            let (one, other) = (orders.draw().to_vec(), orders.draw().to_vec());
            assert_eq!(one, other.iter().rev().copied().collect::<Vec<_>>());
            first.push(one[0]);
        }
        assert!((0..3).all(|build| first.contains(&build)), "{first:?}");
    }

    #[test]
    fn shuffled_orders_are_equally_likely() {
        let mut random = SplitMix(1);
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..6000 {
            let mut items = [0, 1, 2];
            random.shuffle(&mut items);
            *seen.entry(items).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!(seen.values().all(|count| (850..1150).contains(count)), "{seen:?}");
    }
}
