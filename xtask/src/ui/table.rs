//! Plain tables: columns as wide as their widest cell, no lines.

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
            let widest = cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0);
            widest.max(self.columns[index].0.chars().count())
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
    match align {
        Align::Left => format!("{text:<width$}"),
        Align::Right => format!("{text:>width$}"),
    }
}
