//! What commands printed, for people: folded where hosts agree, compared with the most, or line by line.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::style::Style;
use super::table::View;
use super::text::{count, sanitize, shorten, span};
use crate::command::{ResultGroup, Tally, Verdict, groups};
use crate::model::Verdict as Judgement;
use crate::model::nodeset::fold;
use crate::model::{CommandEnd, CommandReport, CommandResult, DiffLine, Output};
use crate::unit::diff;

/// How much of a heading is for the node set at least, in characters; `-v` shows it whole.
const LEAST_NAMES: usize = 16;

/// How much of an output is compared, in bytes; what is longer is only told to differ.
const COMPARED: usize = 1 << 20;

/// How long outputs are compared in all; after that they are only told to differ, too.
const COMPARING: Duration = Duration::from_secs(5);

/// How long a line may be until it is shown in parts, in bytes.
const LONGEST_LINE: usize = 64 << 10;

/// How a folded view is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoldedView {
    /// Each distinct output.
    Whole,
    /// What most hosts print, and how the others differ.
    Difference,
    /// Only how it ended: the output was shown already.
    Ends,
}

/// Writes what came of a command, each distinct result once, and a sentence on all of it.
///
/// # Errors
/// It cannot be written, or what was kept cannot be read.
pub fn write_command(
    out: &mut dyn Write,
    report: &CommandReport,
    folded: FoldedView,
    view: View,
) -> io::Result<()> {
    if !view.quiet {
        let groups = groups(&report.results);
        let begin = Instant::now();
        let mut most: Option<&CommandResult> = None;
        for group in &groups {
            let Some(first) = group.first(&report.results) else {
                continue;
            };
            let ran = matches!(first.end, CommandEnd::Exited(_));
            if folded == FoldedView::Ends && first.end.is_well() && first.note.is_none() {
                continue;
            }
            heading(out, report, group, first, view)?;
            explain(out, first, view)?;
            match (folded, most) {
                (FoldedView::Ends, _) => {}
                (FoldedView::Difference, Some(most)) if ran => {
                    let compared = match begin.elapsed() {
                        late if late > COMPARING => 0,
                        _ => COMPARED,
                    };
                    difference(out, (most, first), compared, view)?;
                }
                _ => whole(out, first, view)?,
            }
            most = most.or(ran.then_some(first));
        }
    }
    writeln!(out, "{}", sentence(report, view.style))
}

fn heading(
    out: &mut dyn Write,
    report: &CommandReport,
    group: &ResultGroup,
    first: &CommandResult,
    view: View,
) -> io::Result<()> {
    let names = fold(
        group
            .members
            .iter()
            .filter_map(|index| report.results.get(*index))
            .map(|result| result.host.as_str()),
    );
    let names = sanitize(&names);
    let number = match group.members.len() {
        1 => String::new(),
        more => format!(" ({more} hosts)"),
    };
    let end = end_words(&first.end);
    let others = number.len() + end.len() + "── : ".chars().count();
    let room = usize::from(view.width).saturating_sub(others);
    let names = match view.verbose {
        true => names,
        false => shorten(&names, room.max(LEAST_NAMES)).into_owned().into(),
    };
    let style = view.style;
    let end = style.verdict(judgement(&first.end), &end);
    writeln!(
        out,
        "{} {end}",
        style.strong(&format!("── {names}{number}:"))
    )
}

fn judgement(end: &CommandEnd) -> Judgement {
    match end {
        CommandEnd::Exited(0) => Judgement::Ok,
        CommandEnd::Exited(_) => Judgement::Critical,
        CommandEnd::NotReached(_) | CommandEnd::NotTried(_) => Judgement::Unknown,
        _ => Judgement::Critical,
    }
}

/// How a command ended, in a few words.
pub(super) fn end_words(end: &CommandEnd) -> String {
    let and = |ended: &bool| {
        if *ended { "" } else { ", may still run" }
    };
    match end {
        CommandEnd::Exited(code) => match signal(*code) {
            Some(name) => format!("exit {code} (SIG{name})"),
            None => format!("exit {code}"),
        },
        CommandEnd::TimedOut { ended } => format!("timed out{}", and(ended)),
        CommandEnd::Stopped { ended } => format!("interrupted{}", and(ended)),
        CommandEnd::TooMuch { ended } => format!("printed too much{}", and(ended)),
        CommandEnd::Lost(_) => "nobody knows what became of it".to_owned(),
        CommandEnd::NotReached(outcome) => {
            let stage = outcome.error().map(|error| error.stage.id());
            let stage = stage.map(|stage| format!(" ({stage})")).unwrap_or_default();
            format!("not reached: {}{stage}", outcome.id())
        }
        CommandEnd::NotTried(_) => "not tried".to_owned(),
    }
}

/// The signals that end commands as a rule, by the status that a shell makes of them.
fn signal(code: u32) -> Option<&'static str> {
    Some(match code {
        129 => "HUP",
        130 => "INT",
        131 => "QUIT",
        132 => "ILL",
        134 => "ABRT",
        135 => "BUS",
        136 => "FPE",
        137 => "KILL",
        139 => "SEGV",
        141 => "PIPE",
        142 => "ALRM",
        143 => "TERM",
        _ => return None,
    })
}

/// Why it did not go well, and what helps.
fn explain(out: &mut dyn Write, result: &CommandResult, view: View) -> io::Result<()> {
    let style = view.style;
    let mut line = |text: &str| writeln!(out, "{}", style.dim(&sanitize(text)));
    match &result.end {
        CommandEnd::NotTried(why) => line(why)?,
        end => {
            if let Some(error) = end.error() {
                let via = error.via.as_ref().map(|jump| format!("jump host {jump}: "));
                line(&format!("{}{}", via.unwrap_or_default(), error.message))?;
                if let Some(hint) = &error.hint {
                    line(hint)?;
                }
            }
        }
    }
    match &result.note {
        Some(note) => line(&format!("note: {note}")),
        None => Ok(()),
    }
}

/// Everything that was printed.
fn whole(out: &mut dyn Write, result: &CommandResult, view: View) -> io::Result<()> {
    print(out, &result.stdout, "")?;
    print(out, &result.stderr, &view.style.dim("stderr: "))
}

fn print(out: &mut dyn Write, output: &Output, prefix: &str) -> io::Result<()> {
    let mut lines = SafeLines::new(prefix.to_owned());
    output.kept.give(&mut |data| lines.write(out, data))?;
    lines.finish(out)
}

/// How a result differs from that of the most hosts.
fn difference(
    out: &mut dyn Write,
    (most, other): (&CommandResult, &CommandResult),
    compared: usize,
    view: View,
) -> io::Result<()> {
    let mut same = true;
    for (name, a, b) in [
        ("stdout", &most.stdout, &other.stdout),
        ("stderr", &most.stderr, &other.stderr),
    ] {
        if a.digest == b.digest {
            continue;
        }
        same = false;
        let (long, limit) = (a.length.max(b.length), u64::try_from(compared));
        if long > limit.unwrap_or(u64::MAX) {
            let words = format!("{name} differs: {} bytes, {} there", b.length, a.length);
            writeln!(out, "{}", view.style.dim(&words))?;
            continue;
        }
        let text = |output: &Output| -> io::Result<String> {
            let head = output.head(compared)?;
            Ok(String::from_utf8_lossy(&head).into_owned())
        };
        let (a, b) = (text(a)?, text(b)?);
        let style = view.style;
        writeln!(
            out,
            "{}",
            style.dim(&format!("{name}, against most hosts:"))
        )?;
        let lines = diff(name, Some(&a), Some(&b));
        if lines.is_empty() {
            let words = "they differ in bytes that are no text (--out-dir keeps them)";
            writeln!(out, "{}", style.dim(words))?;
        }
        for line in lines {
            let shown = |text: &str| clean(text);
            let line = match &line {
                DiffLine::Hunk(text) => style.hunk(&shown(text)),
                DiffLine::Same(text) => format!(" {}", shown(text)),
                DiffLine::Removed(text) => style.removed(&format!("-{}", shown(text))),
                DiffLine::Added(text) => style.added(&format!("+{}", shown(text))),
            };
            writeln!(out, "{line}")?;
        }
    }
    if same {
        writeln!(out, "{}", view.style.dim("the same output"))?;
    }
    Ok(())
}

/// One sentence on all hosts.
pub(super) fn sentence(report: &CommandReport, style: Style) -> String {
    let tally = Tally::of(&report.results);
    let mut parts = Vec::new();
    let mut part = |number: usize, words: &str| {
        if number > 0 {
            parts.push(format!("{number} {words}"));
        }
    };
    part(tally.well, "ended with 0");
    part(tally.failed, "failed");
    part(tally.ended, "ended early");
    part(tally.unknown, "unknown");
    part(tally.not_reached, "not reached");
    part(tally.not_tried, "not tried");
    let judgement = match tally.verdict() {
        Verdict::Well => Judgement::Ok,
        Verdict::NotReached => Judgement::Unknown,
        Verdict::Failed | Verdict::Unknown => Judgement::Critical,
    };
    let mut text = format!(
        "{}: {}",
        count(tally.hosts, "host"),
        style.verdict(judgement, &parts.join(", "))
    );
    if report.interrupted {
        text += "; interrupted";
    }
    if let Some(why) = &report.stopped {
        text += &format!("; stopped: {}", sanitize(why));
    }
    text += &format!(" ({})", span(Duration::from_millis(report.elapsed_ms)));
    text
}

/// Makes a part of a line safe for a terminal. Tabs stay, for what is in columns is to stay so.
fn clean(text: &str) -> String {
    text.split('\t')
        .map(sanitize)
        .collect::<Vec<_>>()
        .join("\t")
}

/// What stands before a line of a host's that begins as one of ours does: no host tells what came of another.
const NOT_OURS: &str = "| ";

fn looks_like_ours(line: &str) -> bool {
    let after_number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let counts = after_number.len() < line.len()
        && [" host: ", " hosts: "]
            .iter()
            .any(|words| after_number.starts_with(words));
    counts
        || ["── ", "stderr: ", NOT_OURS]
            .iter()
            .any(|head| line.starts_with(head))
}

/// Bytes of a host as lines for a terminal, each with a prefix.
#[derive(Debug)]
struct SafeLines {
    prefix: String,
    /// A line that has no end yet.
    line: Vec<u8>,
    /// Whether a part of it was written already.
    continued: bool,
}

impl SafeLines {
    fn new(prefix: String) -> Self {
        Self {
            prefix,
            line: Vec::new(),
            continued: false,
        }
    }

    fn write(&mut self, out: &mut dyn Write, data: &[u8]) -> io::Result<()> {
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.end_line(out)?;
            } else if self.line.len() > LONGEST_LINE {
                self.part(out)?;
            }
        }
        Ok(())
    }

    /// Writes what there is of a line that is too long to be held; a character is not torn.
    fn part(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let whole = match std::str::from_utf8(&self.line) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.line.len(),
        };
        let rest = self.line.split_off(whole);
        let text = std::mem::replace(&mut self.line, rest);
        self.text(out, &text)?;
        self.continued = true;
        Ok(())
    }

    fn end_line(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let text = std::mem::take(&mut self.line);
        let text = text.strip_suffix(b"\n").unwrap_or(&text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        self.text(out, text)?;
        self.continued = false;
        out.write_all(b"\n")
    }

    fn text(&self, out: &mut dyn Write, text: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(text);
        let text = clean(&text);
        if !self.continued {
            out.write_all(self.prefix.as_bytes())?;
            if self.prefix.is_empty() && looks_like_ours(&text) {
                out.write_all(NOT_OURS.as_bytes())?;
            }
        }
        out.write_all(text.as_bytes())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.line.is_empty() && !self.continued {
            return Ok(());
        }
        self.end_line(out)
    }
}

/// Lines as they come, with the host's name before each. Lines of different hosts are never mixed.
#[derive(Debug)]
pub struct StreamedLines {
    hosts: Vec<[SafeLines; 2]>,
}

impl StreamedLines {
    /// Makes a view for hosts of these names.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>, style: Style) -> Self {
        let hosts = names.map(|name| {
            let name = sanitize(name);
            let out = format!("{} ", style.strong(&format!("{name}:")));
            let err = format!("{} ", style.dim(&format!("{name} stderr:")));
            [SafeLines::new(out), SafeLines::new(err)]
        });
        Self {
            hosts: hosts.collect(),
        }
    }

    /// Takes a piece of what a host printed. Whole lines are written.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn hear(
        &mut self,
        out: &mut dyn Write,
        host: usize,
        is_error: bool,
        data: &[u8],
    ) -> io::Result<()> {
        let Some([stdout, stderr]) = self.hosts.get_mut(host) else {
            return Ok(());
        };
        let lines = if is_error { stderr } else { stdout };
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            lines.line.extend_from_slice(piece);
            let whole = piece.ends_with(b"\n");
            if whole || lines.line.len() > LONGEST_LINE {
                // Another host's line may follow: a part is a line of its own here.
                lines.end_line(out)?;
            }
        }
        Ok(())
    }

    /// A host prints no more: its last line may have no end.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(&mut self, out: &mut dyn Write, host: usize) -> io::Result<()> {
        match self.hosts.get_mut(host) {
            Some(both) => both.iter_mut().try_for_each(|lines| lines.finish(out)),
            None => Ok(()),
        }
    }
}
