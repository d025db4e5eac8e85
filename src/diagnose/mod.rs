//! L1: from facts to findings. Pure: no I/O, no clock, no configuration but the host's own.
//!
//! The order of the questions is the one that held on every recorded case of the real gateway:
//! is there a listener, is it a gateway, which unit manages it, does it answer, does another unit
//! of that name want the port, and only then exit codes and messages, to name the cause.

mod catalogue;
mod fleet;
mod models;
mod ownership;
mod port;
mod signs;

pub use catalogue::{Explanation, explain};
pub use fleet::judge;

use crate::model::{
    Class, Confidence, Evidence, Facts, Finding, Host, Observed, Severity, Subject, Verdict,
};
use ownership::Ownership;

/// Judges one host by what was seen on it. Worst first, causes before their consequences.
pub fn diagnose(host: &Host, facts: &Facts) -> Vec<Finding> {
    let ownership = Ownership::of(facts);
    let mut findings = port::check(host, facts, &ownership);
    findings.extend(signs::check(host, facts));
    findings.extend(models::check(facts));
    findings.extend(not_permitted(facts, &ownership));
    name_causes(&mut findings);
    findings.sort_by(|a, b| {
        a.cause
            .is_some()
            .cmp(&b.cause.is_some())
            .then(b.severity.cmp(&a.severity))
            .then(a.class.cmp(&b.class))
    });
    findings
}

/// Returns the judgement that a host's findings add up to.
pub fn verdict(findings: &[Finding]) -> Verdict {
    findings
        .iter()
        .map(|finding| Verdict::of(finding.severity))
        .max()
        .unwrap_or(Verdict::Ok)
}

/// One incident has one root. A loop, growth and noise that an earlier class explains are its
/// consequences, and are shown as such.
fn name_causes(findings: &mut [Finding]) {
    const ROOTS: [Class; 9] = [
        Class::OrphanHoldsPort,
        Class::DuplicateUnit,
        Class::LeftoverProcess,
        Class::ForeignProcessOnPort,
        Class::ConfigError,
        Class::TrueCrash,
        Class::RestartLoop,
        Class::GatewayHung,
        Class::GatewayDown,
    ];
    const CONSEQUENCES: [Class; 5] = [
        Class::TrueCrash,
        Class::RestartLoop,
        Class::RestartGrowth,
        Class::JournalNoise,
        Class::GatewayDown,
    ];
    let root = ROOTS
        .into_iter()
        .find(|class| findings.iter().any(|finding| finding.class == *class));
    let Some(root) = root else { return };
    for finding in findings {
        if finding.class != root && CONSEQUENCES.contains(&finding.class) {
            finding.cause = Some(root);
        }
    }
}

/// What the probe could not see, and what would show it. Nothing else is concluded from it.
fn not_permitted(facts: &Facts, ownership: &Ownership<'_>) -> Option<Finding> {
    let mut evidence = Vec::new();
    let mut unseen = |what: &str, why: &str| {
        evidence.push(Evidence::Unseen {
            what: what.to_owned(),
            why: why.to_owned(),
        });
    };
    if let Some(why) = facts.listeners.unknown_because()
        && facts.listeners != Observed::NotCollected
    {
        unseen(&format!("who listens on port {}", facts.port), why);
    }
    if ownership.hidden_holders {
        unseen(
            &format!("which process holds port {}", facts.port),
            "its owner's open files are closed to this login",
        );
    }
    if facts.system.login.sees_processes == Some(false) {
        unseen("other users' processes", "/proc is mounted with hidepid");
    }
    for (what, why) in &facts.units_unseen {
        unseen(what, why);
    }
    for unit in &facts.units {
        if let Observed::Denied(why) = &unit.journal {
            unseen("the unit's journal", why);
            break;
        }
    }
    if let Some(why) = facts.config.unknown_because()
        && !matches!(facts.config, Observed::NotCollected)
    {
        unseen("the gateway's configuration", why);
    }
    if let Some(Err(crate::model::HttpError::NotAsked(why))) = &facts.http.health
        && facts.listeners.known().is_some_and(|held| !held.is_empty())
    {
        unseen("the gateway's HTTP answer", why);
    }
    if evidence.is_empty() {
        return None;
    }
    if !facts.system.login.is_root() {
        evidence.push(Evidence::WouldHelp(
            "log in as root, or set `become: sudo` for a login that may use it".into(),
        ));
    }
    Some(Finding {
        confidence: Confidence::High,
        severity: Severity::Warning,
        ..Finding::new(Class::NotPermitted, Subject::Host, evidence)
    })
}
