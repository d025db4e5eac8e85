//! The runs of a bastion, for programs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::plan::WirePurpose;
use crate::model::RunSummary;

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
    /// When it was planned.
    made_at: String,
    /// Who planned it: `user@bastion`.
    made_by: String,
    inventory: String,
    purpose: WirePurpose,
    hosts: usize,
    units: usize,
    /// Units by how they ended.
    ends: BTreeMap<&'static str, usize>,
    /// Whether every unit of its plan has an end and none was left out.
    finished: bool,
}

impl WireRuns {
    pub(in crate::report) fn of(runs: &[RunSummary]) -> Self {
        Self {
            schema: "clawfleet.runs/1",
            runs: runs
                .iter()
                .map(|run| WireRun {
                    run: run.run.clone(),
                    made_at: run.made_at.clone(),
                    made_by: run.made_by.clone(),
                    inventory: run.inventory.clone(),
                    purpose: WirePurpose::of(&run.purpose),
                    hosts: run.hosts,
                    units: run.units,
                    ends: run.ends.clone(),
                    finished: run.finished,
                })
                .collect(),
        }
    }
}
