//! The parts of the page that tell of the run: the map, the incidents, and all gateways.

use super::escape::Page;
use super::word;
use crate::model::{HostReport, Report, Verdict};
use crate::report::fold::{self, Row};
use crate::report::incident::{self, Incident, Told};
use crate::report::text::{count, shorten};

/// Up to so many hosts, the map shows their names.
const NAMED: usize = 120;

/// How many groups of hosts an incident shows with their evidence.
const MOST_GROUPS: usize = 50;

/// How long a node set may be, in characters.
const LONGEST_NAMES: usize = 600;

/// How long the findings of a host may be in the map, in characters.
const LONGEST_FINDINGS: usize = 200;

/// What a state looks like where colour cannot be seen.
fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "\u{2713}",
        Verdict::Warning => "!",
        Verdict::Unknown => "?",
        Verdict::Critical => "\u{2715}",
    }
}

/// A host in the map.
pub(super) struct Square<'a> {
    pub(super) name: &'a str,
    pub(super) verdict: Verdict,
    /// What there is to say of it, apart from its verdict.
    pub(super) told: String,
}

/// The fleet at a glance: a cell per host in the inventory's order.
pub(super) fn map(page: &mut Page, report: &Report) {
    let squares: Vec<Square<'_>> = report.hosts.iter().map(square).collect();
    map_of(page, &squares);
}

pub(super) fn map_of(page: &mut Page, squares: &[Square<'_>]) {
    page.raw("<section id=\"map\" aria-labelledby=\"map-head\">\n<h2 id=\"map-head\">Hosts by state</h2>\n<ul class=\"legend\">\n");
    for verdict in [
        Verdict::Critical,
        Verdict::Unknown,
        Verdict::Warning,
        Verdict::Ok,
    ] {
        let hosts = squares.iter().filter(|square| square.verdict == verdict);
        page.raw("<li><span class=\"cell ")
            .raw(verdict.id())
            .raw("\" aria-hidden=\"true\">")
            .raw(sign(verdict))
            .raw("</span> <b>")
            .number(hosts.count())
            .raw("</b> ")
            .raw(match verdict {
                Verdict::Unknown => "not observed",
                other => other.id(),
            })
            .raw("</li>\n");
    }
    page.raw(
        "</ul>\n<p><a class=\"skip\" href=\"#incidents\">Skip the map</a></p>\n<ul class=\"map",
    );
    if squares.len() <= NAMED {
        page.raw(" named");
    }
    page.raw("\">\n");
    for (index, square) in squares.iter().enumerate() {
        cell(page, index, square, squares.len() <= NAMED);
    }
    page.raw("</ul>\n</section>\n");
}

fn square(host: &HostReport) -> Square<'_> {
    let mut told: Vec<_> = host
        .findings
        .iter()
        .filter(|finding| finding.cause.is_none())
        .map(|finding| finding.id())
        .collect();
    told.dedup();
    if host.maintenance {
        told.insert(0, "in maintenance".into());
    }
    Square {
        name: &host.name,
        verdict: host.verdict,
        told: told.join(", "),
    }
}

fn cell(page: &mut Page, index: usize, square: &Square<'_>, named: bool) {
    let mut told = format!("{}: {}", square.name, square.verdict.id());
    if !square.told.is_empty() {
        told += &format!(", {}", square.told);
    }
    page.raw("<li><a class=\"cell ")
        .raw(square.verdict.id())
        .raw("\" href=\"#h")
        .number(index)
        .raw("\"")
        .attribute("title", &shorten(&told, LONGEST_FINDINGS))
        .raw("><span aria-hidden=\"true\">")
        .raw(sign(square.verdict))
        .raw("</span>");
    if named {
        page.raw(" ")
            .text(square.name)
            .raw("<span class=\"unseen\">: ")
            .raw(square.verdict.id())
            .raw("</span>");
    } else {
        page.raw("<span class=\"unseen\">")
            .text(square.name)
            .raw(": ")
            .raw(square.verdict.id())
            .raw("</span>");
    }
    page.raw("</a></li>\n");
}

/// Each incident with its hosts; the evidence is folded.
pub(super) fn incidents(page: &mut Page, report: &Report) {
    let incidents = incident::incidents(report);
    page.raw("<section id=\"incidents\" aria-labelledby=\"incidents-head\">\n<h2 id=\"incidents-head\">Incidents</h2>\n");
    if incidents.is_empty() {
        page.raw("<p>Nothing was found.</p>\n");
    }
    for incident in &incidents {
        one(page, report, incident);
    }
    page.raw("</section>\n");
}

fn one(page: &mut Page, report: &Report, incident: &Incident) {
    let state = match incident.severity {
        crate::model::Severity::Info => "info",
        other => other.id(),
    };
    page.raw("<article class=\"incident ")
        .raw(state)
        .raw("\">\n<h3><span class=\"badge\">")
        .raw(state)
        .raw("</span> <code>")
        .text(&incident.id)
        .raw("</code> on ")
        .text(&count(incident.hosts.len(), "host"))
        .raw("</h3>\n<p>")
        .text(&incident.title)
        .raw("</p>\n");
    // Of a single group the fold says whose it is.
    if incident.told.len() > 1 {
        page.raw("<p class=\"names\">")
            .text(&names(report, &incident.hosts))
            .raw("</p>\n");
    }
    for told in incident.told.iter().take(MOST_GROUPS) {
        evidence(page, report, told);
    }
    let rest: Vec<usize> = incident
        .told
        .iter()
        .skip(MOST_GROUPS)
        .flat_map(|told| told.hosts.iter().copied())
        .collect();
    if !rest.is_empty() {
        page.raw("<p>and ")
            .text(&count(rest.len(), "host"))
            .raw(" like it: ")
            .text(&names(report, &rest))
            .raw("</p>\n");
    }
    page.raw("</article>\n");
}

fn evidence(page: &mut Page, report: &Report, told: &Told) {
    let heading = match &told.remedy {
        Some(_) => "Evidence and remedy: ",
        None => "Evidence: ",
    };
    page.raw("<details>\n<summary>")
        .raw(heading)
        .text(&names(report, &told.hosts))
        .raw("</summary>\n<ul>\n");
    for line in &told.lines {
        page.raw("<li>").text(line).raw("</li>\n");
    }
    page.raw("</ul>\n");
    if let Some(remedy) = &told.remedy {
        page.raw("<p>What helps:</p>\n<pre><code>")
            .text(remedy)
            .raw("</code></pre>\n");
    }
    page.raw("</details>\n");
}

fn names(report: &Report, hosts: &[usize]) -> String {
    fold::some_names(&report.hosts, hosts, LONGEST_NAMES)
}

/// The columns of the table of gateways.
const COLUMNS: [&str; 9] = [
    "Host",
    "State",
    "Finding",
    "Gateway",
    "Unit",
    "Port held by",
    "Restarts/24 h",
    "HTTP",
    "Latency",
];

/// Every gateway of every host, worst first. Roles are written out, because a table that is laid out as
/// cards on a small screen is none to a screen reader otherwise.
pub(super) fn gateways(page: &mut Page, report: &Report) {
    page.raw("<section id=\"all\" aria-labelledby=\"all-head\">\n<h2 id=\"all-head\">All gateways</h2>\n");
    filter(page);
    page.raw("<table id=\"gateways\" role=\"table\" aria-labelledby=\"all-head\">\n<thead role=\"rowgroup\"><tr role=\"row\">");
    for column in COLUMNS {
        page.raw("<th role=\"columnheader\" scope=\"col\">")
            .raw(column)
            .raw("</th>");
    }
    page.raw("</tr></thead>\n<tbody role=\"rowgroup\">\n");
    let mut anchored = vec![false; report.hosts.len()];
    for row in fold::rows(&report.hosts, true) {
        // The worst gateway's row stands for the host.
        let first = row.hosts.first().copied().filter(|index| {
            let anchor = anchored.get_mut(*index);
            anchor.is_some_and(|anchored| !std::mem::replace(anchored, true))
        });
        gateway(page, report, &row, first);
    }
    page.raw("</tbody>\n</table>\n<p id=\"none\" hidden>No row has all of that.</p>\n</section>\n");
}

pub(super) fn filter(page: &mut Page) {
    page.raw("<form id=\"filter\" role=\"search\" aria-label=\"Filter the gateways\" hidden>\n")
        .raw("<label for=\"words\">Filter</label> <input id=\"words\" name=\"words\" type=\"search\" autocomplete=\"off\" spellcheck=\"false\" placeholder=\"host, finding, unit\">\n")
        .raw("<span class=\"states\" role=\"group\" aria-label=\"States\">\n");
    for verdict in [
        Verdict::Critical,
        Verdict::Unknown,
        Verdict::Warning,
        Verdict::Ok,
    ] {
        page.raw("<button type=\"button\" aria-pressed=\"false\" data-state=\"")
            .raw(verdict.id())
            .raw("\">")
            .raw(verdict.id())
            .raw("</button>\n");
    }
    page.raw(
        "</span>\n<output id=\"told\" for=\"words\" aria-live=\"polite\"></output>\n</form>\n",
    );
}

fn gateway(page: &mut Page, report: &Report, row: &Row, anchor: Option<usize>) {
    page.raw("<tr role=\"row\" data-state=\"")
        .raw(row.verdict.id())
        .raw("\"");
    if let Some(index) = anchor {
        page.raw(" id=\"h").number(index).raw("\" tabindex=\"-1\"");
    }
    let names = fold::names(&report.hosts, &row.hosts);
    page.raw("><th role=\"rowheader\" scope=\"row\" data-label=\"Host\">")
        .text(&names)
        .raw("</th>")
        .raw("<td role=\"cell\" data-label=\"State\" data-n=\"")
        .raw(match row.verdict {
            Verdict::Ok => "0",
            Verdict::Warning => "1",
            Verdict::Unknown => "2",
            Verdict::Critical => "3",
        })
        .raw("\"><span class=\"badge ")
        .raw(row.verdict.id())
        .raw("\">")
        .raw(word(row.verdict))
        .raw("</span></td>");
    text_cell(page, "Finding", &row.finding);
    text_cell(page, "Gateway", &row.gateway);
    text_cell(page, "Unit", &row.units.replace("; ", "\n"));
    text_cell(page, "Port held by", &row.holder);
    number_cell(page, "Restarts/24 h", row.restarts, "");
    text_cell(page, "HTTP", &row.http);
    number_cell(page, "Latency", row.latency_ms, " ms");
    page.raw("</tr>\n");
}

pub(super) fn text_cell(page: &mut Page, label: &'static str, text: &str) {
    page.raw("<td role=\"cell\" data-label=\"").raw(label);
    if text.is_empty() {
        page.raw("\" class=\"nothing\">-</td>");
    } else {
        page.raw("\">").lines(text).raw("</td>");
    }
}

fn number_cell(
    page: &mut Page,
    label: &'static str,
    range: Option<(u32, u32)>,
    unit: &'static str,
) {
    page.raw("<td role=\"cell\" data-label=\"").raw(label);
    match range {
        Some((_, most)) => page
            .raw("\" class=\"number\" data-n=\"")
            .number(most)
            .raw("\">")
            .number(most)
            .raw(unit)
            .raw("</td>"),
        None => page.raw("\" class=\"number nothing\" data-n=\"\">-</td>"),
    };
}
