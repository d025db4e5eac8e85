//! What is written down of a rollout on the bastion while it runs: its plan, each result, the audit log.

use std::path::{Path, PathBuf};

use super::error::CliError;
use crate::model::{FileContent, Plan, RolloutEvent, RolloutStep, UnitPlan, UnitResult};
use crate::store::{self, AuditEvent, AuditFile, AuditRecord};

/// The record of one run.
pub(super) struct Journal<'a> {
    dir: PathBuf,
    plan: &'a Plan,
    /// The first thing that could not be written. The hosts are not left alone for it.
    trouble: Option<String>,
}

impl<'a> Journal<'a> {
    /// Keeps the plan. Without that nothing is changed anywhere.
    pub(super) fn begin(dir: &Path, plan: &'a Plan) -> Result<Self, CliError> {
        let failed = |why| CliError::Machine(format!("nothing was changed: {why}"));
        store::write_plan(dir, plan).map_err(failed)?;
        let journal = Self {
            dir: dir.to_owned(),
            plan,
            trouble: None,
        };
        for event in [
            AuditEvent::Planned,
            AuditEvent::Approved,
            AuditEvent::Started,
        ] {
            store::append_audit(dir, &journal.record(event)).map_err(failed)?;
        }
        Ok(journal)
    }

    fn record(&self, event: AuditEvent) -> AuditRecord {
        AuditRecord {
            at: jiff::Timestamp::now().to_string(),
            who: self.plan.made_by.clone(),
            run: self.plan.run.clone(),
            event,
            host: None,
            unit: None,
            files: Vec::new(),
            outcome: None,
            why: None,
        }
    }

    fn of_unit(&self, event: AuditEvent, unit: &UnitPlan) -> AuditRecord {
        let digest =
            |content: &Option<FileContent>| content.as_ref().map(|content| content.digest.clone());
        let files = unit.files.iter().map(|file| AuditFile {
            path: file.path.clone(),
            before: digest(&file.before),
            after: digest(&file.after),
        });
        AuditRecord {
            host: Some(unit.host.clone()),
            unit: Some(format!("{} ({})", unit.unit, unit.owner)),
            files: files.collect(),
            ..self.record(event)
        }
    }

    fn audit(&mut self, record: &AuditRecord) {
        if let Err(why) = store::append_audit(&self.dir, record) {
            self.trouble.get_or_insert(why);
        }
    }

    /// Writes down what happened. Returns whether everything could be written so far.
    pub(super) fn on_event(&mut self, event: &RolloutEvent<'_>) -> bool {
        match event {
            RolloutEvent::Step {
                unit,
                step: RolloutStep::Prepare,
            } => {
                if let Some(unit) = self.plan.units.get(*unit) {
                    self.audit(&self.of_unit(AuditEvent::UnitStarted, unit));
                }
            }
            RolloutEvent::UnitFinished { unit, result } => {
                if let Some(unit) = self.plan.units.get(*unit) {
                    let record = self.of_unit(AuditEvent::UnitEnded, unit);
                    self.keep(record, result);
                }
            }
            RolloutEvent::BatchFinished {
                closed: Some(why), ..
            } => self.audit(&AuditRecord {
                why: Some((*why).to_owned()),
                ..self.record(AuditEvent::Stopped)
            }),
            _ => {}
        }
        self.trouble.is_none()
    }

    fn keep(&mut self, record: AuditRecord, result: &UnitResult) {
        if let Err(why) = store::append_result(&self.dir, &self.plan.run, result) {
            self.trouble.get_or_insert(why);
        }
        self.audit(&AuditRecord {
            outcome: Some(result.end.id().to_owned()),
            why: result.end.why().map(str::to_owned),
            ..record
        });
    }

    /// Ends the record: units that were never begun get their result, too. Returns what could not be written.
    pub(super) fn end(mut self, results: &[UnitResult]) -> Option<String> {
        for result in results {
            if matches!(result.end, crate::model::RolloutEnd::NotAttempted(_))
                && let Err(why) = store::append_result(&self.dir, &self.plan.run, result)
            {
                self.trouble.get_or_insert(why);
            }
        }
        let ended = self.record(AuditEvent::Ended);
        self.audit(&ended);
        if let Err(why) = self.tell_history(results) {
            tracing::info!(%why, "the history of checks does not know of this rollout");
        }
        self.trouble
    }

    /// What checks see from now on has this reason.
    fn tell_history(&self, results: &[UnitResult]) -> Result<(), store::HistoryFault> {
        let mut history = store::History::open(&self.dir)?;
        history.record_rollout(&store::RolloutRecord {
            inventory: Path::new(&self.plan.inventory),
            rollout: self.plan.run.as_str(),
            purpose: self.plan.purpose.id(),
            at: jiff::Timestamp::now(),
            results,
        })
    }
}
