//! Sentences from typed evidence, and commands from findings.

mod evidence;
mod remedy;

pub(super) use evidence::evidence;
pub(super) use remedy::{Help, help, quote, remedy};

use super::text::{sanitize, shorten};
use crate::diagnose::explain;
use crate::model::{Finding, HostReport, Subject, UnitScope};

/// How long the name of what a finding is about may be, in characters.
const LONGEST_SUBJECT: usize = 300;

/// A finding in words, for what is told elsewhere than in the table: every text is printable and
/// short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingWords {
    /// What it is, in one line.
    pub title: String,
    /// What it is about; empty for the host as a whole.
    pub subject: String,
    /// What shows it, a line each.
    pub evidence: Vec<String>,
    /// A command for this host, or a sentence.
    pub remedy: Option<String>,
}

/// Puts a finding of a host into words.
pub fn finding_words(finding: &Finding, host: &HostReport) -> FindingWords {
    FindingWords {
        title: title(finding, host),
        subject: match &finding.subject {
            Subject::Host => String::new(),
            other => subject(other),
        },
        evidence: finding.evidence.iter().map(evidence).collect(),
        remedy: remedy(finding, host),
    }
}

/// Says a finding's class in one line: of the operator's own checks, the first of what they say.
pub(super) fn title(finding: &Finding, host: &HostReport) -> String {
    let own = host
        .check_of(finding)
        .and_then(|check| check.explain.as_ref());
    let line = own.and_then(|text| text.trim().lines().next());
    line.map_or_else(
        || explain(finding.class).title.to_owned(),
        |line| sanitize(line).into_owned(),
    )
}

/// Names a unit's owner.
pub(super) fn scope(scope: &UnitScope) -> String {
    match scope {
        UnitScope::System => "system".to_owned(),
        UnitScope::User { user, .. } => format!("user {}", sanitize(user)),
    }
}

/// Names what a finding is about.
pub(super) fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Host => "host".to_owned(),
        Subject::Port(port) => format!("port {port}"),
        Subject::Unit { name, scope: whose } => format!("{} ({})", sanitize(name), scope(whose)),
        Subject::Model(name) | Subject::Path(name) | Subject::Check(name) => {
            shorten(&sanitize(name), LONGEST_SUBJECT).into_owned()
        }
    }
}
