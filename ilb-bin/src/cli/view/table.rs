//! A table for a terminal.

use std::fmt::Write as _;

use anstyle::Style;

use super::text::shortened;

/// Rows of cells. A column is as wide as its widest cell.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<Cell>>,
}

/// A text with a style and an alignment.
#[derive(Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
    right: bool,
}

impl Table {
    pub(super) fn with_head(head: Vec<Cell>) -> Self {
        Self { rows: vec![head] }
    }

    pub(super) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// Writes lines that are indented by two characters and no longer than `width`.
    pub(super) fn lines(&self, width: usize) -> impl Iterator<Item = String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column| self.rows.iter().filter_map(|row| row.get(column)).map(Cell::width).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(widest).collect();
        self.rows.iter().map(move |row| line(row, &widths, width))
    }
}

fn line(row: &[Cell], widths: &[usize], width: usize) -> String {
    let (mut line, mut left) = (String::new(), width);
    for (index, (cell, widest)) in row.iter().zip(widths).enumerate() {
        let last = index + 1 == row.len();
        let room = (*widest).min(left.saturating_sub(2));
        if room == 0 {
            break;
        }
        let text = shortened(&cell.text, room);
        let padding = " ".repeat(if last && !cell.right { 0 } else { room - text.chars().count() });
        let (before, after) = if cell.right { (padding, String::new()) } else { (String::new(), padding) };
        let style = cell.style;
        let _ = write!(line, "  {before}{style}{text}{style:#}{after}");
        left -= room + 2;
    }
    line.trim_end().to_owned()
}

impl Cell {
    pub(super) fn left(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::new(), right: false }
    }

    pub(super) fn right(text: impl Into<String>) -> Self {
        Self { right: true, ..Self::left(text) }
    }

    pub(super) fn style(self, style: Style) -> Self {
        Self { style, ..self }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_no_line_is_longer_than_the_terminal() {
        let mut table = Table::with_head(vec![Cell::left("NAME"), Cell::right("COUNT"), Cell::left("WHY")]);
        table.push(vec![Cell::left("a"), Cell::right("7"), Cell::left("for no good reason")]);
        let wide: Vec<_> = table.lines(80).collect();
        assert_eq!(wide, ["  NAME  COUNT  WHY", "  a         7  for no good reason"]);
        let narrow: Vec<_> = table.lines(20).collect();
        assert_eq!(narrow, ["  NAME  COUNT  WHY", "  a         7  for …"]);
        assert_eq!(table.lines(7).collect::<Vec<_>>(), ["  NAME", "  a"]);
    }
}
