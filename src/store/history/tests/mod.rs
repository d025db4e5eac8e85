//! What the tests of the history share: runs of a fleet that were never made.

mod chronicle;
mod faults;
mod keeping;
mod outbox;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::*;
use crate::model::{
    Class, Fingerprint, HostError, HostObservation, HostOutcome, HostReport, Looked, Memory,
    Reading, ReadingKind, Report, Sighting, Sightings, Stage, StageTimes, TroubleKey, Verdict,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn host(name: String, up: bool) -> HostReport {
    let outcome = match up {
        true => HostOutcome::Observed(Box::default()),
        false => HostOutcome::Unreachable(HostError::new(Stage::Tcp, "no\u{1b} route".repeat(99))),
    };
    HostReport {
        name,
        address: "10.0.0.1".into(),
        login_command: String::new(),
        needs_sudo: false,
        unit: String::new(),
        maintenance: false,
        checks: Vec::new(),
        observation: HostObservation {
            outcome,
            stages: StageTimes::default(),
            elapsed: Duration::from_millis(100),
        },
        verdict: if up { Verdict::Ok } else { Verdict::Unknown },
        findings: Vec::new(),
    }
}

/// One run of a fleet: the hosts that are up, and what is wrong on which.
struct Run {
    report: Report,
    sightings: Sightings,
    readings: Vec<Reading>,
    fingerprints: Vec<Fingerprint>,
}

fn key(host: &str, class: Class) -> TroubleKey {
    TroubleKey {
        host: host.into(),
        gateway: Some(18789),
        class: class.id().into(),
        subject: "openclaw-gateway.service (system)".into(),
    }
}

impl Run {
    fn of(hosts: usize, seconds: i64) -> Self {
        let names = || (0..hosts).map(|host| format!("VM{host}"));
        Self {
            report: Report {
                started_at: at(seconds),
                elapsed_ms: 812,
                hosts: names().map(|name| host(name, true)).collect(),
                fleet_findings: Vec::new(),
                interrupted: false,
            },
            sightings: Sightings {
                at: at(seconds),
                hosts: names().map(|name| (name, Looked::Whole)).collect(),
                found: BTreeMap::new(),
            },
            readings: Vec::new(),
            fingerprints: Vec::new(),
        }
    }

    fn wrong(mut self, host: &str, class: Class) -> Self {
        let key = key(host, class);
        let sighting = Sighting {
            key: key.clone(),
            severity: class.severity(),
            follows: false,
        };
        self.sightings.found.insert(key, sighting);
        self
    }

    fn down(mut self, name: &str) -> Self {
        self.sightings.hosts.insert(name.into(), Looked::Not);
        for report in &mut self.report.hosts {
            if report.name == name {
                *report = host(name.into(), false);
            }
        }
        self
    }

    fn reads(mut self, host: &str, kind: ReadingKind, value: i64) -> Self {
        self.readings.push(Reading {
            host: host.into(),
            gateway: Some(18789),
            kind,
            value,
        });
        self
    }

    fn keep(&self, history: &mut History) -> Result<Recorded, HistoryFault> {
        self.keep_with(history, None)
    }

    fn keep_with(
        &self,
        history: &mut History,
        memory: Option<(&Memory, &Memory)>,
    ) -> Result<Recorded, HistoryFault> {
        history.record(&RunRecord {
            inventory: Path::new("/etc/inventory.yaml"),
            report: &self.report,
            sightings: &self.sightings,
            readings: &self.readings,
            fingerprints: &self.fingerprints,
            memory,
            messages: &|_| Vec::new(),
        })
    }
}

fn open_at(history: &History) -> Vec<(String, String, i64)> {
    let all = history.open_findings(Path::new("/etc/inventory.yaml"));
    let seconds = |at: Timestamp| at.as_second() - 1_800_000_000;
    all.unwrap()
        .into_iter()
        .map(|(key, open)| (key.host, key.class, seconds(open.since)))
        .collect()
}

fn count(history: &History, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {table}");
    let row = |row: &rusqlite::Row<'_>| row.get(0);
    history.connection.query_row(&query, [], row).unwrap()
}
