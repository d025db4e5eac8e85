//! Probes recorded on real hosts, and the findings that they must lead to.
//!
//! A case is one file under `fixtures/probes`: what the probe printed, headed by `#? http` (what the
//! port answered) and `#? expect` (every finding that follows, `class<cause`). A new host's odd
//! output needs a new file and no code.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;

use clawfleet::diagnose::{diagnose, verdict};
use clawfleet::model::{
    Facts, Host, HttpAnswer, HttpError, HttpFacts, HttpRoute, Observed, Verdict,
};
use clawfleet::probe::{Nonce, parse, split};

fn host() -> Host {
    let inventory =
        clawfleet::inventory::parse("hosts: {VM151: {address: 10.0.0.151}}", "test", "/root");
    inventory.unwrap().hosts.remove(0)
}

fn http(words: &str) -> HttpFacts {
    let words: Vec<&str> = words.split(' ').collect();
    let health = match words.as_slice() {
        ["refused"] => Err(HttpError::Refused),
        ["silent", ms] => Err(HttpError::NoAnswer {
            waited_ms: ms.parse().unwrap(),
        }),
        [status, kind, ms] => Ok(HttpAnswer {
            status: status.parse().unwrap(),
            latency_ms: ms.parse().unwrap(),
            is_gateway: *kind == "gateway",
            route: HttpRoute::Forwarded,
        }),
        other => panic!("http words {other:?}"),
    };
    HttpFacts {
        health: Some(health),
    }
}

/// Reads one recorded probe.
fn facts(text: &str) -> Facts {
    let answer = text
        .lines()
        .find_map(|line| line.strip_prefix("#? http "))
        .unwrap();
    let frames = split(text, &Nonce::new(1));
    assert!(frames.ended, "the probe was recorded whole");
    let mut facts = parse(&frames, 18_789);
    assert_eq!(facts.parse_issues, [""; 0], "the parser knows every line");
    facts.http = http(answer);
    facts
}

fn cases() -> Vec<(String, String)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/probes");
    let mut cases: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    cases.sort();
    assert!(cases.len() >= 19, "fixtures are missing");
    cases
}

fn found(facts: &Facts) -> BTreeSet<String> {
    diagnose(&host(), facts)
        .iter()
        .map(|finding| match finding.cause {
            Some(cause) => format!("{}<{cause}", finding.class),
            None => finding.class.to_string(),
        })
        .collect()
}

#[test]
fn every_recorded_host_is_diagnosed_as_expected() {
    let mut wrong = Vec::new();
    for (name, text) in cases() {
        let expect = text
            .lines()
            .find_map(|line| line.strip_prefix("#? expect"))
            .unwrap();
        let expected: BTreeSet<String> = expect.split_whitespace().map(str::to_owned).collect();
        let found = found(&facts(&text));
        if found != expected {
            wrong.push(format!("{name}: found {found:?}, expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_incident_has_one_root() {
    for (name, text) in cases() {
        let findings = diagnose(&host(), &facts(&text));
        let roots = findings.iter().filter(|finding| {
            finding.cause.is_none() && Verdict::of(finding.severity) == Verdict::Critical
        });
        assert!(roots.count() <= 1, "{name}");
    }
}

/// Break one thing in a host that is proven clean, and the finding for it must come.
#[test]
fn breaking_a_healthy_host_is_noticed() {
    let healthy = || {
        let (_, text) = cases()
            .into_iter()
            .find(|(name, _)| name == "healthy-real")
            .unwrap();
        facts(&text)
    };
    assert_eq!(verdict(&diagnose(&host(), &healthy())), Verdict::Ok);

    // Not looked is never fine, and nothing is concluded from it.
    let mut blind = healthy();
    blind.listeners = Observed::Denied("closed".into());
    assert_eq!(found(&blind), BTreeSet::from(["not-permitted".to_owned()]));

    // The naive rule "parent 1 and holds the port" would accuse every system service.
    let main = healthy().units[0].main_pid;
    assert_eq!(healthy().process(main).unwrap().ppid, 1);

    let mut hung = healthy();
    hung.http = http("silent 5000");
    for process in &mut hung.processes {
        process.age_s = Some(3600);
    }
    assert_eq!(found(&hung), BTreeSet::from(["gateway-hung".to_owned()]));
    hung.http = http("503 other 3");
    assert_eq!(found(&hung), BTreeSet::from(["gateway-hung".to_owned()]));
    for process in &mut hung.processes {
        process.age_s = Some(4);
    }
    assert_eq!(
        found(&hung),
        BTreeSet::from(["gateway-starting".to_owned()])
    );

    // A main process that is not the listener: the listener is nobody's.
    let mut orphan = healthy();
    orphan.units[0].main_pid = 999_999;
    for process in &mut orphan.processes {
        process.cgroup = "/user.slice/user-0.slice/session-3.scope".into();
    }
    assert!(found(&orphan).contains("orphan-holds-port"));

    // The same process in the unit's own cgroup is left over, not an orphan.
    let mut leftover = healthy();
    leftover.units[0].main_pid = 999_999;
    assert!(found(&leftover).contains("leftover-process"));
    assert!(!found(&leftover).contains("orphan-holds-port"));

    let mut gone = healthy();
    gone.listeners = Observed::Known(Vec::new());
    gone.units[0].active_state = "inactive".into();
    gone.units[0].main_pid = 0;
    assert_eq!(found(&gone), BTreeSet::from(["gateway-down".to_owned()]));
}

/// A loop must be seen in the snapshot that reads `active (running)`, too.
#[test]
fn a_loop_is_seen_in_every_phase_of_its_cycle() {
    let (_, text) = cases()
        .into_iter()
        .find(|(name, _)| name == "orphan-real")
        .unwrap();
    for (active, sub) in [("active", "running"), ("activating", "auto-restart")] {
        let mut facts = facts(&text);
        facts.units[0].active_state = active.into();
        facts.units[0].sub_state = sub.into();
        let found = found(&facts);
        assert!(found.contains("orphan-holds-port"), "{sub}");
        assert!(
            found.contains("restart-loop<orphan-holds-port"),
            "{sub}: {found:?}"
        );
    }
}

/// Status 78 with a listener speaks of the port, without one of the configuration.
#[test]
fn status_78_is_read_with_the_listener() {
    let case = |wanted: &str| {
        cases()
            .into_iter()
            .find(|(name, _)| name == wanted)
            .unwrap()
            .1
    };
    assert!(found(&facts(&case("parked"))).contains("orphan-holds-port"));
    assert!(!found(&facts(&case("parked"))).contains("config-error"));
    assert!(found(&facts(&case("config-error"))).contains("config-error"));
}

#[test]
fn a_host_without_a_gateway_by_intent_is_fine() {
    let (_, text) = cases()
        .into_iter()
        .find(|(name, _)| name == "nothing")
        .unwrap();
    let mut host = host();
    host.role = clawfleet::model::Role::None;
    assert!(diagnose(&host, &facts(&text)).is_empty());
}
