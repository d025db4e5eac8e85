//! A rollout for people: what happens, line by line, and what came of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, ColumnConstraint};

use super::View;
use super::fold::group_by;
use super::inventory_view::{bare_table, finish, shown};
use super::plan_view::purpose;
use super::table::{break_names, shortened, wrap};
use super::text::{count, sanitize, span};
use super::words;
use crate::model::nodeset::fold;
use crate::model::{
    Purpose, RolloutEnd, RolloutEvent, RunSummary, UnitOwner, UnitPlan, UnitResult, Verdict,
};

/// Up to how many hosts of a batch have lines of their own.
const FEW: usize = 5;

/// How many units that failed in the same way have lines of their own in a large batch.
const SINGLE_FAILURES: usize = 3;

/// Turns the events of a rollout into lines for a terminal or a log. Where a batch is large, units
/// that end alike share a line; failures are told at once.
#[derive(Debug)]
pub struct RolloutLines {
    view: View,
    /// Host and unit of each entry of the plan.
    units: Vec<(String, String)>,
    of_batches: usize,
    batch_hosts: usize,
    /// What was not told yet.
    waiting: Vec<Line>,
    /// Failures of this batch, told or not.
    failures: Vec<(String, RolloutEnd)>,
}

/// What is told of one unit.
#[derive(Debug, Clone)]
struct Line {
    host: String,
    unit: String,
    end: RolloutEnd,
    elapsed_ms: u64,
}

impl RolloutLines {
    /// Makes lines for the units of a plan.
    pub fn new(units: &[UnitPlan], view: View) -> Self {
        Self {
            view,
            units: units
                .iter()
                .map(|unit| (unit.host.clone(), label(&unit.unit, &unit.owner)))
                .collect(),
            of_batches: 0,
            batch_hosts: 0,
            waiting: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Returns what there is to say after an event: whole lines, or nothing.
    pub fn on_event(&mut self, event: &RolloutEvent<'_>) -> String {
        let mut out = String::new();
        match event {
            RolloutEvent::BatchStarted { batch, of, hosts } => {
                out = self.flush();
                self.of_batches = *of;
                self.batch_hosts = hosts.len();
                self.failures.clear();
                let names = shortened(fold(hosts.iter()), hosts.len(), self.view);
                self.say(&mut out, &format!("batch {batch} of {of}: {names}"));
            }
            RolloutEvent::Step { unit, step } => {
                if let Some((host, unit)) = self.units.get(*unit)
                    && self.view.verbose
                {
                    let line = format!("{} {unit}: {}", sanitize(host), step.id());
                    self.say(&mut out, &line);
                }
            }
            RolloutEvent::UnitFinished { result, .. } => self.finished(&mut out, result),
            RolloutEvent::BatchFinished { batch, closed } => {
                out = self.flush();
                if let Some(why) = closed {
                    let line = format!(
                        "stopped after batch {batch} of {}: {}",
                        self.of_batches,
                        sanitize(why)
                    );
                    self.say(&mut out, &line);
                }
            }
            RolloutEvent::Draining => {
                self.say(
                    &mut out,
                    "stopping: no further unit is begun, those at work are finished",
                );
            }
        }
        out
    }

    /// Returns what was not told yet. To be called when the rollout is over.
    pub fn finish(&mut self) -> String {
        self.flush()
    }

    fn finished(&mut self, out: &mut String, result: &UnitResult) {
        let line = Line {
            host: result.host.clone(),
            unit: label(&result.unit, &result.owner),
            end: result.end.clone(),
            elapsed_ms: result.elapsed_ms,
        };
        let alone = if self.batch_hosts <= FEW {
            !matches!(line.end, RolloutEnd::NotAttempted(_))
        } else if line.end.is_failure() {
            let kind = (line.unit.clone(), line.end.clone());
            let before = self.failures.iter().filter(|other| **other == kind).count();
            self.failures.push(kind);
            before < SINGLE_FAILURES
        } else {
            false
        };
        if alone {
            out.push_str(&self.told(&[line]));
            return;
        }
        self.waiting.push(line);
        // Four lines or so for a batch, however large it is.
        if self.waiting.len() >= (self.batch_hosts / 4).max(FEW)
            && !matches!(result.end, RolloutEnd::NotAttempted(_))
        {
            out.push_str(&self.flush());
        }
    }

    fn flush(&mut self) -> String {
        let waiting = std::mem::take(&mut self.waiting);
        let alike = waiting.into_iter().map(|line| {
            let why = line.end.why().map(str::to_owned);
            ((line.unit.clone(), line.end.id(), why), line)
        });
        group_by(alike)
            .iter()
            .map(|(_, lines)| self.told(lines))
            .collect()
    }

    /// Tells of units that ended alike.
    fn told(&self, lines: &[Line]) -> String {
        let Some(first) = lines.first() else {
            return String::new();
        };
        let hosts = fold(lines.iter().map(|line| line.host.as_str()));
        let hosts = shortened(sanitize(&hosts).into_owned(), lines.len(), self.view);
        let mut text = format!("{hosts} {}: {}", first.unit, words_of(first.end.id()));
        let times = lines
            .iter()
            .map(|line| Duration::from_millis(line.elapsed_ms));
        if !matches!(first.end, RolloutEnd::NotAttempted(_)) {
            text += &format!(", {}", range(times));
        }
        if let Some(why) = first.end.why() {
            text += &format!(": {}", sanitize(why));
        }
        let mut out = String::new();
        self.say(&mut out, &text);
        // Only now, so that colour does not count when lines are broken.
        let end = words_of(first.end.id());
        let painted = self.view.style.verdict(colour(&first.end), &end);
        out.replacen(&format!(": {end}"), &format!(": {painted}"), 1)
    }

    fn say(&self, out: &mut String, line: &str) {
        let parts = wrap(line, usize::from(self.view.width).saturating_sub(2));
        for (place, part) in parts.iter().enumerate() {
            let indent = if place == 0 { "" } else { "  " };
            let _ = writeln!(out, "{indent}{part}");
        }
    }
}

/// A unit by its name, with its owner where that is not the system.
fn label(unit: &str, owner: &UnitOwner) -> String {
    match owner {
        UnitOwner::System => sanitize(unit).into_owned(),
        UnitOwner::User { .. } => format!("{} ({})", sanitize(unit), sanitize(&owner.to_string())),
    }
}

/// An id as words: `rolled-back` is rolled back.
fn words_of(id: &str) -> String {
    id.replace('-', " ")
}

fn colour(end: &RolloutEnd) -> Verdict {
    match end {
        RolloutEnd::Applied => Verdict::Ok,
        RolloutEnd::NotReached(_) => Verdict::Unknown,
        RolloutEnd::Unknown(_) | RolloutEnd::RollbackFailed(_) => Verdict::Critical,
        RolloutEnd::Drifted(_)
        | RolloutEnd::Locked(_)
        | RolloutEnd::NotAttempted(_)
        | RolloutEnd::Failed(_)
        | RolloutEnd::RolledBack(_) => Verdict::Warning,
    }
}

/// How soon an operator has to know of an end; 0 is at once.
fn urgency(end: &RolloutEnd) -> u8 {
    match end {
        RolloutEnd::RollbackFailed(_) => 0,
        RolloutEnd::Unknown(_) => 1,
        RolloutEnd::RolledBack(_) => 2,
        RolloutEnd::Failed(_) => 3,
        RolloutEnd::NotReached(_) => 4,
        RolloutEnd::Drifted(_) => 5,
        RolloutEnd::Locked(_) => 6,
        RolloutEnd::NotAttempted(_) => 7,
        RolloutEnd::Applied => 8,
    }
}

/// What the end of a rollout is shown from.
#[derive(Debug, Clone, Copy)]
pub struct RolloutReport<'a> {
    /// The run's name.
    pub run: &'a str,
    /// What it was for.
    pub purpose: &'a Purpose,
    /// What came of each unit.
    pub results: &'a [UnitResult],
    /// Why the rest was not begun, where that is so.
    pub stopped: Option<&'a str>,
    /// How long it took, in ms; 0 where that is not known.
    pub elapsed_ms: u64,
}

/// Renders what came of a rollout: the verdict, a table of the ends, and what to do about each.
pub fn render_rollout(report: &RolloutReport<'_>, view: View) -> String {
    let mut results: Vec<&UnitResult> = report.results.iter().collect();
    results.sort_by_key(|result| urgency(&result.end));
    let mut out = headline(report, &results, view);
    if view.quiet || results.is_empty() {
        return out;
    }
    out.push('\n');
    out += &ends_table(&results, view);
    next_steps(&mut out, report, &results, view);
    out
}

/// Below this width, and with units of several names, the times are left out.
const WIDE: u16 = 120;

/// Units that ended alike, each with why, in one row.
fn ends_table(results: &[&UnitResult], view: View) -> String {
    let alike = results.iter().map(|result| {
        let why = result.end.why().unwrap_or_default();
        let unit = label(&result.unit, &result.owner);
        ((result.end.id(), why, unit), *result)
    });
    let groups = group_by(alike);
    let units: BTreeSet<&str> = groups
        .iter()
        .map(|((_, _, unit), _)| unit.as_str())
        .collect();
    let with_unit = units.len() > 1;
    let with_number = groups.iter().any(|(_, members)| members.len() > 1);
    let with_time = !with_unit || view.width >= WIDE;
    let mut heads = vec!["HOSTS"];
    let wanted = [
        (with_number, "N"),
        (true, "END"),
        (with_unit, "UNIT"),
        (with_time, "TIME"),
    ];
    heads.extend(
        wanted
            .iter()
            .filter(|(wanted, _)| *wanted)
            .map(|(_, head)| *head),
    );
    let whole = heads.len();
    heads.push("WHY");
    let mut table = bare_table(view);
    table.set_header(heads.iter().map(|name| view.style.head_cell(name)));
    for ((id, why, unit), members) in &groups {
        let Some(first) = members.first() else {
            continue;
        };
        let names = fold(members.iter().map(|result| result.host.as_str()));
        let names = shortened(sanitize(&names).into_owned(), members.len(), view);
        let cells = heads.iter().map(|head| match *head {
            "HOSTS" => Cell::new(break_names(&names, usize::from(view.width / 5).max(16))),
            "N" => Cell::new(members.len()).set_alignment(CellAlignment::Right),
            "END" => view.style.word_cell(colour(&first.end), &words_of(id)),
            "UNIT" => Cell::new(unit),
            "TIME" => Cell::new(times(members)),
            _ => Cell::new(if why.is_empty() {
                "-".to_owned()
            } else {
                shown(why)
            }),
        });
        table.add_row(cells);
    }
    // Only the reasons are broken into lines.
    for column in table.column_iter_mut().take(whole) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    finish(&table)
}

fn times(members: &[&UnitResult]) -> String {
    let begun = members
        .iter()
        .filter(|it| !matches!(it.end, RolloutEnd::NotAttempted(_)));
    range(begun.map(|result| Duration::from_millis(result.elapsed_ms)))
}

/// The shortest and the longest of some times.
fn range(times: impl Iterator<Item = Duration> + Clone) -> String {
    let (least, most) = (times.clone().min().map(span), times.max().map(span));
    match (least, most) {
        (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
        (_, most) => most.unwrap_or_else(|| "-".to_owned()),
    }
}

fn headline(report: &RolloutReport<'_>, results: &[&UnitResult], view: View) -> String {
    let mut ends: Vec<(&'static str, usize, Verdict)> = Vec::new();
    // What went well comes first, then the worst.
    for result in results
        .iter()
        .rev()
        .take_while(|it| it.end == RolloutEnd::Applied)
        .chain(results)
    {
        if !ends.iter().any(|(id, ..)| *id == result.end.id()) {
            let same = results
                .iter()
                .filter(|other| other.end.id() == result.end.id());
            ends.push((result.end.id(), same.count(), colour(&result.end)));
        }
    }
    let parts: Vec<String> = ends
        .iter()
        .map(|(id, number, verdict)| {
            view.style
                .verdict(*verdict, &format!("{number} {}", words_of(id)))
        })
        .collect();
    let said = if parts.is_empty() {
        "nothing was done".to_owned()
    } else {
        parts.join(", ")
    };
    let time = match report.elapsed_ms {
        0 => String::new(),
        ms => format!(", in {}", span(Duration::from_millis(ms))),
    };
    let mut line = format!("{said}{time} (run {})", sanitize(report.run));
    if let Some(why) = report.stopped {
        line += &format!("; STOPPED: {}", sanitize(why));
    }
    line.push('\n');
    line
}

/// What helps after each end that was not a good one, with commands that can be pasted.
fn next_steps(out: &mut String, report: &RolloutReport<'_>, results: &[&UnitResult], view: View) {
    let run = words::quote(report.run);
    let hosts_with = |id: &str| {
        let hosts: BTreeSet<&str> = results
            .iter()
            .filter(|result| result.end.id() == id)
            .map(|result| result.host.as_str())
            .collect();
        (!hosts.is_empty()).then(|| words::quote(&fold(hosts)))
    };
    // The profile is always named: the inventory may have another by now.
    let plan_anew = |hosts: &str| match report.purpose {
        Purpose::Harden { profile } => format!(
            "clawfleet harden {hosts} --profile {}",
            words::quote(profile)
        ),
        Purpose::Rollback { run } => format!("clawfleet rollback {} {hosts}", words::quote(run)),
        Purpose::Fix => format!("clawfleet fix {hosts}"),
        Purpose::Restart => format!("clawfleet restart {hosts}"),
    };
    // What is wrong with a host is looked for anew each time; a rollout goes on with what it planned.
    let resume = |hosts: &str| match report.purpose {
        Purpose::Harden { .. } | Purpose::Rollback { .. } => {
            format!("clawfleet harden --resume {run}")
        }
        Purpose::Fix | Purpose::Restart => plan_anew(hosts),
    };
    let mut ids: Vec<&str> = results.iter().map(|result| result.end.id()).collect();
    ids.dedup();
    for id in ids {
        let Some(hosts) = hosts_with(id) else {
            continue;
        };
        let check = format!("clawfleet check {hosts}");
        let (what, commands) = match id {
            "rollback-failed" => (
                "their undo failed; look at them, and put back what was there",
                vec![check, format!("clawfleet rollback {run} {hosts}")],
            ),
            "unknown" => (
                "nobody knows what they are; an undo that was armed there runs by itself",
                vec![check, resume(&hosts)],
            ),
            "rolled-back" if *report.purpose == Purpose::Fix => (
                "what can be undone was undone; a process that was ended stays ended",
                vec![check, plan_anew(&hosts)],
            ),
            "rolled-back" => (
                "they are what they were; find out why it failed, then plan anew",
                vec![check, plan_anew(&hosts)],
            ),
            "failed" => (
                "nothing was changed there; to try again",
                vec![resume(&hosts)],
            ),
            "not-reached" => (
                "nothing was changed there; when they answer again",
                vec![check, resume(&hosts)],
            ),
            "drifted" => (
                "they are no longer what the plan was made for; plan anew",
                vec![plan_anew(&hosts)],
            ),
            "locked" => (
                "another run is at work there; when it is over",
                vec![resume(&hosts)],
            ),
            "not-attempted" => (
                "they were not begun; to go on with them",
                vec![resume(&hosts)],
            ),
            "applied" if matches!(report.purpose, Purpose::Harden { .. }) => {
                ("to undo it", vec![format!("clawfleet rollback {run}")])
            }
            _ => continue,
        };
        let title = view.style.strong(&words_of(id));
        let _ = writeln!(out, "\n{title}: {what}");
        for command in commands {
            // Never wrapped: it must paste as one line.
            let _ = writeln!(out, "  {}", sanitize(&command));
        }
    }
}

/// Renders the runs that are kept, as they are given.
pub fn render_runs(runs: &[RunSummary], view: View) -> String {
    if runs.is_empty() {
        return "no run is kept yet\n".to_owned();
    }
    let mut table = bare_table(view);
    let inventories: BTreeSet<&str> = runs.iter().map(|run| run.inventory.as_str()).collect();
    let mut heads = vec!["RUN", "PLANNED", "BY", "FOR", "HOSTS", "ENDS"];
    if inventories.len() > 1 {
        heads.push("INVENTORY");
    }
    table.set_header(heads.iter().map(|name| view.style.head_cell(name)));
    for run in runs {
        let mut ends: Vec<String> = run
            .ends
            .iter()
            .map(|(id, number)| format!("{number} {}", words_of(id)))
            .collect();
        if !run.finished {
            let without = run.units.saturating_sub(run.ends.values().sum());
            ends.push(if without > 0 {
                format!("{} without an end", count(without, "unit"))
            } else {
                "unfinished".to_owned()
            });
        }
        let mut row = vec![
            run.run.clone(),
            run.made_at.clone(),
            run.made_by.clone(),
            purpose(&run.purpose),
            run.hosts.to_string(),
            ends.join(", "),
        ];
        if inventories.len() > 1 {
            row.push(run.inventory.clone());
        }
        table.add_row(row.iter().map(|cell| shown(cell)));
    }
    finish(&table)
}
