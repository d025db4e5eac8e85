//! Runs of a fleet that were never made, written to a real database.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clawfleet::model::{
    Class, Fingerprint, HostError, HostObservation, HostOutcome, HostReport, Looked, Reading,
    ReadingKind, Report, Severity, Sighting, Sightings, Stage, StageTimes, TroubleKey, Verdict,
};
use clawfleet::store::{History, RunRecord};
use jiff::{SignedDuration, Timestamp};

use crate::program::{self, Finished};

pub(crate) struct Past {
    dir: tempfile::TempDir,
    hosts: Vec<String>,
    history: Option<History>,
    /// When it is said to be.
    now: Timestamp,
}

/// One run as it is made.
pub(crate) struct Now {
    report: Report,
    sightings: Sightings,
    readings: Vec<Reading>,
    prints: Vec<Fingerprint>,
}

impl Past {
    pub(crate) fn new(hosts: &[&str]) -> Self {
        let past = Self {
            dir: tempfile::tempdir().unwrap(),
            hosts: hosts.iter().map(|name| (*name).to_owned()).collect(),
            history: None,
            now: Timestamp::from_second(Timestamp::now().as_second()).unwrap(),
        };
        past.inventory(hosts);
        past
    }

    pub(crate) fn inventory(&self, hosts: &[&str]) {
        let hosts: Vec<String> = hosts
            .iter()
            .map(|name| format!("  {name}: {{}}\n"))
            .collect();
        let text = format!("defaults: {{user: root}}\nhosts:\n{}", hosts.concat());
        std::fs::write(self.path("inventory.yaml"), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Finished {
        program::run_with(self.dir.path(), args)
    }

    /// Keeps a run, one of so many that are an hour apart; the last was an hour ago.
    pub(crate) fn keep(&mut self, run: i64, of: i64, change: impl FnOnce(&mut Now)) {
        let at = self.now - SignedDuration::from_hours(of - run + 1);
        self.keep_at(at, change);
    }

    pub(crate) fn keep_at(&mut self, at: Timestamp, change: impl FnOnce(&mut Now)) {
        let mut now = Now::new(&self.hosts, at);
        change(&mut now);
        let inventory = self.path("inventory.yaml");
        now.write(self.history(), &inventory);
    }

    pub(crate) fn keep_elsewhere(&mut self) {
        let now = Now::new(&self.hosts, Timestamp::now());
        now.write(self.history(), Path::new("/somewhere/else.yaml"));
    }

    fn history(&mut self) -> &mut History {
        let state = self.dir.path().join("state/clawfleet");
        self.history
            .get_or_insert_with(|| History::open(&state).unwrap())
    }
}

impl Now {
    fn new(hosts: &[String], at: Timestamp) -> Self {
        let facts = clawfleet::model::Facts::default;
        let host = |name: &String| host(name, HostOutcome::Observed(Box::new(facts())));
        Self {
            report: Report {
                started_at: at,
                elapsed_ms: 812,
                hosts: hosts.iter().map(host).collect(),
                fleet_findings: Vec::new(),
                interrupted: false,
            },
            sightings: Sightings {
                at,
                hosts: hosts
                    .iter()
                    .map(|name| (name.clone(), Looked::Whole))
                    .collect(),
                found: BTreeMap::new(),
            },
            readings: Vec::new(),
            prints: Vec::new(),
        }
    }

    fn host(&mut self, name: &str) -> &mut HostReport {
        let mut hosts = self.report.hosts.iter_mut();
        hosts.find(|host| host.name == name).unwrap()
    }

    pub(crate) fn wrong(&mut self, host: &str, class: &str) {
        let severity = Class::from_id(class).map_or(Severity::Warning, Class::severity);
        let key = TroubleKey {
            host: host.to_owned(),
            gateway: Some(18789),
            class: class.to_owned(),
            subject: "openclaw-gateway.service (system)".to_owned(),
        };
        let sighting = Sighting {
            key: key.clone(),
            severity,
            follows: false,
        };
        self.sightings.found.insert(key, sighting);
        let report = self.host(host);
        report.verdict = report.verdict.max(Verdict::of(severity));
    }

    pub(crate) fn down(&mut self, name: &str) {
        self.sightings.hosts.insert(name.to_owned(), Looked::Not);
        let error = HostError::new(Stage::Tcp, "no answer");
        *self.host(name) = HostReport {
            verdict: Verdict::Unknown,
            ..host(name, HostOutcome::Unreachable(error))
        };
    }

    pub(crate) fn print(&mut self, host: &str, of: &str, digest: u8) {
        self.prints.push(Fingerprint {
            host: host.to_owned(),
            gateway: 18789,
            of: of.to_owned(),
            digest: [digest; 32],
        });
    }

    pub(crate) fn read(&mut self, host: &str, kind: ReadingKind, value: i64) {
        let gateway = match kind {
            ReadingKind::DiskFreePercent | ReadingKind::ClockAheadS => None,
            _ => Some(18789),
        };
        self.readings.push(Reading {
            host: host.to_owned(),
            gateway,
            kind,
            value,
        });
    }

    fn write(&self, history: &mut History, inventory: &Path) {
        let record = RunRecord {
            inventory,
            report: &self.report,
            sightings: &self.sightings,
            readings: &self.readings,
            fingerprints: &self.prints,
            memory: None,
            messages: &|_| Vec::new(),
        };
        history.record(&record).unwrap();
    }
}

fn host(name: &str, outcome: HostOutcome) -> HostReport {
    HostReport {
        name: name.to_owned(),
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
        verdict: Verdict::Ok,
        findings: Vec::new(),
    }
}
