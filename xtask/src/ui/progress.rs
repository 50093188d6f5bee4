//! How work goes, while it goes: bars on a terminal, plain lines elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::ui::Ui;

/// One line for work of unknown length over a known number of things.
pub struct Spinner {
    bar: ProgressBar,
}

impl Spinner {
    pub fn start(ui: &Ui, what: &'static str, count: usize) -> Self {
        let bar = ProgressBar::new(count as u64);
        if ui.bars {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.set_style(style("{spinner} {prefix} {pos}/{len}, {elapsed}  {msg}"));
            bar.set_prefix(what);
            bar.enable_steady_tick(Duration::from_millis(100));
        } else {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { bar }
    }

    pub fn done(&self, name: &str) {
        self.bar.set_message(name.to_owned());
        self.bar.inc(1);
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A template of ours; a mistake in it shows as the default style, not as a panic.
pub fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
