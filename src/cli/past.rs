//! What a check knows of earlier ones, and what it leaves for later ones. Nothing here stops a check:
//! what cannot be read or kept is told of, and the exit code is that of the findings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::args::{CheckArgs, Format};
use super::audience::{Audience, KeptOutbox};
use super::context::Context;
use super::error::CliError;
use super::machine;
use super::silence;
use crate::diagnose::{self, Earlier, Patience};
use crate::model::{
    Change, Host, HostReport, Memory, OutboxEntry, ReadingKind, Report, Severity, Sightings,
    Silence, Trends, TroubleKey,
};
use crate::report::{self, render_changes, render_changes_json};
use crate::store::{
    CheckLock, History, HistoryFault, Keep, KeptSilence, LockFault, OpenFinding, RunRecord, Span,
};

/// How long channels may take in all, and how much of a deadline is theirs at least.
const DELIVERY: Duration = Duration::from_secs(30);
pub(super) const RESERVE: Duration = Duration::from_secs(5);

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
    audience: Option<Audience>,
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

/// What earlier runs read of a host. What cannot be read is not there.
struct EarlierRuns<'a> {
    history: &'a History,
    inventory: &'a Path,
    host: &'a str,
}

fn had<T: Default>(read: Result<T, HistoryFault>) -> T {
    read.unwrap_or_else(|why| {
        tracing::debug!(%why, "earlier runs cannot be read");
        T::default()
    })
}

impl Earlier for EarlierRuns<'_> {
    fn readings(&self, port: u16, kind: ReadingKind, since: Timestamp) -> Vec<(Timestamp, i64)> {
        let whose = (self.host, port);
        had(self
            .history
            .readings_since(self.inventory, whose, kind, since))
    }

    fn last_change(&self, port: u16) -> Option<Timestamp> {
        had(self.history.last_change(self.inventory, self.host, port))
    }
}

impl<'a> Past<'a> {
    /// Reads what there is. Where there is nothing yet, or nothing to be had, the check goes on.
    /// With an audience it is a run that tells what changed.
    pub(super) fn recall(
        context: &'a Context,
        inventory: &Path,
        audience: Option<Audience>,
    ) -> Self {
        let on_change = audience.is_some();
        let mut past = Self {
            context,
            inventory: inventory.to_owned(),
            history: None,
            open: BTreeMap::new(),
            memory: None,
            silences: Vec::new(),
            audience,
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
        let earlier = EarlierRuns {
            history,
            inventory: &self.inventory,
            host: &host.name,
        };
        diagnose::add_earlier(host, report, now, &earlier);
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
    pub(super) fn silenced(&self, report: &Report) -> String {
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

    /// Keeps a run, and tells what changed where that is wanted: here before it is kept, since what is told twice after
    /// a crash is better than what is not told at all, and to the channels after it, with what is kept of them in
    /// the same transaction. `print_all` prints the whole report, where nobody knows what was told before.
    pub(super) fn tell_and_keep(
        mut self,
        report: &Report,
        args: &CheckArgs,
        until: Option<Instant>,
        print_all: impl FnOnce() -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let sightings = diagnose::sightings(report);
        let step = self.step(&sightings, args);
        let printed = match &step {
            Some((_, changes)) if self.memory.is_some() => self.print(changes, report),
            _ => print_all(),
        };
        let audience = self.audience.take();
        let news = step.as_ref().map_or_else(Vec::new, |(next, changes)| {
            report::news(changes, report, next)
        });
        let messages = |run: String| {
            let audience = audience.as_ref();
            audience.map_or_else(Vec::new, |all| all.messages(report, run, news.clone()))
        };
        let has_messages = !messages(String::new()).is_empty();
        // Who reads stdout may have gone away; then it was not told, and will be, unless others were told.
        let keeps_memory = printed.is_ok() || has_messages;
        let memory = match (&self.memory, &step) {
            (Some(before), Some((after, _))) if keeps_memory => Some((before, after)),
            _ => None,
        };
        let record = RunRecord {
            inventory: &self.inventory,
            report,
            sightings: &sightings,
            readings: &diagnose::readings(report),
            fingerprints: &diagnose::fingerprints(report),
            memory,
            messages: &|run| messages(run.to_string()),
        };
        let kept = self
            .history
            .as_mut()
            .is_some_and(|history| keep(self.context, history, &record));
        if let Some(audience) = &audience {
            let unkept = || messages(report.started_at.to_string());
            self.send(audience, kept, unkept, until);
        }
        printed
    }

    /// What changed since the operator was told. Without memory everything did.
    fn step(&self, sightings: &Sightings, args: &CheckArgs) -> Option<(Memory, Vec<Change>)> {
        self.audience.as_ref()?;
        let silences: Vec<Silence> = self
            .silences
            .iter()
            .map(|kept| kept.silence.clone())
            .collect();
        let patience = Patience {
            // Who remembers nothing would confirm nothing.
            confirm: match &self.memory {
                Some(_) => args.watch.confirm,
                None => 1,
            },
            remind: args.watch.remind.0,
            // A host that is not seen is told of, whatever severity is asked for.
            least: args.fail_on.least().min(Severity::Unknown),
        };
        let nothing = Memory::default();
        let memory = self.memory.as_ref().unwrap_or(&nothing);
        Some(diagnose::step(memory, sightings, &patience, &silences))
    }

    fn print(&self, changes: &[Change], report: &Report) -> Result<(), CliError> {
        let text = match self.context.format {
            _ if changes.is_empty() => String::new(),
            Format::Table => render_changes(changes, report, self.context.view),
            Format::Json | Format::Ndjson => render_changes_json(changes, report)
                .map_err(|error| CliError::Machine(format!("as JSON: {error}")))?,
        };
        self.context.print(&text)
    }

    /// Sends what waits. What could not be kept is sent all the same.
    fn send(
        &mut self,
        audience: &Audience,
        kept: bool,
        unkept: impl FnOnce() -> Vec<OutboxEntry>,
        until: Option<Instant>,
    ) {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let limit = left.map_or(DELIVERY, |left| left.clamp(RESERVE, DELIVERY));
        match (&mut self.history, kept) {
            (Some(history), true) => {
                let mut outbox = KeptOutbox {
                    history,
                    inventory: &self.inventory,
                };
                audience.send(self.context, &mut outbox, limit);
            }
            _ => audience.send(self.context, &mut unkept(), limit),
        }
    }
}

/// Keeps a run in the history, and says whether that went well.
fn keep(context: &Context, history: &mut History, record: &RunRecord<'_>) -> bool {
    match history.record(record) {
        Ok(recorded) => {
            if let Some(after) = recorded.after {
                context.note(&format!(
                    "the clock was set back: the run before this one began at {after}; what lasted is counted from now"
                ));
            }
            if let Err(why) = history.prune_a_little(Keep::default(), record.report.started_at) {
                tracing::debug!(%why, "the history was not tidied");
            }
            true
        }
        Err(why) => {
            context.note(&format!("this run is not kept in the history: {why}"));
            false
        }
    }
}
