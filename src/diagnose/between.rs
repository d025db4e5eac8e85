//! What differed between two runs, from what was kept of the hosts.

use std::collections::BTreeMap;

use super::grown;
use crate::model::{Chronicle, Class, HostPast, KeptFinding, KeptRun, ReadingKind, Severity};

/// A difference between two runs, in the order they are shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunChange {
    /// A finding is there that was not.
    New {
        /// The class's id, or `custom/NAME`.
        class: String,
        /// What it is about; may be empty.
        subject: String,
        /// How bad it is.
        severity: Severity,
    },
    /// A finding is worse, or better.
    Graded {
        /// The class's id, or `custom/NAME`.
        class: String,
        /// What it is about; may be empty.
        subject: String,
        /// How bad it was.
        from: Severity,
        /// How bad it is.
        to: Severity,
    },
    /// A finding is not there any more.
    Gone {
        /// The class's id, or `custom/NAME`.
        class: String,
        /// What it was about; may be empty.
        subject: String,
        /// How bad it was.
        severity: Severity,
    },
    /// A finding came and went between the two.
    Between {
        /// The class's id, or `custom/NAME`.
        class: String,
        /// What it was about; may be empty.
        subject: String,
    },
    /// The host answered another way.
    Answered {
        /// The outcome with its stage.
        from: String,
        /// And that of the other run.
        to: String,
    },
    /// `config`, `version` or a unit is another one.
    Other {
        /// Which.
        part: String,
    },
    /// A number is another one.
    Moved {
        /// Which.
        kind: ReadingKind,
        /// What it was.
        from: i64,
        /// What it is.
        to: i64,
        /// By how much a counter grew, where it began anew between.
        grew: Option<i64>,
    },
}

/// Where it is so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostChange {
    /// The host, by its place in the chronicle.
    pub host: usize,
    /// The gateway's port; `None` for the host as a whole.
    pub gateway: Option<u16>,
    /// What differs.
    pub what: RunChange,
}

/// Returns what differed between two runs on hosts that both were about. Of a host that one of them did not see
/// only the outcome is compared: nothing else is known of it.
pub fn run_changes(chronicle: &Chronicle, from: &KeptRun, to: &KeptRun) -> Vec<HostChange> {
    let mut all = Vec::new();
    for (place, host) in chronicle.hosts.iter().enumerate() {
        let (Some(before), Some(after)) = (host.answer_at(from), host.answer_at(to)) else {
            continue;
        };
        let mut add = |gateway, what| {
            all.push(HostChange {
                host: place,
                gateway,
                what,
            });
        };
        let (was, is) = (before.words(), after.words());
        if was != is {
            add(None, RunChange::Answered { from: was, to: is });
        }
        if before.was_seen() && after.was_seen() {
            findings(host, from, to, &mut add);
            prints(host, from, to, &mut add);
            numbers(host, chronicle, from, to, &mut add);
        }
    }
    all
}

type Add<'a> = dyn FnMut(Option<u16>, RunChange) + 'a;

/// What tells a finding from another of the same host.
type Key<'a> = (Option<u16>, &'a str, &'a str);

fn findings(host: &HostPast, from: &KeptRun, to: &KeptRun, add: &mut Add<'_>) {
    let at = |run: i64| -> BTreeMap<Key<'_>, Severity> {
        let there = host.findings.iter().filter(|found| found.was_there(run));
        let there = there.filter(|found| found.class != Class::NotObserved.id());
        there
            .map(|found| (key(found), found.severity_at(run)))
            .collect()
    };
    let (before, after) = (at(from.id), at(to.id));
    for (key, severity) in &after {
        let (gateway, class, subject) = key;
        let (class, subject) = ((*class).to_owned(), (*subject).to_owned());
        match before.get(key) {
            Some(was) if was == severity => {}
            Some(was) => add(
                *gateway,
                RunChange::Graded {
                    class,
                    subject,
                    from: *was,
                    to: *severity,
                },
            ),
            None => add(
                *gateway,
                RunChange::New {
                    class,
                    subject,
                    severity: *severity,
                },
            ),
        }
    }
    for (key, severity) in &before {
        if !after.contains_key(key) {
            let (gateway, class, subject) = *key;
            add(
                gateway,
                RunChange::Gone {
                    class: class.to_owned(),
                    subject: subject.to_owned(),
                    severity: *severity,
                },
            );
        }
    }
    let (first, last) = (from.id.min(to.id), from.id.max(to.id));
    let came_and_went = host.findings.iter().filter(|found| {
        found.first_run > first && found.closed.is_some_and(|(_, closed)| closed <= last)
    });
    let mut passing: Vec<Key<'_>> = came_and_went.map(key).collect();
    passing.sort_unstable();
    passing.dedup();
    for key in passing {
        let (gateway, class, subject) = key;
        if class != Class::NotObserved.id()
            && !before.contains_key(&key)
            && !after.contains_key(&key)
        {
            let (class, subject) = (class.to_owned(), subject.to_owned());
            add(gateway, RunChange::Between { class, subject });
        }
    }
}

fn key(found: &KeptFinding) -> Key<'_> {
    (found.gateway, &found.class, &found.subject)
}

fn prints(host: &HostPast, from: &KeptRun, to: &KeptRun, add: &mut Add<'_>) {
    for ((gateway, part), prints) in &host.prints {
        let at = |run: i64| {
            let before = prints.iter().rev().find(|print| print.run <= run);
            before.map(|print| &print.digest)
        };
        if at(from.id) != at(to.id) {
            add(Some(*gateway), RunChange::Other { part: part.clone() });
        }
    }
}

fn numbers(
    host: &HostPast,
    chronicle: &Chronicle,
    from: &KeptRun,
    to: &KeptRun,
    add: &mut Add<'_>,
) {
    for ((gateway, kind), numbers) in &host.numbers {
        let at = |run: i64| {
            let before = numbers.iter().rev().find(|number| number.run <= run);
            before.map(|number| number.value)
        };
        let (Some(was), Some(is)) = (at(from.id), at(to.id)) else {
            continue;
        };
        let counted = *kind == ReadingKind::Restarts && from.id < to.id;
        let grew = counted.then(|| {
            let between = |place: &usize| {
                let run = chronicle.runs.get(*place);
                run.is_some_and(|run| run.id > from.id && run.id <= to.id)
            };
            let read = host.read(&chronicle.runs, *gateway, *kind);
            let read = read.filter(|(place, _)| between(place));
            read.fold((was, 0_i64), |(before, sum), (_, now)| {
                (now, sum.saturating_add(grown(before, now)))
            })
            .1
        });
        // A counter that only grew says so by itself.
        let grew = grew.filter(|grew| is.checked_sub(was) != Some(*grew));
        if was != is || grew.is_some() {
            add(
                *gateway,
                RunChange::Moved {
                    kind: *kind,
                    from: was,
                    to: is,
                    grew,
                },
            );
        }
    }
}
