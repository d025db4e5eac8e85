//! What changed since the operator was told last, for a mail: a line for each kind of news, hosts
//! folded, and what shows it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use super::table::{View, headline, shortened};
use super::text::{count, sanitize, shorten, span};
use super::words;
use crate::diagnose::explain;
use crate::model::{Change, ChangeKind, Class, Report, Severity, TroubleKey, nodeset};

/// How many lines of evidence are shown of each piece of news; `-v` shows all.
const LINES: usize = 6;

/// How long a line of evidence may be, in characters.
const LONGEST_LINE: usize = 300;

/// How a change is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Shown {
    /// One line about it.
    pub(super) title: Cow<'static, str>,
    /// What shows it now.
    pub(super) evidence: Vec<String>,
    /// What helps; of hosts that differ in nothing else it is one command.
    pub(super) help: Option<words::Help>,
}

/// Returns each change with what the report has to say of it. Of what is over it says nothing.
pub(super) fn shown<'a>(changes: &'a [Change], report: &Report) -> Vec<(&'a Change, Shown)> {
    let mut now: HashMap<TroubleKey, Shown> = HashMap::new();
    for host in &report.hosts {
        for finding in &host.findings {
            now.entry(TroubleKey::of(&host.name, finding))
                .or_insert_with(|| Shown {
                    title: words::title(finding, host).into(),
                    evidence: finding.evidence.iter().map(words::evidence).collect(),
                    help: words::help(finding, host),
                });
        }
    }
    for finding in &report.fleet_findings {
        for host in &finding.hosts {
            let shown = now
                .entry(TroubleKey::of_fleet(host, finding))
                .or_insert_with(|| Shown {
                    title: explain(finding.class).title.into(),
                    ..Shown::default()
                });
            let evidence = finding.evidence.iter().map(words::evidence);
            shown.evidence.extend(evidence);
        }
    }
    let told = |change: &Change| match now.get(&change.key) {
        Some(shown) if change.kind != ChangeKind::Recovered => shown.clone(),
        _ => Shown {
            title: Class::from_id(&change.key.class)
                .map_or(Cow::Borrowed("one of your own checks"), |class| {
                    explain(class).title.into()
                }),
            ..Shown::default()
        },
    };
    changes
        .iter()
        .map(|change| (change, told(change)))
        .collect()
}

/// Lines of evidence of several hosts: each once, with the hosts that it is about.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: Vec<(String, BTreeSet<String>)>,
    places: HashMap<String, usize>,
}

impl Lines {
    pub(super) fn add(&mut self, host: &str, lines: &[String]) {
        for line in lines {
            let next = self.lines.len();
            let place = *self.places.entry(line.clone()).or_insert(next);
            match self.lines.get_mut(place) {
                Some((_, hosts)) => {
                    hosts.insert(host.to_owned());
                }
                None => self
                    .lines
                    .push((line.clone(), BTreeSet::from([host.to_owned()]))),
            }
        }
    }

    /// Returns them; what is not about all of so many hosts begins with those that it is about.
    pub(super) fn told(&self, hosts: usize) -> Vec<String> {
        let told = |(line, of): &(String, BTreeSet<String>)| match of.len() {
            all if all == hosts => line.clone(),
            _ => format!("{}: {line}", nodeset::fold(of)),
        };
        self.lines.iter().map(told).collect()
    }
}

/// What is told in one paragraph: hosts of which it is the same, but for what shows it, stand together.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Piece {
    kind: ChangeKind,
    /// The worst first.
    severity: std::cmp::Reverse<Severity>,
    /// The class's place in the catalogue, for causes come before their consequences.
    place: usize,
    class: String,
    subject: String,
    was: Option<Severity>,
    times: Option<u32>,
    title: Cow<'static, str>,
    help: Option<words::Help>,
}

/// The hosts of a piece of news, and its times: the first `since`, the last `until`.
struct Whose<'a> {
    hosts: Vec<&'a str>,
    lines: Lines,
    since: Timestamp,
    until: Option<Timestamp>,
}

/// Renders what changed. Nothing where nothing did.
pub fn render_changes(changes: &[Change], report: &Report, view: View) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let mut pieces: BTreeMap<Piece, Whose<'_>> = BTreeMap::new();
    for (change, shown) in shown(changes, report) {
        let piece = Piece {
            kind: change.kind,
            severity: std::cmp::Reverse(change.severity),
            place: place(&change.key.class),
            class: change.key.class.clone(),
            subject: change.key.subject.clone(),
            was: change.was,
            times: change.times,
            title: shown.title,
            help: shown.help,
        };
        let whose = pieces.entry(piece).or_insert(Whose {
            hosts: Vec::new(),
            lines: Lines::default(),
            since: change.since,
            until: change.until,
        });
        whose.hosts.push(&change.key.host);
        whose.lines.add(&change.key.host, &shown.evidence);
        whose.since = whose.since.min(change.since);
        whose.until = whose.until.max(change.until);
    }
    let mut out = head(changes);
    out += "The fleet: ";
    out += &headline(report, view.style);
    if view.quiet {
        return out;
    }
    for (piece, whose) in &pieces {
        told(&mut out, piece, whose, report, view);
    }
    out
}

/// `2 new, 1 recovered`, to be read first: it is what a mail's reader sees of it.
fn head(changes: &[Change]) -> String {
    let parts: Vec<String> = ChangeKind::ALL
        .into_iter()
        .filter_map(|kind| {
            let number = changes.iter().filter(|change| change.kind == kind).count();
            (number > 0).then(|| match kind {
                ChangeKind::Reminder => count(number, "reminder"),
                kind => format!("{number} {}", kind.id()),
            })
        })
        .collect();
    format!("{}\n", parts.join(", "))
}

fn place(class: &str) -> usize {
    let mut all = Class::ALL.iter();
    all.position(|known| known.id() == class)
        .unwrap_or(Class::ALL.len())
}

fn told(out: &mut String, piece: &Piece, whose: &Whose<'_>, report: &Report, view: View) {
    let word = match piece.kind {
        ChangeKind::New => "NEW",
        ChangeKind::Worsened => "WORSE",
        ChangeKind::Flapping => "FLAPPING",
        ChangeKind::Reminder => "STILL",
        ChangeKind::Recovered => "OVER",
    };
    let severity = piece.severity.0;
    let mut hosts = whose.hosts.clone();
    hosts.sort_unstable();
    hosts.dedup();
    let all = nodeset::fold(hosts.iter().copied());
    let names = shortened(all.clone(), hosts.len(), view);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "\n{word}  {}  {}  {}",
        match piece.kind {
            ChangeKind::Recovered => sanitize(&piece.class).into_owned(),
            _ => view.style.severity(severity, &sanitize(&piece.class)),
        },
        view.style.strong(&sanitize(&names)),
        view.style.dim(&piece.title)
    );
    let _ = writeln!(out, "  {}", times(piece, whose, report));
    let most = if view.verbose { usize::MAX } else { LINES };
    let lines = whose.lines.told(hosts.len());
    for line in lines.iter().take(most) {
        let _ = writeln!(out, "  - {}", shorten(&sanitize(line), LONGEST_LINE));
    }
    let more = lines.len().saturating_sub(most);
    if more > 0 {
        let _ = writeln!(out, "  - and {} (-v shows all)", count(more, "more line"));
    }
    if let Some(help) = &piece.help {
        let line = format!("do: {}", sanitize(&help.for_hosts(&all)));
        let _ = writeln!(out, "  {}", view.style.strong(&line));
    }
}

/// How bad it is, and since when.
fn times(piece: &Piece, whose: &Whose<'_>, report: &Report) -> String {
    let severity = piece.severity.0.id();
    let until = whose.until.unwrap_or(report.started_at);
    let lasted = Duration::try_from(until.duration_since(whose.since)).unwrap_or_default();
    let minute = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M UTC");
    let mut line = match piece.kind {
        ChangeKind::Recovered => format!("was {severity}"),
        _ => severity.to_owned(),
    };
    if let Some(was) = piece.was {
        line += &format!(", was {}", was.id());
    }
    if !piece.subject.is_empty() {
        line += &format!(", {}", sanitize(&piece.subject));
    }
    match piece.kind {
        ChangeKind::Recovered => {
            line += &format!(", from {} on for {}", minute(whose.since), span(lasted));
        }
        _ if lasted.is_zero() => line += ", seen for the first time",
        _ => line += &format!(", since {} ({})", minute(whose.since), span(lasted)),
    }
    if let Some(times) = piece.times {
        line += &format!(
            "; it came {times} times within twelve hours and is told of again when that has ended"
        );
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_once_with_whom_it_is_about() {
        let mut lines = Lines::default();
        let of = |text: &[&str]| text.iter().map(ToString::to_string).collect::<Vec<_>>();
        lines.add("VM2", &of(&["it is up", "pid 7"]));
        lines.add("VM1", &of(&["it is up", "pid 9"]));
        lines.add("VM3", &of(&["it is up", "pid 7"]));
        assert_eq!(lines.told(3), ["it is up", "VM[2-3]: pid 7", "VM1: pid 9"]);
    }
}
