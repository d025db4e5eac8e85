//! What people and programs read of the history, as snapshots. The fleets were never there.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/chronicle.rs"]
mod chronicle;

use std::collections::BTreeSet;

use chronicle::{answers, at, finds, quiet, reads, three, three_hundred, told};
use clawfleet::diagnose::trends;
use clawfleet::model::{Chronicle, ReadingKind, Severity, Verdict};
use clawfleet::report::{
    RunDiff, Style, View, render_history, render_history_html, render_history_json,
    render_kept_runs, render_kept_runs_json, render_run_diff, render_run_diff_json,
};

const fn view(width: u16) -> View {
    View {
        style: Style::Plain,
        width,
        verbose: false,
        quiet: false,
    }
}

fn history(chronicle: &Chronicle, view: View) -> String {
    render_history(&told(chronicle, &BTreeSet::new()), view)
}

fn diff(chronicle: &Chronicle, from: usize, to: usize) -> RunDiff<'_> {
    RunDiff {
        chronicle,
        from: &chronicle.runs[from - 1],
        to: &chronicle.runs[to - 1],
    }
}

#[test]
fn a_week_of_three_hosts_at_80_columns() {
    insta::assert_snapshot!(history(&three(), view(80)));
}

#[test]
fn a_week_of_three_hosts_at_200_columns() {
    insta::assert_snapshot!(history(&three(), view(200)));
}

#[test]
fn a_week_of_three_hundred_hosts_at_80_columns() {
    insta::assert_snapshot!(history(&three_hundred(), view(80)));
}

#[test]
fn a_week_of_three_hundred_hosts_at_200_columns_in_colour() {
    let coloured = View {
        style: Style::Colour,
        ..view(200)
    };
    insta::assert_snapshot!(history(&three_hundred(), coloured));
}

#[test]
fn some_classes_of_three_hosts() {
    let week = three();
    let classes = ["disk-low", "not-observed"].map(str::to_owned).into();
    insta::assert_snapshot!(render_history(&told(&week, &classes), view(80)));
}

#[test]
fn two_runs_of_three_hosts() {
    insta::assert_snapshot!(render_run_diff(&diff(&three(), 42, 336), view(80)));
}

#[test]
fn the_runs_of_a_week() {
    let mut week = three();
    for run in &mut week.runs[299..] {
        run.verdict = Verdict::Critical;
        run.summary.critical = 1;
        run.summary.ok = 2;
    }
    week.runs[335].interrupted = true;
    insta::assert_snapshot!(render_kept_runs(&week.runs, view(80)));
}

#[test]
fn the_json_of_a_week() {
    let mut week = three();
    week.hosts.truncate(1);
    let report = told(&week, &BTreeSet::new()).now;
    assert_eq!(report, at(336) + jiff::SignedDuration::from_mins(8));
    insta::assert_snapshot!(render_history_json(&told(&week, &BTreeSet::new())).unwrap());
}

#[test]
fn the_json_of_two_runs() {
    insta::assert_snapshot!(render_run_diff_json(&diff(&three(), 42, 336)).unwrap());
}

#[test]
fn nothing_happened_in_four_lines() {
    let names = ["VM1".to_owned(), "VM2".to_owned()];
    let text = history(&quiet(5, &names), view(80));
    assert!(
        text.ends_with("\nnothing was found and nothing changed in that time\n"),
        "{text}"
    );
    assert!(text.contains("VM[1-2]"), "{text}");
    let quiet = View {
        quiet: true,
        ..view(80)
    };
    assert_eq!(history(&three(), quiet).lines().count(), 1);
}

#[test]
fn without_runs_there_is_a_sentence() {
    let none = Chronicle::default();
    let text = history(&none, view(80));
    assert_eq!(text, "0 hosts: no run was kept in the last 7 d\n");
    assert_eq!(
        render_kept_runs(&[], view(80)),
        "no run was kept in that time\n"
    );
    render_history_json(&told(&none, &BTreeSet::new())).unwrap();
    render_kept_runs_json(&[]).unwrap();
}

#[test]
fn verbose_names_every_host_and_every_event() {
    let verbose = View {
        verbose: true,
        ..view(120)
    };
    let week = three_hundred();
    let text = history(&week, verbose);
    for host in &week.hosts {
        assert!(text.contains(&host.name), "{}", host.name);
    }
    assert!(
        !text.contains("left out") && !text.contains("-v shows"),
        "{text}"
    );
}

/// A summary of many hosts is read, and not scrolled.
#[test]
fn three_hundred_hosts_fit_on_a_screen_or_two() {
    for width in [80, 120, 200] {
        let lines = history(&three_hundred(), view(width)).lines().count();
        assert!(lines < 75, "{lines} lines at {width}");
    }
}

#[test]
fn no_line_is_wider_than_its_terminal() {
    for width in [80, 100, 120, 140, 180, 200] {
        for week in [three(), three_hundred()] {
            let mut texts = vec![history(&week, view(width))];
            texts.push(render_run_diff(&diff(&week, 42, 336), view(width)));
            texts.push(render_kept_runs(&week.runs, view(width)));
            for line in texts.iter().flat_map(|text| text.lines()) {
                // The names of what was left out are a sentence.
                if line.starts_with("and ") {
                    continue;
                }
                assert!(
                    line.chars().count() <= usize::from(width),
                    "{width}: {line}"
                );
            }
        }
    }
}

/// Colour only repeats what the words say.
#[test]
fn without_its_colours_a_coloured_history_is_the_plain_one() {
    let coloured = View {
        style: Style::Colour,
        ..view(100)
    };
    for week in [three(), three_hundred()] {
        let text = history(&week, coloured);
        let mut plain = String::new();
        for part in text.split('\u{1b}') {
            plain += match plain.is_empty() {
                true => part,
                false => part.split_once('m').unwrap().1,
            };
        }
        assert_eq!(plain, history(&week, view(100)));
    }
}

/// Subjects and messages come from hosts.
#[test]
fn nothing_that_was_kept_reaches_the_terminal_raw() {
    let evil = "\u{1b}[2J\u{7}\u{9b}31m\u{202e}evil";
    let mut week = three();
    let host = &mut week.hosts[0];
    host.findings[0].subject = evil.to_owned();
    host.findings[1].class = format!("custom/{evil}");
    answers(host, 320, "unreachable", Verdict::Unknown);
    host.answers.last_mut().unwrap().stage = Some(evil.to_owned());
    let prints = host.prints.remove(&(18789, "config".to_owned())).unwrap();
    host.prints.insert((18789, evil.to_owned()), prints);
    for width in [80, 200] {
        for verbose in [false, true] {
            let view = View {
                verbose,
                ..view(width)
            };
            let text = history(&week, view) + &render_run_diff(&diff(&week, 42, 336), view);
            let raw = text
                .chars()
                .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
            assert_eq!(raw, None, "{text}");
        }
    }
    for json in [
        render_history_json(&told(&week, &BTreeSet::new())).unwrap(),
        render_run_diff_json(&diff(&week, 42, 336)).unwrap(),
    ] {
        assert!(json.contains("evil"));
        assert!(
            !json
                .chars()
                .any(|c| (c.is_control() && c != '\n') || c == '\u{202e}')
        );
    }
}

#[test]
fn what_is_still_there_is_shown_however_old_it_is() {
    let mut week = quiet(336, &["VM1".to_owned()]);
    finds(
        &mut week.hosts[0],
        "unit-weak",
        Severity::Warning,
        (1, None),
    );
    for run in 2..200 {
        let class = format!("custom/number-{run}");
        finds(
            &mut week.hosts[0],
            &class,
            Severity::Warning,
            (run, Some(run + 1)),
        );
    }
    let text = history(&week, view(80));
    assert!(
        text.contains("unit-weak") && text.contains("STILL"),
        "{text}"
    );
    assert!(
        text.contains("custom/number-199") && !text.contains("custom/number-20\n"),
        "{text}"
    );
    assert!(
        text.contains("earlier events left out (-v shows all)"),
        "{text}"
    );
}

#[test]
fn a_host_that_was_not_asked_and_one_that_left_are_told_apart() {
    let mut week = quiet(5, &["VM1".to_owned(), "VM2".to_owned()]);
    week.hosts[1].asked_in = vec![false];
    let text = history(&week, view(80));
    assert!(text.contains("not asked"), "{text}");
    let json = render_history_json(&told(&week, &BTreeSet::new())).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["hosts"][1]["asked"], 0);
    assert!(json["hosts"][1].get("availability").is_none());
}

/// Of a run that was stopped the hosts that were not asked say nothing.
#[test]
fn what_was_cancelled_is_neither_seen_nor_missed() {
    let mut week = quiet(4, &["VM1".to_owned()]);
    answers(&mut week.hosts[0], 3, "cancelled", Verdict::Unknown);
    answers(&mut week.hosts[0], 4, "observed", Verdict::Ok);
    let json = render_history_json(&told(&week, &BTreeSet::new())).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["hosts"][0]["asked"], &json["hosts"][0]["observed"]),
        (&3.into(), &3.into())
    );
    assert_eq!(json["events"], serde_json::json!([]));
}

#[test]
fn several_gateways_have_a_row_each() {
    let mut week = quiet(30, &["VM1".to_owned(), "VM2".to_owned()]);
    for host in &mut week.hosts {
        reads(host, ReadingKind::LatencyMs, &[(2, 8)]);
        let other = host.numbers[&(Some(18789), ReadingKind::LatencyMs)].clone();
        host.numbers
            .insert((Some(18790), ReadingKind::LatencyMs), other);
    }
    let text = history(&week, view(120));
    assert!(text.contains("GATEWAY"), "{text}");
    assert_eq!(text.matches("VM[1-2]").count(), 2, "{text}");
    assert!(text.contains(":18789") && text.contains(":18790"), "{text}");
}

#[test]
fn a_finding_that_got_worse_is_told_as_such() {
    let mut week = quiet(10, &["VM1".to_owned(), "VM2".to_owned()]);
    finds(
        &mut week.hosts[0],
        "disk-low",
        Severity::Critical,
        (2, None),
    );
    week.hosts[0].findings[0].grades = vec![(2, Severity::Warning), (6, Severity::Critical)];
    let text = render_run_diff(&diff(&week, 3, 9), view(80));
    assert!(text.contains("WORSE"), "{text}");
    assert!(text.contains("warning -> critical"), "{text}");
    let back = render_run_diff(&diff(&week, 9, 3), view(80));
    assert!(
        back.contains("BETTER") && back.contains("EARLIER"),
        "{back}"
    );
    let same = render_run_diff(&diff(&week, 9, 9), view(80));
    assert!(same.ends_with("nothing that is kept differs\n"), "{same}");
}

#[test]
fn the_page_of_a_week() {
    let week = three();
    let page = render_history_html(&told(&week, &BTreeSet::new()), &trends(&week));
    insta::assert_snapshot!(page);
}

/// Whoever opens the page must not take it for how things are now.
#[test]
fn the_page_says_from_which_run_it_is() {
    let week = three_hundred();
    let page = render_history_html(&told(&week, &BTreeSet::new()), &trends(&week));
    assert!(
        page.contains("the state is that of run 336, <time datetime=\"2026-11-21T11:30:00Z\">")
    );
    assert!(page.contains("(8 min before this page was made)"));
    assert!(page.contains("No host was asked for this page."));
    for host in &week.hosts {
        assert!(page.contains(&host.name), "{}", host.name);
    }
    for word in [" src=", "http:", "https:", "<link", "style=\"", " on"] {
        let in_tag = |at: &usize| page[..*at].rfind('<') > page[..*at].rfind('>');
        let found = page.match_indices(word).map(|(at, _)| at).find(in_tag);
        assert_eq!(found, None, "{word}");
    }
}

#[test]
fn a_page_of_nothing_is_a_page() {
    let none = Chronicle::default();
    let page = render_history_html(&told(&none, &BTreeSet::new()), &trends(&none));
    assert!(page.contains("Nothing was found and nothing changed."));
    assert!(!page.contains("id=\"trends\""));
}
