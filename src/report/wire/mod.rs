//! The JSON shapes that scripts rely on, apart from the types that the program works with.

mod changes;
mod command;
mod event;
mod facts;
mod history;
mod plan;
mod rollout;
pub(super) mod schedule;

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::words;
use crate::model::{Finding, FleetFinding, HostError, HostReport, Report};
pub(super) use changes::WireChanges;
pub(super) use command::{WireCommand, WireLastLine, WireLine};
pub(super) use event::WireEvent;
use facts::{WireFacts, facts};
pub(super) use history::{WireHistory, WireKeptRuns, WireRunDiff};
pub(super) use plan::WirePlanReport;
pub(super) use rollout::{WireRollout, WireRuns};

/// `clawfleet.report/1`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct WireReport {
    /// `clawfleet.report/1`.
    schema: &'static str,
    /// When the run began, RFC 3339 in UTC.
    started_at: String,
    /// How long it took, in ms.
    elapsed_ms: u64,
    /// `ok`, `warning`, `unknown` or `critical`.
    verdict: &'static str,
    /// Whether the operator stopped it early.
    interrupted: bool,
    summary: WireSummary,
    /// In the inventory's order.
    hosts: Vec<WireHost>,
    fleet_findings: Vec<WireFleetFinding>,
}

/// Counts of hosts; they add up to `hosts`.
#[derive(Debug, Serialize, JsonSchema)]
struct WireSummary {
    hosts: usize,
    ok: usize,
    warning: usize,
    critical: usize,
    not_observed: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireHost {
    name: String,
    address: String,
    /// `observed`, `partial`, `unreachable`, `auth-failed`, `host-key-rejected`, `timed-out`,
    /// `failed`, `cancelled` or `skipped`.
    outcome: &'static str,
    /// `ok`, `warning`, `unknown` or `critical`.
    verdict: &'static str,
    /// Whether the inventory says that it is in maintenance: its findings are then no alarm.
    maintenance: bool,
    elapsed_ms: u64,
    /// Time in each stage, in ms.
    stages_ms: BTreeMap<&'static str, u64>,
    /// Where and why it went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<WireError>,
    /// What was seen; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<WireFacts>,
    /// Worst first, causes before consequences.
    findings: Vec<WireFinding>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireError {
    /// How long that stage had lasted, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    message: String,
    /// `dns`, `tcp`, `banner`, `kex`, `host-key`, `auth`, `channel`, `become`, `exec`, `parse` or
    /// `deadline`.
    stage: &'static str,
    /// The jump host that failed, where it was not the host itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireFinding {
    /// A class of the catalogue, or `custom/NAME`.
    class: Cow<'static, str>,
    /// The port of the gateway that it is about; absent for the host as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<u16>,
    severity: &'static str,
    /// When it was first seen, of the time that it is there now, RFC 3339 in UTC; absent where the
    /// history does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// `low`, `medium` or `high`.
    confidence: &'static str,
    subject: String,
    title: String,
    evidence: Vec<String>,
    /// A command that helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    /// The class on the same host that explains this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireFleetFinding {
    class: &'static str,
    severity: &'static str,
    hosts: Vec<String>,
    evidence: Vec<String>,
}

impl WireReport {
    pub(super) fn of(report: &Report) -> Self {
        Self {
            schema: "clawfleet.report/1",
            started_at: report.started_at.to_string(),
            elapsed_ms: report.elapsed_ms,
            verdict: report.verdict().id(),
            interrupted: report.interrupted,
            summary: summary(report),
            hosts: report.hosts.iter().map(host).collect(),
            fleet_findings: report.fleet_findings.iter().map(fleet_finding).collect(),
        }
    }
}

fn summary(report: &Report) -> WireSummary {
    let summary = report.summary();
    WireSummary {
        hosts: summary.hosts,
        ok: summary.ok,
        warning: summary.warning,
        critical: summary.critical,
        not_observed: summary.not_observed,
    }
}

fn host(host: &HostReport) -> WireHost {
    let observation = &host.observation;
    let mut stages_ms = BTreeMap::new();
    for (stage, time) in &observation.stages.0 {
        *stages_ms.entry(stage.id()).or_default() += millis(*time);
    }
    WireHost {
        name: host.name.clone(),
        address: host.address.clone(),
        outcome: observation.outcome.id(),
        verdict: host.verdict.id(),
        maintenance: host.maintenance,
        elapsed_ms: millis(observation.elapsed),
        stages_ms,
        error: observation.outcome.error().map(error),
        facts: observation.outcome.facts().map(facts),
        findings: host.findings.iter().map(|one| finding(one, host)).collect(),
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn error(error: &HostError) -> WireError {
    WireError {
        stage: error.stage.id(),
        message: error.message.clone(),
        hint: error.hint.clone(),
        after_ms: error.after_ms,
        via: error.via.clone(),
    }
}

fn finding(finding: &Finding, host: &HostReport) -> WireFinding {
    WireFinding {
        class: finding.id(),
        gateway: finding.gateway,
        severity: finding.severity.id(),
        since: finding.since.map(|at| at.to_string()),
        confidence: finding.confidence.id(),
        subject: words::subject(&finding.subject),
        title: words::title(finding, host),
        evidence: finding.evidence.iter().map(words::evidence).collect(),
        remedy: words::remedy(finding, host),
        cause: finding.cause.map(crate::model::Class::id),
    }
}

fn fleet_finding(finding: &FleetFinding) -> WireFleetFinding {
    WireFleetFinding {
        class: finding.class.id(),
        severity: finding.severity.id(),
        hosts: finding.hosts.clone(),
        evidence: finding.evidence.iter().map(words::evidence).collect(),
    }
}
