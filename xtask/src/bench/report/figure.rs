//! The history of one test as an inline SVG with two panels: one from zero, which shows the size of
//! the speeds, and a close-up with a dot for each sample, which shows changes and noise.

use std::fmt::Write;

use crate::bench::baseline::Verdict;
use crate::bench::report::history::{JUDGED, Point, Series};
use crate::bench::report::wording::html;
use crate::bench::report::{scale, wording};
use crate::statistics::median;
use crate::ui::units;

/// Maximum number of runs that a plot can show; the newest are drawn.
pub const MAX_RUNS: usize = JUDGED;
/// Maximum number of dots for a run: its samples, or else the medians of its processes, or else only
/// the quartiles.
pub const MAX_DOTS: usize = 12;

/// Size in units of the view box, which are CSS pixels on a narrow phone.
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 254.0;
const LEFT: f64 = 38.0;
const RIGHT: f64 = 294.0;
/// Top and bottom of the panel from zero.
const WHOLE: (f64, f64) = (42.0, 100.0);
/// Top and bottom of the close-up.
const CLOSER: (f64, f64) = (128.0, 216.0);

/// Returns the part of a series that is drawn.
pub fn drawn(series: &Series) -> &[Point] {
    &series.points[series.points.len().saturating_sub(MAX_RUNS)..]
}

/// Returns the largest speed that is drawn.
pub fn top(series: &Series) -> f64 {
    drawn(series).iter().map(|point| point.tokens_per_second).fold(0.0, f64::max)
}

/// A part of the plot with its own axis.
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
    /// Index of the first run of the newest variant, which the close-up shows.
    from: usize,
    svg: String,
}

/// Draws a plot. `id` is unique on the page, `name` describes the plot, and `top` is the top of the
/// scale and whether other plots share it.
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
    plot.variants();
    plot.axes(if shared { "tokens/s from zero" } else { "tokens/s from zero, a scale of its own" });
    plot.builds();
    plot.lines();
    plot.runs();
    plot.labels();
    plot.svg += "</svg>";
    plot.svg
}

/// Returns the range of the close-up: the speeds and quartiles. With all samples, one that another
/// program slowed down tenfold would make the rest a flat line.
fn closer_range(points: &[Point]) -> (f64, f64) {
    let low = points.iter().map(|p| p.lower_quartile).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|p| p.tokens_per_second.max(p.upper_quartile)).fold(0.0, f64::max);
    // A minimum range, so that a change of 1 % does not look large.
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
        let mut summary = units::count(self.points.len(), "run");
        if let (Some(first), Some(last)) = (self.points.first(), self.points.last()) {
            let _ = write!(summary, " from {} to {}. ", first.day(), last.day());
            let _ = write!(summary, "Newest: {}.", wording::sentence(self.series, last));
        }
        for point in self.points {
            if let Some(change) = point.change.as_ref().filter(|c| c.verdict == Verdict::Slower) {
                let lost = wording::percent(change.percent);
                let _ = write!(summary, " Slower at {}: {lost}.", wording::llama_cpp(point));
            }
        }
        let (name, summary) = (html(name), html(&summary));
        self.put(format_args!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"t{id} d{id}\">\
             <title id=\"t{id}\">{name}, tokens/s</title><desc id=\"d{id}\">{summary}</desc>"
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
                // Only zero is drawn as an axis; the close-up may not start there.
                let class = if *tick == 0.0 { "axis" } else { "grid" };
                self.path(class, format_args!("M{LEFT} {y:.1}H{RIGHT}"));
                self.text((LEFT - 5.0, y + 3.5), "end", "tick", &scale::tick(*tick));
            }
        }
    }

    /// Draws a bracket below the runs of each llama.cpp, with its newest day.
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
            // Labels stay within the picture.
            places.push(f64::midpoint(from, to).clamp(27.0, WIDTH - 29.0));
        }
        // By priority: the newest, those that begin with a change, then the oldest first.
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

    /// Draws a vertical line where the variant changes.
    fn variants(&mut self) {
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

    /// Connects the speeds of each variant.
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
            let title = html(&wording::sentence(self.series, point));
            self.put(format_args!(
                "<g class=\"run\"><title>{title}</title><rect x=\"{:.1}\" y=\"{}\" width=\"{slot:.1}\" \
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

    /// Draws a filled triangle pointing down below a slower run, an open one pointing up above a
    /// faster run.
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

    /// Draws the samples as dots from left to right in the order of measurement, so that a drift
    /// within a run is visible.
    fn samples(&mut self, x: f64, point: &Point) {
        let dots: Vec<f64> = if point.samples.len() <= MAX_DOTS {
            point.samples.clone()
        } else {
            point.rounds.iter().filter_map(|round| median(round.iter().copied())).collect()
        };
        if dots.len() > MAX_DOTS || dots.len() == 1 && point.samples.len() > 1 {
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

    /// Labels the newest speed, and the change of each marked run.
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
            let text = wording::percent(change.percent);
            let x = places[index].clamp(LEFT + 20.0, WIDTH - 22.0);
            // The close-up does not show the change to another variant.
            let panel = if index > self.from { &self.closer } else { &self.whole };
            let (y, base, roof) = (panel.y(point.tokens_per_second), panel.bottom, panel.top);
            if change.verdict == Verdict::Slower {
                // Below its triangle, or above the line if the axis is near.
                let below = y + 21.0;
                let y = if below > base - 1.0 { y - 7.0 } else { below };
                self.text((x, y), "middle", "slower", &text);
            } else {
                // Above its triangle, or below the line if another label may be there.
                let y = if y - 14.0 < roof + 6.0 { y + 14.0 } else { y - 14.0 };
                self.text((x, y), "middle", "faster", &text);
            }
        }
    }
}
