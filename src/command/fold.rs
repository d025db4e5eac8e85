//! Hosts whose results agree, as `clush -b` and `dshbak -c` fold them.

use std::collections::HashMap;
use std::mem::discriminant;

use crate::model::{CommandEnd, CommandResult, HostOutcome};

/// Results that agree in how the command ended and in both outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultGroup {
    /// Their places among the results, in that order.
    pub members: Vec<usize>,
}

impl ResultGroup {
    /// Returns the result that stands for all.
    pub fn first<'a>(&self, results: &'a [CommandResult]) -> Option<&'a CommandResult> {
        results.get(*self.members.first()?)
    }
}

/// What must agree.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key<'a> {
    id: &'static str,
    code: Option<u32>,
    ended: Option<bool>,
    words: Option<(&'static str, &'a str, Option<&'a str>)>,
    stdout: ([u8; 32], u64),
    stderr: ([u8; 32], u64),
    note: Option<&'a str>,
}

impl<'a> Key<'a> {
    fn of(result: &'a CommandResult) -> Self {
        let words = match &result.end {
            CommandEnd::NotTried(why) => Some(("", why.as_str(), None)),
            CommandEnd::NotReached(HostOutcome::Skipped(why)) => Some(("", why.as_str(), None)),
            end => end.error().map(|error| {
                let via = error.via.as_deref();
                (error.stage.id(), error.message.as_str(), via)
            }),
        };
        Self {
            id: result.end.id(),
            code: match result.end {
                CommandEnd::Exited(code) => Some(code),
                _ => None,
            },
            ended: match discriminant(&result.end) {
                _ if result.end.error().is_some() => None,
                _ => Some(result.end.is_known()),
            },
            words,
            stdout: (result.stdout.digest, result.stdout.length),
            stderr: (result.stderr.digest, result.stderr.length),
            note: result.note.as_deref(),
        }
    }
}

/// Folds results. Where a command ended by itself comes first, the most hosts first; then what was ended,
/// lost, not reached, not tried. Each result is in exactly one group.
pub fn groups(results: &[CommandResult]) -> Vec<ResultGroup> {
    let mut places: HashMap<Key<'_>, usize> = HashMap::new();
    let mut groups: Vec<ResultGroup> = Vec::new();
    for (index, result) in results.iter().enumerate() {
        let place = *places.entry(Key::of(result)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.members.push(index),
            None => groups.push(ResultGroup {
                members: vec![index],
            }),
        }
    }
    let rank = |group: &ResultGroup| match group.first(results).map(|result| &result.end) {
        Some(CommandEnd::Exited(_)) => 0,
        Some(
            CommandEnd::TimedOut { .. } | CommandEnd::Stopped { .. } | CommandEnd::TooMuch { .. },
        ) => 1,
        Some(CommandEnd::Lost(_)) => 2,
        Some(CommandEnd::NotReached(_)) => 3,
        Some(CommandEnd::NotTried(_)) | None => 4,
    };
    // Groups of a size stay in the order of their first hosts.
    groups.sort_by_key(|group| (rank(group), std::cmp::Reverse(group.members.len())));
    groups
}
