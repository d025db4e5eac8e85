//! Drafts and results, as they are printed.

use super::args::Format;
use super::context::Context;
use super::error::CliError;
use super::rollout::Draft;
use crate::model::{Planned, UnitResult};
use crate::report::{
    PlanReport, RolloutReport, render_plan, render_plan_json, render_rollout, render_rollout_json,
};

impl Draft {
    pub(super) fn report(&self) -> PlanReport<'_> {
        PlanReport {
            run: &self.plan.run,
            purpose: &self.plan.purpose,
            entries: &self.entries,
            check_only: self.check_only,
        }
    }
}

fn json<E: std::fmt::Display>(text: Result<String, E>) -> Result<String, CliError> {
    text.map_err(|error| CliError::Machine(format!("as JSON: {error}")))
}

pub(super) fn plan(draft: &Draft, context: &Context) -> Result<String, CliError> {
    match context.format {
        Format::Table => Ok(render_plan(&draft.report(), context.view)),
        Format::Json | Format::Ndjson => json(render_plan_json(&draft.report())),
    }
}

/// The rendered files of each host, as they would be written.
pub(super) fn files(draft: &Draft, _: &Context) -> String {
    let mut text = String::new();
    for (host, planned) in &draft.entries {
        match planned {
            Planned::Change(unit) => {
                for file in &unit.files {
                    let after = file.after.as_ref();
                    text += &format!("# {host}: {}\n", file.path);
                    text += after.map_or("", |after| after.text.as_str());
                }
            }
            Planned::Nothing { unit, why } => text += &format!("# {host}: {unit}: {why}\n"),
            Planned::Refused(refusal) => text += &format!("# {host}: {}\n", refusal.why),
            Planned::NotObserved(error) => text += &format!("# {host}: {}\n", error.message),
        }
    }
    crate::report::sanitize(&text)
        .lines()
        .map(|line| format!("{line}\n"))
        .collect()
}

pub(super) fn results(
    draft: &Draft,
    results: &[UnitResult],
    elapsed_ms: u64,
    stopped: Option<&str>,
    context: &Context,
) -> Result<String, CliError> {
    let report = RolloutReport {
        run: &draft.plan.run,
        purpose: &draft.plan.purpose,
        results,
        stopped,
        elapsed_ms,
    };
    match context.format {
        Format::Table => Ok(render_rollout(&report, context.view)),
        Format::Json | Format::Ndjson => json(render_rollout_json(&report)),
    }
}
