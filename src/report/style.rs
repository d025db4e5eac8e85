//! Colour, which only ever repeats what the words say.

use comfy_table::{Attribute, Cell, Color, Table};

use crate::model::{Severity, Verdict};

/// Whether colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Words only.
    Plain,
    /// Words and ANSI colours.
    Colour,
}

impl Style {
    pub(super) fn verdict(self, verdict: Verdict, text: &str) -> String {
        self.paint(code(verdict), text)
    }

    pub(super) fn severity(self, severity: Severity, text: &str) -> String {
        self.verdict(Verdict::of(severity), text)
    }

    pub(super) fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// A line that is there only afterwards.
    pub(super) fn added(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// A line that is there only before.
    pub(super) fn removed(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// Where in a file a part of a diff stands.
    pub(super) fn hunk(self, text: &str) -> String {
        self.paint("36", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }

    pub(super) fn verdict_cell(self, verdict: Verdict) -> Cell {
        self.word_cell(verdict, verdict.id())
    }

    /// A cell with a word of its own in a verdict's colour.
    pub(super) fn word_cell(self, verdict: Verdict, word: &str) -> Cell {
        let cell = Cell::new(word);
        match (self, verdict) {
            (Self::Plain, _) => cell,
            (_, Verdict::Ok) => cell.fg(Color::Green),
            (_, Verdict::Warning) => cell.fg(Color::Yellow),
            (_, Verdict::Unknown) => cell.fg(Color::Magenta),
            (_, Verdict::Critical) => cell.fg(Color::Red).add_attribute(Attribute::Bold),
        }
    }

    pub(super) fn head_cell(self, text: &str) -> Cell {
        let cell = Cell::new(text);
        match self {
            Self::Plain => cell,
            Self::Colour => cell.add_attribute(Attribute::Dim),
        }
    }
}

/// Makes a table obey the style, whatever it finds out about the terminal by itself.
pub(super) fn apply(table: &mut Table, style: Style) {
    match style {
        Style::Plain => table.force_no_tty(),
        Style::Colour => table.enforce_styling(),
    };
}

fn code(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "32",
        Verdict::Warning => "33",
        Verdict::Unknown => "35",
        Verdict::Critical => "1;31",
    }
}
