//! `report`: bench's results over time, as an HTML page, Markdown tables and a plot.

pub mod args;
pub mod command;
pub mod figure;
pub mod history;
pub mod html;
pub mod markdown;
pub mod plot;
pub mod rows;
pub mod scale;
pub mod wording;
