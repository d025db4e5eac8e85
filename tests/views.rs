//! What people and programs read, as snapshots. The hosts are recorded ones.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/recorded.rs"]
mod recorded;

use clawfleet::diagnose::{Patience, sightings, step};
use clawfleet::model::{HostOutcome, Memory, Severity, Stage};
use clawfleet::report::{
    Style, View, render_changes, render_changes_json, render_json, render_table,
};
use recorded::{recorded, report, several_gateways, three, three_hundred, unreachable};

const fn view(width: u16) -> View {
    View {
        style: Style::Plain,
        width,
        verbose: false,
        quiet: false,
    }
}

#[test]
fn three_hosts_at_80_columns() {
    insta::assert_snapshot!(render_table(&three(), view(80)));
}

#[test]
fn three_hosts_at_200_columns() {
    insta::assert_snapshot!(render_table(&three(), view(200)));
}

#[test]
fn three_hundred_hosts_at_100_columns() {
    insta::assert_snapshot!(render_table(&three_hundred(), view(100)));
}

#[test]
fn several_gateways_at_80_columns() {
    insta::assert_snapshot!(render_table(&several_gateways(), view(80)));
}

#[test]
fn several_gateways_at_200_columns() {
    insta::assert_snapshot!(render_table(&several_gateways(), view(200)));
}

#[test]
fn all_is_well_in_two_lines() {
    let report = report("VM[154-199]", |_| recorded("healthy-real"));
    insta::assert_snapshot!(render_table(&report, view(80)));
}

#[test]
fn the_verdict_alone_is_one_line() {
    let quiet = View {
        quiet: true,
        ..view(80)
    };
    let text = render_table(&three(), quiet);
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn verbose_shows_every_host_and_every_consequence() {
    let verbose = View {
        verbose: true,
        ..view(120)
    };
    let text = render_table(&three_hundred(), verbose);
    for host in three_hundred().hosts {
        assert!(text.contains(&host.name), "{}", host.name);
    }
    assert!(text.contains("follows from orphan-holds-port"));
}

#[test]
fn no_table_line_is_wider_than_its_terminal() {
    for width in [40, 60, 80, 100, 120, 200] {
        for report in [three(), three_hundred()] {
            let text = render_table(&report, view(width));
            let table = text.lines().skip(2).take_while(|line| !line.is_empty());
            // Names, states and findings are never given up, so the narrowest need some 75 columns.
            let limit = usize::from(width).max(76);
            for line in table {
                assert!(line.chars().count() <= limit, "{width}: {line}");
            }
        }
    }
}

/// Colour only repeats what the words say.
#[test]
fn without_its_colours_a_coloured_table_is_the_plain_one() {
    let coloured = View {
        style: Style::Colour,
        ..view(100)
    };
    let mut text = String::new();
    let mut escape = false;
    for c in render_table(&three(), coloured).chars() {
        match (c, escape) {
            ('\u{1b}', _) => escape = true,
            ('m', true) => escape = false,
            (_, true) => {}
            (c, false) => text.push(c),
        }
    }
    let trimmed = |text: &str| {
        text.lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(trimmed(&text), trimmed(&render_table(&three(), view(100))));
}

/// A host chooses its unit states, process names and error texts; a terminal must not obey them.
#[test]
fn nothing_that_a_host_sends_reaches_the_terminal_raw() {
    let evil = "\u{1b}[2J\u{7}\u{9b}31m\u{202e}evil\r";
    let report = report("VM[151-152]", |index| {
        if index == 0 {
            return unreachable(Stage::Banner, evil);
        }
        let HostOutcome::Observed(mut facts) = recorded("orphan-real") else {
            panic!("recorded hosts are observed");
        };
        for process in &mut facts.processes {
            process.comm = format!("openclaw{evil}");
            process.cgroup = format!("/{evil}");
            process.argv = vec![evil.to_owned()];
        }
        for unit in &mut facts.gateways[0].units {
            unit.sub_state = evil.to_owned();
            unit.result = evil.to_owned();
        }
        HostOutcome::Observed(facts)
    });
    for verbose in [false, true] {
        let text = render_table(
            &report,
            View {
                verbose,
                ..view(120)
            },
        );
        assert!(text.contains("evil"));
        let raw = text
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(raw, None);
    }
}

#[test]
fn the_json_of_three_hosts() {
    insta::assert_snapshot!(render_json(&three()).unwrap());
}

#[test]
fn the_json_keys_are_sorted_and_the_counts_add_up() {
    let text = render_json(&three_hundred()).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let summary = &value["summary"];
    let count = |key: &str| summary[key].as_u64().unwrap();
    assert_eq!(
        count("hosts"),
        count("ok") + count("warning") + count("critical") + count("not_observed")
    );
    assert_eq!(count("not_observed"), 12);
    let again = serde_json::to_string_pretty(&value).unwrap();
    assert_eq!(text.trim_end(), again, "sorted keys survive a round trip");
}

/// What a gateway says of itself is shown where every host has a row of its own, and only there.
#[test]
fn verbose_shows_what_a_gateway_says_of_itself() {
    use clawfleet::model::{ModelsAnswer, Readiness, WebSocketAnswer};
    let mut outcome = recorded("healthy-real");
    if let HostOutcome::Observed(facts) = &mut outcome {
        let http = &mut facts.gateways[0].http;
        http.tls = true;
        http.ready = Some(Readiness {
            ready: false,
            failing: vec!["telegram\u{1b}[2J".into()],
            ..Readiness::default()
        });
        http.models = Some(ModelsAnswer::Listed(3));
        http.websocket = Some(Ok(WebSocketAnswer {
            challenge: true,
            hello: Some(Err("UNAVAILABLE".into())),
            latency_ms: 1,
        }));
    }
    let report = report("VM151", |_| outcome.clone());
    let view = |verbose| View {
        style: Style::Plain,
        width: 200,
        verbose,
        quiet: false,
    };
    let text = render_table(&report, view(true));
    for words in ["TLS", "not ready: telegram", "models: 3", "no hello"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(!render_table(&report, view(false)).contains("TLS"));
}

#[test]
fn the_same_news_of_several_hosts_is_one_paragraph_with_one_command() {
    let report = report("VM[151-152]", |_| recorded("orphan-real"));
    let patience = Patience {
        confirm: 1,
        remind: None,
        least: Severity::Warning,
    };
    let (_, changes) = step(&Memory::default(), &sightings(&report), &patience, &[]);
    let text = render_changes(&changes, &report, view(100));
    let heads = text.matches("\nNEW  orphan-holds-port  ").count();
    assert_eq!(heads, 1, "{text}");
    assert!(
        text.contains("  do: clawfleet fix 'VM[151-152]'\n"),
        "{text}"
    );
    // A program reads one host at a time.
    let json = render_changes_json(&changes, &report).unwrap();
    assert!(json.contains("\"clawfleet fix VM151\"") && json.contains("\"clawfleet fix VM152\""));
}
