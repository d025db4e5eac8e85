//! The page of what was kept: no host was asked for it, and it says so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::escape::Page;
use super::sections::{Square, filter, map_of, text_cell};
use super::{banner, foot, head, nav, time, trends, word};
use crate::diagnose::{Happened, Happening, explain, happenings};
use crate::model::{Class, HostPast, KeptAnswer, Trends, Verdict, nodeset};
use crate::report::history::{
    Axis, Event, HistoryReport, between, events, happened_name, lasted, length, looked, minute,
    percent, range, restarts, standing_words, widely,
};
use crate::report::text::count;
use crate::report::words::quote;

/// How many groups of hosts an incident has, and how many lines of what happened there are. From some lines on what
/// came to several hosts at different times is one.
const MOST_GROUPS: usize = 50;
const FEW_EVENTS: usize = 40;
const MOST_EVENTS: usize = 200;

/// How long a node set may be, in characters.
const LONGEST_NAMES: usize = 600;

/// Renders what was kept as a page of HTML that holds all it needs, as [`super::render_html`] does.
pub fn render_history_html(report: &HistoryReport<'_>, trends: &Trends) -> String {
    let hosts = &report.chronicle.hosts;
    let verdict = hosts.iter().filter_map(|host| now(report, host));
    let verdict = verdict.map(|(answer, _)| answer.verdict).max();
    let all = happenings(report.chronicle, report.classes);
    let drawn = trends.hosts.iter().any(|host| !host.is_empty());
    let mut page = Page::default();
    head(&mut page, verdict.unwrap_or(Verdict::Unknown), hosts.len());
    header(
        &mut page,
        report,
        verdict.unwrap_or(Verdict::Unknown),
        drawn,
    );
    page.raw("<main id=\"main\">\n");
    map_of(&mut page, &squares(report, &all));
    incidents(&mut page, report, &all);
    happened(&mut page, report, &all);
    table(&mut page, report, &all);
    if drawn {
        trends::section(&mut page, trends);
    }
    foot(&mut page);
    page.finish()
}

/// How the host answered last, and when.
fn now<'a>(report: &HistoryReport<'a>, host: &'a HostPast) -> Option<(&'a KeptAnswer, Timestamp)> {
    let runs = &report.chronicle.runs;
    let mut last = runs.iter().rev();
    last.find_map(|run| Some((host.answer_at(run)?, run.started_at)))
}

fn header(page: &mut Page, report: &HistoryReport<'_>, verdict: Verdict, with_trends: bool) {
    let words: Vec<String> = standing_words(report)
        .into_iter()
        .map(|(_, words)| words)
        .collect();
    let said = match words.as_slice() {
        [] => "no host was asked in that time".to_owned(),
        words => format!(
            "{} of {}",
            words.join(", "),
            count(report.chronicle.hosts.len(), "host")
        ),
    };
    banner(page, verdict, &said);
    page.raw("<p class=\"when\">From the history: ");
    if let Some(last) = report.chronicle.runs.last() {
        page.raw("the state is that of run ")
            .text(&last.id.to_string())
            .raw(", ");
        time(page, last.started_at);
        page.raw(" (")
            .text(&length(between(last.started_at, report.now)))
            .raw(" before this page was made). ");
    }
    page.raw("No host was asked for this page. Made ");
    time(page, report.now);
    page.raw(" of ")
        .text(&count(report.chronicle.runs.len(), "run"))
        .raw(" since ");
    // What is too long ago to be a date is all there is.
    let begins = report.begins.unwrap_or(report.now);
    time(page, report.since.max(begins));
    if !report.classes.is_empty() {
        let classes: Vec<&str> = report.classes.iter().map(String::as_str).collect();
        page.raw("; only ").text(&classes.join(", "));
    }
    page.raw(".</p>\n");
    let mut parts = vec![
        ("#map", "Hosts by state"),
        ("#incidents", "Still there"),
        ("#happened", "What happened"),
        ("#all", "All hosts"),
    ];
    if with_trends {
        parts.push(("#trends", "Trends"));
    }
    nav(page, &parts);
}

/// What is still so on a host, in words.
fn still(all: &[Happening], host: usize) -> String {
    let still = all
        .iter()
        .filter(|of| of.host == host && of.until.is_none());
    let words: BTreeSet<String> = still.map(|of| happened_name(&of.what)).collect();
    words.into_iter().collect::<Vec<_>>().join(", ")
}

/// What is still so on each host: [`still`] for all of them at once.
fn still_of(all: &[Happening]) -> BTreeMap<usize, Vec<Happening>> {
    let mut of: BTreeMap<usize, Vec<Happening>> = BTreeMap::new();
    for happening in all.iter().filter(|happening| happening.until.is_none()) {
        of.entry(happening.host)
            .or_default()
            .push(happening.clone());
    }
    of
}

fn squares<'a>(report: &HistoryReport<'a>, all: &[Happening]) -> Vec<Square<'a>> {
    let of = still_of(all);
    let hosts = report.chronicle.hosts.iter().enumerate();
    hosts
        .map(|(place, host)| {
            let now = now(report, host);
            Square {
                name: &host.name,
                verdict: now.map_or(Verdict::Unknown, |(answer, _)| answer.verdict),
                told: match now {
                    None => "not asked in that time".to_owned(),
                    Some(_) => of
                        .get(&place)
                        .map(|of| still(of, place))
                        .unwrap_or_default(),
                },
            }
        })
        .collect()
}

fn names(report: &HistoryReport<'_>, hosts: &[usize]) -> String {
    let hosts = hosts
        .iter()
        .filter_map(|place| report.chronicle.hosts.get(*place));
    nodeset::fold(hosts.map(|host| host.name.as_str()))
}

fn some_names(report: &HistoryReport<'_>, hosts: &[usize]) -> String {
    let names = names(report, hosts);
    match crate::report::table::cut(&names, LONGEST_NAMES) {
        Some(shown) => format!("{shown} ({} in all)", hosts.len()),
        None => names,
    }
}

/// A class that is still there, and where since when.
struct Incident<'a> {
    verdict: Verdict,
    id: String,
    hosts: BTreeSet<usize>,
    /// By the run that saw it first, and what it is about.
    groups: BTreeMap<(i64, &'a str), Group>,
}

#[derive(Default)]
struct Group {
    hosts: Vec<usize>,
    since: Option<Timestamp>,
    lasted: Duration,
}

fn incidents(page: &mut Page, report: &HistoryReport<'_>, all: &[Happening]) {
    page.raw("<section id=\"incidents\" aria-labelledby=\"incidents-head\">\n<h2 id=\"incidents-head\">Still there</h2>\n");
    let incidents = standing_incidents(report, all);
    if incidents.is_empty() {
        page.raw("<p>Nothing was there when the hosts were seen last.</p>\n");
    } else {
        page.raw("<p class=\"when\">What showed it is not kept: the command below each looks again.</p>\n");
    }
    for incident in &incidents {
        one(page, report, incident);
    }
    page.raw("</section>\n");
}

/// Worst first, then in the order of the catalogue.
fn standing_incidents<'a>(report: &HistoryReport<'_>, all: &'a [Happening]) -> Vec<Incident<'a>> {
    let mut by_id: BTreeMap<(usize, String), Incident<'a>> = BTreeMap::new();
    for happening in all.iter().filter(|happening| happening.until.is_none()) {
        let (id, subject) = match &happening.what {
            Happened::Found { class, subject, .. } => (class.clone(), subject.as_str()),
            _ => (happened_name(&happening.what), ""),
        };
        let verdict = Verdict::of(happening.what.severity());
        let incident = by_id
            .entry((place(&id), id.clone()))
            .or_insert_with(|| Incident {
                verdict,
                id,
                hosts: BTreeSet::new(),
                groups: BTreeMap::new(),
            });
        incident.verdict = incident.verdict.max(verdict);
        incident.hosts.insert(happening.host);
        let group = incident.groups.entry((happening.run, subject)).or_default();
        group.hosts.push(happening.host);
        group.since = happening.since;
        group.lasted = lasted(report, happening.since, None);
    }
    let mut incidents: Vec<Incident<'a>> = by_id.into_values().collect();
    incidents.sort_by_key(|incident| std::cmp::Reverse(incident.verdict));
    incidents
}

fn place(id: &str) -> usize {
    let known = Class::ALL.iter().position(|class| class.id() == id);
    known.unwrap_or(Class::ALL.len())
}

fn one(page: &mut Page, report: &HistoryReport<'_>, incident: &Incident<'_>) {
    let state = match incident.verdict {
        Verdict::Ok => "info",
        other => other.id(),
    };
    let hosts: Vec<usize> = incident.hosts.iter().copied().collect();
    page.raw("<article class=\"incident ")
        .raw(state)
        .raw("\">\n<h3><span class=\"badge\">")
        .raw(state)
        .raw("</span> <code>")
        .text(&incident.id)
        .raw("</code> on ")
        .text(&count(hosts.len(), "host"))
        .raw("</h3>\n<p>")
        .text(title(&incident.id))
        .raw("</p>\n<ul>\n");
    for ((_, subject), group) in incident.groups.iter().take(MOST_GROUPS) {
        page.raw("<li><span class=\"names\">")
            .text(&some_names(report, &group.hosts))
            .raw("</span>, since ");
        match group.since {
            Some(since) => page
                .text(&minute(since))
                .raw(" UTC (")
                .text(&length(group.lasted))
                .raw(")"),
            None => page.raw("before what is kept"),
        };
        if !subject.is_empty() {
            page.raw(": ").text(subject);
        }
        page.raw("</li>\n");
    }
    page.raw("</ul>\n");
    let more = incident.groups.len().saturating_sub(MOST_GROUPS);
    if more > 0 {
        page.raw("<p>and ")
            .text(&count(more, "more group"))
            .raw("</p>\n");
    }
    page.raw("<pre><code>")
        .text(&format!(
            "clawfleet check {}",
            quote(&names(report, &hosts))
        ))
        .raw("</code></pre>\n</article>\n");
}

fn title(id: &str) -> &'static str {
    match Class::from_id(id) {
        Some(class) => explain(class).title,
        None if id.starts_with("custom/") => "one of your own checks",
        None => explain(Class::NotObserved).title,
    }
}

/// The columns of the table of hosts.
const COLUMNS: [&str; 7] = [
    "Host",
    "State",
    "Still there",
    "Seen last",
    "Observed",
    "Restarts",
    "Latency",
];

/// Every host, worst first.
fn table(page: &mut Page, report: &HistoryReport<'_>, all: &[Happening]) {
    page.raw(
        "<section id=\"all\" aria-labelledby=\"all-head\">\n<h2 id=\"all-head\">All hosts</h2>\n",
    );
    filter(page);
    page.raw("<table id=\"gateways\" role=\"table\" aria-labelledby=\"all-head\">\n<thead role=\"rowgroup\"><tr role=\"row\">");
    for column in COLUMNS {
        page.raw("<th role=\"columnheader\" scope=\"col\"")
            .raw(match column {
                "Observed" | "Restarts" | "Latency" => " class=\"number\">",
                _ => ">",
            })
            .raw(column)
            .raw("</th>");
    }
    page.raw("</tr></thead>\n<tbody role=\"rowgroup\">\n");
    let of = still_of(all);
    let hosts = report.chronicle.hosts.iter().enumerate();
    let mut rows: Vec<_> = hosts
        .map(|(place, host)| (place, host, now(report, host)))
        .collect();
    rows.sort_by_key(|(_, _, now)| {
        std::cmp::Reverse(now.map_or(Verdict::Unknown, |(answer, _)| answer.verdict))
    });
    for (place, host, now) in rows {
        let still = of.get(&place).map(|of| still(of, place));
        row(page, report, place, host, now, &still.unwrap_or_default());
    }
    page.raw("</tbody>\n</table>\n<p id=\"none\" hidden>No row has all of that.</p>\n</section>\n");
}

fn row(
    page: &mut Page,
    report: &HistoryReport<'_>,
    place: usize,
    host: &HostPast,
    now: Option<(&KeptAnswer, Timestamp)>,
    still: &str,
) {
    let verdict = now.map_or(Verdict::Unknown, |(answer, _)| answer.verdict);
    page.raw("<tr role=\"row\" data-state=\"")
        .raw(verdict.id())
        .raw("\" id=\"h")
        .number(place)
        .raw("\" tabindex=\"-1\"><th role=\"rowheader\" scope=\"row\" data-label=\"Host\">")
        .text(&host.name);
    if host.left {
        page.raw(" (not in the inventory any more)");
    }
    page.raw("</th><td role=\"cell\" data-label=\"State\" data-n=\"")
        .raw(match verdict {
            Verdict::Ok => "0",
            Verdict::Warning => "1",
            Verdict::Unknown => "2",
            Verdict::Critical => "3",
        })
        .raw("\"><span class=\"badge ")
        .raw(verdict.id())
        .raw("\">")
        .raw(word(verdict))
        .raw("</span></td>");
    text_cell(page, "Still there", &still.replace(", ", "\n"));
    text_cell(page, "Seen last", &seen_last(report, host));
    let runs = &report.chronicle.runs;
    let (asked, seen) = looked(host, runs);
    let part = (asked > 0).then(|| seen * 1000 / asked);
    numbers(
        page,
        "Observed",
        part.and_then(|part| i64::try_from(part).ok()),
        &percent(part.map(|part| (part, part))),
    );
    let axis = Axis::new(runs, 1);
    let ports = host.gateways();
    let grown = ports
        .iter()
        .filter_map(|port| restarts(host, runs, &axis, Some(*port)).last);
    let grown = grown.reduce(i64::saturating_add);
    numbers(
        page,
        "Restarts",
        grown,
        &range(grown.map(|sum| (sum, sum)), ""),
    );
    let latency = ports.iter().filter_map(|port| {
        let read = host.read(runs, Some(*port), crate::model::ReadingKind::LatencyMs);
        read.last().map(|(_, ms)| ms)
    });
    let latency = latency.max();
    numbers(
        page,
        "Latency",
        latency,
        &range(latency.map(|ms| (ms, ms)), " ms"),
    );
    page.raw("</tr>\n");
}

fn seen_last(report: &HistoryReport<'_>, host: &HostPast) -> String {
    let mut last = report.chronicle.runs.iter().rev();
    let seen = last.find(|run| host.answer_at(run).is_some_and(KeptAnswer::was_seen));
    match seen {
        Some(run) => minute(run.started_at),
        None => "not in that time".to_owned(),
    }
}

/// A cell that is sorted by its number.
fn numbers(page: &mut Page, label: &'static str, number: Option<i64>, text: &str) {
    page.raw("<td role=\"cell\" data-label=\"").raw(label);
    match number {
        Some(number) => page
            .raw("\" class=\"number\" data-n=\"")
            .text(&number.to_string())
            .raw("\">")
            .text(text)
            .raw("</td>"),
        None => page.raw("\" class=\"number nothing\" data-n=\"\">-</td>"),
    };
}

/// What happened, the newest first: a page is read from above.
fn happened(page: &mut Page, report: &HistoryReport<'_>, all: &[Happening]) {
    page.raw("<section id=\"happened\" aria-labelledby=\"happened-head\">\n<h2 id=\"happened-head\">What happened</h2>\n");
    let mut events = events(report, all.to_vec(), false);
    if events.len() > FEW_EVENTS {
        events = widely(events);
    }
    if events.is_empty() {
        page.raw("<p>Nothing was found and nothing changed.</p>\n</section>\n");
        return;
    }
    page.raw("<table class=\"events\" role=\"table\" aria-labelledby=\"happened-head\">\n<thead role=\"rowgroup\"><tr role=\"row\">");
    for column in ["Since (UTC)", "For", "What", "Hosts", "About"] {
        page.raw("<th role=\"columnheader\" scope=\"col\">")
            .raw(column)
            .raw("</th>");
    }
    page.raw("</tr></thead>\n<tbody role=\"rowgroup\">\n");
    for event in events.iter().rev().take(MOST_EVENTS) {
        line(page, report, event);
    }
    page.raw("</tbody>\n</table>\n");
    let more = events.len().saturating_sub(MOST_EVENTS);
    if more > 0 {
        page.raw("<p>and ")
            .text(&count(more, "earlier event"))
            .raw("</p>\n");
    }
    page.raw("</section>\n");
}

fn line(page: &mut Page, report: &HistoryReport<'_>, event: &Event) {
    let lasts = event.what.iter().any(Happened::lasts);
    page.raw("<tr role=\"row\"><th role=\"rowheader\" scope=\"row\" data-label=\"Since (UTC)\">")
        .text(&event.since.map_or_else(|| "before".to_owned(), minute))
        .raw("</th>");
    let mut lasted = String::new();
    if event.times > 1 {
        lasted += &format!("{} times", event.times);
    }
    if lasts {
        let up_to = match (event.times, event.spread) {
            (1, _) => "",
            (_, true) => ", up to ",
            (_, false) => ", ",
        };
        lasted += &format!("{up_to}{}", length(event.lasted));
    }
    if event.is_there() {
        lasted += ", still";
    }
    text_cell(page, "For", &lasted);
    page.raw("<td role=\"cell\" data-label=\"What\"><div>");
    if lasts {
        let verdict = event.verdict();
        page.raw("<span class=\"badge ")
            .raw(verdict.id())
            .raw("\">")
            .raw(if verdict == Verdict::Ok {
                "info"
            } else {
                verdict.id()
            })
            .raw("</span> ");
    }
    let names: Vec<String> = event.what.iter().map(happened_name).collect();
    page.text(&names.join(", ")).raw("</div></td>");
    text_cell(page, "Hosts", &some_names(report, &event.hosts));
    let mut about = Vec::new();
    about.extend(event.first.map(|first| format!("first {}", minute(first))));
    about.extend(Some(event.subject().to_owned()).filter(|subject| !subject.is_empty()));
    text_cell(page, "About", &about.join("\n"));
    page.raw("</tr>\n");
}
