//! Aligned columns that fit the terminal.

use std::borrow::Cow;

use anstyle::Style;
use datastore_core::path::is_plain;

use super::text::{clean, cut, width, wrap};
use crate::view::look::Look;

/// Between two columns.
const GAP: usize = 2;
/// No column is cut below this.
const NARROWEST: usize = 8;

/// Rows under a header; below a row, lines that belong to it.
#[derive(Debug)]
pub(in crate::view) struct Table<'a, const N: usize> {
    header: [&'a str; N],
    /// Columns of numbers, which stand on the right.
    right: [bool; N],
    rows: Vec<Line<'a, N>>,
}

#[derive(Debug)]
struct Line<'a, const N: usize> {
    cells: [Cow<'a, str>; N],
    style: Style,
    below: Vec<String>,
}

impl<'a, const N: usize> Table<'a, N> {
    /// A table with these columns. One whose name begins with `>` holds numbers.
    pub(in crate::view) fn new(columns: [&'a str; N]) -> Self {
        Self {
            header: columns.map(|c| c.trim_start_matches('>')),
            right: columns.map(|c| c.starts_with('>')),
            rows: Vec::new(),
        }
    }

    /// Adds a row. The first cell is drawn in the style; the lines below stand under the second column.
    pub(in crate::view) fn row(&mut self, cells: [Cow<'a, str>; N], style: Style, below: &[String]) {
        let cells = cells.map(|cell| if is_plain(cell.as_bytes()) { cell } else { clean(&cell).into() });
        let below = below.iter().map(|line| clean(line)).collect();
        self.rows.push(Line { cells, style, below });
    }

    /// Draws it; nothing if it has no rows.
    pub(in crate::view) fn draw(&self, look: Look) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let widths = self.widths(look.width);
        let mut out = String::with_capacity((self.rows.len() + 1) * (widths.iter().sum::<usize>() + GAP * N));
        self.line(&mut out, &self.header.map(Cow::Borrowed), &widths, Style::new().bold(), look);
        let indent = widths[0] + GAP;
        let room = look.width.map(|w| w.saturating_sub(indent).max(NARROWEST));
        for row in &self.rows {
            self.line(&mut out, &row.cells, &widths, row.style, look);
            for line in row.below.iter().flat_map(|line| wrap(line, room)) {
                out.push_str(&format!("{:indent$}{line}\n", ""));
            }
        }
        out
    }

    /// How wide each column is: as wide as its widest cell, then the widest ones cut until the whole fits.
    fn widths(&self, room: Option<usize>) -> [usize; N] {
        let mut widths = self.header.map(width);
        for row in &self.rows {
            for (have, cell) in widths.iter_mut().zip(&row.cells) {
                *have = (*have).max(width(cell));
            }
        }
        let Some(room) = room else { return widths };
        let room = room.saturating_sub(GAP * (N - 1));
        while widths.iter().sum::<usize>() > room {
            let widest = widths.iter_mut().skip(1).max().filter(|w| **w > NARROWEST);
            let Some(widest) = widest else { break };
            *widest -= 1;
        }
        widths
    }

    fn line(&self, out: &mut String, cells: &[Cow<'_, str>; N], widths: &[usize; N], style: Style, look: Look) {
        let start = out.len();
        for (i, (cell, &columns)) in cells.iter().zip(widths).enumerate() {
            if i > 0 {
                out.extend(std::iter::repeat_n(' ', GAP));
            }
            let mut cell = Cow::Borrowed(&**cell);
            let mut taken = width(&cell);
            if look.width.is_some() && taken > columns {
                cell = cut(&cell, columns).into();
                taken = width(&cell);
            }
            let pad = std::iter::repeat_n(' ', columns.saturating_sub(taken));
            if self.right[i] {
                out.extend(pad.clone());
            }
            if i == 0 {
                out.push_str(&look.paint(style, &cell));
            } else {
                out.push_str(&cell);
            }
            if !self.right[i] {
                out.extend(pad);
            }
        }
        out.truncate(start + out[start..].trim_end_matches(' ').len());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table<'static, 3> {
        let mut table = Table::new(["STATE", "PATH", ">SIZE"]);
        let cells = |row: [&'static str; 3]| row.map(Cow::Borrowed);
        table.row(cells(["active", "/var/lib/mysql", "1 B"]), Style::new(), &[]);
        let long = cells(["refused", "/a/very/long/path/that/does/not/fit", "12 KiB"]);
        table.row(long, Style::new(), &["why it is so".into()]);
        table.row(cells(["x", "bad\u{1b}[31m\nname", ""]), Style::new(), &[]);
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
        let mut table = Table::new(["A"]);
        table.row(["x".into()], Style::new().bold(), &[]);
        assert!(!table.draw(Look::default()).contains('\u{1b}'));
        assert_eq!(table.draw(Look { width: None, colour: true }), "\u{1b}[1mA\u{1b}[0m\n\u{1b}[1mx\u{1b}[0m\n");
    }
}
