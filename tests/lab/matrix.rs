//! Every scenario of the lab on a host of its own: the classes that must be found, and no other.
//!
//! `docs/diagnosis-matrix.md` is this table with what was found; `UPDATE_MATRIX=1` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::{Bastion, Gateway, PLANTED, fleet, host, lab, plant};

use Gateway::{Real, StandIn};

/// One row: the scenario, where it stands in the list of what must be told apart, the gateway, the
/// classes that lead, and the look-alikes that must not be claimed.
struct Case {
    group: u8,
    scenario: &'static str,
    gateway: Gateway,
    found: &'static str,
    not: &'static str,
}

const fn case(
    group: u8,
    scenario: &'static str,
    gateway: Gateway,
    found: &'static str,
    not: &'static str,
) -> Case {
    Case {
        group,
        scenario,
        gateway,
        found,
        not,
    }
}

/// The groups in which things are to be told apart.
const GROUPS: [&str; 12] = [
    "An orphan holds the port",
    "Two units",
    "Left over",
    "Restarted from inside",
    "A true crash",
    "Configuration",
    "Somebody else on the port",
    "Hung or starting",
    "Stopped by intent",
    "Healthy look-alikes",
    "What cannot be seen",
    "Settings, exposure, the machine",
];

const CASES: [Case; 69] = [
    case(
        1,
        "orphan",
        Real,
        "orphan-holds-port unit-weak",
        "duplicate-unit leftover-process foreign-process-on-port true-crash",
    ),
    case(
        1,
        "orphan",
        StandIn,
        "orphan-holds-port unit-weak",
        "duplicate-unit leftover-process foreign-process-on-port true-crash",
    ),
    case(
        1,
        "orphan-user",
        Real,
        "orphan-holds-port unit-weak",
        "duplicate-unit leftover-process",
    ),
    case(
        1,
        "orphan-user",
        StandIn,
        "orphan-holds-port unit-weak",
        "duplicate-unit leftover-process",
    ),
    case(
        1,
        "orphan-root",
        StandIn,
        "orphan-holds-port unit-weak",
        "duplicate-unit leftover-process",
    ),
    case(
        1,
        "parked",
        StandIn,
        "orphan-holds-port",
        "config-error gateway-down true-crash",
    ),
    case(
        2,
        "duplicate-unit",
        Real,
        "duplicate-unit unit-weak",
        "orphan-holds-port true-crash",
    ),
    case(
        2,
        "duplicate-unit",
        StandIn,
        "duplicate-unit unit-weak",
        "orphan-holds-port true-crash",
    ),
    case(
        2,
        "duplicate-pingpong",
        Real,
        "duplicate-unit",
        "orphan-holds-port true-crash",
    ),
    case(
        2,
        "duplicate-pingpong",
        StandIn,
        "duplicate-unit",
        "orphan-holds-port true-crash",
    ),
    case(
        2,
        "duplicate-states",
        StandIn,
        "duplicate-unit",
        "config-error orphan-holds-port",
    ),
    case(
        2,
        "duplicate-one-active",
        StandIn,
        "duplicate-unit",
        "orphan-holds-port gateway-down",
    ),
    case(2, "leftover-file", StandIn, "", "duplicate-unit"),
    case(
        2,
        "two-profiles",
        Real,
        "",
        "duplicate-unit gateway-overlap orphan-holds-port",
    ),
    case(
        2,
        "two-profiles",
        StandIn,
        "",
        "duplicate-unit gateway-overlap orphan-holds-port",
    ),
    case(
        2,
        "two-users",
        StandIn,
        "",
        "duplicate-unit gateway-overlap orphan-holds-port",
    ),
    case(
        2,
        "two-profiles-one-orphan",
        StandIn,
        "orphan-holds-port unit-weak",
        "duplicate-unit",
    ),
    case(2, "overlap", StandIn, "gateway-overlap", "duplicate-unit"),
    case(
        3,
        "leftover",
        StandIn,
        "leftover-process unit-weak",
        "orphan-holds-port duplicate-unit",
    ),
    case(
        3,
        "respawned",
        StandIn,
        "leftover-process secrets-readable start-limit-unreachable unit-weak",
        "orphan-holds-port duplicate-unit",
    ),
    case(
        4,
        "restart-inside",
        Real,
        "restarted-from-inside",
        "restart-loop true-crash",
    ),
    case(
        4,
        "restart-inside",
        StandIn,
        "restarted-from-inside",
        "restart-loop true-crash",
    ),
    case(
        4,
        "restart-inside-process",
        StandIn,
        "restarted-from-inside unit-weak",
        "restart-loop leftover-process",
    ),
    case(
        5,
        "crash",
        StandIn,
        "true-crash unit-weak",
        "orphan-holds-port config-error",
    ),
    case(
        5,
        "crash-segv",
        StandIn,
        "true-crash unit-weak",
        "orphan-holds-port config-error",
    ),
    case(
        5,
        "crash-abort",
        StandIn,
        "true-crash unit-weak",
        "orphan-holds-port config-error",
    ),
    case(
        5,
        "crash-137",
        StandIn,
        "true-crash unit-weak",
        "orphan-holds-port config-error",
    ),
    case(
        5,
        "crash-oom",
        StandIn,
        "true-crash unit-weak",
        "orphan-holds-port config-error",
    ),
    case(
        6,
        "config-error",
        StandIn,
        "config-error",
        "orphan-holds-port true-crash",
    ),
    case(
        6,
        "config-json",
        Real,
        "config-error",
        "orphan-holds-port true-crash",
    ),
    case(
        6,
        "config-json",
        StandIn,
        "config-error",
        "orphan-holds-port true-crash",
    ),
    case(
        6,
        "config-key",
        Real,
        "config-error",
        "orphan-holds-port true-crash",
    ),
    case(
        6,
        "config-key",
        StandIn,
        "config-error",
        "orphan-holds-port true-crash",
    ),
    case(
        6,
        "config-noauth",
        StandIn,
        "config-error",
        "bind-without-auth true-crash",
    ),
    case(
        6,
        "config-missing",
        StandIn,
        "config-error",
        "role-mismatch true-crash",
    ),
    case(
        6,
        "config-broken-running",
        Real,
        "next-start-fails",
        "config-error",
    ),
    case(
        6,
        "config-broken-running",
        StandIn,
        "next-start-fails",
        "config-error",
    ),
    case(
        7,
        "foreign",
        StandIn,
        "foreign-process-on-port",
        "orphan-holds-port config-error",
    ),
    case(
        7,
        "foreign-unit",
        StandIn,
        "foreign-process-on-port",
        "duplicate-unit",
    ),
    case(
        7,
        "foreign-container",
        StandIn,
        "foreign-process-on-port",
        "duplicate-unit orphan-holds-port",
    ),
    case(7, "client", StandIn, "", "foreign-process-on-port"),
    case(
        8,
        "hung",
        StandIn,
        "gateway-hung",
        "gateway-starting not-permitted",
    ),
    case(
        8,
        "hung-accepts",
        StandIn,
        "gateway-hung",
        "gateway-starting",
    ),
    case(8, "hung-500", StandIn, "gateway-hung", "gateway-starting"),
    case(8, "hung-slow", StandIn, "gateway-hung", "gateway-starting"),
    case(
        8,
        "starting",
        StandIn,
        "gateway-starting",
        "gateway-hung gateway-down",
    ),
    case(9, "down", StandIn, "gateway-down", "true-crash"),
    case(9, "stopped", StandIn, "gateway-down", "true-crash"),
    case(9, "masked", StandIn, "gateway-down", "true-crash"),
    case(9, "nothing", StandIn, "role-mismatch", "true-crash"),
    case(
        9,
        "gateway-unexpected",
        StandIn,
        "role-mismatch",
        "gateway-down",
    ),
    case(10, "healthy", Real, "", "orphan-holds-port"),
    case(10, "healthy", StandIn, "", "orphan-holds-port"),
    case(10, "user-unit", StandIn, "", "orphan-holds-port no-linger"),
    case(10, "busy-journal", StandIn, "", "journal-noise"),
    case(
        10,
        "noisy-journal",
        StandIn,
        "journal-noise",
        "restart-loop",
    ),
    case(
        11,
        "unprivileged",
        StandIn,
        "not-permitted",
        "orphan-holds-port foreign-process-on-port gateway-down",
    ),
    case(
        12,
        "model-skipped",
        StandIn,
        "model-skipped",
        "config-error",
    ),
    case(12, "no-linger", StandIn, "no-linger", ""),
    case(12, "daemon-reload", StandIn, "daemon-reload-needed", ""),
    case(
        12,
        "missing-program",
        StandIn,
        "next-start-fails",
        "true-crash",
    ),
    case(
        12,
        "version-mismatch",
        StandIn,
        "unit-weak version-mismatch",
        "",
    ),
    case(12, "bind-open", StandIn, "bind-without-auth", ""),
    case(12, "secrets-readable", StandIn, "secrets-readable", ""),
    case(
        12,
        "unit-token",
        StandIn,
        "secrets-readable start-limit-unreachable unit-weak",
        "",
    ),
    case(12, "debug-port", StandIn, "debug-port-open", ""),
    case(
        12,
        "channels-suppressed",
        StandIn,
        "channels-suppressed",
        "",
    ),
    case(12, "disk-low", StandIn, "disk-low", ""),
    case(12, "maintenance", StandIn, "gateway-down", ""),
];

/// The first of the hosts that only the matrix uses; those before are every test's.
const FIRST: usize = 175;

/// The first host after them.
pub(crate) const AFTER: usize = FIRST + CASES.len();

/// Classes that come and go with time, and are only ever told as consequences.
const CONSEQUENCES: [&str; 7] = [
    "restart-loop",
    "restart-growth",
    "journal-noise",
    "true-crash",
    "gateway-down",
    "gateway-starting",
    "channels-suppressed",
];

/// Each case with its host: one that the other tests planted alike, or one of its own.
fn hosts() -> Vec<(String, &'static Case)> {
    let mut next = FIRST;
    CASES
        .iter()
        .map(|case| {
            let planted = PLANTED.iter().find(|(_, scenario, gateway)| {
                *scenario == case.scenario && *gateway == case.gateway
            });
            let name = match planted {
                Some((name, _, _)) => (*name).to_owned(),
                None => {
                    next += 1;
                    format!("VM{}", next - 1)
                }
            };
            (name, case)
        })
        .collect()
}

fn is_own(name: &str) -> bool {
    PLANTED.iter().all(|(planted, _, _)| *planted != name)
}

#[test]
fn every_scenario_is_found_and_told_from_its_look_alikes() {
    let _turn = fleet();
    let hosts = hosts();
    let own: Vec<&(String, &Case)> = hosts.iter().filter(|(name, _)| is_own(name)).collect();
    lab(&["up", &(FIRST - 151 + own.len()).to_string(), "--real", "3"]);
    // A few at a time; each plant locks only its own host.
    let queue = Mutex::new(own.iter());
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some((name, case)) = next else { return };
                    plant(name, case.scenario, case.gateway);
                    lab(&["wait", name, "120"]);
                }
            });
        }
    });
    let (wrong, report) = settle(&hosts);
    let text = document(&hosts, &report);
    for (name, _) in &own {
        plant(name, "nothing", StandIn);
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/diagnosis-matrix.md");
    if std::env::var_os("UPDATE_MATRIX").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        checked_in, text,
        "the matrix changed: write it with UPDATE_MATRIX=1 and read the difference"
    );
}

/// Some faults need time: a loop three restarts, a hung gateway half a minute. From then on every
/// snapshot says the same.
fn settle(hosts: &[(String, &Case)]) -> (Vec<String>, Value) {
    let bastion = Bastion::new();
    let deadline = Instant::now() + Duration::from_secs(150);
    let names: Vec<&str> = hosts.iter().map(|(name, _)| name.as_str()).collect();
    let mut agreed = 0;
    loop {
        // A starting gateway grows up: it is planted right before each look.
        let (starting, _) = hosts
            .iter()
            .find(|(_, case)| case.scenario == "starting")
            .unwrap();
        plant(starting, "starting", StandIn);
        let (_, report) = bastion.check(&names.join(","));
        let wrong: Vec<String> = hosts
            .iter()
            .filter_map(|(name, case)| difference(case, host(&report, name)))
            .collect();
        agreed = if wrong.is_empty() { agreed + 1 } else { 0 };
        if agreed == 3 || Instant::now() > deadline {
            return (wrong, report);
        }
        thread::sleep(Duration::from_secs(3));
    }
}

fn roots(host: &Value) -> BTreeSet<&str> {
    classes(host, |finding| finding.get("cause").is_none())
}

fn classes(host: &Value, wanted: impl Fn(&Value) -> bool) -> BTreeSet<&str> {
    host["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| wanted(finding))
        .map(|finding| finding["class"].as_str().unwrap())
        .collect()
}

/// What is wrong with a host's findings, if something is.
fn difference(case: &Case, host: &Value) -> Option<String> {
    let expected: BTreeSet<&str> = case.found.split_whitespace().collect();
    let roots = roots(host);
    let all = classes(host, |_| true);
    let odd: Vec<&str> = classes(host, |finding| finding.get("cause").is_some())
        .into_iter()
        .filter(|class| !CONSEQUENCES.contains(class))
        .collect();
    let accused: Vec<&str> = case
        .not
        .split_whitespace()
        .filter(|class| all.contains(class) && !CONSEQUENCES.contains(class))
        .collect();
    let severe = case.scenario != "maintenance" || host["verdict"] == "ok";
    let fine = host["outcome"] == "observed"
        && roots == expected
        && odd.is_empty()
        && accused.is_empty()
        && severe;
    (!fine).then(|| {
        format!(
            "{} {} ({}): {} {} {roots:?} instead of {expected:?}; consequences {odd:?}, look-alikes {accused:?}",
            host["name"],
            case.scenario,
            kind(case),
            host["outcome"],
            host["verdict"]
        )
    })
}

fn kind(case: &Case) -> &'static str {
    match case.gateway {
        Real => "real 2026.6.10",
        StandIn => "stand-in",
    }
}

/// The matrix as a page. What is in it does not change from run to run.
fn document(hosts: &[(String, &Case)], report: &Value) -> String {
    let words: BTreeMap<String, String> = lab(&["scenarios"])
        .lines()
        .filter_map(|line| {
            let (name, words) = line.split_once(' ')?;
            Some((name.to_owned(), words.trim().to_owned()))
        })
        .collect();
    let mut text = String::from(
        "# Faults and what is found\n\nWritten by the test `every_scenario_is_found_and_told_from_its_look_alikes` from a run on real\n\
         systemd hosts. Each row is a host of its own; \"found\" is every class that leads, what follows\n\
         from it left out; three looks in turn agree. `ci/lab plant SCENARIO HOST` plants a row.\n",
    );
    for (number, title) in (1..).zip(GROUPS) {
        let _ = write!(
            text,
            "\n## {number}. {title}\n\n| scenario | gateway | found | not mistaken for | |\n|---|---|---|---|---|\n"
        );
        for (name, case) in hosts {
            if usize::from(case.group) != number {
                continue;
            }
            let host = host(report, name);
            let found: Vec<&str> = roots(host).into_iter().collect();
            let _ = writeln!(
                text,
                "| `{}`: {} | {} | {} | {} | {} |",
                case.scenario,
                words
                    .get(case.scenario)
                    .map_or("", String::as_str)
                    .replace('|', "\\|"),
                kind(case),
                list(&found),
                list(&case.not.split_whitespace().collect::<Vec<_>>()),
                if difference(case, host).is_none() {
                    "✓"
                } else {
                    "✗"
                }
            );
        }
    }
    text
}

fn list(classes: &[&str]) -> String {
    if classes.is_empty() {
        return "-".to_owned();
    }
    let quoted: Vec<String> = classes.iter().map(|class| format!("`{class}`")).collect();
    quoted.join(", ")
}
