//! The report as node_exporter's textfile collector reads it. Label values are names of the
//! inventory, ports that it names, and words of the contract, so that a host cannot make series.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::text::sanitize;
use crate::model::{Facts, Gateway, HostReport, Report, Severity, Verdict};

/// The port of all gateways that the inventory does not name: how many a host runs is its own affair.
const OTHER: &str = "other";

/// How long a version may be, in characters.
const LONGEST_VERSION: usize = 32;

/// What is told of a gateway, or of all of a host that the inventory does not name.
#[derive(Default)]
struct Told {
    up: bool,
    answer_s: Option<f64>,
    uptime_s: Option<f64>,
    memory_bytes: Option<f64>,
    restarts_hour: Option<u32>,
    restarts_day: Option<u32>,
    version: Option<String>,
}

/// Renders a report as metrics with HELP and TYPE, in seconds and bytes. Every family is there in
/// each run that has something to say for it.
pub fn render_prometheus(report: &Report) -> String {
    let mut out = Metrics::default();
    of_run(&mut out, report);
    of_hosts(&mut out, report);
    of_findings(&mut out, report);
    of_gateways(&mut out, report);
    out.text
}

fn of_run(out: &mut Metrics, report: &Report) {
    out.one(
        "clawfleet_run_timestamp_seconds",
        "When the last check began, in seconds since the epoch.",
        seconds(report.started_at.as_millisecond()),
    );
    out.one(
        "clawfleet_run_duration_seconds",
        "How long the last check took.",
        millis(report.elapsed_ms),
    );
    out.one(
        "clawfleet_run_interrupted",
        "Whether the last check was stopped early.",
        flag(report.interrupted),
    );
    out.one(
        "clawfleet_run_verdict",
        "The worst of the fleet: 0 ok, 1 warning, 2 unknown, 3 critical.",
        level(report.verdict()),
    );
    let summary = report.summary();
    out.family(
        "clawfleet_hosts",
        "Hosts of the last check by their verdict.",
    );
    for (verdict, hosts) in [
        (Verdict::Ok, summary.ok),
        (Verdict::Warning, summary.warning),
        (Verdict::Unknown, summary.not_observed),
        (Verdict::Critical, summary.critical),
    ] {
        out.sample(&[("verdict", verdict.id())], count(hosts));
    }
}

fn of_hosts(out: &mut Metrics, report: &Report) {
    let each = |out: &mut Metrics, value: &dyn Fn(&HostReport) -> Option<f64>| {
        for host in &report.hosts {
            if let Some(value) = value(host) {
                out.sample(&[("host", &host.name)], value);
            }
        }
    };
    out.family(
        "clawfleet_host_observed",
        "Whether the whole probe of the host came back.",
    );
    each(out, &|host| Some(flag(is_observed(host))));
    out.family(
        "clawfleet_host_not_observed_info",
        "Why the host was not observed in full: how far it was reached, and the stage that failed.",
    );
    for host in report.hosts.iter().filter(|host| !is_observed(host)) {
        let outcome = &host.observation.outcome;
        let stage = outcome.error().map_or("", |error| error.stage.id());
        out.sample(
            &[
                ("host", &host.name),
                ("outcome", outcome.id()),
                ("stage", stage),
            ],
            1.0,
        );
    }
    out.family(
        "clawfleet_host_verdict",
        "The verdict on the host: 0 ok, 1 warning, 2 unknown, 3 critical.",
    );
    each(out, &|host| Some(level(host.verdict)));
    out.family(
        "clawfleet_host_maintenance",
        "Whether the inventory says that the host is in maintenance.",
    );
    each(out, &|host| Some(flag(host.maintenance)));
    out.family(
        "clawfleet_host_check_duration_seconds",
        "How long the check of the host took.",
    );
    each(out, &|host| {
        Some(host.observation.elapsed.as_secs_f64()).filter(|_| !host.observation.elapsed.is_zero())
    });
    out.family(
        "clawfleet_host_clock_ahead_seconds",
        "How far the clock of the host is ahead of this machine's; behind is negative.",
    );
    each(out, &|host| {
        let ahead = facts(host)?.system.clock_ahead_s?;
        i32::try_from(ahead).ok().map(f64::from)
    });
    out.family(
        "clawfleet_host_uptime_seconds",
        "How long ago the host booted.",
    );
    each(out, &|host| facts(host)?.system.uptime_s.map(whole));
    out.family(
        "clawfleet_host_filesystem_free_bytes",
        "What is left of the file system with the least left, of those that gateways write to.",
    );
    each(out, &|host| {
        let disks = facts(host)?.disks.iter();
        disks
            .map(|disk| whole(disk.free_kib) * 1024.0)
            .min_by(f64::total_cmp)
    });
    out.family(
        "clawfleet_host_filesystem_free_ratio",
        "The least part that is left of any file system that gateways write to, from 0 to 1.",
    );
    each(out, &|host| {
        let disks = facts(host)?.disks.iter().filter(|disk| disk.size_kib > 0);
        disks
            .map(|disk| whole(disk.free_kib) / whole(disk.size_kib))
            .min_by(f64::total_cmp)
    });
}

fn of_findings(out: &mut Metrics, report: &Report) {
    out.family(
        "clawfleet_findings",
        "Findings by class, severity and gateway; the port is empty for the host as a whole.",
    );
    for host in &report.hosts {
        let mut counts: BTreeMap<(_, Severity, &str), usize> = BTreeMap::new();
        let ports = named_ports(host);
        for finding in &host.findings {
            let port = finding.gateway.map_or("", |port| label_of(&ports, port));
            *counts
                .entry((finding.id(), finding.severity, port))
                .or_default() += 1;
        }
        for ((id, severity, port), number) in counts {
            out.sample(
                &[
                    ("host", &host.name),
                    ("port", port),
                    ("class", &id),
                    ("severity", severity.id()),
                ],
                count(number),
            );
        }
    }
    out.family(
        "clawfleet_fleet_findings",
        "Findings that compare hosts, by class and severity: how many hosts they are about.",
    );
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for finding in &report.fleet_findings {
        *counts.entry((finding.class, finding.severity)).or_default() += finding.hosts.len();
    }
    for ((class, severity), hosts) in counts {
        out.sample(
            &[("class", class.id()), ("severity", severity.id())],
            count(hosts),
        );
    }
}

fn of_gateways(out: &mut Metrics, report: &Report) {
    let mut told: Vec<(&str, String, Told)> = Vec::new();
    for host in &report.hosts {
        told.extend(
            gateways(host)
                .into_iter()
                .map(|(port, gateway)| (host.name.as_str(), port, gateway)),
        );
    }
    let each = |out: &mut Metrics, value: &dyn Fn(&Told) -> Option<f64>| {
        for (host, port, gateway) in &told {
            if let Some(value) = value(gateway) {
                out.sample(&[("host", host), ("port", port)], value);
            }
        }
    };
    out.family(
        "clawfleet_gateway_up",
        "Whether a gateway answered; for the port `other`, whether all that the inventory does not name did.",
    );
    each(out, &|gateway| Some(flag(gateway.up)));
    out.family(
        "clawfleet_gateway_answer_seconds",
        "How long the gateway took to answer its health question.",
    );
    each(out, &|gateway| gateway.answer_s);
    out.family(
        "clawfleet_gateway_uptime_seconds",
        "How long the gateway says that it runs (from 2026.3.8 on).",
    );
    each(out, &|gateway| gateway.uptime_s);
    out.family(
        "clawfleet_gateway_memory_bytes",
        "What the processes that hold the gateway's port have in memory (resident set).",
    );
    each(out, &|gateway| gateway.memory_bytes);
    out.family(
        "clawfleet_gateway_restarts_last_hour",
        "Restarts that systemd scheduled in the last hour, by the journal.",
    );
    each(out, &|gateway| gateway.restarts_hour.map(f64::from));
    out.family(
        "clawfleet_gateway_restarts_last_day",
        "Restarts that systemd scheduled in the last 24 hours, by the journal.",
    );
    each(out, &|gateway| gateway.restarts_day.map(f64::from));
    out.family(
        "clawfleet_gateway_info",
        "The version that the running gateway names itself (from 2026.9 on).",
    );
    for (host, port, gateway) in &told {
        if let Some(version) = &gateway.version {
            out.sample(&[("host", host), ("port", port), ("version", version)], 1.0);
        }
    }
}

fn facts(host: &HostReport) -> Option<&Facts> {
    host.observation.outcome.facts()
}

fn is_observed(host: &HostReport) -> bool {
    matches!(
        host.observation.outcome,
        crate::model::HostOutcome::Observed(_)
    )
}

/// The ports that the inventory names, as they are written.
fn named_ports(host: &HostReport) -> BTreeMap<u16, String> {
    let gateways = facts(host).into_iter().flat_map(|facts| &facts.gateways);
    gateways
        .filter(|gateway| gateway.named.is_some())
        .map(|gateway| (gateway.port, gateway.port.to_string()))
        .collect()
}

fn label_of(ports: &BTreeMap<u16, String>, port: u16) -> &str {
    ports.get(&port).map_or(OTHER, String::as_str)
}

/// The gateways of a host, those that the inventory does not name as one.
fn gateways(host: &HostReport) -> Vec<(String, Told)> {
    let mut all: Vec<(String, Told)> = Vec::new();
    let seen = facts(host).into_iter();
    for (facts, gateway) in seen.flat_map(|facts| facts.gateways.iter().map(move |it| (facts, it)))
    {
        let one = told(facts, gateway);
        if gateway.named.is_some() {
            all.push((gateway.port.to_string(), one));
            continue;
        }
        match all.iter_mut().find(|(port, _)| port == OTHER) {
            Some((_, others)) => {
                let most = |a: Option<f64>, b: Option<f64>| match (a, b) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    (a, b) => a.or(b),
                };
                others.up &= one.up;
                others.answer_s = most(others.answer_s, one.answer_s);
                others.memory_bytes = most(others.memory_bytes, one.memory_bytes);
                others.restarts_hour = others.restarts_hour.max(one.restarts_hour);
                others.restarts_day = others.restarts_day.max(one.restarts_day);
            }
            None => {
                // Of several only what can be joined is told.
                let joinable = Told {
                    uptime_s: None,
                    version: None,
                    ..one
                };
                all.push((OTHER.to_owned(), joinable));
            }
        }
    }
    all
}

fn told(facts: &Facts, gateway: &Gateway) -> Told {
    let journals = || gateway.units.iter().filter_map(|unit| unit.journal.known());
    let ready = gateway.http.ready.as_ref();
    Told {
        up: gateway.http.is_gateway(),
        answer_s: gateway
            .http
            .answer()
            .map(|answer| Duration::from_millis(answer.latency_ms.into()).as_secs_f64()),
        uptime_s: ready.and_then(|ready| ready.uptime_ms).map(millis),
        memory_bytes: gateway
            .memory_kib(facts)
            .and_then(|kib| u32::try_from(kib).ok())
            .map(|kib| f64::from(kib) * 1024.0),
        restarts_hour: journals().map(|journal| journal.restarts_1h).max(),
        restarts_day: journals().map(|journal| journal.restarts_24h).max(),
        version: gateway.http.version.as_deref().map(version),
    }
}

/// A version is the host's word: what does not look like one is not told.
fn version(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
    let fits = text.len() <= LONGEST_VERSION && text.starts_with(|c: char| c.is_ascii_digit());
    if fits && text.chars().all(plain) {
        text.to_owned()
    } else {
        OTHER.to_owned()
    }
}

fn level(verdict: Verdict) -> f64 {
    match verdict {
        Verdict::Ok => 0.0,
        Verdict::Warning => 1.0,
        Verdict::Unknown => 2.0,
        Verdict::Critical => 3.0,
    }
}

fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// As a float has it; whole up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
fn whole(number: u64) -> f64 {
    number as f64
}

fn millis(ms: u64) -> f64 {
    whole(ms) / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// Families are begun when their first sample comes, so that none is empty.
#[derive(Default)]
struct Metrics {
    text: String,
    name: &'static str,
    help: &'static str,
    begun: bool,
}

impl Metrics {
    fn family(&mut self, name: &'static str, help: &'static str) {
        (self.name, self.help, self.begun) = (name, help, false);
    }

    fn one(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.family(name, help);
        self.sample(&[], value);
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        let Self { name, help, .. } = *self;
        if !self.begun {
            self.begun = true;
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} gauge");
        }
        self.text.push_str(name);
        for (place, (key, text)) in labels.iter().enumerate() {
            self.text.push(if place == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{key}=\"{}\"", label(text));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }
}

/// A label's value between its quotes.
fn label(text: &str) -> String {
    sanitize(text)
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_names_no_series() {
        assert_eq!(version("2026.9.1-beta.2"), "2026.9.1-beta.2");
        for odd in [
            "",
            "v1",
            "1 2",
            "1\"2",
            "1\n2",
            "9.99999999999999999999999999999999999",
        ] {
            assert_eq!(version(odd), OTHER, "{odd}");
        }
    }

    #[test]
    fn a_label_stays_in_its_quotes() {
        assert_eq!(label("a\"b\\c\nd"), "a\\\"b\\\\c␊d");
    }
}
