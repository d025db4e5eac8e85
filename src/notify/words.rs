//! An alert in words, and words held to a size. What a format may mark and how long a message may
//! be, the formats say; what is said, and what is left out first, is said here for all of them.

use std::borrow::Cow;

use jiff::Timestamp;

use super::outbox::until;
use crate::model::nodeset::fold;
use crate::model::{Alert, AlertKind, Incident, sanitize, shorten};

/// How long a node set may be in a message, in characters.
const MAX_HOSTS: usize = 240;

/// How long the first line of a message may be, in characters. Slack's header block takes 150
/// (Block Kit reference, "Header block"), which is the least of all.
pub(super) const MAX_HEADLINE: usize = 140;

/// How a format marks text, and how it counts.
pub(super) struct Markup {
    /// Makes text inert.
    pub(super) escape: fn(&str) -> String,
    /// Around what leads.
    pub(super) strong: (&'static str, &'static str),
    /// Makes the text of evidence inert, where it stands within `quote`.
    pub(super) escape_quote: fn(&str) -> String,
    /// Around lines of evidence, together or each.
    pub(super) quote: (&'static str, &'static str),
    /// Between lines of evidence.
    pub(super) quote_joint: &'static str,
    /// Makes a command inert, where it stands within `code`; `None` where it cannot be shown.
    pub(super) escape_code: fn(&str) -> Option<String>,
    /// Around a command.
    pub(super) code: (&'static str, &'static str),
    /// Between lines.
    pub(super) joint: &'static str,
    /// How large a text is, in what the service counts.
    pub(super) size: fn(&str) -> usize,
}

/// How many incidents get all that there is to say before the others get more than a line.
const ROOTS: usize = 3;

/// How much is said of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// What and where.
    Line,
    /// And since when, and what to do.
    Short,
    /// And all the evidence.
    Full,
}

/// Names hosts within a length, in characters, and says how many are left out.
pub(super) fn hosts_text(hosts: &[String], limit: usize) -> (String, usize) {
    let whole = fold(hosts);
    if whole.chars().count() <= limit {
        return (whole, 0);
    }
    // The most that fit: a set of more hosts is, but for a few, not shorter. Searched from below, for
    // to fold is what costs.
    let (mut fits, mut too_many) = (0, 8);
    while too_many < hosts.len() {
        let part = fold(hosts.get(..too_many).unwrap_or_default());
        if part.chars().count() > limit {
            break;
        }
        (fits, too_many) = (too_many, too_many * 2);
    }
    too_many = too_many.min(hosts.len());
    while too_many - fits > 1 {
        let middle = fits + (too_many - fits) / 2;
        let part = fold(hosts.get(..middle).unwrap_or_default());
        if part.chars().count() <= limit {
            fits = middle;
        } else {
            too_many = middle;
        }
    }
    (
        fold(hosts.get(..fits).unwrap_or_default()),
        hosts.len() - fits,
    )
}

/// Names hosts for a person.
fn named(hosts: &[String]) -> String {
    match hosts_text(hosts, MAX_HOSTS) {
        (text, 0) => text,
        (text, more) if text.is_empty() => format!("{more} hosts"),
        (text, more) => format!("{text} and {more} more"),
    }
}

/// `1 host`, `3 hosts`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// What happened, in a word that leads.
pub(super) fn mark(incident: &Incident) -> Cow<'static, str> {
    let severity = incident.severity.id();
    match incident.kind {
        AlertKind::Test => "TEST".into(),
        AlertKind::New => format!("NEW {severity}").into(),
        AlertKind::Worsened => match incident.was {
            Some(was) if was != incident.severity => {
                format!("WORSE {} → {severity}", was.id()).into()
            }
            _ => format!("WORSE {severity}").into(),
        },
        AlertKind::Flapping => format!("FLAPPING {severity}").into(),
        AlertKind::NotObserved => "NOT OBSERVED".into(),
        AlertKind::Reminder => format!("STILL {severity}").into(),
        AlertKind::Recovered if incident.remaining.is_empty() => "RECOVERED".into(),
        AlertKind::Recovered => "RECOVERED in part".into(),
    }
}

/// The first line of a message: what the alert is about, if nothing else is read.
pub(super) fn headline(alert: &Alert) -> String {
    let text = match alert.incidents.as_slice() {
        [] => "nothing to tell".to_owned(),
        [one] if one.kind == AlertKind::Test => "TEST: nothing is wrong".to_owned(),
        [one] => format!("{}: {} on {}", mark(one), one.class, named(&one.hosts)),
        // The first is the root of trouble: who reads no more than this on a phone has to see it.
        [first, others @ ..] => format!(
            "{}: {} on {}, and {} more",
            mark(first),
            first.class,
            hosts_text(&first.hosts, MAX_HEADLINE / 3).0,
            others.len()
        ),
    };
    let text = format!("[{}] {text}", alert.fleet);
    shorten(&sanitize(&text), MAX_HEADLINE).into_owned()
}

/// The last line of a message: where it comes from, and how the fleet stands.
pub(super) fn footer(alert: &Alert, id: &str) -> String {
    let counts = alert.counts;
    let mut parts = Vec::new();
    if counts.hosts > 0 {
        let named = [
            (counts.critical, "critical"),
            (counts.warning, "warning"),
            (counts.not_observed, "not observed"),
            (counts.ok, "ok"),
        ];
        let named = named.into_iter().filter(|(number, _)| *number > 0);
        let named: Vec<String> = named
            .map(|(number, what)| format!("{number} {what}"))
            .collect();
        parts.push(format!(
            "{}: {}",
            count(counts.hosts, "host"),
            named.join(", ")
        ));
    }
    parts.push(moment(alert.at));
    parts.push(format!("clawfleet on {}", alert.bastion));
    parts.push(format!("run {}", alert.run));
    parts.push(format!("message {}", id.get(..8).unwrap_or(id)));
    parts.join(" · ")
}

/// A moment for a person.
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// A moment for a program: RFC 3339 in UTC, to the second.
pub(super) fn timestamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A span of time for a person.
fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = until(from, to).as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Since when it is so, or how long it was.
fn when(incident: &Incident, now: Timestamp) -> Option<String> {
    let since = incident.since?;
    Some(match incident.until {
        Some(until) => format!(
            "from {} to {} ({})",
            moment(since),
            moment(until),
            span(since, until)
        ),
        None => format!("since {} ({})", moment(since), span(since, now)),
    })
}

/// An incident with its hosts named, which is done once: a message is tried in several lengths.
struct Named<'a> {
    incident: &'a Incident,
    hosts: String,
    remaining: String,
}

impl<'a> Named<'a> {
    fn of(incident: &'a Incident) -> Self {
        Self {
            incident,
            hosts: named(&incident.hosts),
            remaining: named(&incident.remaining),
        }
    }
}

/// Writes an incident within a size.
fn piece(
    told: &Named<'_>,
    now: Timestamp,
    detail: Detail,
    limit: usize,
    markup: &Markup,
) -> String {
    let incident = told.incident;
    let mut text = Text {
        text: String::new(),
        limit,
        markup,
    };
    let head = format!("{}: {}", mark(incident), incident.class);
    let (open, close) = markup.strong;
    // Names in code: no client makes a link or a mention of what stands there.
    let code = |text: &str| {
        let (open, close) = markup.code;
        format!("{open}{}{close}", (markup.escape_quote)(&sanitize(text)))
    };
    let on = if incident.kind == AlertKind::Test {
        String::new()
    } else {
        format!(
            " on {} ({})",
            code(&told.hosts),
            count(incident.hosts.len(), "host")
        )
    };
    text.line(&format!("{open}{}{close}{on}", (markup.escape)(&head)));
    if detail == Detail::Line {
        return text.text;
    }
    text.plain(&incident.title);
    if !incident.subject.is_empty() {
        text.line(&format!("about {}", code(&incident.subject)));
    }
    if !incident.remaining.is_empty() {
        text.line(&format!("still so on {}", code(&told.remaining)));
    }
    if let Some(when) = when(incident, now) {
        text.plain(&when);
    }
    // Commands before evidence: they are what is left where room is short.
    let mut tail = Vec::new();
    for (label, command) in [("do: ", &incident.remedy), ("look: ", &incident.look)] {
        let Some(command) = command else { continue };
        let Some(inert) = (markup.escape_code)(&sanitize(command)) else {
            continue;
        };
        let (open, close) = markup.code;
        tail.push(format!("{label}{open}{inert}{close}"));
    }
    if detail == Detail::Full {
        let room: usize = tail
            .iter()
            .map(|line| (markup.size)(line) + (markup.size)(markup.joint))
            .sum();
        text.quote(&incident.evidence, room);
        if !incident.therefore.is_empty() {
            text.reserve(room, |text| {
                text.plain(&format!("therefore: {}", incident.therefore.join(", ")));
            });
        }
    }
    for line in tail {
        text.line(&line);
    }
    text.text
}

/// A text that grows within its size. A line that does not fit is left out whole: one that is cut
/// could lose the end of a mark.
struct Text<'a> {
    text: String,
    limit: usize,
    markup: &'a Markup,
}

impl Text<'_> {
    fn line(&mut self, line: &str) -> bool {
        if line.is_empty() {
            return true;
        }
        let joint = if self.text.is_empty() {
            ""
        } else {
            self.markup.joint
        };
        let grown = format!("{}{joint}{line}", self.text);
        let fits = (self.markup.size)(&grown) <= self.limit;
        if fits {
            self.text = grown;
        }
        fits
    }

    fn plain(&mut self, line: &str) -> bool {
        self.line(&(self.markup.escape)(&sanitize(line)))
    }

    /// Writes something and leaves so much free.
    fn reserve(&mut self, room: usize, write: impl FnOnce(&mut Self)) {
        let limit = self.limit;
        self.limit = limit.saturating_sub(room);
        write(self);
        self.limit = limit;
    }

    /// As many lines of evidence as fit, and how many do not.
    fn quote(&mut self, lines: &[String], room: usize) {
        let (open, close) = self.markup.quote;
        let joint = self.markup.quote_joint;
        let inert: Vec<String> = lines
            .iter()
            .map(|line| (self.markup.escape_quote)(&sanitize(line)))
            .filter(|line| !line.trim().is_empty())
            .collect();
        self.reserve(room, |text| {
            for shown in (1..=inert.len()).rev() {
                let mut block = inert.get(..shown).unwrap_or_default().join(joint);
                if shown < inert.len() {
                    block = format!("{block}{joint}… and {} more", inert.len() - shown);
                }
                if text.line(&format!("{open}{block}{close}")) {
                    return;
                }
            }
        });
    }
}

/// What a message says of incidents within its size.
pub(super) struct Fitted {
    /// The pieces, one for each incident that is shown.
    pub(super) pieces: Vec<String>,
    /// How many incidents are not.
    pub(super) left_out: usize,
}

/// Fits incidents into a message of `limit`, at most so many, each at most `limit_each`, with
/// `overhead` for each piece. First each incident gets its line, as many as fit into half of it; then the
/// first ones, which are the root causes, get more.
pub(super) fn fit(
    alert: &Alert,
    markup: &Markup,
    limit: usize,
    limit_each: usize,
    most: usize,
    overhead: usize,
) -> Fitted {
    let write = |told: &Named<'_>, detail, limit: usize| {
        piece(told, alert.at, detail, limit.min(limit_each), markup)
    };
    let size = |text: &str| (markup.size)(text) + overhead;
    let mut pieces: Vec<(Named<'_>, String)> = Vec::new();
    let mut used = 0;
    let mut incidents = alert.incidents.iter().take(most).peekable();
    // Half of the room for lines, then details, then the rest for more lines.
    for room in [limit / 2, limit] {
        while let Some(incident) = incidents.peek() {
            let told = Named::of(incident);
            let line = write(&told, Detail::Line, limit_each);
            if line.is_empty() || used + size(&line) > room.max(size(&line).min(limit)) {
                break;
            }
            used += size(&line);
            pieces.push((told, line));
            incidents.next();
        }
        for (detail, first) in [
            (Detail::Full, ROOTS),
            (Detail::Short, usize::MAX),
            (Detail::Full, usize::MAX),
        ] {
            for (told, line) in pieces.iter_mut().take(first) {
                let room = (limit - used) + (markup.size)(line);
                let longer = write(told, detail, room);
                if longer.len() > line.len() {
                    used = used + size(&longer) - size(line);
                    *line = longer;
                }
            }
        }
    }
    let pieces: Vec<String> = pieces.into_iter().map(|(_, line)| line).collect();
    Fitted {
        left_out: alert.incidents.len() - pieces.len(),
        pieces,
    }
}

/// Says how many incidents a message does not show.
pub(super) fn left_out(number: usize) -> Option<String> {
    let plural = if number == 1 { "" } else { "s" };
    (number > 0)
        .then(|| format!("… and {number} more incident{plural}; `clawfleet check` shows all"))
}

/// Breaks what clients make links of: a host must not put a link into a chat.
pub(super) fn defang(text: &str) -> Cow<'_, str> {
    if text.contains("://") {
        Cow::Owned(text.replace("://", ":⁄⁄"))
    } else {
        Cow::Borrowed(text)
    }
}

/// How long a text is as the inside of a JSON string, in bytes.
pub(super) fn json_size(text: &str) -> usize {
    // Quotes are two; a text that cannot be written does not exist.
    serde_json::to_string(text).map_or(usize::MAX, |json| json.len().saturating_sub(2))
}

/// How many characters.
pub(super) fn chars(text: &str) -> usize {
    text.chars().count()
}
