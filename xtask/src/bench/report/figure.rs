//! One test's history as an inline SVG, twice: from zero, which tells how much it is, and
//! closer, with every sample a dot, which tells what changed and what is noise. A plot
//! of a few hundred numbers needs no script and no library.

use std::fmt::Write;

use crate::bench::baseline::Verdict;
use crate::bench::report::history::{JUDGED, Point, Series};
use crate::bench::report::wording::html;
use crate::bench::report::{scale, wording as words};
use crate::statistics::median;
use crate::ui::units;

/// As many runs as have room to be told apart; the newest are drawn.
pub const MOST_RUNS: usize = JUDGED;
/// As many dots as a run has room for: its samples, else the medians of its processes,
/// else none but the quartiles.
pub const MOST_DOTS: usize = 12;

/// In units of the view box, which are CSS pixels on a narrow telephone.
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 254.0;
const LEFT: f64 = 38.0;
const RIGHT: f64 = 294.0;
/// From zero.
const WHOLE: (f64, f64) = (42.0, 100.0);
const CLOSER: (f64, f64) = (128.0, 216.0);

/// The part of a series that is drawn.
pub fn drawn(series: &Series) -> &[Point] {
    &series.points[series.points.len().saturating_sub(MOST_RUNS)..]
}

/// The largest speed that is drawn.
pub fn top(series: &Series) -> f64 {
    drawn(series).iter().map(|point| point.tokens_per_second).fold(0.0, f64::max)
}

/// A part of the picture with an axis of its own.
#[derive(Clone)]
struct Panel {
    top: f64,
    bottom: f64,
    ticks: Vec<f64>,
}

impl Panel {
    fn y(&self, speed: f64) -> f64 {
        let (low, high) = (self.ticks[0], self.ticks[self.ticks.len() - 1]);
        self.bottom - ((speed - low) / (high - low)).clamp(0.0, 1.0) * (self.bottom - self.top)
    }

    fn holds(&self, speed: f64) -> bool {
        (self.ticks[0]..=self.ticks[self.ticks.len() - 1]).contains(&speed)
    }
}

struct Plot<'a> {
    series: &'a Series,
    points: &'a [Point],
    whole: Panel,
    closer: Panel,
    /// Where the last kind of build begins, which is what is shown closer.
    from: usize,
    svg: String,
}

/// `id` is unique on the page; `name` tells the plot from the others; `top` is the
/// largest speed of all plots that share the scale, or of this one that does not.
pub fn svg(series: &Series, id: usize, name: &str, (top, shared): (f64, bool)) -> String {
    let points = drawn(series);
    let same = |point: &Point| points.last().is_some_and(|last| last.variant == point.variant);
    let from = points.iter().rposition(|point| !same(point)).map_or(0, |index| index + 1);
    let ticks = scale::between(closer_range(&points[from..]));
    let mut plot = Plot {
        series,
        points,
        whole: Panel { top: WHOLE.0, bottom: WHOLE.1, ticks: scale::ticks(top) },
        closer: Panel { top: CLOSER.0, bottom: CLOSER.1, ticks },
        from,
        svg: String::new(),
    };
    plot.begin(id, name);
    plot.alterations();
    plot.axes(if shared { "tokens/s from zero" } else { "tokens/s from zero, a scale of its own" });
    plot.builds();
    plot.lines();
    plot.runs();
    plot.labels();
    plot.svg += "</svg>";
    plot.svg
}

/// What the closer panel must hold: speeds and quartiles. Something else that ran may
/// have slowed one sample tenfold, and the rest would be a flat line.
fn closer_range(points: &[Point]) -> (f64, f64) {
    let low = points.iter().map(|p| p.lower_quartile).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|p| p.tokens_per_second.max(p.upper_quartile)).fold(0.0, f64::max);
    // Never so close that a hundredth looks like a cliff.
    let (middle, half) = (f64::midpoint(low, high), ((high - low) * 0.75).max(high * 0.025));
    ((middle - half).max(0.0), middle + half)
}

impl Plot<'_> {
    fn slot(&self) -> f64 {
        (RIGHT - LEFT) / self.points.len().max(1) as f64
    }

    fn x(&self, index: usize) -> f64 {
        LEFT + (index as f64 + 0.5) * self.slot()
    }

    fn put(&mut self, shape: std::fmt::Arguments) {
        let _ = self.svg.write_fmt(shape);
    }

    fn path(&mut self, class: &str, through: std::fmt::Arguments) {
        self.put(format_args!("<path d=\"{through}\" class=\"{class}\"/>"));
    }

    fn circle(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        self.put(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" class=\"{class}\"/>"
        ));
    }

    fn text(&mut self, (x, y): (f64, f64), anchor: &str, class: &str, text: &str) {
        let text = html(text);
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}</text>"
        ));
    }

    fn begin(&mut self, id: usize, name: &str) {
        let mut told = units::count(self.points.len(), "run");
        if let (Some(first), Some(last)) = (self.points.first(), self.points.last()) {
            let _ = write!(told, " from {} to {}. ", first.day(), last.day());
            let _ = write!(told, "Newest: {}.", words::sentence(self.series, last));
        }
        for point in self.points {
            if let Some(change) = point.change.as_ref().filter(|c| c.verdict == Verdict::Slower) {
                let lost = words::percent(change.percent);
                let _ = write!(told, " Slower at {}: {lost}.", words::llama_cpp(point));
            }
        }
        let (name, told) = (html(name), html(&told));
        self.put(format_args!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"t{id} d{id}\">\
             <title id=\"t{id}\">{name}, tokens/s</title><desc id=\"d{id}\">{told}</desc>"
        ));
    }

    fn axes(&mut self, unit: &str) {
        self.text((0.0, 10.0), "start", "unit", unit);
        let closer =
            if self.closer.ticks[0] > 0.0 { "closer, not from zero" } else { "the samples" };
        self.text((0.0, CLOSER.0 - 9.0), "start", "unit", closer);
        for panel in [self.whole.clone(), self.closer.clone()] {
            for tick in &panel.ticks {
                let y = panel.y(*tick);
                // The lower panel's base is no zero, and is not drawn as one.
                let class = if *tick == 0.0 { "axis" } else { "grid" };
                self.path(class, format_args!("M{LEFT} {y:.1}H{RIGHT}"));
                self.text((LEFT - 5.0, y + 3.5), "end", "tick", &scale::tick(*tick));
            }
        }
    }

    /// Below the axis: runs of one llama.cpp over one bracket, with its newest day.
    fn builds(&mut self) {
        let points = self.points;
        let mut groups: Vec<(usize, usize)> = vec![];
        for group in points.chunk_by(Point::same_llama_cpp) {
            let first = groups.last().map_or(0, |(_, last)| last + 1);
            groups.push((first, first + group.len() - 1));
        }
        let reach = (self.slot() * 0.32).min(7.0);
        let mut places = vec![];
        for (first, last) in &groups {
            let (from, to) = (self.x(*first) - reach, self.x(*last) + reach);
            let y = CLOSER.1 + 8.0;
            self.path("bracket", format_args!("M{from:.1} {y:.1}H{to:.1}"));
            // No label leaves the picture.
            places.push(f64::midpoint(from, to).clamp(27.0, WIDTH - 29.0));
        }
        // The newest, those that began with a change, the oldest, then what has room.
        let changed = |group: &usize| self.points[groups[*group].0].verdict() != Verdict::Same;
        let newest_first = || (0..groups.len()).rev();
        let wanted = newest_first().take(1).chain(newest_first().filter(changed));
        let wanted: Vec<usize> = wanted.chain(0..groups.len()).collect();
        for group in scale::apart(&places, &wanted, 58.0) {
            let newest = &self.points[groups[group].1];
            let build: String = newest.llama_cpp().chars().take(10).collect();
            let (x, y) = (places[group], CLOSER.1);
            self.text((x, y + 21.0), "middle", "build", &build);
            self.text((x, y + 33.0), "middle", "day", newest.day());
        }
    }

    /// A rule where another kind of build was measured.
    fn alterations(&mut self) {
        let mut free = f64::NEG_INFINITY;
        for index in 1..self.points.len() {
            let now = &self.points[index];
            if self.points[index - 1].variant == now.variant {
                continue;
            }
            let x = self.x(index) - self.slot() / 2.0;
            let short: String = now.variant.chars().take(24).collect();
            let begins = WHOLE.0 - 26.0;
            self.path("altered", format_args!("M{x:.1} {begins}V{}", CLOSER.1));
            let wide = short.chars().count() as f64 * 5.6 + 6.0;
            let over = x + wide > WIDTH;
            let start = if over { x - wide } else { x };
            if start >= free {
                let (place, anchor) = if over { (x - 3.0, "end") } else { (x + 3.0, "start") };
                self.text((place, WHOLE.0 - 19.0), anchor, "variant", &short);
                free = start + wide;
            }
        }
    }

    /// Through the speeds; not from one kind of build to another.
    fn lines(&mut self) {
        let (points, mut start) = (self.points, 0);
        for run in points.chunk_by(|one, next| one.variant == next.variant) {
            let path = |panel: &Panel| {
                let place = |(index, point): (usize, &Point)| {
                    let (x, y) = (self.x(start + index), panel.y(point.tokens_per_second));
                    format!("{x:.1} {y:.1}")
                };
                run.iter().enumerate().map(place).collect::<Vec<_>>().join("L")
            };
            let (whole, closer) = (path(&self.whole), path(&self.closer));
            let (base, from, to) = (WHOLE.1, self.x(start), self.x(start + run.len() - 1));
            if run.len() > 1 {
                self.path("area", format_args!("M{whole}L{to:.1} {base}L{from:.1} {base}Z"));
                self.path("line", format_args!("M{whole}"));
                if start == self.from {
                    self.path("line", format_args!("M{closer}"));
                }
            }
            start += run.len();
        }
    }

    fn runs(&mut self) {
        let slot = self.slot();
        let radius = (slot * 0.25).clamp(1.1, 1.9);
        for (index, point) in self.points.iter().enumerate() {
            let (x, y) = (self.x(index), self.whole.y(point.tokens_per_second));
            let told = html(&words::sentence(self.series, point));
            self.put(format_args!(
                "<g class=\"run\"><title>{told}</title><rect x=\"{:.1}\" y=\"{}\" width=\"{slot:.1}\" \
                 height=\"{}\" class=\"hit\"/>",
                x - slot / 2.0,
                WHOLE.0 - 4.0,
                CLOSER.1 - WHOLE.0 + 12.0
            ));
            self.circle("dot", (x, y), radius);
            self.mark(x, y, point.verdict());
            if index >= self.from {
                self.samples(x, point);
                let (y, radius) = (self.closer.y(point.tokens_per_second), radius + 0.9);
                self.circle("speed", (x, y), radius);
                self.mark(x, y, point.verdict());
            }
            self.svg += "</g>";
        }
    }

    /// Below a point that is slower a filled triangle that points down, above one that is
    /// faster an open one that points up.
    fn mark(&mut self, x: f64, y: f64, verdict: Verdict) {
        let (left, below, above) = (x - 4.5, y + 4.0, y - 4.0);
        match verdict {
            Verdict::Slower => self.path("slower", format_args!("M{left:.1} {below:.1}h9l-4.5 8z")),
            Verdict::Faster => {
                self.path("faster", format_args!("M{left:.1} {above:.1}h9l-4.5 -8z"))
            }
            Verdict::Same => {}
        }
    }

    /// Dots from left to right in the order they were taken, so that a drift within a run shows.
    fn samples(&mut self, x: f64, point: &Point) {
        let dots: Vec<f64> = if point.samples.len() <= MOST_DOTS {
            point.samples.clone()
        } else {
            point.rounds.iter().filter_map(|round| median(round.iter().copied())).collect()
        };
        if dots.len() > MOST_DOTS || dots.len() == 1 && point.samples.len() > 1 {
            let half = (self.slot() * 0.3).min(4.0);
            let [lower, upper] =
                [point.lower_quartile, point.upper_quartile].map(|speed| self.closer.y(speed));
            let (left, wide, tall) = (x - half, half * 2.0, (lower - upper).max(0.5));
            self.put(format_args!(
                "<rect x=\"{left:.1}\" y=\"{upper:.1}\" width=\"{wide:.1}\" height=\"{tall:.1}\" \
                 class=\"sample\"/>"
            ));
            return;
        }
        let radius = (self.slot() * 0.2).clamp(0.9, 1.7);
        let step = (self.slot() * 0.75 / dots.len() as f64).min(3.2);
        let middle = (dots.len() - 1) as f64 / 2.0;
        for (index, sample) in dots.iter().enumerate() {
            let (x, y) = (x + (index as f64 - middle) * step, self.closer.y(*sample));
            if self.closer.holds(*sample) {
                self.circle("sample", (x, y), radius);
            } else {
                self.path("range", format_args!("M{x:.1} {:.1}v5", y - 2.5));
            }
        }
    }

    /// The newest speed at its line's end, and how much each marked run lost or won.
    fn labels(&mut self) {
        let Some(last) = self.points.last() else { return };
        let newest = units::speed(last.tokens_per_second);
        for y in [self.whole.y(last.tokens_per_second), self.closer.y(last.tokens_per_second)] {
            self.text((RIGHT + 4.0, y + 4.0), "start", "newest", &newest);
        }
        let marked = (0..self.points.len()).rev();
        let marked: Vec<usize> =
            marked.filter(|index| self.points[*index].verdict() != Verdict::Same).collect();
        let places: Vec<f64> = (0..self.points.len()).map(|index| self.x(index)).collect();
        for index in scale::apart(&places, &marked, 42.0) {
            let point = &self.points[index];
            let Some(change) = &point.change else { continue };
            let text = words::percent(change.percent);
            let x = places[index].clamp(LEFT + 20.0, WIDTH - 22.0);
            // The change to another kind of build is seen in the upper panel only.
            let panel = if index > self.from { &self.closer } else { &self.whole };
            let (y, base, roof) = (panel.y(point.tokens_per_second), panel.bottom, panel.top);
            if change.verdict == Verdict::Slower {
                // Below its triangle; where the axis is near, over the line.
                let below = y + 21.0;
                let y = if below > base - 1.0 { y - 7.0 } else { below };
                self.text((x, y), "middle", "slower", &text);
            } else {
                // Above it; where another name may be, below the line.
                let y = if y - 14.0 < roof + 6.0 { y + 14.0 } else { y - 14.0 };
                self.text((x, y), "middle", "faster", &text);
            }
        }
    }
}
