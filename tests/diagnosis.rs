//! Probes recorded on real hosts, and the findings that they must lead to.
//!
//! A case is one file under `fixtures/probes`: what the probe printed, headed by `#? http` (what the
//! port of each gateway answered) and `#? expect` (every finding that follows, `class<cause`). A new host's odd
//! output needs a new file and no code.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
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
        ..HttpFacts::default()
    }
}

/// Reads one recorded probe.
fn facts(text: &str) -> Facts {
    let answers = text
        .lines()
        .filter_map(|line| line.strip_prefix("#? http "));
    let frames = split(text, &Nonce::new(1));
    assert!(frames.ended, "the probe was recorded whole");
    let host = host();
    let services: Vec<_> = host.services().collect();
    let mut facts = parse(&frames, &services);
    assert_eq!(facts.parse_issues, [""; 0], "the parser knows every line");
    let answers: Vec<HttpFacts> = answers.map(http).collect();
    assert_eq!(facts.gateways.len(), answers.len(), "one answer of each");
    for (gateway, http) in facts.gateways.iter_mut().zip(answers) {
        gateway.http = http;
    }
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
    assert!(cases.len() >= 50, "fixtures are missing");
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
    blind.sockets = Observed::Denied("closed".into());
    blind.gateways[0].listeners = Observed::Denied("closed".into());
    assert_eq!(found(&blind), BTreeSet::from(["not-permitted".to_owned()]));

    // The naive rule "parent 1 and holds the port" would accuse every system service.
    let main = healthy().gateways[0].units[0].main_pid;
    assert_eq!(healthy().process(main).unwrap().ppid, 1);

    let mut hung = healthy();
    hung.gateways[0].http = http("silent 5000");
    for process in &mut hung.processes {
        process.age_s = Some(3600);
    }
    assert_eq!(found(&hung), BTreeSet::from(["gateway-hung".to_owned()]));
    hung.gateways[0].http = http("503 other 3");
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
    orphan.gateways[0].units[0].main_pid = 999_999;
    for process in &mut orphan.processes {
        process.cgroup = "/user.slice/user-0.slice/session-3.scope".into();
    }
    assert!(found(&orphan).contains("orphan-holds-port"));

    // The same process in the unit's own cgroup is left over, not an orphan.
    let mut leftover = healthy();
    leftover.gateways[0].units[0].main_pid = 999_999;
    assert!(found(&leftover).contains("leftover-process"));
    assert!(!found(&leftover).contains("orphan-holds-port"));

    let mut gone = healthy();
    gone.gateways[0].listeners = Observed::Known(Vec::new());
    gone.gateways[0].units[0].active_state = "inactive".into();
    gone.gateways[0].units[0].main_pid = 0;
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
        facts.gateways[0].units[0].active_state = active.into();
        facts.gateways[0].units[0].sub_state = sub.into();
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

fn case(wanted: &str) -> Facts {
    let (_, text) = cases()
        .into_iter()
        .find(|(name, _)| name == wanted)
        .unwrap();
    facts(&text)
}

/// A reverse proxy may listen on the same port of another address, beside the unit's gateway.
#[test]
fn a_proxy_on_another_address_is_no_fault() {
    let mut facts = case("healthy-real");
    let mut listener = facts.gateways[0].listeners.known().unwrap()[0].clone();
    listener.address = "10.0.0.5".parse().unwrap();
    listener.pids = Observed::Known(vec![4711]);
    let Observed::Known(listeners) = &mut facts.gateways[0].listeners else {
        panic!("the recorded listeners are known");
    };
    listeners.push(listener);
    let mut nginx = facts.processes[0].clone();
    nginx.pid = 4711;
    nginx.ppid = 1;
    nginx.comm = "nginx".into();
    nginx.argv = vec!["nginx: master process".into()];
    nginx.cgroup = "/system.slice/nginx.service".into();
    facts.processes.push(nginx);
    assert_eq!(found(&facts), BTreeSet::new());
}

/// Two gateways of the same unit name on two ports are two services, not a duplicate.
#[test]
fn units_of_different_ports_do_not_compete() {
    assert!(found(&case("duplicate-unit-real")).contains("duplicate-unit"));
    let (_, text) = cases()
        .into_iter()
        .find(|(name, _)| name == "duplicate-unit-real")
        .unwrap();
    let path = "path=/etc/systemd/system/openclaw-gateway.service\n";
    let apart = text.replacen(path, &format!("{path}port=18790\n"), 1);
    assert_ne!(text, apart);
    let mut facts = facts(&format!("#? http 200 gateway 7\n{apart}"));
    assert_eq!(facts.gateways.len(), 2);
    facts.gateways[1].listeners = facts.gateways[0].listeners.clone();
    facts.gateways[1].http = facts.gateways[0].http.clone();
    for unit in facts.gateways.iter_mut().flat_map(|one| &mut one.units) {
        unit.main_pid = unit.main_pid.max(1);
        unit.journal = Observed::Known(clawfleet::model::UnitJournal::default());
        unit.n_restarts = Some(0);
    }
}

/// `systemctl stop` on a unit without `SuccessExitStatus=143` leaves it `failed`: that is no crash.
#[test]
fn a_stopped_gateway_did_not_crash() {
    let mut facts = case("down");
    facts.gateways[0].units[0].active_state = "failed".into();
    facts.gateways[0].units[0].result = "exit-code".into();
    facts.gateways[0].units[0].exec_main_code = Some(1);
    facts.gateways[0].units[0].exec_main_status = Some(143);
    assert_eq!(found(&facts), BTreeSet::from(["gateway-down".to_owned()]));
}

/// With socket activation systemd holds the socket as well.
#[test]
fn the_manager_beside_its_service_is_no_intruder() {
    let mut facts = case("healthy-real");
    let Observed::Known(listeners) = &mut facts.gateways[0].listeners else {
        panic!("the recorded listeners are known");
    };
    for listener in listeners {
        if let Observed::Known(pids) = &mut listener.pids {
            pids.push(1);
        }
    }
    assert_eq!(found(&facts), BTreeSet::new());
}

/// A part of a probe accuses nobody: until the units were asked, every holder would look unmanaged.
#[test]
fn a_probe_that_was_cut_before_the_units_accuses_nobody() {
    let (_, text) = cases()
        .into_iter()
        .find(|(name, _)| name == "orphan-real")
        .unwrap();
    let cut = text.split(" unit system").next().unwrap();
    let frames = split(cut, &Nonce::new(1));
    assert!(!frames.ended);
    let host = host();
    let services: Vec<_> = host.services().collect();
    let mut facts = parse(&frames, &services);
    facts.gateways[0].http = http("200 gateway 7");
    assert_eq!(found(&facts), BTreeSet::new());
}

#[test]
fn one_clean_restart_is_no_loop_and_no_crash() {
    let mut facts = case("crash");
    let unit = &mut facts.gateways[0].units[0];
    unit.active_state = "activating".into();
    unit.sub_state = "auto-restart".into();
    unit.result = "success".into();
    unit.exec_main_status = Some(0);
    unit.main_pid = 0;
    unit.n_restarts = Some(1);
    unit.journal = Observed::Known(clawfleet::model::UnitJournal {
        restarts_10m: 1,
        restarts_1h: 1,
        restarts_24h: 1,
        ..clawfleet::model::UnitJournal::default()
    });
    facts.gateways[0].listeners = Observed::Known(Vec::new());
    assert_eq!(
        found(&facts),
        BTreeSet::from(["gateway-starting".to_owned()])
    );
}

#[test]
fn a_unit_that_is_active_without_a_process_serves_nothing() {
    let mut facts = case("down");
    facts.gateways[0].units[0].active_state = "active".into();
    facts.gateways[0].units[0].sub_state = "exited".into();
    assert_eq!(found(&facts), BTreeSet::from(["gateway-down".to_owned()]));
}

/// A journal that keeps nothing must not make a loop look healthy.
#[test]
fn a_loop_is_seen_by_its_counter_where_the_journal_is_empty() {
    let mut facts = case("healthy-real");
    facts.gateways[0].units[0].n_restarts = Some(812);
    facts.gateways[0].units[0].journal = Observed::Known(clawfleet::model::UnitJournal::default());
    for process in &mut facts.processes {
        process.age_s = Some(5);
    }
    assert!(
        found(&facts).contains("restart-loop"),
        "{:?}",
        found(&facts)
    );
}

/// A disabled unit that once failed is a leftover file: the other unit is fine, and no remedy may
/// wake the leftover.
#[test]
fn a_disabled_leftover_claims_nothing() {
    let mut facts = case("user-unit");
    let mut leftover = case("parked").gateways[0].units.remove(0);
    leftover.unit_file_state = "disabled".into();
    facts.gateways[0].units.insert(0, leftover.clone());
    assert_eq!(found(&facts), BTreeSet::new());

    // The user unit is stopped: that one is down, not the leftover.
    facts.gateways[0].listeners = Observed::Known(Vec::new());
    facts.gateways[0].http = http("refused");
    facts.gateways[0].units[0].active_state = "inactive".into();
    facts.gateways[0].units[1].active_state = "inactive".into();
    facts.gateways[0].units[1].sub_state = "dead".into();
    facts.gateways[0].units[1].main_pid = 0;
    let findings = diagnose(&host(), &facts);
    assert_eq!(found(&facts), BTreeSet::from(["gateway-down".to_owned()]));
    match &findings[0].subject {
        clawfleet::model::Subject::Unit { scope, .. } => {
            assert_ne!(*scope, clawfleet::model::UnitScope::System);
        }
        other => panic!("{other:?}"),
    }
}

/// Where no login manager is installed, a gateway started by hand stays in sshd's own cgroup.
#[test]
fn a_process_in_the_cgroup_of_sshd_is_an_orphan() {
    let mut facts = case("orphan-real");
    for process in &mut facts.processes {
        if process.comm == "openclaw" {
            process.cgroup = "/system.slice/ssh.service".into();
        }
    }
    assert!(found(&facts).contains("orphan-holds-port"));
    for process in &mut facts.processes {
        if process.comm == "openclaw" {
            process.cgroup = "/system.slice/other-gateway.service".into();
        }
    }
    assert!(found(&facts).contains("duplicate-unit"));
    // With no unit of ours that wants the port, nobody competes.
    facts.gateways[0].units.clear();
    assert_eq!(found(&facts), BTreeSet::new());
}

/// A manager that did not answer may well manage the holder.
#[test]
fn an_unseen_manager_is_not_accused() {
    let mut facts = case("user-unit");
    facts.gateways[0].units.clear();
    facts.users_unseen = vec![1501];
    facts.units_unseen = vec![("user units of claw (uid 1501)".into(), "no answer".into())];
    assert_eq!(found(&facts), BTreeSet::from(["not-permitted".to_owned()]));
}

#[test]
fn a_silent_main_process_of_any_name_hangs() {
    let mut facts = case("healthy-real");
    for process in &mut facts.processes {
        process.age_s = Some(3600);
        process.comm = "bun".into();
        process.argv = vec!["bun".into(), "server.mjs".into()];
    }
    facts.gateways[0].http = http("silent 5000");
    assert_eq!(found(&facts), BTreeSet::from(["gateway-hung".to_owned()]));
}

/// `service.scope` says whose unit is to serve: that one is down, whatever else is there.
#[test]
fn the_wanted_scope_is_what_a_finding_is_about() {
    use clawfleet::model::{ScopeWanted, Subject, UnitScope};
    let mut facts = case("duplicate-unit-real");
    facts.gateways[0].listeners = Observed::Known(Vec::new());
    facts.gateways[0].http = http("refused");
    for unit in &mut facts.gateways[0].units {
        unit.active_state = "inactive".into();
        unit.sub_state = "dead".into();
        unit.main_pid = 0;
        unit.n_restarts = Some(0);
    }
    for (wanted, system) in [(ScopeWanted::System, true), (ScopeWanted::User, false)] {
        let mut host = host();
        host.service.scope = wanted;
        let findings = diagnose(&host, &facts);
        let down = findings
            .iter()
            .find(|finding| finding.class == clawfleet::model::Class::GatewayDown)
            .unwrap();
        match &down.subject {
            Subject::Unit { scope, .. } => assert_eq!(*scope == UnitScope::System, system),
            other => panic!("{other:?}"),
        }
    }
}

/// `role: none` and a gateway: that is all there is to say of it.
#[test]
fn a_gateway_where_none_is_expected_is_one_finding() {
    let mut host = host();
    host.role = clawfleet::model::Role::None;
    for name in ["healthy-real", "orphan-real", "two-profiles"] {
        let findings = diagnose(&host, &case(name));
        let roots: BTreeSet<&str> = findings
            .iter()
            .filter(|finding| finding.cause.is_none())
            .map(|finding| finding.class.id())
            .collect();
        assert_eq!(roots, BTreeSet::from(["role-mismatch"]), "{name}");
    }
}

/// What is worked on is shown, and is no alarm.
#[test]
fn maintenance_raises_no_alarm() {
    let mut host = host();
    for (label, alarms) in [("true", false), ("2026-11-21", false), ("false", true)] {
        host.labels.insert("maintenance".into(), label.into());
        let findings = diagnose(&host, &case("orphan-real"));
        assert!(!findings.is_empty());
        assert_eq!(verdict(&findings) == Verdict::Critical, alarms, "{label}");
    }
}

/// A clock may be off by as much as the inventory says, to either side.
#[test]
fn a_wrong_clock_is_found() {
    for (ahead_s, wrong) in [
        (0, false),
        (30, false),
        (31, true),
        (-31, true),
        (-5, false),
    ] {
        let mut facts = case("healthy-real");
        facts.system.clock_ahead_s = Some(ahead_s);
        assert_eq!(found(&facts).contains("clock-skew"), wrong, "{ahead_s}");
    }
}

/// A value that two thirds of the peers share makes the others odd; one that is each host's own does not.
#[test]
fn the_odd_one_out_is_named_and_no_secret_with_it() {
    use clawfleet::diagnose::{compare, judge};
    use clawfleet::model::{HostObservation, HostOutcome, StageTimes};
    let hosts = clawfleet::inventory::parse("hosts: {\"VM[1-5]\": {}}", "test", "/root")
        .unwrap()
        .hosts;
    let reports: Vec<_> = hosts
        .iter()
        .enumerate()
        .map(|(number, host)| {
            let mut facts = case("healthy-real");
            let Observed::Known(config) = &mut facts.gateways[0].config else {
                panic!("the recorded configuration is known");
            };
            let odd = number == 3;
            let digest = if odd { "f".repeat(64) } else { "0".repeat(64) };
            config.leaves = vec![
                (
                    "gateway.bind".into(),
                    if odd { "lan" } else { "loopback" }.into(),
                ),
                ("each.its.self".into(), number.to_string()),
            ];
            config.hidden = vec![("channels.telegram".into(), digest)];
            let outcome = HostOutcome::Observed(Box::new(facts));
            let stages = StageTimes::default();
            let elapsed = std::time::Duration::from_millis(1);
            judge(
                host,
                HostObservation {
                    outcome,
                    stages,
                    elapsed,
                },
            )
        })
        .collect();
    let pairs: Vec<_> = hosts.iter().zip(&reports).collect();
    let found = compare(&pairs);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].class.id(), "config-drift");
    assert_eq!(found[0].hosts, ["VM4"]);
    let said = format!("{:?}", found[0].evidence);
    assert!(
        said.contains("gateway.bind") && said.contains("channels.telegram"),
        "{said}"
    );
    assert!(!said.contains("fff") && !said.contains("self"), "{said}");
    // Two are too few to call one of them odd.
    assert!(compare(&pairs[2..4]).is_empty());
}

/// A fallback that is not listed is dropped on 2.x only; an unlisted primary is a hint on all.
#[test]
fn unlisted_models_are_told_by_version() {
    for (version, dropped) in [("2026.2.1", true), ("2026.3.1", false), ("2026.9.6", false)] {
        let mut facts = case("healthy-real");
        facts.packages = vec![clawfleet::model::Package {
            root: "/opt/openclaw".into(),
            version: version.into(),
            changed_s: 1,
        }];
        let Observed::Known(config) = &mut facts.gateways[0].config else {
            panic!("the recorded configuration is known");
        };
        config.primary = Some("openai/a".into());
        config.fallbacks = vec!["openai/b".into(), "openai/c".into()];
        config.listed = vec!["openai/b".into()];
        let findings = diagnose(&host(), &facts);
        let told: BTreeSet<String> = findings
            .iter()
            .filter(|finding| finding.class.id() == "model-skipped")
            .map(|finding| format!("{:?} {}", finding.subject, finding.severity.id()))
            .collect();
        let hint = "Model(\"openai/a\") info".to_owned();
        let drop = "Model(\"openai/c\") warning".to_owned();
        let expected: BTreeSet<String> = [Some(hint), dropped.then_some(drop)]
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(told, expected, "{version}");
    }
}

/// A young gateway that says it is not ready is starting. Of an older one nothing is concluded.
#[test]
fn a_gateway_that_is_not_ready_is_starting_while_it_is_young() {
    use clawfleet::model::{Evidence, Readiness};
    let mut facts = case("healthy-real");
    facts.gateways[0].http.ready = Some(Readiness {
        ready: false,
        failing: vec!["startup-sidecars".into()],
        ..Readiness::default()
    });
    for (age_s, wanted) in [(20, true), (179, true), (180, false), (90_000, false)] {
        for process in &mut facts.processes {
            process.age_s = Some(age_s);
        }
        let findings = diagnose(&host(), &facts);
        assert_eq!(findings.len(), usize::from(wanted), "{age_s}: {findings:?}");
        for finding in findings {
            assert_eq!(finding.class.to_string(), "gateway-starting");
            assert!(finding.evidence.contains(&Evidence::NotReady {
                failing: vec!["startup-sidecars".into()],
            }));
        }
    }
}

/// An old gateway without its control page answers 404 at the health path, under any name; its
/// challenge tells what it is.
#[test]
fn a_challenge_tells_a_gateway_from_a_foreign_process() {
    use clawfleet::model::WebSocketAnswer;
    let mut facts = case("foreign");
    facts.gateways[0].http = http("404 other 3");
    assert!(found(&facts).contains("foreign-process-on-port"));
    facts.gateways[0].http.websocket = Some(Ok(WebSocketAnswer {
        challenge: true,
        hello: None,
        latency_ms: 5,
    }));
    assert!(!found(&facts).contains("foreign-process-on-port"));
}

/// The lines of the drop-in that `harden` would write for the gateway of `healthy-real`, as the probe sends
/// them: without sections and comments.
fn dropin(profile: &str, vars: &[(&str, serde_json::Value)]) -> Vec<String> {
    use clawfleet::unit::{RenderRequest, Shape, Templates, render};
    let facts = case("healthy-real");
    let unit = &facts.gateways[0].units[0];
    let file = unit.file.as_ref().unwrap();
    let vars = vars.iter();
    let vars = vars
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect();
    let request = RenderRequest {
        profile,
        shape: Shape::DropIn,
        scope: &unit.scope,
        unit: &unit.name,
        gateway_version: Some("2026.6.10"),
        systemd: facts.system.systemd,
        port: 18_789,
        home: None,
        state_dir: Some(&file.state_dir),
        config_path: Some(&file.config_path),
        existing: None,
        workspace: None,
        starts_with_more: false,
        vars: &vars,
    };
    let text = render(&Templates::embedded(), &request).unwrap().text;
    let lines = text
        .lines()
        .filter(|line| !line.starts_with(['#', '[']) && line.contains('='));
    lines.map(str::to_owned).collect()
}

/// Whether that drop-in drifts on a host, and by how many lines.
fn drifts_on(host: &Host, lines: Vec<String>) -> usize {
    let mut facts = case("healthy-real");
    let file = facts.gateways[0].units[0].file.get_or_insert_default();
    let path = "/etc/systemd/system/openclaw-gateway.service.d/50-clawfleet.conf";
    file.parts.push((path.to_owned(), lines));
    let findings = diagnose(host, &facts);
    let drift = findings
        .iter()
        .find(|finding| finding.class.id() == "unit-drift");
    drift.map_or(0, |finding| finding.evidence.len())
}

/// A drop-in that clawfleet wrote drifts when it is changed; a unit without one does not.
#[test]
fn only_a_hardened_unit_drifts() {
    let drifts = |lines| drifts_on(&host(), lines);
    assert!(!found(&case("healthy-real")).contains("unit-drift"));
    for profile in ["baseline", "strict"] {
        let rendered = dropin(profile, &[]);
        assert_eq!(drifts(rendered.clone()), 0, "{profile}");
        let mut changed = rendered.clone();
        changed[0] = "StartLimitBurst=1000".into();
        assert_eq!(drifts(changed), 1, "{profile}");
        assert_eq!(drifts(rendered[1..].to_vec()), 1, "{profile}");
        let more = rendered.iter().cloned().chain(["Nice=5".to_owned()]);
        assert_eq!(drifts(more.collect()), 1, "{profile}");
    }
    let weakened = dropin("strict", &[]);
    let weakened = weakened.iter().filter(|line| !line.starts_with("Protect"));
    assert!(drifts(weakened.cloned().collect()) > 5);
}

/// What a drop-in was made of is what it is compared with.
#[test]
fn a_dropin_is_compared_with_what_it_was_made_of() {
    let drifts = |lines| drifts_on(&host(), lines);
    let with = |from: &str, to: &str| -> Vec<String> {
        let lines = dropin("strict", &[]).into_iter();
        let lines = lines.map(|line| match line.starts_with(from) {
            true => to.to_owned(),
            false => line,
        });
        lines
            .filter(|line| line != "Restart=always" && !line.is_empty())
            .collect()
    };
    // `Restart=always` is missing from all of these.
    assert_eq!(drifts(with("None=", "")), 1);
    // A later version asks for another KillMode, TimeoutStopSec and OOMPolicy. (This probe does not tell
    // the version, so that of the drop-in counts.)
    assert_eq!(
        drifts(with("GatewayVersion=", "GatewayVersion=2026.9.6")),
        4
    );
    // Other templates, no digest of them, or one that the probe hid: nobody knows what they say.
    let hidden = format!("=*{}", "a".repeat(64));
    assert_eq!(drifts(with("Templates=", "Templates=0123456789abcdef")), 0);
    assert_eq!(drifts(with("Templates=", "Templates=")), 0);
    assert_eq!(drifts(with("Templates=", "")), 0);
    assert_eq!(drifts(with("Templates=", &format!("Templates{hidden}"))), 0);
    assert_eq!(drifts(with("Profile=", &format!("Profile{hidden}"))), 0);
    assert_eq!(drifts(with("Profile=", "Profile=own")), 0);
    // Drop-ins that do not say what they were made of are of the first profile.
    let old = |line: &String| {
        !["Profile=", "Templates=", "GatewayVersion="]
            .iter()
            .any(|key| line.starts_with(key))
    };
    // This probe does not tell the version, and neither do they: their time to stop is for any.
    let mut first: Vec<String> = dropin("baseline", &[]).into_iter().filter(old).collect();
    assert_eq!(drifts(first.clone()), 1);
    for line in &mut first {
        *line = line.replace("TimeoutStopSec=30", "TimeoutStopSec=330");
    }
    assert_eq!(drifts(first), 0);
    assert!(drifts(dropin("strict", &[]).into_iter().filter(old).collect()) > 10);
}

/// The inventory's variables are part of what is compared with; what the probe hides is not compared.
#[test]
fn a_dropin_follows_the_inventory() {
    let mut host = host();
    let guarded = || dropin("baseline", &[("guard", "report".into())]);
    assert_eq!(drifts_on(&host, guarded()), 1);
    host.vars.insert("guard".into(), "report".into());
    assert_eq!(drifts_on(&host, guarded()), 0);
    let hidden = guarded()
        .into_iter()
        .map(|line| match line.split_once('=') {
            Some(("ExecStartPre", _)) => format!("ExecStartPre=*{}", "b".repeat(64)),
            _ => line,
        });
    assert_eq!(drifts_on(&host, hidden.collect()), 0);
    // Without the line, it differs.
    let without = guarded()
        .into_iter()
        .filter(|line| !line.starts_with("ExecStartPre"));
    assert_eq!(drifts_on(&host, without.collect()), 1);
}

/// A unit whose journal is closed to the login: its counter tells, from run to run.
#[test]
fn restarts_are_counted_without_a_journal() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/probes");
    let text = std::fs::read_to_string(format!("{dir}/healthy-real.txt")).unwrap();
    let host = host();
    let report = |journal_is_closed: bool, now: u32| {
        let mut facts = facts(&text);
        let gateway = facts.gateways.first_mut().unwrap();
        for unit in &mut gateway.units {
            unit.n_restarts = Some(now);
            if journal_is_closed {
                unit.journal = Observed::Denied("closed".into());
            }
        }
        let port = gateway.port;
        let observation = clawfleet::model::HostObservation {
            outcome: clawfleet::model::HostOutcome::Observed(Box::new(facts)),
            stages: clawfleet::model::StageTimes::default(),
            elapsed: std::time::Duration::ZERO,
        };
        let mut report = clawfleet::diagnose::judge(&host, observation);
        let earlier = Told {
            port,
            readings: vec![40, 41, 0],
            last_change: None,
        };
        clawfleet::diagnose::add_earlier(&host, &mut report, NOW, &earlier);
        // A second time changes nothing.
        clawfleet::diagnose::add_earlier(&host, &mut report, NOW, &earlier);
        report
    };
    let growth = |report: &clawfleet::model::HostReport| {
        let ids = report.findings.iter().map(clawfleet::model::Finding::id);
        ids.filter(|id| id == "restart-growth").count()
    };
    let limit = host.thresholds.restarts_per_day;
    let grown = report(true, limit);
    assert_eq!((growth(&grown), grown.verdict), (1, Verdict::Warning));
    assert_eq!(growth(&report(true, limit - 1)), 0);
    // A journal that was read whole is exact.
    assert_eq!(growth(&report(false, limit)), 0);
}

const NOW: jiff::Timestamp = jiff::Timestamp::constant(1_800_000_000, 0);

/// What earlier runs tell of one gateway: the same number at every hour of the last day, or these ones.
struct Told {
    port: u16,
    readings: Vec<i64>,
    last_change: Option<jiff::Timestamp>,
}

fn hours_ago(hours: i64) -> jiff::Timestamp {
    NOW - jiff::SignedDuration::from_hours(hours)
}

impl clawfleet::diagnose::Earlier for Told {
    fn readings(
        &self,
        port: u16,
        kind: clawfleet::model::ReadingKind,
        since: jiff::Timestamp,
    ) -> Vec<(jiff::Timestamp, i64)> {
        assert_eq!(port, self.port);
        let unlike = self.readings.iter().any(|value| *value > 300);
        let memory = kind == clawfleet::model::ReadingKind::MemoryMib;
        if memory != unlike {
            return Vec::new();
        }
        let count = i64::try_from(self.readings.len()).unwrap();
        let times = (0..count).map(|place| hours_ago(24 * (count - place) / count));
        let all = times.zip(self.readings.iter().copied());
        all.filter(|(at, _)| *at >= since).collect()
    }

    fn last_change(&self, port: u16) -> Option<jiff::Timestamp> {
        assert_eq!(port, self.port);
        self.last_change
    }
}

/// A healthy gateway whose process has run for so long and takes so much, with what earlier runs tell.
fn with_history(
    age_h: u64,
    mib: u64,
    told: impl FnOnce(u16) -> Told,
    set: impl FnOnce(&mut Host),
) -> Vec<(String, String)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/probes");
    let text = std::fs::read_to_string(format!("{dir}/healthy-real.txt")).unwrap();
    let mut facts = facts(&text);
    for process in &mut facts.processes {
        process.age_s = Some(age_h * 3600);
        process.memory_kib = Some(mib << 10);
    }
    let mut host = host();
    set(&mut host);
    let port = facts.gateways.first().unwrap().port;
    let observation = clawfleet::model::HostObservation {
        outcome: clawfleet::model::HostOutcome::Observed(Box::new(facts)),
        stages: clawfleet::model::StageTimes::default(),
        elapsed: std::time::Duration::ZERO,
    };
    let mut report = clawfleet::diagnose::judge(&host, observation);
    clawfleet::diagnose::add_earlier(&host, &mut report, NOW, &told(port));
    let found = report.findings.iter();
    let wanted =
        found.filter(|finding| ["memory-growth", "expectation-unmet"].contains(&&*finding.id()));
    wanted
        .map(|finding| {
            let words = clawfleet::report::finding_words(finding, &report);
            (finding.id().into_owned(), words.evidence.join("; "))
        })
        .collect()
}

#[test]
fn memory_that_is_never_given_back_is_told_of() {
    let grows = |port| Told {
        port,
        readings: vec![400, 430, 460, 560, 700, 800, 850, 900],
        last_change: None,
    };
    let found = with_history(40, 900, grows, |_| {});
    let words = "its memory went from 460 to 800 MiB within 24 h and was given back at no time; 50 % more are allowed";
    assert_eq!(found, [("memory-growth".to_owned(), words.to_owned())]);
    let cases: [(u64, u64, Vec<i64>, u32); 6] = [
        // Most of it in the first half hour of a process that is new.
        (12, 900, vec![400, 430, 460, 560, 700, 800, 850, 900], 50),
        // Given back.
        (40, 500, vec![400, 430, 460, 560, 700, 800, 850, 900], 50),
        (40, 900, vec![400, 900, 400, 900, 400, 900, 400, 900], 50),
        // Still normal.
        (40, 600, vec![400, 430, 450, 470, 500, 550, 580, 590], 50),
        (40, 900, vec![400, 430, 460, 560, 700, 800, 850, 900], 0),
        (40, 900, vec![400, 430, 460, 560, 700, 800, 850, 900], 100),
    ];
    for (age_h, mib, readings, percent) in cases {
        let told = |port| Told {
            port,
            readings: readings.clone(),
            last_change: None,
        };
        let found = with_history(age_h, mib, told, |host| {
            host.thresholds.memory_growth_percent = percent;
        });
        assert_eq!(found, [], "{age_h} {mib} {readings:?} {percent}");
    }
}

#[test]
fn a_gateway_of_which_nothing_changes_is_idle_only_where_that_is_not_expected() {
    let day = std::time::Duration::from_secs(86_400);
    let still = |last: Option<i64>| {
        move |port| Told {
            port,
            readings: Vec::new(),
            last_change: last.map(hours_ago),
        }
    };
    let expects = |host: &mut Host| host.expect.change_within = Some(7 * day);
    let found = with_history(18 * 24, 300, still(Some(20 * 24)), expects);
    let [(class, words)] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(class, "expectation-unmet");
    assert!(
        words.contains("(18 d 0 h)") && words.contains("within 7 d 0 h"),
        "{words}"
    );
    assert_eq!(with_history(18 * 24, 300, still(Some(20 * 24)), |_| {}), []);
    assert_eq!(with_history(18 * 24, 300, still(Some(3)), expects), []);
    assert_eq!(with_history(2, 300, still(Some(20 * 24)), expects), []);
    assert_eq!(with_history(18 * 24, 300, still(None), expects), []);
}
