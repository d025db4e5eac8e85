//! Lines under headings, whose cells may be painted in part: strips have a colour for each character.

use unicode_width::UnicodeWidthStr as _;

use super::strip::sign;
use crate::model::Verdict;
use crate::report::style::Style;

/// Blanks between columns.
const GAP: usize = 2;

/// How a cell is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Strong,
    Dim,
    Verdict(Verdict),
    /// Each character as the verdict that it stands for.
    Strip,
}

/// A text that may have several lines.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    paint: Paint,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            paint: Paint::Plain,
        }
    }

    pub(super) fn paint(mut self, paint: Paint) -> Self {
        self.paint = paint;
        self
    }

    fn width(&self) -> usize {
        self.text
            .lines()
            .map(|line| line.width())
            .max()
            .unwrap_or(0)
    }
}

/// A column: its heading, how soon it is given up where it does not fit (0 is never), and its cells.
pub(super) struct Column {
    pub(super) head: String,
    pub(super) rank: u8,
    pub(super) cells: Vec<Cell>,
}

impl Column {
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(Cell::width);
        cells.max().unwrap_or(0).max(self.head.width())
    }

    fn is_empty(&self) -> bool {
        self.cells.iter().all(|cell| cell.text.trim().is_empty())
    }
}

/// Draws columns that fit; those in which nothing stands are left out.
pub(super) fn draw(mut columns: Vec<Column>, width: usize, style: Style) -> String {
    columns.retain(|column| column.rank == 0 || !column.is_empty());
    while total(&columns) > width {
        let last = (0..columns.len()).max_by_key(|place| columns.get(*place).map(|c| c.rank));
        match last.filter(|place| columns.get(*place).is_some_and(|column| column.rank > 0)) {
            Some(place) => drop(columns.remove(place)),
            None => break,
        }
    }
    let mut out = String::new();
    let heads: Vec<Cell> = columns
        .iter()
        .map(|column| Cell::new(column.head.clone()).paint(Paint::Dim))
        .collect();
    let heads: Vec<&Cell> = heads.iter().collect();
    row(&mut out, &columns, &heads, style);
    let rows = columns.iter().map(|column| column.cells.len()).max();
    for place in 0..rows.unwrap_or(0) {
        let cells: Vec<&Cell> = columns
            .iter()
            .filter_map(|column| column.cells.get(place))
            .collect();
        row(&mut out, &columns, &cells, style);
    }
    out
}

fn total(columns: &[Column]) -> usize {
    let widths = columns.iter().map(|column| column.width() + GAP);
    widths.sum::<usize>().saturating_sub(GAP)
}

fn row(out: &mut String, columns: &[Column], cells: &[&Cell], style: Style) {
    let height = cells.iter().map(|cell| cell.text.lines().count()).max();
    for line in 0..height.unwrap_or(0).max(1) {
        let mut written = String::new();
        let mut owed = 0;
        for (column, cell) in columns.iter().zip(cells) {
            let text = cell.text.lines().nth(line).unwrap_or_default();
            // Blanks are written before the next text, so that no line ends in any.
            if !text.trim().is_empty() {
                written.extend(std::iter::repeat_n(' ', owed));
                written += &painted(text.trim_end(), cell.paint, style);
                owed = 0;
            }
            let shown = if text.trim().is_empty() {
                0
            } else {
                text.trim_end().width()
            };
            owed += (column.width() + GAP).saturating_sub(shown);
        }
        out.push_str(&written);
        out.push('\n');
    }
}

fn painted(text: &str, paint: Paint, style: Style) -> String {
    match paint {
        Paint::Plain => text.to_owned(),
        Paint::Strong => style.strong(text),
        Paint::Dim => style.dim(text),
        Paint::Verdict(verdict) => style.verdict(verdict, text),
        Paint::Strip => strip(text, style),
    }
}

fn strip(text: &str, style: Style) -> String {
    let verdict = |c: char| {
        let all = [
            Verdict::Ok,
            Verdict::Warning,
            Verdict::Unknown,
            Verdict::Critical,
        ];
        all.into_iter().find(|verdict| sign(Some(*verdict)) == c)
    };
    let chars: Vec<char> = text.chars().collect();
    chars
        .chunk_by(|a, b| a == b)
        .map(|same| {
            let text: String = same.iter().collect();
            match same.first().copied().and_then(verdict) {
                Some(verdict) => style.verdict(verdict, &text),
                None => text,
            }
        })
        .collect()
}
