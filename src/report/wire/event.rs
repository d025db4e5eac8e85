//! What `check --format ndjson` tells while it runs, a line each (`clawfleet.event/1`).

use schemars::JsonSchema;
use serde::Serialize;

use super::{WireFleetFinding, WireHost, WireSummary, fleet_finding, host, summary};
use crate::model::{HostReport, Report};

/// The version of every line.
const SCHEMA: &str = "clawfleet.event/1";

/// One line.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::report) struct WireEvent {
    /// `clawfleet.event/1`.
    schema: &'static str,
    #[serde(flatten)]
    event: WireHappened,
}

/// What happened.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum WireHappened {
    /// The first line.
    RunStarted {
        /// When the run began, RFC 3339 in UTC.
        started_at: String,
        /// How many hosts it has; as many `host-finished` follow.
        hosts: usize,
    },
    /// A host is done. Each host has one such line, in the order in which they finish.
    HostFinished {
        /// The host as `clawfleet.report/1` has it.
        host: Box<WireHost>,
    },
    /// The last line. A stream without it was cut off.
    RunFinished {
        /// When the run began, RFC 3339 in UTC.
        started_at: String,
        /// How long it took, in ms.
        elapsed_ms: u64,
        /// Whether the operator stopped it early.
        interrupted: bool,
        /// `ok`, `warning`, `unknown` or `critical`; of the hosts and of what compares them.
        verdict: &'static str,
        summary: WireSummary,
        /// What compares hosts, which only the end can tell.
        fleet_findings: Vec<WireFleetFinding>,
    },
}

impl WireEvent {
    fn of(event: WireHappened) -> Self {
        Self {
            schema: SCHEMA,
            event,
        }
    }

    pub(in crate::report) fn started(at: jiff::Timestamp, hosts: usize) -> Self {
        Self::of(WireHappened::RunStarted {
            started_at: at.to_string(),
            hosts,
        })
    }

    pub(in crate::report) fn host(report: &HostReport) -> Self {
        Self::of(WireHappened::HostFinished {
            host: Box::new(host(report)),
        })
    }

    pub(in crate::report) fn finished(report: &Report) -> Self {
        Self::of(WireHappened::RunFinished {
            started_at: report.started_at.to_string(),
            elapsed_ms: report.elapsed_ms,
            interrupted: report.interrupted,
            verdict: report.verdict().id(),
            summary: summary(report),
            fleet_findings: report.fleet_findings.iter().map(fleet_finding).collect(),
        })
    }
}
