//! Plans for every recorded host: whatever a host looks like, a plan is one that the program itself would
//! carry out, or a refusal with a reason.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use clawfleet::model::{
    Facts, FileContent, Host, HttpAnswer, HttpFacts, HttpRoute, PROFILES, Plan, Planned, Purpose,
    RestartWhen, Shape, Standing, UnitPlan,
};
use clawfleet::planner::Hardening;
use clawfleet::probe::{Nonce, parse, split};
use clawfleet::rollout::{self, Planning, Survey, SurveyTarget, SurveyedFile, digest};
use clawfleet::unit::Templates;

fn host() -> Host {
    let text = "hosts: {VM151: {address: 10.0.0.151}}";
    let inventory = clawfleet::inventory::parse(text, "test", "/root");
    inventory.unwrap().hosts.remove(0)
}

fn recordings() -> BTreeMap<String, Facts> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/probes");
    let host = host();
    let services: Vec<_> = host.services().collect();
    let recordings: BTreeMap<String, Facts> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let mut facts = parse(&split(&text, &Nonce::new(1)), &services);
            for (gateway, answer) in facts.gateways.iter_mut().zip(answers(&text)) {
                gateway.http = answer;
            }
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, facts)
        })
        .collect();
    assert!(recordings.len() >= 50, "fixtures are missing");
    recordings
}

/// Whether a gateway answered is all that a plan asks.
fn answers(text: &str) -> impl Iterator<Item = HttpFacts> + '_ {
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("#? http "));
    lines.map(|line| HttpFacts {
        health: line.contains(" gateway ").then_some(Ok(HttpAnswer {
            status: 200,
            latency_ms: 3,
            is_gateway: true,
            route: HttpRoute::Forwarded,
        })),
        ..HttpFacts::default()
    })
}

fn hardening(profile: &str, shape: Shape) -> Hardening {
    Hardening {
        templates: BTreeMap::from([(None, Templates::embedded())]),
        template_dir: None,
        profile: Some(profile.to_owned()),
        shape: Some(shape),
        restart: RestartWhen::IfChanged,
    }
}

const FRAGMENT: &str = "[Unit]\nDescription=OpenClaw Gateway\n[Service]\nUser=claw\nExecStart=/usr/bin/node /opt/openclaw/dist/index.js gateway --port 18789\nWorkingDirectory=/home/claw\n[Install]\nWantedBy=multi-user.target\n";

/// What a look at that unit would say.
fn survey(target: &SurveyTarget, text: Option<&str>) -> Survey {
    let units = match &target.owner {
        clawfleet::model::UnitOwner::System => "/etc/systemd/system",
        clawfleet::model::UnitOwner::User { .. } => "/home/claw/.config/systemd/user",
    };
    let content = |text: &str| FileContent {
        digest: digest(text),
        text: text.to_owned(),
        mode: 0o644,
        uid: 0,
        gid: 0,
    };
    Survey {
        units: units.to_owned(),
        managed: true,
        planned: SurveyedFile {
            path: format!("{units}/{}", target.name),
            content: text.map(content),
            unsound: None,
        },
        fragment: Some(SurveyedFile {
            path: format!("{units}/{}", target.unit),
            content: Some(content(FRAGMENT)),
            unsound: None,
        }),
        ..Survey::default()
    }
}

fn plans(hardening: &Hardening, facts: &Facts, text: Option<&str>) -> Vec<Planned> {
    let host = host();
    hardening
        .targets(&host, facts)
        .into_iter()
        .map(|target| {
            let mut target = match target {
                Ok(target) => target,
                Err(planned) => return planned,
            };
            match hardening.refined(&host, facts, &target, &survey(&target, text)) {
                Some(Ok(refined)) => target = refined,
                Some(Err(planned)) => return planned,
                None => {}
            }
            hardening.plan(&host, facts, &target, Ok(survey(&target, text)))
        })
        .collect()
}

fn plan_of(unit: &UnitPlan, profile: &str) -> Plan {
    Plan {
        schema: "clawfleet.plan/1".into(),
        run: "20261121-120301-5f3a9c".into(),
        made_at: "2026-11-21T12:03:01Z".into(),
        made_by: "op@bastion".into(),
        inventory: "/etc/clawfleet/inventory.yaml".into(),
        purpose: Purpose::Harden {
            profile: profile.to_owned(),
        },
        restart: RestartWhen::IfChanged,
        unseen: Vec::new(),
        units: vec![unit.clone()],
    }
}

#[test]
fn every_plan_is_one_that_would_be_carried_out() {
    let (mut changes, mut refusals) = (0, 0);
    for (name, facts) in recordings() {
        for profile in PROFILES {
            for shape in [Shape::DropIn, Shape::Full] {
                let old = "[Service]\nRestart=no\nNice=3\n";
                for text in [None, Some(old)] {
                    for planned in plans(&hardening(profile, shape), &facts, text) {
                        match planned {
                            Planned::Change(unit) => {
                                changes += 1;
                                let verdict = rollout::validate(&plan_of(&unit, profile));
                                assert_eq!(verdict, Ok(()), "{name} {profile} {shape:?}");
                                // A gateway that is not well is never restarted.
                                assert!(!unit.restart || unit.before != Standing::Ill, "{name}");
                                let before = unit.files[0].before.as_ref();
                                assert_eq!(before.map(|file| file.text.as_str()), text, "{name}");
                            }
                            Planned::Refused(refusal) => {
                                refusals += 1;
                                assert!(!refusal.why.is_empty(), "{name}");
                            }
                            Planned::Nothing { why, .. } => assert!(!why.is_empty(), "{name}"),
                            Planned::NotObserved(error) => panic!("{name}: {error:?}"),
                        }
                    }
                }
            }
        }
    }
    assert!(changes > 150, "{changes}");
    assert!(refusals > 10, "{refusals}");
}

#[test]
fn two_units_of_one_port_and_half_a_view_are_refused() {
    let why = |facts: &Facts| -> Vec<String> {
        plans(&hardening("baseline", Shape::DropIn), facts, None)
            .into_iter()
            .map(|planned| match planned {
                Planned::Refused(refusal) => refusal.why,
                other => panic!("{other:?}"),
            })
            .collect()
    };
    let recordings = recordings();
    let (_, duplicate) = recordings
        .iter()
        .find(|(name, _)| name.starts_with("duplicate"))
        .unwrap();
    assert!(
        why(duplicate)[0].contains("claim port 18789"),
        "{:?}",
        why(duplicate)
    );
    let mut half = duplicate.clone();
    half.units_complete = false;
    assert_eq!(why(&half), ["not every manager of units could be asked"]);
}

#[test]
fn a_whole_unit_takes_over_what_it_replaces() {
    let recordings = recordings();
    let (name, facts) = recordings
        .iter()
        .find(|(name, _)| name.starts_with("healthy"))
        .unwrap();
    for planned in plans(&hardening("strict", Shape::Full), facts, Some(FRAGMENT)) {
        let Planned::Change(unit) = planned else {
            panic!("{name}: {planned:?}");
        };
        let after = &unit.files[0].after.as_ref().unwrap().text;
        for line in FRAGMENT.lines().filter(|line| line.contains('=')) {
            assert!(after.contains(line), "{line} is lost:\n{after}");
        }
    }
}
