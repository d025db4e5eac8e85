//! The JSON of rollouts.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::plan::WirePurpose;
use crate::model::{RunSummary, UnitResult, count_ends};
use crate::report::rollout_view::RolloutReport;

/// `clawfleet.rollout/1`: what came of a rollout.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::report) struct WireRollout {
    /// `clawfleet.rollout/1`.
    schema: &'static str,
    /// The run's name.
    run: String,
    purpose: WirePurpose,
    /// How long it took; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed_ms: Option<u64>,
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
            elapsed_ms: (report.elapsed_ms > 0).then_some(report.elapsed_ms),
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

/// `clawfleet.runs/1`: the rollouts that are kept.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::report) struct WireRuns {
    /// `clawfleet.runs/1`.
    schema: &'static str,
    /// Newest first.
    runs: Vec<WireRun>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireRun {
    run: String,
    /// When it was planned, RFC 3339.
    made_at: String,
    /// Who planned it: `user@bastion`.
    made_by: String,
    /// The inventory that names its hosts.
    inventory: String,
    purpose: WirePurpose,
    /// Whether every unit of its plan has an end, and none was left out.
    finished: bool,
    summary: WireRolloutSummary,
}

impl WireRuns {
    pub(in crate::report) fn of(runs: &[RunSummary]) -> Self {
        let runs = runs.iter().map(|run| WireRun {
            run: run.run.clone(),
            made_at: run.made_at.clone(),
            made_by: run.made_by.clone(),
            inventory: run.inventory.clone(),
            purpose: WirePurpose::of(&run.purpose),
            finished: run.finished,
            summary: WireRolloutSummary {
                hosts: run.hosts,
                units: run.units,
                ends: run.ends.clone(),
            },
        });
        Self {
            schema: "clawfleet.runs/1",
            runs: runs.collect(),
        }
    }
}
