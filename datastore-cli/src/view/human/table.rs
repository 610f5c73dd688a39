//! Aligned columns that fit the terminal.

use anstyle::Style;

use super::text::{clean, cut, width, wrap};
use crate::view::look::Look;

/// Between two columns.
const GAP: usize = 2;
/// No column is cut below this.
const NARROWEST: usize = 8;

/// Rows under a header; below a row, lines that belong to it.
#[derive(Debug)]
pub(in crate::view) struct Table {
    header: Vec<String>,
    /// Columns of numbers, which stand on the right.
    right: Vec<bool>,
    rows: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    cells: Vec<String>,
    style: Style,
    below: Vec<String>,
}

impl Table {
    /// A table with these columns. One whose name begins with `>` holds numbers.
    pub(in crate::view) fn new(columns: &[&str]) -> Self {
        Self {
            header: columns.iter().map(|c| c.trim_start_matches('>').to_owned()).collect(),
            right: columns.iter().map(|c| c.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. The first cell is drawn in the style; the lines below stand under the second column.
    pub(in crate::view) fn row(&mut self, cells: &[String], style: Style, below: &[String]) {
        debug_assert_eq!(cells.len(), self.header.len());
        let cells = cells.iter().map(|cell| clean(cell)).collect();
        let below = below.iter().map(|line| clean(line)).collect();
        self.rows.push(Line { cells, style, below });
    }

    /// Draws it; nothing if it has no rows.
    pub(in crate::view) fn draw(&self, look: Look) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let widths = self.widths(look.width);
        let mut out = String::new();
        self.line(&mut out, &self.header, &widths, |text| look.paint(Style::new().bold(), text), look);
        let indent = widths[0] + GAP;
        let room = look.width.map(|w| w.saturating_sub(indent).max(NARROWEST));
        for row in &self.rows {
            self.line(&mut out, &row.cells, &widths, |text| look.paint(row.style, text), look);
            for line in row.below.iter().flat_map(|line| wrap(line, room)) {
                out.push_str(&format!("{:indent$}{line}\n", ""));
            }
        }
        out
    }

    /// How wide each column is: as wide as its widest cell, then the widest ones cut until the whole fits.
    fn widths(&self, room: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.header.iter().map(|h| width(h)).collect();
        for row in &self.rows {
            for (have, cell) in widths.iter_mut().zip(&row.cells) {
                *have = (*have).max(width(cell));
            }
        }
        let Some(room) = room else { return widths };
        let room = room.saturating_sub(GAP * (widths.len() - 1));
        while widths.iter().sum::<usize>() > room {
            let widest = widths.iter_mut().skip(1).max().filter(|w| **w > NARROWEST);
            let Some(widest) = widest else { break };
            *widest -= 1;
        }
        widths
    }

    fn line(&self, out: &mut String, cells: &[String], widths: &[usize], paint: impl Fn(&str) -> String, look: Look) {
        let start = out.len();
        for (i, (cell, &columns)) in cells.iter().zip(widths).enumerate() {
            if i > 0 {
                out.push_str(&" ".repeat(GAP));
            }
            let cell = if look.width.is_some() { cut(cell, columns) } else { cell.clone() };
            let pad = " ".repeat(columns.saturating_sub(width(&cell)));
            let cell = if i == 0 { paint(&cell) } else { cell };
            if self.right[i] {
                out.push_str(&pad);
                out.push_str(&cell);
            } else {
                out.push_str(&cell);
                out.push_str(&pad);
            }
        }
        out.truncate(start + out[start..].trim_end_matches(' ').len());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["STATE", "PATH", ">SIZE"]);
        let cells = |a: &str, b: &str, c: &str| vec![a.to_owned(), b.to_owned(), c.to_owned()];
        table.row(&cells("active", "/var/lib/mysql", "1 B"), Style::new(), &[]);
        table.row(
            &cells("refused", "/a/very/long/path/that/does/not/fit", "12 KiB"),
            Style::new(),
            &["why it is so".into()],
        );
        table.row(&cells("x", "bad\u{1b}[31m\nname", ""), Style::new(), &[]);
        table
    }

    #[test]
    fn fits_any_terminal() {
        for columns in [30, 40, 60, 200] {
            let text = sample().draw(Look { width: Some(columns), colour: false });
            assert!(text.lines().all(|l| width(l) <= columns), "{columns}\n{text}");
        }
        // Nothing is cut in a pipe, and nothing in a cell drives the terminal.
        let text = sample().draw(Look::default());
        assert!(text.contains("/a/very/long/path/that/does/not/fit  12 KiB\n"), "{text}");
        assert!(text.contains("bad\\x1b[31m\\x0aname\n"), "{text}");
        assert!(text.contains("\n         why it is so\n"), "{text}");
    }

    #[test]
    fn colours_only_where_asked() {
        let mut table = Table::new(&["A"]);
        table.row(&["x".into()], Style::new().bold(), &[]);
        assert!(!table.draw(Look::default()).contains('\u{1b}'));
        assert_eq!(table.draw(Look { width: None, colour: true }), "\u{1b}[1mA\u{1b}[0m\n\u{1b}[1mx\u{1b}[0m\n");
    }
}
