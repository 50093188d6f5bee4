//! Axis ticks and label placement.

/// Returns two to five round numbers from zero to at least `top`.
pub fn ticks(top: f64) -> Vec<f64> {
    let top = if top.is_finite() && top > 0.0 { top } else { 1.0 };
    let step = step(top / 3.0);
    let count = (top / step).ceil() as usize;
    (0..=count).map(|index| index as f64 * step).collect()
}

/// Returns three to seven round numbers that enclose the range.
pub fn between((low, high): (f64, f64)) -> Vec<f64> {
    if !(low.is_finite() && high.is_finite() && low < high) {
        return ticks(high);
    }
    let step = step((high - low) / 3.5);
    let (first, last) = ((low / step).floor(), (high / step).ceil());
    let count = (last - first).round() as usize;
    (0..=count).map(|index| (first + index as f64) * step).collect()
}

/// Returns the next round number at or above `rough`, which is positive.
fn step(rough: f64) -> f64 {
    let magnitude = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * magnitude);
    steps.into_iter().find(|step| *step >= rough).unwrap_or(10.0 * magnitude)
}

/// Formats a tick so that it fits into the left margin: `1.5k`, `250`, `0.5`.
pub fn tick(value: f64) -> String {
    let trimmed = |value: f64| {
        let text = format!("{value:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match value {
        v if v >= 1e9 => format!("{v:.0e}"),
        v if v >= 1e6 => format!("{}M", trimmed(v / 1e6)),
        v if v >= 10_000.0 => format!("{}k", trimmed(v / 1e3)),
        v if v == 0.0 || v >= 0.01 => trimmed(v),
        v => format!("{v:.0e}"),
    }
}

/// Chooses labels so that no two are closer than `gap`, in the order of `wanted` (indices of
/// `places`, by priority). Returns their indices in ascending order.
pub fn apart(places: &[f64], wanted: &[usize], gap: f64) -> Vec<usize> {
    let mut chosen: Vec<usize> = vec![];
    for index in wanted {
        if chosen.iter().all(|other| (places[*other] - places[*index]).abs() >= gap) {
            chosen.push(*index);
        }
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        assert_eq!(ticks(512.0), [0.0, 200.0, 400.0, 600.0]);
        assert_eq!(ticks(1.0), [0.0, 0.5, 1.0]);
        for top in [1e-9, 0.3, 7.0, 99.9, 100.0, 4386.0, 1e11, 0.0, f64::NAN, f64::INFINITY] {
            let ticks = ticks(top);
            assert!((2..=5).contains(&ticks.len()), "{top}: {ticks:?}");
            assert!(!top.is_finite() || *ticks.last().unwrap() >= top, "{top}: {ticks:?}");
        }
        assert_eq!(
            [0.0, 0.25, 600.0, 12_500.0, 2e6].map(tick),
            ["0", "0.25", "600", "12.5k", "2M"]
        );
    }

    #[test]
    fn labels_have_a_gap_and_the_first_ones_are_preferred() {
        let places: Vec<f64> = (0..10).map(f64::from).collect();
        assert_eq!(apart(&places, &[9, 0, 8, 4], 3.0), [0, 4, 9]);
    }
}
