//! What was kept of hosts over some time, as it was kept: rows say what changed, not what was so in
//! each run. `store` reads it, `diagnose` tells what happened, `report` shows it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{ReadingKind, Severity, Summary, Verdict};

/// Runs in the order they were made, and what they saw of some hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chronicle {
    /// The runs of that time.
    pub runs: Vec<KeptRun>,
    /// The hosts that were asked for, in that order.
    pub hosts: Vec<HostPast>,
}

/// A run that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRun {
    /// Its number. A later run has a greater one, whatever the clock said.
    pub id: i64,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in ms.
    pub elapsed_ms: u64,
    /// The judgement on the fleet.
    pub verdict: Verdict,
    /// Its hosts by verdict.
    pub summary: Summary,
    /// Whether it was stopped by its operator.
    pub interrupted: bool,
    /// Whether it told only what changed.
    pub on_change: bool,
    /// Which hosts it was about: the place in [`HostPast::asked_in`].
    pub selection: usize,
}

/// What was kept of a host. Rows begin with the one that held when the first of the runs began, where
/// there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPast {
    /// Its name.
    pub name: String,
    /// Whether the inventory does not have it any more.
    pub left: bool,
    /// By the place of a selection: whether the host is in it.
    pub asked_in: Vec<bool>,
    /// How it answered, from a run on.
    pub answers: Vec<KeptAnswer>,
    /// The findings that were there at some time.
    pub findings: Vec<KeptFinding>,
    /// Its numbers, from a run on, by the gateway's port (`None` for the host as a whole).
    pub numbers: BTreeMap<(Option<u16>, ReadingKind), Vec<KeptNumber>>,
    /// Its fingerprints, by the gateway's port and what they are of.
    pub prints: BTreeMap<(u16, String), Vec<KeptPrint>>,
    /// What rollouts did to it.
    pub rollouts: Vec<KeptRollout>,
}

/// What a rollout did to a unit of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRollout {
    /// The first check that can have seen it.
    pub run: i64,
    /// When it ended.
    pub at: Timestamp,
    /// The rollout's name, e.g. `20261121-225310-a650fc`.
    pub rollout: String,
    /// What it was for.
    pub purpose: String,
    /// The unit and its owner.
    pub unit: String,
    /// How it ended: `applied`, `rolled-back` …
    pub outcome: String,
}

/// How a host answered from a run on, in the runs that were about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The run.
    pub run: i64,
    /// When that run began; `None` where it is not kept any more.
    pub at: Option<Timestamp>,
    /// The contract's word.
    pub outcome: String,
    /// The judgement on the host.
    pub verdict: Verdict,
    /// Where it went wrong.
    pub stage: Option<String>,
    /// What was said of that, printable.
    pub message: Option<String>,
}

/// One time that a finding was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFinding {
    /// The gateway's port; `None` for the host as a whole.
    pub gateway: Option<u16>,
    /// The class's id, or `custom/NAME`.
    pub class: String,
    /// What it is about; may be empty.
    pub subject: String,
    /// How bad it was when it was last seen.
    pub severity: Severity,
    /// How bad it was from a run on, where that changed.
    pub grades: Vec<(i64, Severity)>,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// In which run.
    pub first_run: i64,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// When a look found it gone, and in which run; `None` while it is there.
    pub closed: Option<(Timestamp, i64)>,
}

/// A number, from a run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptNumber {
    /// The run.
    pub run: i64,
    /// The number, in the unit of its kind.
    pub value: i64,
}

/// A fingerprint, from a run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPrint {
    /// The run.
    pub run: i64,
    /// SHA-256.
    pub digest: Vec<u8>,
}

impl KeptAnswer {
    /// Whether the host was seen, whole or in part.
    pub fn was_seen(&self) -> bool {
        matches!(self.outcome.as_str(), "observed" | "partial")
    }

    /// Whether the host was asked at all: not where the operator stopped the run before.
    pub fn was_asked(&self) -> bool {
        !matches!(self.outcome.as_str(), "cancelled" | "skipped")
    }

    /// Returns the outcome with its stage: `unreachable (tcp)`.
    pub fn words(&self) -> String {
        match &self.stage {
            Some(stage) => format!("{} ({stage})", self.outcome),
            None => self.outcome.clone(),
        }
    }
}

impl KeptFinding {
    /// Whether it was there at a run, as far as was seen.
    pub fn was_there(&self, run: i64) -> bool {
        self.first_run <= run && self.closed.is_none_or(|(_, closed)| closed > run)
    }

    /// How bad it was at a run.
    pub fn severity_at(&self, run: i64) -> Severity {
        let before = self.grades.iter().rev().find(|(from, _)| *from <= run);
        before.map_or(self.severity, |(_, severity)| *severity)
    }
}

impl HostPast {
    /// Whether a run was about the host.
    pub fn is_about(&self, run: &KeptRun) -> bool {
        self.asked_in.get(run.selection).copied().unwrap_or(false)
    }

    /// Returns the looks at the host: the place of each run that asked it, and how it answered.
    pub fn looks<'a>(
        &'a self,
        runs: &'a [KeptRun],
    ) -> impl Iterator<Item = (usize, &'a KeptAnswer)> {
        let mut answers = Held::new(&self.answers, |answer: &KeptAnswer| answer.run);
        runs.iter().enumerate().filter_map(move |(place, run)| {
            let answer = answers.at(run.id)?;
            (self.is_about(run) && answer.was_asked()).then_some((place, answer))
        })
    }

    /// Returns a number as it was at each look that saw the host, with the place of its run.
    pub fn read<'a>(
        &'a self,
        runs: &'a [KeptRun],
        gateway: Option<u16>,
        kind: ReadingKind,
    ) -> impl Iterator<Item = (usize, i64)> {
        let numbers = self.numbers.get(&(gateway, kind));
        let numbers = numbers.map(Vec::as_slice).unwrap_or_default();
        let mut held = Held::new(numbers, |number: &KeptNumber| number.run);
        self.looks(runs)
            .filter(|(_, answer)| answer.was_seen())
            .filter_map(move |(place, _)| Some((place, held.at(runs.get(place)?.id)?.value)))
    }

    /// Returns how the host answered at a run that was about it.
    pub fn answer_at(&self, run: &KeptRun) -> Option<&KeptAnswer> {
        let mut before = self.answers.iter().rev();
        let held = before.find(|answer| answer.run <= run.id)?;
        (self.is_about(run) && held.was_asked()).then_some(held)
    }

    /// Returns the ports of the gateways of which there are numbers or fingerprints.
    pub fn gateways(&self) -> Vec<u16> {
        let numbers = self.numbers.keys().filter_map(|(port, _)| *port);
        let prints = self.prints.keys().map(|(port, _)| *port);
        let mut ports: Vec<u16> = numbers.chain(prints).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

/// What held at runs that are asked for in their order.
struct Held<'a, T> {
    rest: &'a [T],
    now: Option<&'a T>,
    run_of: fn(&T) -> i64,
}

impl<'a, T> Held<'a, T> {
    fn new(rows: &'a [T], run_of: fn(&T) -> i64) -> Self {
        Self {
            rest: rows,
            now: None,
            run_of,
        }
    }

    fn at(&mut self, run: i64) -> Option<&'a T> {
        while let Some((next, rest)) = self.rest.split_first()
            && (self.run_of)(next) <= run
        {
            self.now = Some(next);
            self.rest = rest;
        }
        self.now
    }
}
