//! Which hosts an operator means: names, node sets, globs, groups, labels and the last run, joined
//! by ClusterShell's operators, read from left to right.

use std::collections::BTreeSet;

use super::error::did_you_mean;
use super::resolve::Inventory;
use crate::model::nodeset::expand;

/// Hosts of the last run that `@failed` and `@unreachable` stand for, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastRun {
    /// Critical, or not seen.
    pub failed: Vec<String>,
    /// Not seen.
    pub unreachable: Vec<String>,
}

/// A selector that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SelectError {
    /// What is wrong.
    pub message: String,
    /// What helps.
    pub hint: Option<String>,
}

impl SelectError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Union,
    Difference,
    Intersection,
    SymmetricDifference,
}

impl Operator {
    fn from_char(c: char) -> Option<Self> {
        match c {
            ',' => Some(Self::Union),
            '!' => Some(Self::Difference),
            '&' => Some(Self::Intersection),
            '^' => Some(Self::SymmetricDifference),
            _ => None,
        }
    }

    fn apply(self, left: &BTreeSet<usize>, right: &BTreeSet<usize>) -> BTreeSet<usize> {
        match self {
            Self::Union => left | right,
            Self::Difference => left - right,
            Self::Intersection => left & right,
            Self::SymmetricDifference => left ^ right,
        }
    }
}

impl Inventory {
    /// Returns the indices of the hosts that the selectors mean, in the inventory's order. Several
    /// selectors are a union. `last_run` is only asked for where a selector names it.
    ///
    /// # Errors
    /// A word that is no host, group or label here; a selector that matches nothing.
    pub fn select(
        &self,
        selectors: &[String],
        last_run: impl Fn() -> Result<LastRun, String>,
    ) -> Result<Vec<usize>, SelectError> {
        let mut selected = BTreeSet::new();
        for selector in selectors {
            selected.extend(self.evaluate(selector, &last_run)?);
        }
        if selected.is_empty() {
            return Err(SelectError::new(format!(
                "selector `{}` matches no host of the {} in the inventory",
                selectors.join(" "),
                self.hosts.len()
            )));
        }
        Ok(selected.into_iter().collect())
    }

    fn evaluate(
        &self,
        selector: &str,
        last_run: &impl Fn() -> Result<LastRun, String>,
    ) -> Result<BTreeSet<usize>, SelectError> {
        let mut result = BTreeSet::new();
        for (operator, term) in split(selector)? {
            result = operator.apply(&result, &self.term(term, last_run)?);
        }
        Ok(result)
    }

    fn term(
        &self,
        term: &str,
        last_run: &impl Fn() -> Result<LastRun, String>,
    ) -> Result<BTreeSet<usize>, SelectError> {
        if term == "all" {
            return Ok((0..self.hosts.len()).collect());
        }
        if let Some(name) = term.strip_prefix('@') {
            return self.group(name, last_run);
        }
        if let Some((label, value)) = term.split_once('=') {
            return self.label(label, value);
        }
        if term.contains(['*', '?']) {
            return Ok(self.matching(|host| glob(term, &host.name)));
        }
        let names = expand(term).map_err(|error| SelectError::new(error.to_string()))?;
        names
            .into_iter()
            .map(|name| {
                self.index_of(&name).ok_or_else(|| SelectError {
                    message: format!("no host is called `{name}`"),
                    hint: did_you_mean(&name, self.hosts.iter().map(|host| host.name.as_str()))
                        .or_else(|| Some("`clawfleet inventory list` shows all".into())),
                })
            })
            .collect()
    }

    fn group(
        &self,
        name: &str,
        last_run: &impl Fn() -> Result<LastRun, String>,
    ) -> Result<BTreeSet<usize>, SelectError> {
        if matches!(name, "failed" | "unreachable") {
            let last = last_run().map_err(SelectError::new)?;
            let wanted = match name {
                "failed" => last.failed,
                _ => last.unreachable,
            };
            return Ok(self.matching(|host| wanted.contains(&host.name)));
        }
        self.groups.get(name).cloned().ok_or_else(|| SelectError {
            message: format!("no group is called `{name}`"),
            hint: did_you_mean(name, self.groups.keys().map(String::as_str)).or_else(|| {
                let names: Vec<_> = self.groups.keys().map(String::as_str).collect();
                Some(match names.as_slice() {
                    [] => "the inventory has no groups".to_owned(),
                    names => format!("groups: {}", names.join(", ")),
                })
            }),
        })
    }

    fn label(&self, label: &str, value: &str) -> Result<BTreeSet<usize>, SelectError> {
        if !self
            .hosts
            .iter()
            .any(|host| host.labels.contains_key(label))
        {
            let mut labels: Vec<&str> = self
                .hosts
                .iter()
                .flat_map(|host| host.labels.keys().map(String::as_str))
                .collect();
            labels.sort_unstable();
            labels.dedup();
            return Err(SelectError {
                message: format!("no host has a label `{label}`"),
                hint: did_you_mean(label, labels),
            });
        }
        Ok(self.matching(|host| host.labels.get(label).is_some_and(|have| glob(value, have))))
    }

    fn matching(&self, wanted: impl Fn(&crate::model::Host) -> bool) -> BTreeSet<usize> {
        (0..)
            .zip(&self.hosts)
            .filter(|(_, host)| wanted(host))
            .map(|(index, _)| index)
            .collect()
    }
}

/// Splits at operators that stand outside brackets. The first term joins an empty set.
fn split(selector: &str) -> Result<Vec<(Operator, &str)>, SelectError> {
    let mut terms = Vec::new();
    let mut operator = Operator::Union;
    let mut begin = 0;
    let mut depth = 0_u32;
    let check = |operator, term: Option<&'_ str>| match term.map(str::trim) {
        Some("") | None => Err(SelectError::new(format!(
            "selector `{selector}` has nothing before or after an operator"
        ))),
        Some(_) => Ok(operator),
    };
    for (at, c) in selector.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0
            && let Some(next) = Operator::from_char(c)
        {
            let term = selector.get(begin..at);
            terms.push((check(operator, term)?, term.unwrap_or_default().trim()));
            operator = next;
            begin = at + c.len_utf8();
        }
    }
    let term = selector.get(begin..);
    terms.push((check(operator, term)?, term.unwrap_or_default().trim()));
    Ok(terms)
}

/// `*` for any text, `?` for one character; the whole text must match.
fn glob(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // Row by row: `reachable[j]` says whether the pattern so far matches the first j characters.
    let mut reachable: Vec<bool> = std::iter::once(true)
        .chain(text.iter().map(|_| false))
        .collect();
    for wanted in pattern {
        let mut next = Vec::with_capacity(reachable.len());
        let mut before = false;
        let mut any_before = false;
        for (place, here) in reachable.iter().enumerate() {
            any_before |= *here;
            let step =
                before && place > 0 && (wanted == '?' || text.get(place - 1) == Some(&wanted));
            next.push(if wanted == '*' { any_before } else { step });
            before = *here;
        }
        reachable = next;
    }
    reachable.last().copied().unwrap_or(false)
}
