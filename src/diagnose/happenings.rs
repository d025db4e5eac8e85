//! What happened to hosts, from what was kept of them: findings that came and went, times in which a
//! host was not seen, units and configurations that changed.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::{Chronicle, Class, HostPast, KeptAnswer, KeptRollout, KeptRun, Severity};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Happened {
    /// A finding was there.
    Found {
        /// The class's id, or `custom/NAME`.
        class: String,
        /// What it was about; may be empty.
        subject: String,
        /// How bad it was at the worst.
        worst: Severity,
    },
    /// The host was not seen, or only a part of it: outcomes with their stages, each once.
    Unseen(Vec<String>),
    /// `config`, `version` or a unit is another one.
    Changed(String),
    /// A unit or a configuration is there that was not.
    Appeared(String),
    /// A rollout was there.
    Rollout {
        /// What it was for, and how it ended: `fix applied`.
        what: String,
        /// Its name.
        rollout: String,
        /// The unit.
        unit: String,
    },
}

/// Something that happened to a host. It is told as it was seen: it may have begun after the run before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// The host, by its place in the chronicle.
    pub host: usize,
    /// The gateway's port; `None` for the host as a whole.
    pub gateway: Option<u16>,
    /// What.
    pub what: Happened,
    /// The run that saw it first.
    pub run: i64,
    /// When that was; `None` where the run is not kept any more.
    pub since: Option<Timestamp>,
    /// The run that saw it ended and when; `None` where it is still so. What changed has ended at once.
    pub until: Option<(i64, Timestamp)>,
}

impl Happened {
    /// Whether it lasts, and is not over as soon as it has happened.
    pub fn lasts(&self) -> bool {
        matches!(self, Self::Found { .. } | Self::Unseen(_))
    }

    /// How bad it is; of what changed nobody knows.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Found { worst, .. } => *worst,
            Self::Unseen(_) => Severity::Unknown,
            Self::Changed(_) | Self::Appeared(_) | Self::Rollout { .. } => Severity::Info,
        }
    }
}

/// Returns what happened, in the order of its beginnings. Where classes are named it is what was found
/// of them; that a host was not seen is `not-observed`.
pub fn happenings(chronicle: &Chronicle, classes: &BTreeSet<String>) -> Vec<Happening> {
    let wanted = |class: &str| classes.is_empty() || classes.contains(class);
    let mut all = Vec::new();
    for (place, host) in chronicle.hosts.iter().enumerate() {
        found(&mut all, place, host, &wanted);
        if wanted(Class::NotObserved.id()) {
            unseen(&mut all, place, host, &chronicle.runs);
        }
        if classes.is_empty() {
            changed(&mut all, place, host, &chronicle.runs);
            all.extend(host.rollouts.iter().map(|kept| rollout(place, kept)));
        }
    }
    // By runs, for a clock may have jumped.
    all.sort_by_key(|happening| (happening.run, happening.host));
    all
}

fn found(all: &mut Vec<Happening>, place: usize, host: &HostPast, wanted: &impl Fn(&str) -> bool) {
    for finding in &host.findings {
        // The outcome says the same, and why.
        if !wanted(&finding.class) || finding.class == Class::NotObserved.id() {
            continue;
        }
        let grades = finding.grades.iter().map(|(_, severity)| *severity);
        all.push(Happening {
            host: place,
            gateway: finding.gateway,
            what: Happened::Found {
                class: finding.class.clone(),
                subject: finding.subject.clone(),
                worst: grades.max().unwrap_or(finding.severity),
            },
            run: finding.first_run,
            since: Some(finding.first_seen),
            until: finding.closed.map(|(at, run)| (run, at)),
        });
    }
}

/// The times in which a host was not seen whole. It may change in one of them how it was not.
fn unseen(all: &mut Vec<Happening>, place: usize, host: &HostPast, runs: &[KeptRun]) {
    let mut now: Option<(&KeptAnswer, Vec<String>)> = None;
    for answer in host.answers.iter().filter(|answer| answer.was_asked()) {
        let words = (answer.outcome != "observed").then(|| answer.words());
        match (&mut now, words) {
            (None, Some(words)) => now = Some((answer, vec![words])),
            (Some((_, all)), Some(words)) if !all.contains(&words) => all.push(words),
            (Some((first, words)), None) => {
                let until = answer.at.map(|at| (answer.run, at));
                all.push(gap(place, first, std::mem::take(words), until));
                now = None;
            }
            _ => {}
        }
    }
    if let Some((first, words)) = now
        && !runs.is_empty()
    {
        all.push(gap(place, first, words, None));
    }
}

fn gap(
    host: usize,
    first: &KeptAnswer,
    words: Vec<String>,
    until: Option<(i64, Timestamp)>,
) -> Happening {
    Happening {
        host,
        gateway: None,
        what: Happened::Unseen(words),
        run: first.run,
        since: first.at,
        until,
    }
}

fn rollout(host: usize, kept: &KeptRollout) -> Happening {
    Happening {
        host,
        gateway: None,
        what: Happened::Rollout {
            what: format!("{} {}", kept.purpose, kept.outcome),
            rollout: kept.rollout.clone(),
            unit: kept.unit.clone(),
        },
        run: kept.run,
        since: Some(kept.at),
        until: Some((kept.run, kept.at)),
    }
}

/// What was read first is no change. A part that is read first when others of the same gateway are known is
/// a new one.
fn changed(all: &mut Vec<Happening>, place: usize, host: &HostPast, runs: &[KeptRun]) {
    let Some(first) = runs.first() else { return };
    let at = |run: i64| {
        let found = runs.binary_search_by_key(&run, |run| run.id);
        found.ok().and_then(|place| runs.get(place))
    };
    for ((gateway, part), prints) in &host.prints {
        let of_gateway = host.prints.iter().filter(|((port, _), _)| port == gateway);
        let known = of_gateway.filter_map(|(_, prints)| Some(prints.first()?.run));
        let known = known.min().unwrap_or(first.id);
        for (index, print) in prints.iter().enumerate() {
            let what = match index {
                0 if print.run > known && print.run > first.id => Happened::Appeared(part.clone()),
                0 => continue,
                _ => Happened::Changed(part.clone()),
            };
            let Some(run) = at(print.run) else { continue };
            all.push(Happening {
                host: place,
                gateway: Some(*gateway),
                what,
                run: run.id,
                since: Some(run.started_at),
                until: Some((run.id, run.started_at)),
            });
        }
    }
}
