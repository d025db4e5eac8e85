//! What `check --on-change --format json` tells (`clawfleet.changes/1`).

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use super::super::changes_view::shown;
use super::{WireSummary, summary};
use crate::model::{Change, Report};

/// `clawfleet.changes/1`. Where nothing changed nothing is printed at all.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::report) struct WireChanges {
    /// `clawfleet.changes/1`.
    schema: &'static str,
    /// When the run began, RFC 3339 in UTC.
    started_at: String,
    /// How long it took, in ms.
    elapsed_ms: u64,
    /// `ok`, `warning`, `unknown` or `critical`: of the fleet, not of the changes.
    verdict: &'static str,
    summary: WireSummary,
    /// Each trouble of which there is something to tell, once.
    changes: Vec<WireChange>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireChange {
    /// `new`, `worsened`, `flapping`, `reminder` or `recovered`.
    kind: &'static str,
    host: String,
    /// The port of the gateway that it is about; absent for the host as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<u16>,
    /// A class of the catalogue, or `custom/NAME`.
    class: String,
    /// What it is about; empty for the host as a whole.
    subject: String,
    /// `info`, `warning`, `unknown` or `critical`: as it is, or was where it is over.
    severity: &'static str,
    /// How severe it was told to be before, where it got worse.
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<&'static str>,
    /// When it was first seen, RFC 3339 in UTC.
    since: String,
    /// When a look first did not find it any more, where it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// How often it came within the last twelve hours, where it comes and goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    title: Cow<'static, str>,
    /// What shows it now; empty where it is over.
    evidence: Vec<String>,
    /// A command that helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl WireChanges {
    pub(in crate::report) fn of(changes: &[Change], report: &Report) -> Self {
        Self {
            schema: "clawfleet.changes/1",
            started_at: report.started_at.to_string(),
            elapsed_ms: report.elapsed_ms,
            verdict: report.verdict().id(),
            summary: summary(report),
            changes: shown(changes, report)
                .into_iter()
                .map(|(change, shown)| WireChange {
                    kind: change.kind.id(),
                    host: change.key.host.clone(),
                    gateway: change.key.gateway,
                    class: change.key.class.clone(),
                    subject: change.key.subject.clone(),
                    severity: change.severity.id(),
                    was: change.was.map(crate::model::Severity::id),
                    since: change.since.to_string(),
                    until: change.until.map(|at| at.to_string()),
                    times: change.times,
                    title: shown.title,
                    evidence: shown.evidence,
                    remedy: shown.help.map(|help| help.for_hosts(&change.key.host)),
                })
                .collect(),
        }
    }
}
