//! What a check knows of earlier ones, and what it leaves for later ones. Nothing here stops a check:
//! what cannot be read or kept is told of, and the exit code is that of the findings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::args::{CheckArgs, Format};
use super::context::Context;
use super::error::CliError;
use super::machine;
use super::silence;
use crate::diagnose::{self, Patience};
use crate::model::{Host, HostReport, Memory, Report, Severity, Silence, Trends, TroubleKey};
use crate::report::{render_changes, render_changes_json};
use crate::store::{
    CheckLock, History, Keep, KeptSilence, LockFault, OpenFinding, RunRecord, Span,
};

/// How far back restarts are counted.
const DAY: Duration = Duration::from_secs(86_400);

/// How far back a page's drawings go.
const TRENDS: Duration = Duration::from_secs(7 * 86_400);

/// What earlier runs left.
pub(super) struct Past<'a> {
    context: &'a Context,
    inventory: PathBuf,
    history: Option<History>,
    open: BTreeMap<TroubleKey, OpenFinding>,
    /// What the operator was told; only for a run that tells what changed.
    memory: Option<Memory>,
    silences: Vec<KeptSilence>,
}

/// Sees to it that one run that tells what changed is at work at a time. A run by hand takes no lock: it
/// changes nothing of what was told.
pub(super) fn lock(
    context: &Context,
    args: &CheckArgs,
    inventory: &Path,
) -> Result<Option<CheckLock>, CliError> {
    let Some(dir) = context.kept_in().filter(|_| args.watch.on_change) else {
        return Ok(None);
    };
    match CheckLock::take(dir, inventory, &machine::who(), args.watch.wait) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockFault::Held { by }) => Err(CliError::CheckLocked(by)),
        Err(LockFault::Failed(why)) => {
            context.note(&format!("this check runs without a lock: {why}"));
            Ok(None)
        }
    }
}

/// Waits a random part of a time.
pub(super) fn jitter(most: Option<Duration>) {
    let Some(most) = most.filter(|most| !most.is_zero()) else {
        return;
    };
    let mut random = [0; 4];
    if getrandom::fill(&mut random).is_ok() {
        let part = f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX);
        std::thread::sleep(most.mul_f64(part));
    }
}

impl<'a> Past<'a> {
    /// Reads what there is. Where there is nothing yet, or nothing to be had, the check goes on.
    pub(super) fn recall(context: &'a Context, inventory: &Path, on_change: bool) -> Self {
        let mut past = Self {
            context,
            inventory: inventory.to_owned(),
            history: None,
            open: BTreeMap::new(),
            memory: None,
            silences: Vec::new(),
        };
        let read = || -> Result<_, String> {
            let dir = context.kept_in().ok_or("HOME is not set")?;
            let history = History::open(dir).map_err(|fault| fault.to_string())?;
            let open = history.open_findings(inventory);
            let open = open.map_err(|fault| fault.to_string())?;
            let memory = match on_change {
                true => Some(
                    history
                        .memory(inventory)
                        .map_err(|fault| fault.to_string())?,
                ),
                false => None,
            };
            let silences = history.silences(inventory, Timestamp::now());
            let silences = silences.map_err(|fault| fault.to_string())?;
            Ok((history, open, memory, silences))
        };
        match read() {
            Ok((history, open, memory, silences)) => {
                past.silences = silences;
                past.history = Some(history);
                past.open = open;
                past.memory = memory;
            }
            Err(why) => {
                let so = match on_change {
                    true => ", and what was told before is not known, so that all of it is told",
                    false => "",
                };
                context.note(&format!("this run is not kept in the history{so}: {why}"));
            }
        }
        past
    }

    /// Adds to a host's report what only earlier runs can tell: restarts that no journal counts, and since
    /// when each finding is there.
    pub(super) fn complete(&self, host: &Host, report: &mut HostReport, now: Timestamp) {
        let Some(history) = &self.history else {
            return;
        };
        let since = now.checked_sub(DAY).unwrap_or(now);
        diagnose::add_growth(host, report, &|port| {
            let counts = history.restart_counts(&self.inventory, &host.name, port, since);
            counts.unwrap_or_else(|why| {
                tracing::debug!(%why, "earlier restarts cannot be read");
                Vec::new()
            })
        });
        for finding in &mut report.findings {
            let known = self.open.get(&TroubleKey::of(&report.name, finding));
            // A clock that was set back makes nothing begin in the future.
            finding.since = Some(known.map_or(now, |open| open.since.min(now)));
        }
    }

    /// What earlier runs saw of the report's hosts, for drawings.
    pub(super) fn trends(&self, report: &Report) -> Trends {
        let Some(history) = &self.history else {
            return Trends::default();
        };
        let names: Vec<String> = report.hosts.iter().map(|host| host.name.clone()).collect();
        let since = report
            .started_at
            .checked_sub(TRENDS)
            .unwrap_or(Timestamp::MIN);
        match history.chronicle(&self.inventory, Span::Since(since), &names) {
            Ok(chronicle) => diagnose::trends(&chronicle),
            Err(why) => {
                self.context.note(&format!("the page has no trends: {why}"));
                Trends::default()
            }
        }
    }

    /// The silences that are about a host of the report, a line each.
    fn silenced(&self, report: &Report) -> String {
        let about = |kept: &&KeptSilence| {
            let mut hosts = report.hosts.iter();
            hosts.any(|host| kept.silence.hosts.contains(&host.name))
        };
        let ours: Vec<KeptSilence> = self.silences.iter().filter(about).cloned().collect();
        match ours.as_slice() {
            [] => String::new(),
            ours => silence::table(ours),
        }
    }

    /// Keeps a run. One that tells what changed tells it here, before it is kept: what is told twice
    /// after a crash is better than what is not told at all. `print_all` prints the whole report, where
    /// nobody knows what was told before.
    pub(super) fn tell_and_keep(
        mut self,
        report: &Report,
        args: &CheckArgs,
        print_all: impl FnOnce() -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let sightings = diagnose::sightings(report);
        let silences: Vec<Silence> = self
            .silences
            .iter()
            .map(|kept| kept.silence.clone())
            .collect();
        let (next, printed) = match &self.memory {
            None => {
                let printed = print_all();
                // On stderr, so that it stands beside every format and spoils none.
                for line in self.silenced(report).lines() {
                    self.context.note(line);
                }
                (None, printed)
            }
            Some(memory) => {
                let patience = Patience {
                    confirm: args.watch.confirm,
                    remind: args.watch.remind.0,
                    // A host that is not seen is told of, whatever severity is asked for.
                    least: args.fail_on.least().min(Severity::Unknown),
                };
                let (next, changes) = diagnose::step(memory, &sightings, &patience, &silences);
                let printed = match self.context.format {
                    _ if changes.is_empty() => Ok(String::new()),
                    Format::Table => Ok(render_changes(&changes, report, self.context.view)),
                    Format::Json | Format::Ndjson => render_changes_json(&changes, report)
                        .map_err(|error| CliError::Machine(format!("as JSON: {error}"))),
                };
                let printed = printed.and_then(|text| self.context.print(&text));
                (Some(next), printed)
            }
        };
        // Who reads stdout may have gone away; then it was not told, and will be.
        let keeps_memory = printed.is_ok();
        let memory = match (&self.memory, &next) {
            (Some(before), Some(after)) if keeps_memory => Some((before, after)),
            _ => None,
        };
        let readings = diagnose::readings(report);
        let fingerprints = diagnose::fingerprints(report);
        let record = RunRecord {
            inventory: &self.inventory,
            report,
            sightings: &sightings,
            readings: &readings,
            fingerprints: &fingerprints,
            memory,
        };
        if let Some(history) = &mut self.history {
            match history.record(&record) {
                Ok(recorded) => {
                    if let Some(after) = recorded.after {
                        self.context.note(&format!(
                            "the clock was set back: the run before this one began at {after}; what lasted is counted from now"
                        ));
                    }
                    if let Err(why) = history.prune_a_little(Keep::default(), report.started_at) {
                        tracing::debug!(%why, "the history was not tidied");
                    }
                }
                Err(why) => self
                    .context
                    .note(&format!("this run is not kept in the history: {why}")),
            }
        }
        printed
    }
}
