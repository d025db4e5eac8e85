//! What only earlier runs can tell: how numbers grew, and that nothing changed.

mod memory;
mod restarts;
mod stillness;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

pub use restarts::grown;

use super::{name_causes, order};
use crate::model::{Class, Finding, Host, HostReport, ReadingKind, Severity, Verdict};

/// What earlier runs read of a host's gateways, which are named by their ports.
pub trait Earlier {
    /// The numbers that were read since that time, the oldest first: each where it became another one, beginning with the
    /// one that held at the first run that saw the host.
    fn readings(&self, port: u16, kind: ReadingKind, since: Timestamp) -> Vec<(Timestamp, i64)>;

    /// When its unit, configuration, version or restart count was last another one than before, or was first read.
    fn last_change(&self, port: u16) -> Option<Timestamp>;
}

/// How far back growth is looked for.
const DAY: Duration = Duration::from_secs(24 * 3600);

fn before(now: Timestamp, by: Duration) -> Option<Timestamp> {
    now.checked_sub(SignedDuration::try_from(by).ok()?).ok()
}

/// Adds to a host's report what earlier runs tell of it.
pub fn add_earlier(host: &Host, report: &mut HostReport, now: Timestamp, earlier: &dyn Earlier) {
    let Some(facts) = report.observation.outcome.facts() else {
        return;
    };
    let mut found = Vec::new();
    for gateway in &facts.gateways {
        found.extend(restarts::check(host, gateway, now, earlier));
        found.extend(memory::check(host, facts, gateway, now, earlier));
        found.extend(stillness::check(host, facts, gateway, now, earlier));
    }
    for mut finding in found {
        if host.in_maintenance() {
            finding.severity = Severity::Info;
        }
        add(report, finding);
    }
}

/// Adds a finding. Where its class is there already it brings what shows it, unless the run has seen that itself.
fn add(report: &mut HostReport, finding: Finding) {
    let port = finding.gateway;
    let mut others = report.findings.iter_mut();
    let known = others.find(|other| other.gateway == port && other.class == finding.class);
    if let Some(known) = known {
        if finding.class == Class::ExpectationUnmet {
            known.evidence.extend(finding.evidence);
        }
        return;
    }
    report.verdict = report.verdict.max(Verdict::of(finding.severity));
    let (mut of_gateway, mut rest): (Vec<Finding>, Vec<Finding>) = report
        .findings
        .drain(..)
        .partition(|other| other.gateway == port);
    of_gateway.push(finding);
    name_causes(&mut of_gateway);
    rest.append(&mut of_gateway);
    order(&mut rest);
    report.findings = rest;
}
