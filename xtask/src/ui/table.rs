//! Plain tables: columns as wide as their widest cell, no lines.

use console::{Alignment, measure_text_width, pad_str};

use crate::ui::{Ui, program, wrap};

/// `paint` is applied to a padded cell, so that colour does not count as width.
pub struct Table<'a> {
    /// Column headings; one that begins with `>` is aligned to the right, for numbers.
    pub columns: &'a [&'a str],
    pub rows: Vec<Vec<Cell>>,
}

pub struct Cell {
    pub text: String,
    pub paint: Option<fn(&Ui, &str) -> String>,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: one_line(text.into()), paint: None }
    }
}

impl Cell {
    pub fn painted(text: impl Into<String>, paint: fn(&Ui, &str) -> String) -> Self {
        Self { text: one_line(text.into()), paint: Some(paint) }
    }
}

/// Returns the printed form, whose width is known.
fn one_line(text: String) -> String {
    let text = program::renamed(text.into());
    if text.contains('\n') { text.replace('\n', " ") } else { text.into_owned() }
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
        let all = columns.iter().map(|(_, _, width)| width + 2).sum::<usize>().saturating_sub(2);
        if let Some(screen) = ui.table_columns.filter(|screen| all > *screen) {
            return self.stacked(ui, screen);
        }
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

impl Table<'_> {
    /// Formats each row as several lines, for a terminal narrower than the table. A row without a
    /// first cell belongs to the one above it.
    fn stacked(&self, ui: &Ui, screen: usize) -> String {
        let heads = self.columns.iter().map(|head| head.trim_start_matches('>'));
        let heads: Vec<&str> = heads.collect();
        let widest = heads.iter().skip(1).map(|head| measure_text_width(head)).max().unwrap_or(0);
        let indent = widest + 4;
        let mut lines = vec![];
        for row in &self.rows {
            lines.extend(row.first().filter(|it| !it.text.is_empty()).map(|it| ui.bold(&it.text)));
            let cells = row.iter().zip(&heads).skip(1);
            for (cell, head) in cells.filter(|(cell, _)| !["", "-"].contains(&&*cell.text)) {
                let text = wrap(&cell.text, Some(screen), indent, indent);
                let text = cell.paint.map_or_else(|| text.clone(), |paint| paint(ui, &text));
                let head = pad_str(head, widest, Alignment::Left, None);
                lines.push(format!("  {}  {text}", ui.dim(&head)));
            }
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_narrow_screen_each_cell_has_a_line() {
        let columns = ["HOST", "TARGET", ">TOKENS/S", "LAST BENCH"];
        let bench = "pp128 6965, tg32 553.1, pp512 7012 (2026-11-22)";
        let row = |name: &str| [name, "root@10.0.0.3", "-", bench].map(Cell::from).into();
        let table = |screen| {
            let rows = vec![row("carbon"), row("机器")];
            let ui = Ui { table_columns: screen, ..Ui::PLAIN };
            Table { columns: &columns, rows }.render(&ui)
        };
        for screen in [40, 60] {
            let text = table(Some(screen));
            assert!(text.lines().all(|line| measure_text_width(line) <= screen), "{text}");
            assert!(
                text.contains("carbon\n  TARGET      root@10.0.0.3\n  LAST BENCH  pp128"),
                "{text}"
            );
            assert!(!text.contains("TOKENS/S"), "{text}");
        }
        assert_eq!(table(Some(200)), table(None));
        assert_eq!(table(None).lines().count(), 3);
    }

    #[test]
    fn rows_without_a_first_cell_are_listed_below_the_row_before() {
        let columns = ["TEST", "VARIANT", ">TOKENS/S"];
        let rows = [["pp128", "upstream", "4.5"], ["", "tuned", "9.1"], ["tg32", "tuned", "-"]];
        let rows = rows.map(|row| row.map(Cell::from).into()).into();
        let ui = Ui { table_columns: Some(20), ..Ui::PLAIN };
        let text = Table { columns: &columns, rows }.render(&ui);
        let lines = [
            "pp128",
            "  VARIANT   upstream",
            "  TOKENS/S  4.5",
            "  VARIANT   tuned",
            "  TOKENS/S  9.1",
            "tg32",
            "  VARIANT   tuned",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn column_widths_count_displayed_characters() {
        let columns = ["host", ">t/s"];
        let names = ["boron", "e\u{301}te\u{301}", "机器"];
        let rows = names.map(|name| vec![Cell::from(name), Cell::from("7")]).into();
        let table = Table { columns: &columns, rows }.render(&Ui::PLAIN);
        let widths: Vec<_> = table.lines().map(measure_text_width).collect();
        assert_eq!(widths, [10; 4], "{table}");
    }
}
