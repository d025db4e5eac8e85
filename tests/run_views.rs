//! What comes of a command, as people and programs read it: snapshots, and properties of the folding.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clawfleet::command::{Tally, Verdict, groups};
use clawfleet::model::{
    CommandEnd, CommandReport, CommandResult, HostError, HostOutcome, Kept, Output, Stage,
};
use clawfleet::report::{FoldedView, Style, View, write_command, write_command_json};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

/// An output in memory.
#[derive(Debug)]
struct Bytes(Vec<u8>);

impl Kept for Bytes {
    fn give(&self, take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        // In pieces, as outputs come.
        self.0.chunks(7).try_for_each(take)
    }
}

fn output(text: &[u8]) -> Output {
    Output {
        length: text.len() as u64,
        digest: Sha256::digest(text).into(),
        kept: Arc::new(Bytes(text.to_vec())),
    }
}

fn result(host: &str, end: CommandEnd, stdout: &str, stderr: &str) -> CommandResult {
    CommandResult {
        host: host.to_owned(),
        end,
        stdout: output(stdout.as_bytes()),
        stderr: output(stderr.as_bytes()),
        elapsed_ms: 12,
        tries: 1,
        note: None,
    }
}

fn report(results: Vec<CommandResult>) -> CommandReport {
    CommandReport {
        started_at: "2026-11-21T12:00:00Z".parse().unwrap(),
        elapsed_ms: 1234,
        results,
        stopped: None,
        interrupted: false,
    }
}

fn unreachable() -> CommandEnd {
    let error = HostError::new(Stage::Tcp, "no answer within 5s");
    CommandEnd::NotReached(HostOutcome::Unreachable(
        error.hint("is it up? does a firewall stand between?"),
    ))
}

fn three() -> CommandReport {
    report(vec![
        result(
            "VM151",
            CommandEnd::Exited(0),
            "6.1.0-25\tamd64\n网关\n",
            "",
        ),
        result(
            "VM152",
            CommandEnd::Exited(0),
            "6.1.0-25\tamd64\n网关\n",
            "",
        ),
        result(
            "VM153",
            CommandEnd::Exited(3),
            "5.10.0\tamd64\n\u{1b}[31m",
            "no gateway\r\n",
        ),
    ])
}

/// Three hundred hosts with every end that there is.
fn three_hundred() -> CommandReport {
    let results = (1..=300)
        .map(|number| {
            let host = format!("VM{number}");
            match number % 50 {
                1 => result(&host, unreachable(), "", ""),
                2 => result(&host, CommandEnd::TimedOut { ended: true }, "begun\n", ""),
                3 => result(&host, CommandEnd::TimedOut { ended: false }, "begun\n", ""),
                4 => {
                    let error = HostError::new(
                        Stage::Exec,
                        "the connection ended while the command ran: reset",
                    );
                    result(&host, CommandEnd::Lost(error), "half a li", "")
                }
                5 => result(&host, CommandEnd::Exited(137), "", "Killed\n"),
                6 => CommandResult {
                    note: Some(
                        "it printed more than 1024 bytes (--max-output) and was ended".into(),
                    ),
                    ..result(&host, CommandEnd::TooMuch { ended: true }, "yyyy", "")
                },
                7 => result(&host, CommandEnd::Stopped { ended: true }, "", ""),
                8..=12 => result(
                    &host,
                    CommandEnd::Exited(1),
                    &format!("unlike {}\n", number % 3),
                    "",
                ),
                13 => result(
                    &host,
                    CommandEnd::NotTried(
                        "4 of 300 hosts failed, 3 are allowed (--max-fail 1%)".into(),
                    ),
                    "",
                    "",
                ),
                _ => result(&host, CommandEnd::Exited(0), "up 3 days\n", ""),
            }
        })
        .collect();
    CommandReport {
        stopped: Some("4 of 300 hosts failed, 3 are allowed (--max-fail 1%)".into()),
        ..report(results)
    }
}

fn shown(report: &CommandReport, folded: FoldedView, width: u16, style: Style) -> String {
    let view = View {
        style,
        width,
        verbose: false,
        quiet: false,
    };
    let mut out = Vec::new();
    write_command(&mut out, report, folded, view).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn three_hosts_at_80_columns() {
    insta::assert_snapshot!(shown(&three(), FoldedView::Whole, 80, Style::Plain));
}

#[test]
fn three_hosts_at_200_columns_in_colour() {
    insta::assert_snapshot!(shown(&three(), FoldedView::Whole, 200, Style::Colour));
}

#[test]
fn three_hosts_compared_with_the_most() {
    insta::assert_snapshot!(shown(&three(), FoldedView::Difference, 80, Style::Plain));
}

#[test]
fn three_hundred_hosts_at_80_columns() {
    let text = shown(&three_hundred(), FoldedView::Whole, 80, Style::Plain);
    // Only a host's own output and the last sentence may be longer.
    for line in text.lines().filter(|line| line.starts_with("──")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn three_hundred_hosts_at_200_columns() {
    insta::assert_snapshot!(shown(
        &three_hundred(),
        FoldedView::Whole,
        200,
        Style::Plain
    ));
}

#[test]
fn three_hundred_hosts_after_a_stream() {
    insta::assert_snapshot!(shown(&three_hundred(), FoldedView::Ends, 80, Style::Plain));
}

#[test]
fn the_json_of_three_hosts() {
    let mut report = three();
    report.results.push(result("VM154", unreachable(), "", ""));
    let mut out = Vec::new();
    write_command_json(&mut out, &report).unwrap();
    let text = String::from_utf8(out).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["groups"][0]["stdout"], "6.1.0-25\tamd64\n网关\n");
    insta::assert_snapshot!(text);
}

#[test]
fn ten_thousand_outputs_fold_within_a_second() {
    let results: Vec<CommandResult> = (0..10_000)
        .map(|number: u32| {
            let text = format!("{}\n", "x".repeat(500)).repeat(4) + &format!("{}\n", number % 100);
            result(
                &format!("VM{number}"),
                CommandEnd::Exited(number % 3),
                &text,
                "",
            )
        })
        .collect();
    let report = report(results);
    let begin = Instant::now();
    let text = shown(&report, FoldedView::Whole, 120, Style::Plain);
    let took = begin.elapsed();
    assert_eq!(groups(&report.results).len(), 300);
    assert_eq!(text.matches("──").count(), 300);
    // Without optimisation and beside other tests; a release takes a tenth.
    assert!(took < Duration::from_secs(5), "{took:?}");
    println!("10,000 outputs folded and shown in {took:?}");
}

#[test]
fn the_worst_that_applies_decides() {
    let end = |end| {
        vec![
            result("a", CommandEnd::Exited(0), "", ""),
            result("b", end, "", ""),
        ]
    };
    let lost = || CommandEnd::Lost(HostError::new(Stage::Exec, "x"));
    for (results, wanted) in [
        (end(CommandEnd::Exited(0)), Verdict::Well),
        (end(CommandEnd::Exited(1)), Verdict::Failed),
        (end(CommandEnd::TimedOut { ended: true }), Verdict::Failed),
        (end(CommandEnd::TimedOut { ended: false }), Verdict::Unknown),
        (end(CommandEnd::TooMuch { ended: true }), Verdict::Failed),
        (end(lost()), Verdict::Unknown),
        (end(unreachable()), Verdict::NotReached),
        (
            end(CommandEnd::NotTried(String::new())),
            Verdict::NotReached,
        ),
    ] {
        assert_eq!(Tally::of(&results).verdict(), wanted, "{results:?}");
    }
    let mut all = end(unreachable());
    all.extend(end(CommandEnd::Exited(1)));
    assert_eq!(Tally::of(&all).verdict(), Verdict::Failed);
    all.extend(end(lost()));
    assert_eq!(Tally::of(&all).verdict(), Verdict::Unknown);
}

fn any_end() -> impl Strategy<Value = CommandEnd> {
    prop_oneof![
        (0..3_u32).prop_map(CommandEnd::Exited),
        any::<bool>().prop_map(|ended| CommandEnd::TimedOut { ended }),
        any::<bool>().prop_map(|ended| CommandEnd::Stopped { ended }),
        "[ab]".prop_map(|why| CommandEnd::Lost(HostError::new(Stage::Exec, why))),
        "[ab]".prop_map(CommandEnd::NotTried),
        Just(unreachable()),
    ]
}

proptest! {
    #[test]
    fn folding_is_a_partition(hosts in prop::collection::vec((any_end(), "[ab]{0,2}", "[ab]{0,1}"), 0..60)) {
        let results: Vec<CommandResult> = hosts
            .iter()
            .enumerate()
            .map(|(number, (end, stdout, stderr))| result(&format!("VM{number}"), end.clone(), stdout, stderr))
            .collect();
        let groups = groups(&results);
        let mut seen = BTreeSet::new();
        let mut kinds = BTreeSet::new();
        for group in &groups {
            let first = &results[group.members[0]];
            let kind = |one: &CommandResult| format!("{:?} {:?} {:?}", one.end, one.stdout.digest, one.stderr.digest);
            prop_assert!(kinds.insert(kind(first)), "two groups of a kind");
            for member in &group.members {
                prop_assert!(seen.insert(*member), "a host in two groups");
                prop_assert_eq!(kind(&results[*member]), kind(first));
            }
        }
        prop_assert_eq!(seen.len(), results.len());
        let tally = Tally::of(&results);
        let sum = tally.well + tally.failed + tally.ended + tally.unknown + tally.not_reached + tally.not_tried;
        prop_assert_eq!(sum, tally.hosts);
    }
}
