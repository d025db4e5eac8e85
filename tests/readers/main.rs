//! Whether those whom the formats are for take them: promtool, xmllint, and a browser. `ci/test` runs
//! these and installs what they need; a plain `cargo test` does not build them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod browser;
#[path = "../support/chronicle.rs"]
mod chronicle;
mod page;
mod past;
#[path = "../support/recorded.rs"]
mod recorded;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clawfleet::model::Report;
use clawfleet::report::{render_junit, render_prometheus};
use serde_json::{Value, json};

/// Finds a program, or fails with what installs it. Nothing here is left out in silence.
fn program(names: &[&str], package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .flat_map(|dir| names.iter().map(move |name| dir.join(name)))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!(
                "none of {names:?} is in PATH: it is in Debian's package `{package}`, and `ci/test` brings it"
            )
        })
}

/// Runs a program with that on its standard input; it must end well and say nothing bad.
fn takes(program: &PathBuf, args: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // It may print before it has read everything.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{args:?}: {said}");
    said
}

fn reports() -> Vec<Report> {
    let nobody = Report {
        hosts: Vec::new(),
        ..recorded::three()
    };
    vec![
        recorded::mixed(),
        recorded::three_hundred(),
        recorded::hostile("<&\"\\'}\n\u{fffe}]]> evil"),
        nobody,
    ]
}

#[test]
fn promtool_takes_the_metrics() {
    let promtool = program(&["promtool"], "prometheus");
    for report in reports() {
        let said = takes(
            &promtool,
            &["check", "metrics"],
            &render_prometheus(&report),
        );
        assert_eq!(said, "", "it has nothing to say about good metrics");
    }
}

#[test]
fn promtool_takes_the_rules_and_they_fire() {
    let promtool = program(&["promtool"], "prometheus");
    let said = takes(
        &promtool,
        &["check", "rules", "docs/prometheus/clawfleet.rules.yaml"],
        "",
    );
    assert!(said.contains("SUCCESS"), "{said}");
    takes(
        &promtool,
        &["test", "rules", "docs/prometheus/clawfleet.rules.test.yaml"],
        "",
    );
}

/// Every panel's expression, as a rule: an expression that is wrong shows an empty panel for ever.
#[test]
fn promtool_takes_the_panels() {
    let promtool = program(&["promtool"], "prometheus");
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/prometheus/grafana-dashboard.json"
    );
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let rules: Vec<Value> = panels
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .enumerate()
        .map(|(place, target)| json!({"record": format!("panel:{place}"), "expr": target["expr"]}))
        .collect();
    assert!(rules.len() >= 10);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yaml");
    // JSON is YAML.
    let groups = json!({"groups": [{"name": "panels", "rules": rules}]});
    std::fs::write(&file, groups.to_string()).unwrap();
    let said = takes(
        &promtool,
        &["check", "rules", "--lint=none", file.to_str().unwrap()],
        "",
    );
    assert!(said.contains("SUCCESS"), "{said}");
}

#[test]
fn xmllint_takes_the_test_results() {
    let xmllint = program(&["xmllint"], "libxml2-utils");
    for report in reports() {
        takes(
            &xmllint,
            &[
                "--noout",
                "--nonet",
                "--schema",
                "docs/schema/junit.xsd",
                "-",
            ],
            &render_junit(&report),
        );
    }
}
