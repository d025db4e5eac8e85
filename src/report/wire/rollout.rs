//! The JSON of rollouts.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::plan::WirePurpose;
use crate::model::{UnitResult, count_ends};
use crate::report::rollout_view::RolloutReport;

/// `clawfleet.rollout/1`: what came of a rollout.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::report) struct WireRollout {
    /// `clawfleet.rollout/1`.
    schema: &'static str,
    /// The run's name.
    run: String,
    purpose: WirePurpose,
    elapsed_ms: u64,
    /// Why the rest was not begun, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
    summary: WireRolloutSummary,
    /// One for each unit of the plan.
    units: Vec<WireUnitResult>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireRolloutSummary {
    hosts: usize,
    units: usize,
    /// Units by how they ended; an end that did not come is not there.
    ends: BTreeMap<&'static str, usize>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireUnitResult {
    host: String,
    unit: String,
    /// `system`, or `user NAME`.
    owner: String,
    /// `applied`, `drifted`, `locked`, `not-reached`, `not-attempted`, `failed`, `rolled-back`,
    /// `rollback-failed` or `unknown`.
    outcome: &'static str,
    /// Why it did not go well.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// From its first connection to its end.
    elapsed_ms: u64,
    /// Commands that were run on the host for it.
    commands: u32,
}

impl WireRollout {
    pub(in crate::report) fn of(report: &RolloutReport<'_>) -> Self {
        let hosts: BTreeSet<&str> = report.results.iter().map(|it| it.host.as_str()).collect();
        Self {
            schema: "clawfleet.rollout/1",
            run: report.run.to_owned(),
            purpose: WirePurpose::of(report.purpose),
            elapsed_ms: report.elapsed_ms,
            stopped: report.stopped.map(str::to_owned),
            summary: WireRolloutSummary {
                hosts: hosts.len(),
                units: report.results.len(),
                ends: count_ends(report.results),
            },
            units: report.results.iter().map(unit).collect(),
        }
    }
}

fn unit(result: &UnitResult) -> WireUnitResult {
    WireUnitResult {
        host: result.host.clone(),
        unit: result.unit.clone(),
        owner: result.owner.to_string(),
        outcome: result.end.id(),
        why: result.end.why().map(str::to_owned),
        elapsed_ms: result.elapsed_ms,
        commands: result.commands,
    }
}
