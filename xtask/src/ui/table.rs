//! Plain tables: columns as wide as their widest cell, no lines.

use console::measure_text_width;

/// Right-aligned columns are numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// `paint` is applied to a padded cell, so that colour does not count as width.
pub struct Table<'a> {
    pub columns: &'a [(&'a str, Align)],
    pub rows: Vec<Vec<Cell>>,
}

pub struct Cell {
    pub text: String,
    pub paint: Option<fn(&crate::ui::Ui, &str) -> String>,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), paint: None }
    }
}

impl Cell {
    pub fn painted(text: impl Into<String>, paint: fn(&crate::ui::Ui, &str) -> String) -> Self {
        Self { text: text.into(), paint: Some(paint) }
    }
}

impl Table<'_> {
    pub fn render(&self, ui: &crate::ui::Ui) -> String {
        let width = |index: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(index));
            let widest = cells.map(|cell| measure_text_width(&cell.text)).max().unwrap_or(0);
            widest.max(measure_text_width(self.columns[index].0))
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut lines = vec![];
        let heads: Vec<String> = self
            .columns
            .iter()
            .zip(&widths)
            .map(|((head, align), width)| ui.bold(&pad(head, *width, *align)))
            .collect();
        lines.push(heads.join("  ").trim_end().to_owned());
        for row in &self.rows {
            let cells: Vec<String> = row
                .iter()
                .zip(self.columns.iter().zip(&widths))
                .map(|(cell, ((_, align), width))| {
                    let padded = pad(&cell.text, *width, *align);
                    cell.paint.map_or_else(|| padded.clone(), |paint| paint(ui, &padded))
                })
                .collect();
            lines.push(cells.join("  ").trim_end().to_owned());
        }
        lines.join("\n")
    }
}

fn pad(text: &str, width: usize, align: Align) -> String {
    let alignment = match align {
        Align::Left => console::Alignment::Left,
        Align::Right => console::Alignment::Right,
    };
    console::pad_str(text, width, alignment, None).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Ui;

    #[test]
    fn columns_are_as_wide_as_they_look() {
        let columns = [("host", Align::Left), ("t/s", Align::Right)];
        let names = ["boron", "e\u{301}te\u{301}", "机器"];
        let rows = names.map(|name| vec![Cell::from(name), Cell::from("7")]).into();
        let table = Table { columns: &columns, rows }.render(&Ui::PLAIN);
        let widths: Vec<_> = table.lines().map(measure_text_width).collect();
        assert_eq!(widths, [10; 4], "{table}");
    }
}
