//! What a run is remembered by: its troubles, its numbers, and the fingerprints of what it read.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::lasting;
use crate::model::{
    Facts, Fingerprint, Gateway, HostOutcome, Looked, Reading, ReadingKind, Report, Sighting,
    Sightings, TroubleKey, Unit, UnitScope, sanitize, shorten,
};

/// Returns what a report says of each host. One that the run was stopped before, or that was not
/// meant to be asked, was not looked at and is not even missing.
pub fn sightings(report: &Report) -> Sightings {
    let mut hosts = BTreeMap::new();
    let mut found: BTreeMap<TroubleKey, Sighting> = BTreeMap::new();
    let mut add = |sighting: Sighting| {
        // Two of one key are one trouble, as bad as the worse of them.
        let kept = found
            .entry(sighting.key.clone())
            .or_insert_with(|| sighting.clone());
        kept.severity = kept.severity.max(sighting.severity);
        kept.follows &= sighting.follows;
    };
    for host in &report.hosts {
        let outcome = &host.observation.outcome;
        let looked = match outcome {
            HostOutcome::Observed(_) => Looked::Whole,
            HostOutcome::Partial(..) => Looked::Part,
            _ => Looked::Not,
        };
        hosts.insert(host.name.clone(), looked);
        if matches!(outcome, HostOutcome::Cancelled | HostOutcome::Skipped(_)) {
            continue;
        }
        for finding in &host.findings {
            add(Sighting {
                key: TroubleKey::of(&host.name, finding),
                severity: finding.severity,
                follows: finding.cause.is_some(),
            });
        }
    }
    for finding in &report.fleet_findings {
        for host in &finding.hosts {
            add(Sighting {
                key: TroubleKey::of_fleet(host, finding),
                severity: finding.severity,
                follows: false,
            });
        }
    }
    Sightings {
        at: report.started_at,
        hosts,
        found,
    }
}

/// Returns the numbers of a report that have a trend. What was not seen is not there.
pub fn readings(report: &Report) -> Vec<Reading> {
    let mut all = Vec::new();
    for host in &report.hosts {
        let Some(facts) = host.observation.outcome.facts() else {
            continue;
        };
        let mut add = |gateway, kind, value: Option<i64>| {
            all.extend(value.map(|value| Reading {
                host: host.name.clone(),
                gateway,
                kind,
                value,
            }));
        };
        add(None, ReadingKind::ClockAheadS, facts.system.clock_ahead_s);
        add(None, ReadingKind::DiskFreePercent, disk(facts));
        for gateway in &facts.gateways {
            let port = Some(gateway.port);
            let journals = || gateway.units.iter().filter_map(|unit| unit.journal.known());
            let most = |number: fn(&Unit) -> Option<u32>| {
                let numbers = gateway.units.iter().filter_map(number);
                numbers.max().map(i64::from)
            };
            add(port, ReadingKind::Restarts, most(|unit| unit.n_restarts));
            let restarts = journals().map(|journal| journal.restarts_24h).max();
            add(port, ReadingKind::Restarts24h, restarts.map(i64::from));
            let failed = journals().map(|journal| journal.failed_1h).max();
            add(port, ReadingKind::Failed1h, failed.map(i64::from));
            let latency = gateway.http.answer().map(|answer| answer.latency_ms);
            add(port, ReadingKind::LatencyMs, latency.map(i64::from));
            let memory = gateway.memory_kib(facts);
            let memory = memory.and_then(|kib| i64::try_from(kib >> 10).ok());
            add(port, ReadingKind::MemoryMib, memory);
        }
    }
    all
}

fn disk(facts: &Facts) -> Option<i64> {
    let percent = |free: u64, size: u64| {
        let size = size.max(1);
        i64::try_from(free.min(size).saturating_mul(100) / size).unwrap_or(100)
    };
    let disks = facts.disks.iter();
    disks
        .map(|disk| percent(disk.free_kib, disk.size_kib))
        .min()
}

/// Returns the fingerprints of the units and configurations that a report has. What the host gave only
/// as a digest under the run's own key is another one in each run, and is left out.
pub fn fingerprints(report: &Report) -> Vec<Fingerprint> {
    let mut all = Vec::new();
    for host in &report.hosts {
        let Some(facts) = host.observation.outcome.facts() else {
            continue;
        };
        for gateway in &facts.gateways {
            let made = units(gateway)
                .chain(config(gateway))
                .chain(version(facts, gateway));
            all.extend(made.map(|(of, digest)| Fingerprint {
                host: host.name.clone(),
                gateway: gateway.port,
                of: shorten(&sanitize(&of), 200).into_owned(),
                digest,
            }));
        }
    }
    all
}

fn units(gateway: &Gateway) -> impl Iterator<Item = (String, [u8; 32])> + '_ {
    gateway.units.iter().filter_map(|unit| {
        let file = unit.file.as_ref().filter(|file| file.denied.is_none())?;
        let mut digest = Sha256::new();
        for line in file.lines() {
            let clear = line.split('*').next().unwrap_or(line);
            digest.update(clear.as_bytes());
            digest.update(b"\n");
        }
        let whose = match &unit.scope {
            UnitScope::System => "system".to_owned(),
            UnitScope::User { user, .. } => format!("user {user}"),
        };
        Some((format!("{} ({whose})", unit.name), digest.finalize().into()))
    })
}

fn config(gateway: &Gateway) -> Option<(String, [u8; 32])> {
    let config = gateway.config.known()?;
    let mut digest = Sha256::new();
    for (path, value) in &config.leaves {
        digest.update(format!("{path}={value}\n").as_bytes());
    }
    Some(("config".to_owned(), digest.finalize().into()))
}

fn version(facts: &Facts, gateway: &Gateway) -> Option<(String, [u8; 32])> {
    let package = lasting::package_of(facts, gateway)?;
    let digest = Sha256::digest(package.version.as_bytes());
    Some(("version".to_owned(), digest.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Class, Finding, HostError, HostObservation, HostReport, Stage, StageTimes, Subject, Verdict,
    };

    fn report(outcome: HostOutcome, findings: Vec<Finding>) -> Report {
        Report {
            started_at: jiff::Timestamp::UNIX_EPOCH,
            elapsed_ms: 0,
            hosts: vec![HostReport {
                name: "VM1".into(),
                address: String::new(),
                login_command: String::new(),
                needs_sudo: false,
                unit: String::new(),
                maintenance: false,
                checks: Vec::new(),
                observation: HostObservation {
                    outcome,
                    stages: StageTimes::default(),
                    elapsed: std::time::Duration::ZERO,
                },
                verdict: Verdict::Ok,
                findings,
            }],
            fleet_findings: Vec::new(),
            interrupted: false,
        }
    }

    fn unseen() -> Vec<Finding> {
        vec![Finding::new(Class::NotObserved, Subject::Host, Vec::new())]
    }

    #[test]
    fn a_host_that_was_not_asked_is_not_missing() {
        let seen = sightings(&report(HostOutcome::Cancelled, unseen()));
        assert_eq!(seen.hosts.get("VM1"), Some(&Looked::Not));
        assert!(seen.found.is_empty());
        let error = HostError::new(Stage::Tcp, "no");
        let seen = sightings(&report(HostOutcome::Unreachable(error), unseen()));
        assert_eq!(seen.hosts.get("VM1"), Some(&Looked::Not));
        assert_eq!(seen.found.len(), 1);
    }

    #[test]
    fn findings_of_one_key_are_one_trouble() {
        let mut one = Finding::new(Class::DiskLow, Subject::Path("/a\u{1b}".into()), Vec::new());
        one.cause = Some(Class::TrueCrash);
        let mut two = one.clone();
        two.cause = None;
        two.severity = crate::model::Severity::Critical;
        let facts = Box::new(Facts::default());
        let seen = sightings(&report(HostOutcome::Observed(facts), vec![one, two]));
        let all: Vec<_> = seen.found.values().collect();
        assert_eq!(all.len(), 1);
        let only = all.first().map(|it| (it.severity, it.follows));
        assert_eq!(only, Some((crate::model::Severity::Critical, false)));
        assert!(all.iter().all(|it| !it.key.subject.contains('\u{1b}')));
    }
}
