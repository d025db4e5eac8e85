//! What changed since the operator was told last. Pure: what is kept and what was seen go in, what is
//! kept next and what is to be told come out.
//!
//! Three rules hold whatever is seen. Of one trouble each `New` (or first `Flapping`) is followed by
//! one `Recovered` before the next. What was not looked at is neither there nor gone. And where
//! nothing changes nothing is told, but for reminders.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{
    Change, ChangeKind, Looked, Memory, Severity, Sighting, Sightings, Silence, Told, Trouble,
    TroubleKey,
};

/// How often something has to come within [`WINDOW`] to be told as coming and going.
const FLAPS: usize = 4;

/// Within what time.
const WINDOW: Duration = Duration::from_secs(12 * 3600);

/// How long it has to stay as it is to be taken at its word again.
const CALM: Duration = Duration::from_secs(3 * 3600);

/// How long is waited before something is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// In how many runs in a row something has to be seen, or to be gone, at least 1.
    pub confirm: u32,
    /// After how long what is still there is told again; `None` for never.
    pub remind: Option<Duration>,
    /// The least severity that is told.
    pub least: Severity,
}

/// Takes what a run saw into what is kept. Returns what is kept next, and what is to be told, in the
/// order of the keys.
///
/// A clock that was set back makes no time negative: what is kept is moved to the run's time where
/// it lies behind it.
pub fn step(
    memory: &Memory,
    seen: &Sightings,
    patience: &Patience,
    silences: &[Silence],
) -> (Memory, Vec<Change>) {
    let mut next = Memory {
        last_run: Some(seen.at),
        ..Memory::default()
    };
    let mut changes = Vec::new();
    let whole = seen.seen_whole();
    let unseen = memory
        .troubles
        .keys()
        .filter(|key| !seen.found.contains_key(*key));
    for key in seen.found.keys().chain(unseen) {
        let mut trouble = memory.troubles.get(key).cloned();
        if let Some(trouble) = &mut trouble {
            hold_to(trouble, seen.at);
        }
        let (trouble, change) = match seen.found.get(key) {
            Some(sighting) => {
                let silenced = silences.iter().any(|silence| silence.covers(key, seen.at));
                let mut trouble = trouble.unwrap_or_else(|| first(sighting, seen.at));
                trouble.peers = whole;
                let kind = found(&mut trouble, sighting, silenced, seen.at, patience);
                (Some(trouble), kind)
            }
            None => match trouble {
                Some(trouble) if is_gone(key, &trouble, seen, whole) => {
                    missed(trouble, seen.at, patience)
                }
                trouble => (trouble, None),
            },
        };
        if let (Some(trouble), Some((kind, was))) = (&trouble, change) {
            changes.push(told(key, trouble, kind, was));
        }
        if let Some(trouble) = trouble.filter(|trouble| !is_forgotten(trouble)) {
            next.troubles.insert(key.clone(), trouble);
        }
    }
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    (next, changes)
}

/// What is told, and how bad it was told to be before.
type Telling = Option<(ChangeKind, Option<Severity>)>;

fn told(key: &TroubleKey, trouble: &Trouble, kind: ChangeKind, was: Option<Severity>) -> Change {
    // Who was told that it was critical is to be told that it is over, whatever it was at last.
    let (severity, was) = match kind {
        ChangeKind::Recovered => (was.unwrap_or(trouble.severity), None),
        _ => (trouble.severity, was),
    };
    Change {
        kind,
        key: key.clone(),
        severity,
        was,
        since: trouble.first_seen,
        until: (kind == ChangeKind::Recovered)
            .then_some(trouble.gone_since)
            .flatten(),
        times: (kind == ChangeKind::Flapping)
            .then(|| u32::try_from(trouble.came.len()).unwrap_or(u32::MAX)),
    }
}

fn first(sighting: &Sighting, at: Timestamp) -> Trouble {
    Trouble {
        severity: sighting.severity,
        first_seen: at,
        // As if it had been away, so that it comes now.
        gone_since: Some(at),
        seen: 0,
        missed: 0,
        worse: 0,
        told: None,
        came: Vec::new(),
        flapping: false,
        peers: 0,
    }
}

/// Whether this run can tell that a trouble which it did not find is not there.
fn is_gone(key: &TroubleKey, trouble: &Trouble, seen: &Sightings, whole: u32) -> bool {
    let looked = seen.hosts.get(&key.host).copied().unwrap_or(Looked::Not);
    looked == Looked::Whole && (!key.compares_hosts() || whole >= trouble.peers)
}

/// Of what was never told only how often it came lately is worth keeping.
fn is_forgotten(trouble: &Trouble) -> bool {
    trouble.told.is_none() && trouble.gone_since.is_some() && trouble.came.is_empty()
}

fn found(
    trouble: &mut Trouble,
    sighting: &Sighting,
    silenced: bool,
    now: Timestamp,
    patience: &Patience,
) -> Telling {
    let confirm = patience.confirm.max(1);
    if trouble.gone_since.take().is_some() {
        if trouble.told.is_none() {
            trouble.first_seen = now;
            trouble.seen = 0;
        }
        trouble.came.push(now);
    }
    trouble.came.retain(|at| between(*at, now) <= WINDOW);
    trouble.missed = 0;
    trouble.severity = sighting.severity;
    let counts = sighting.severity >= patience.least && !sighting.follows;
    trouble.seen = match counts {
        true => trouble.seen.saturating_add(1).min(confirm),
        false => 0,
    };
    let calm = trouble
        .came
        .last()
        .is_none_or(|last| between(*last, now) >= CALM);
    if trouble.flapping && calm {
        trouble.flapping = false;
        trouble.came.clear();
    }
    let before = trouble.told;
    let worse = before.is_some_and(|told| counts && sighting.severity > told.severity);
    trouble.worse = match worse {
        true => trouble.worse.saturating_add(1).min(confirm),
        false => 0,
    };
    if !counts || silenced {
        return None;
    }
    let kind = match before {
        _ if !trouble.flapping && trouble.came.len() >= FLAPS => {
            trouble.flapping = true;
            ChangeKind::Flapping
        }
        None if trouble.seen >= confirm => ChangeKind::New,
        None => return None,
        Some(_) if trouble.worse >= confirm => ChangeKind::Worsened,
        Some(told) => {
            let due = |after| between(told.at, now) >= after;
            if !patience.remind.is_some_and(due) {
                return None;
            }
            ChangeKind::Reminder
        }
    };
    let known = before.map(|told| told.severity);
    trouble.worse = 0;
    trouble.told = Some(Told {
        at: now,
        severity: known.map_or(sighting.severity, |known| known.max(sighting.severity)),
    });
    Some((kind, known.filter(|_| kind == ChangeKind::Worsened)))
}

fn missed(mut trouble: Trouble, now: Timestamp, patience: &Patience) -> (Option<Trouble>, Telling) {
    let confirm = patience.confirm.max(1);
    let since = *trouble.gone_since.get_or_insert(now);
    trouble.seen = 0;
    trouble.worse = 0;
    trouble.came.retain(|at| between(*at, now) <= WINDOW);
    trouble.missed = trouble.missed.saturating_add(1).min(confirm);
    let Some(told) = trouble.told else {
        return (Some(trouble), None);
    };
    let over = trouble.missed >= confirm && (!trouble.flapping || between(since, now) >= CALM);
    if !over {
        return (Some(trouble), None);
    }
    if trouble.flapping {
        trouble.flapping = false;
        trouble.came.clear();
    }
    trouble.told = None;
    (
        Some(trouble),
        Some((ChangeKind::Recovered, Some(told.severity))),
    )
}

/// How long after the other a time is; nothing where it is before.
fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

/// Moves what lies behind a time to it.
fn hold_to(trouble: &mut Trouble, now: Timestamp) {
    trouble.first_seen = trouble.first_seen.min(now);
    trouble.gone_since = trouble.gone_since.map(|at| at.min(now));
    if let Some(told) = &mut trouble.told {
        told.at = told.at.min(now);
    }
    for at in &mut trouble.came {
        *at = (*at).min(now);
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
