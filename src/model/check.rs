//! The operator's own checks: what is run, and what its output means.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Severity;

/// One of the operator's own checks, as the inventory describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckSpec {
    /// Its name: small letters, digits and hyphens.
    pub name: String,
    /// What runs on the host, in a POSIX sh.
    pub script: String,
    /// How its output is read.
    pub read: CheckRead,
    /// When what was read is a warning.
    pub warning: Option<Condition>,
    /// When what was read is critical.
    pub critical: Option<Condition>,
    /// The selector of its hosts, as it was written.
    pub hosts: String,
    /// What the operator says about it.
    pub explain: Option<String>,
    /// How long the script may take.
    pub timeout: Duration,
    /// Where it stands: file and line.
    pub origin: String,
}

impl CheckSpec {
    /// Returns the id of its findings.
    pub fn id(&self) -> String {
        format!("custom/{}", self.name)
    }

    /// Returns how long its script may take on the host, in whole seconds, as `sleep` everywhere
    /// understands them.
    pub fn limit_s(&self) -> u64 {
        let whole = self.timeout.as_secs();
        whole + u64::from(self.timeout.subsec_nanos() > 0)
    }

    /// Returns its conditions with the severity that each asks for, the worse one first.
    pub fn conditions(&self) -> impl Iterator<Item = (Severity, &Condition)> {
        let critical = self.critical.iter().map(|when| (Severity::Critical, when));
        let warning = self.warning.iter().map(|when| (Severity::Warning, when));
        critical.chain(warning)
    }
}

/// How a script's output is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckRead {
    /// The exit code alone tells; a code that is not in it is the script's failure.
    Exit(BTreeMap<u8, CodeMeaning>),
    /// The first word of the output is a number.
    Number,
    /// The first match of a regular expression, or its first group where it has one.
    Regex(Pattern),
    /// The value at a path of a JSON document.
    Json(Vec<String>),
}

/// What an exit code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeMeaning {
    /// All is well.
    Fine,
    /// A finding of that severity.
    Finding(Severity),
    /// The script could not tell.
    Failed,
}

impl CodeMeaning {
    /// Returns the inventory's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Finding(severity) => severity.id(),
            Self::Failed => "failed",
        }
    }
}

/// A regular expression; two are the same when their texts are.
#[derive(Debug, Clone)]
pub struct Pattern(regex::Regex);

impl Pattern {
    /// Compiles a pattern; `^` and `$` are the ends of a line.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(text: &str) -> Result<Self, String> {
        regex::RegexBuilder::new(text)
            .multi_line(true)
            .size_limit(1 << 20)
            .build()
            .map(Self)
            .map_err(|error| {
                let said = error.to_string();
                // The last line says what; those before it point at the place with a caret.
                let last = said.lines().last().unwrap_or_default();
                last.trim_start_matches("error: ").to_owned()
            })
    }

    /// Returns the first match: its first group where there is one, and the whole line it is in.
    pub fn find<'text>(&self, text: &'text str) -> Option<(&'text str, &'text str)> {
        let found = self.0.captures(text)?;
        let whole = found.get(0)?;
        let value = found.get(1).unwrap_or(whole).as_str();
        let before = text.get(..whole.start()).unwrap_or_default();
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text.get(begin..).unwrap_or_default();
        Some((value, line.lines().next().unwrap_or_default()))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `>`.
    Above,
    /// `>=`.
    AtLeast,
    /// `<`.
    Below,
    /// `<=`.
    AtMost,
    /// `=` or `==`.
    Equal,
    /// `!=`.
    Unequal,
}

impl Comparison {
    /// Splits a comparison from the value behind it.
    pub fn split(text: &str) -> Option<(Self, &str)> {
        let signs = [
            (">=", Self::AtLeast),
            ("<=", Self::AtMost),
            ("==", Self::Equal),
            ("!=", Self::Unequal),
            (">", Self::Above),
            ("<", Self::Below),
            ("=", Self::Equal),
        ];
        let text = text.trim();
        signs
            .into_iter()
            .find_map(|(sign, comparison)| Some((comparison, text.strip_prefix(sign)?.trim())))
    }

    /// Whether it holds for that order of a value to the one it is compared with.
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Above => order.is_gt(),
            Self::AtLeast => order.is_ge(),
            Self::Below => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
        }
    }

    /// Whether it asks for an order, and not only for sameness.
    pub fn needs_order(self) -> bool {
        !matches!(self, Self::Equal | Self::Unequal)
    }

    /// Returns its sign.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Equal => "=",
            Self::Unequal => "!=",
        }
    }
}

/// When what was read is a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The pattern is found.
    Match,
    /// The pattern is not found.
    NoMatch,
    /// The value compares so with this one, which is a number where an order is asked for.
    Compare(Comparison, String),
}

impl Condition {
    /// Whether it holds for a value; `None` where the two cannot be compared. Numbers are compared
    /// as numbers, everything else as text.
    pub fn holds(&self, value: &str) -> Option<bool> {
        let Self::Compare(comparison, limit) = self else {
            return None;
        };
        let order = match (number(value), number(limit)) {
            (Some(value), Some(limit)) => value.partial_cmp(&limit)?,
            _ if comparison.needs_order() => return None,
            _ => value.cmp(limit),
        };
        Some(comparison.holds(order))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Match => f.write_str("match"),
            Self::NoMatch => f.write_str("no match"),
            Self::Compare(comparison, limit) => write!(f, "{} {limit}", comparison.sign()),
        }
    }
}

/// Reads a number as people and programs print it; a percent sign is no obstacle.
pub fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    text.strip_suffix('%')
        .unwrap_or(text)
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_of_numbers_and_of_texts() {
        let when = |text: &str| {
            let (comparison, limit) = Comparison::split(text).unwrap();
            Condition::Compare(comparison, limit.to_owned())
        };
        let cases = [
            ("> 100", "101", Some(true)),
            ("> 100", "100", Some(false)),
            (">= 10", "10", Some(true)),
            ("< 0.5", "-1e3", Some(true)),
            ("<= 90", "91%", Some(false)),
            ("= 5", "5.0", Some(true)),
            ("!= ok", "ok", Some(false)),
            ("== down", "down", Some(true)),
            ("> 5", "many", None),
            ("> 5", "NaN", None),
        ];
        for (condition, value, holds) in cases {
            assert_eq!(when(condition).holds(value), holds, "{value} {condition}");
        }
    }

    #[test]
    fn a_pattern_finds_its_group_and_its_line() {
        let pattern = Pattern::new("^ERROR (.*)$").unwrap();
        let text = "fine\nERROR out of cheese\nERROR again";
        let found = pattern.find(text);
        assert_eq!(found, Some(("out of cheese", "ERROR out of cheese")));
        assert_eq!(Pattern::new("x").unwrap().find("axb"), Some(("x", "axb")));
        assert!(Pattern::new("a(").unwrap_err().contains("unclosed group"));
    }
}
