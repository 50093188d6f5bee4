//! Plain tables: columns as wide as their widest cell, no lines.

use console::{Alignment, measure_text_width, pad_str};

use crate::ui::Ui;

/// `paint` is applied to a padded cell, so that colour does not count as width.
pub struct Table<'a> {
    /// The heads; one that begins with `>` is of a column of numbers, aligned to the right.
    pub columns: &'a [&'a str],
    pub rows: Vec<Vec<Cell>>,
}

pub struct Cell {
    pub text: String,
    pub paint: Option<fn(&Ui, &str) -> String>,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), paint: None }
    }
}

impl Cell {
    pub fn painted(text: impl Into<String>, paint: fn(&Ui, &str) -> String) -> Self {
        Self { text: text.into(), paint: Some(paint) }
    }
}

impl Table<'_> {
    pub fn render(&self, ui: &Ui) -> String {
        let columns: Vec<(&str, Alignment, usize)> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, head)| {
                let (head, align) = match head.strip_prefix('>') {
                    Some(head) => (head, Alignment::Right),
                    None => (*head, Alignment::Left),
                };
                let cells = self.rows.iter().filter_map(|row| row.get(index));
                let widths = cells.map(|cell| measure_text_width(&cell.text));
                (head, align, widths.chain([measure_text_width(head)]).max().unwrap_or(0))
            })
            .collect();
        let heads = columns
            .iter()
            .map(|(head, align, width)| ui.bold(&pad_str(head, *width, *align, None)))
            .collect();
        let rows = self.rows.iter().map(|row| {
            let cells = row.iter().zip(&columns).map(|(cell, (_, align, width))| {
                let padded = pad_str(&cell.text, *width, *align, None).into_owned();
                cell.paint.map_or_else(|| padded.clone(), |paint| paint(ui, &padded))
            });
            cells.collect()
        });
        let lines = std::iter::once(heads).chain(rows);
        let lines: Vec<String> =
            lines.map(|cells: Vec<String>| cells.join("  ").trim_end().to_owned()).collect();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_look() {
        let columns = ["host", ">t/s"];
        let names = ["boron", "e\u{301}te\u{301}", "机器"];
        let rows = names.map(|name| vec![Cell::from(name), Cell::from("7")]).into();
        let table = Table { columns: &columns, rows }.render(&Ui::PLAIN);
        let widths: Vec<_> = table.lines().map(measure_text_width).collect();
        assert_eq!(widths, [10; 4], "{table}");
    }
}
