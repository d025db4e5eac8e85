//! Checks of one's own and expectations, from the inventory to what is shown, without a host.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use clawfleet::diagnose::diagnose;
use clawfleet::inventory::{Beside, Inventory, parse, parse_with};
use clawfleet::model::{
    CheckEnd, CheckRun, Facts, Finding, Gateway, GatewayConfig, Observed, Package, Severity,
};
use clawfleet::report::{Style, View, checks_json, checks_table, explain_check};

const DOCS: &str = include_str!("../docs/checks.md");

fn docs() -> Vec<&'static str> {
    let parts = DOCS.split("```yaml\n").skip(1);
    parts
        .map(|part| part.split("```").next().unwrap())
        .collect()
}

#[test]
fn the_examples_of_the_documentation_are_right() {
    let examples = docs();
    assert_eq!(examples.len(), 3);
    let folder = [("checks.d/disk-age.yaml".to_owned(), examples[1].to_owned())];
    let beside = Beside {
        checks: &folder,
        script: &|file| Err(format!("{file} is not there")),
    };
    let inventory = parse_with(examples[0], "inventory.yaml", "/root", &beside).unwrap();
    let names: Vec<&str> = inventory
        .checks
        .iter()
        .map(|(check, _)| check.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "api",
            "backup",
            "disk-age",
            "heartbeat",
            "queue-depth",
            "upstream-errors"
        ]
    );
    let hosts: Vec<usize> = inventory
        .hosts
        .iter()
        .map(|host| host.checks.len())
        .collect();
    assert_eq!(hosts, [6, 6, 5]);
    let expecting = parse(examples[2], "inventory.yaml", "/root").unwrap();
    assert_eq!(expecting.hosts[0].expect.channels, ["telegram", "slack"]);
}

fn view(width: u16) -> View {
    View {
        style: Style::Plain,
        width,
        verbose: false,
        quiet: false,
    }
}

#[test]
fn the_list_of_checks() {
    let inventory = parse(docs()[0], "inventory.yaml", "/root").unwrap();
    insta::assert_snapshot!(checks_table(Some(&inventory), view(120)));
    let explained = explain_check(&inventory, "custom/queue-depth", view(120));
    insta::assert_snapshot!("one_check_explained", explained.unwrap());
    assert!(!checks_table(None, view(120)).contains("custom/"));
    let json: serde_json::Value =
        serde_json::from_str(&checks_json(Some(&inventory)).unwrap()).unwrap();
    assert_eq!(json["checks"][0]["class"], "custom/api");
    assert_eq!(
        json["checks"][3]["hosts"],
        serde_json::json!(["VM151", "VM152"])
    );
}

fn one_host(text: &str) -> Inventory {
    parse(text, "test", "/root").unwrap()
}

fn ran(end: CheckEnd, output: &[&str]) -> Facts {
    Facts {
        checks: Observed::Known(vec![CheckRun {
            name: "c".into(),
            end,
            output: output.iter().map(|line| (*line).to_owned()).collect(),
            cut: false,
            errors: Vec::new(),
        }]),
        ..Facts::default()
    }
}

fn custom(check: &str, facts: &Facts) -> Option<(String, Severity)> {
    let inventory = one_host(&format!(
        "hosts: {{VM1: {{role: none}}}}\nchecks: {{c: {{script: x, {check}}}}}"
    ));
    let findings = diagnose(&inventory.hosts[0], facts);
    let own = |finding: &&Finding| finding.id().starts_with("custom/");
    let found = findings.iter().find(own)?;
    Some((found.id().into_owned(), found.severity))
}

#[test]
fn the_worse_threshold_counts_and_failures_are_warnings() {
    use CheckEnd::{Exited, Flooded, NotUnderstood, TimedOut, Unknown};
    let number = "read: number, warning: '> 5', critical: '> 10'";
    let regex = "read: {regex: 'n=(\\d+)'}, warning: no match, critical: '> 10'";
    let cases = [
        (number, Exited(0), "5", None),
        (number, Exited(0), "6", Some(Severity::Warning)),
        (number, Exited(0), "11", Some(Severity::Critical)),
        (number, Exited(1), "11", Some(Severity::Warning)),
        (number, TimedOut, "11", Some(Severity::Warning)),
        (number, NotUnderstood, "", Some(Severity::Warning)),
        (number, Flooded, "11", Some(Severity::Warning)),
        (number, Unknown, "11", Some(Severity::Warning)),
        (regex, Exited(0), "n=10", None),
        (regex, Exited(0), "n=11", Some(Severity::Critical)),
        (regex, Exited(0), "", Some(Severity::Warning)),
        ("timeout: 1s", Exited(0), "", None),
        ("timeout: 1s", Exited(2), "", Some(Severity::Critical)),
        ("timeout: 1s", Exited(126), "", Some(Severity::Warning)),
    ];
    for (check, end, output, severity) in cases {
        let facts = ran(end.clone(), &[output]);
        let found = custom(check, &facts).map(|(_, severity)| severity);
        assert_eq!(found, severity, "{check} {end:?} {output}");
    }
}

#[test]
fn nothing_is_said_of_checks_that_the_probe_never_came_to() {
    assert_eq!(custom("read: exit", &Facts::default()), None);
    let none_ran = Facts {
        checks: Observed::Known(Vec::new()),
        ..Facts::default()
    };
    let found = custom("read: exit", &none_ran);
    assert_eq!(found, Some(("custom/c".to_owned(), Severity::Warning)));
}

/// A gateway with this version, model and channels.
fn gateway(version: &str, model: Option<&str>, channels: &[&str]) -> Facts {
    Facts {
        gateways: vec![Gateway {
            port: 18789,
            named: Some("openclaw-gateway.service".into()),
            config: Observed::Known(GatewayConfig {
                primary: model.map(str::to_owned),
                channels: channels.iter().map(|name| (*name).to_owned()).collect(),
                ..GatewayConfig::default()
            }),
            ..Gateway::default()
        }],
        packages: vec![Package {
            root: "/opt/openclaw".into(),
            version: version.into(),
            changed_s: 0,
        }],
        ..Facts::default()
    }
}

fn unmet(expect: &str, facts: &Facts) -> Vec<String> {
    let inventory = one_host(&format!("hosts: {{VM1: {{expect: {{{expect}}}}}}}"));
    let findings = diagnose(&inventory.hosts[0], facts);
    let about = findings
        .iter()
        .filter(|finding| finding.id() == "expectation-unmet");
    about
        .flat_map(|finding| &finding.evidence)
        .map(|evidence| match evidence {
            clawfleet::model::Evidence::Expected {
                what,
                wanted,
                found,
            } => format!("{what}: {wanted}: {found}"),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn expectations_are_met_or_named() {
    let seen = gateway("2026.9.6", Some("openai/gpt-5.5"), &["telegram", "slack"]);
    for met in [
        "version: '>=2026.5'",
        "version: 2026.9",
        "version: '>2026.5, <=2026.9'",
        "model: openai/gpt-5.5",
        "channels: [slack]",
        "gateway: present",
    ] {
        assert_eq!(unmet(met, &seen), [""; 0], "{met}");
    }
    let cases = [
        ("version: '<2026.9'", "version: <2026.9: 2026.9.6"),
        ("version: '>=2026.10'", "version: >=2026.10: 2026.9.6"),
        ("model: x/y", "model: x/y: openai/gpt-5.5"),
        ("channels: [irc, slack]", "channels: irc: telegram, slack"),
    ];
    for (expect, said) in cases {
        assert_eq!(unmet(expect, &seen), [said]);
    }
    // Nothing is concluded from what could not be seen.
    let mut blind = seen;
    blind.packages.clear();
    blind.gateways[0].config = Observed::Denied("closed".into());
    for (expect, _) in cases {
        assert_eq!(unmet(expect, &blind), [""; 0], "{expect}");
    }
}
