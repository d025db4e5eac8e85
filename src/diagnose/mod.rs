//! L1: from facts to findings. Pure: no I/O, no clock, no configuration but the host's own.
//!
//! The order of the questions is the one that held on every recorded case of the real gateway:
//! is there a listener, is it a gateway, which unit manages it, does it answer, does another unit
//! of that name want the port, and only then exit codes and messages, to name the cause.

mod between;
mod catalogue;
mod changes;
mod custom;
mod drift;
mod earlier;
mod expect;
mod exposure;
mod fleet;
mod happenings;
mod health;
mod lasting;
mod machine;
mod models;
mod ownership;
mod port;
mod settings;
mod sightings;
mod signs;
mod trends;

pub use between::{HostChange, RunChange, run_changes};
pub use catalogue::{Explanation, explain};
pub use changes::{Patience, step};
pub use drift::compare;
pub use earlier::{Earlier, add_earlier, grown};
pub use fleet::judge;
pub use happenings::{Happened, Happening, happenings};
pub use health::{UnitHealth, unit_health};
pub use sightings::{fingerprints, readings, sightings};
pub use trends::trends;

use crate::model::{
    Class, Evidence, Facts, Finding, Gateway, Host, HttpError, Observed, Role, Severity, Subject,
    Verdict,
};
use ownership::Ownership;

/// Judges one host by what was seen on it. Worst first, causes before their consequences.
pub fn diagnose(host: &Host, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for gateway in &facts.gateways {
        findings.extend(of_gateway(host, facts, gateway));
    }
    findings.extend(lasting::overlaps(facts));
    findings.extend(exposure::inspector(facts));
    findings.extend(machine::check(host, facts));
    findings.extend(not_permitted(facts));
    findings.extend(custom::check(host, facts));
    if host.in_maintenance() {
        for finding in &mut findings {
            finding.severity = Severity::Info;
        }
    }
    order(&mut findings);
    findings
}

/// Worst first, causes before their consequences.
fn order(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        a.cause
            .is_some()
            .cmp(&b.cause.is_some())
            .then(b.severity.cmp(&a.severity))
            .then(a.class.cmp(&b.class))
    });
}

/// Returns the version of the package that a gateway is started from, where it was found.
pub fn installed_version(facts: &Facts, gateway: &Gateway) -> Option<String> {
    lasting::package_of(facts, gateway).map(|package| package.version.clone())
}

/// Judges one gateway of a host.
fn of_gateway(host: &Host, facts: &Facts, gateway: &Gateway) -> Vec<Finding> {
    let ownership = Ownership::of(facts, gateway);
    let mut findings = port::check(host, facts, gateway, &ownership);
    findings.extend(machine::role(host, facts, gateway));
    findings.extend(signs::check(host, facts, gateway));
    let version = lasting::package_of(facts, gateway).map(|package| package.version.as_str());
    findings.extend(models::check(gateway, version));
    findings.extend(exposure::check(facts, gateway));
    if host.role == Role::Gateway {
        findings.extend(settings::check(host, facts, gateway, version));
        findings.extend(lasting::check(facts, gateway, &ownership));
        findings.extend(expect::check(host, facts, gateway));
    }
    name_causes(&mut findings);
    for finding in &mut findings {
        finding.gateway = Some(gateway.port);
    }
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
    const ROOTS: [Class; 10] = [
        Class::OrphanHoldsPort,
        Class::DuplicateUnit,
        Class::LeftoverProcess,
        Class::ForeignProcessOnPort,
        Class::ConfigError,
        Class::TrueCrash,
        Class::RestartLoop,
        Class::GatewayHung,
        Class::RoleMismatch,
        Class::GatewayDown,
    ];
    const CONSEQUENCES: [Class; 7] = [
        Class::GatewayStarting,
        Class::ChannelsSuppressed,
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
fn not_permitted(facts: &Facts) -> Option<Finding> {
    let mut evidence = Vec::new();
    let mut unseen = |what: &str, why: &str| {
        let one = Evidence::Unseen {
            what: what.to_owned(),
            why: why.to_owned(),
        };
        if !evidence.contains(&one) {
            evidence.push(one);
        }
    };
    if let Some(why) = facts.sockets.unknown_because()
        && facts.sockets != Observed::NotCollected
    {
        unseen("who listens on the gateway's port", why);
    }
    if facts.system.login.sees_processes == Some(false) {
        unseen("other users' processes", "/proc is mounted with hidepid");
    }
    for (what, why) in &facts.units_unseen {
        unseen(what, why);
    }
    for gateway in &facts.gateways {
        if Ownership::of(facts, gateway).hidden_holders {
            unseen(
                &format!("which process holds port {}", gateway.port),
                "its owner's open files are closed to this login",
            );
        }
        for unit in &gateway.units {
            if let Observed::Denied(why) | Observed::Failed(why) = &unit.journal {
                unseen("the unit's journal", why);
            }
        }
        if let Observed::Denied(why) | Observed::Failed(why) = &gateway.config {
            unseen("the gateway's configuration", why);
        }
        if let Some(Err(HttpError::NotAsked(why))) = &gateway.http.health
            && gateway
                .listeners
                .known()
                .is_some_and(|held| !held.is_empty())
        {
            unseen("the gateway's HTTP answer", why);
        }
    }
    if evidence.is_empty() {
        return None;
    }
    if !facts.system.login.is_root() {
        evidence.push(Evidence::WouldHelp(
            "log in as root, or set `become: sudo` for a login that may use it".into(),
        ));
    }
    Some(Finding::new(Class::NotPermitted, Subject::Host, evidence))
}
