//! What is read back of some time.

use super::*;
use crate::model::{KeptFinding, KeptNumber, Severity};

const INVENTORY: &str = "/etc/inventory.yaml";

fn told(history: &History, span: Span, hosts: &[&str]) -> crate::model::Chronicle {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    history
        .chronicle(Path::new(INVENTORY), span, &hosts)
        .unwrap()
}

fn graded(mut run: Run, severity: Severity) -> Run {
    for sighting in run.sightings.found.values_mut() {
        sighting.severity = severity;
    }
    run
}

fn printed(mut run: Run, digest: u8) -> Run {
    run.fingerprints.push(Fingerprint {
        host: "VM0".into(),
        gateway: 18789,
        of: "config".into(),
        digest: [digest; 32],
    });
    run
}

#[test]
fn a_span_begins_with_what_held_then() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    for (run, latency) in [(0, 20), (1, 20), (2, 90), (3, 90), (4, 20)] {
        let now = Run::of(2, run * 300).reads("VM0", ReadingKind::LatencyMs, latency);
        let now = printed(now, u8::try_from(latency).unwrap());
        let now = if run == 3 { now.down("VM1") } else { now };
        now.keep(&mut history).unwrap();
    }
    let all = told(&history, Span::Since(at(600)), &["VM0", "VM1", "VM9"]);
    assert_eq!(
        all.runs.iter().map(|run| run.id).collect::<Vec<_>>(),
        [3, 4, 5]
    );
    let [first, second, none] = all.hosts.as_slice() else {
        panic!("three hosts");
    };
    let key = (Some(18789), ReadingKind::LatencyMs);
    let number = |run, value| KeptNumber { run, value };
    assert_eq!(first.numbers[&key], [number(3, 90), number(5, 20)]);
    let read: Vec<(usize, i64)> = first.read(&all.runs, key.0, key.1).collect();
    assert_eq!(read, [(0, 90), (1, 90), (2, 20)]);
    assert_eq!(first.prints.values().map(Vec::len).collect::<Vec<_>>(), [2]);
    let answers: Vec<&str> = second
        .answers
        .iter()
        .map(|answer| answer.outcome.as_str())
        .collect();
    assert_eq!(answers, ["observed", "unreachable", "observed"]);
    assert_eq!(
        second.answers[0].at,
        Some(at(0)),
        "of a run before the span"
    );
    let seen: Vec<bool> = second
        .looks(&all.runs)
        .map(|(_, answer)| answer.was_seen())
        .collect();
    assert_eq!(seen, [true, false, true]);
    assert_eq!(none.looks(&all.runs).count(), 0);
    // What came later is not told of an earlier span.
    let early = told(&history, Span::Runs(2, 3), &["VM0"]);
    assert_eq!(early.hosts[0].numbers[&key], [number(1, 20), number(3, 90)]);
    assert!(
        told(&history, Span::Since(at(9999)), &["VM0"])
            .runs
            .is_empty()
    );
}

#[test]
fn who_was_not_selected_was_not_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    for (run, hosts) in [(0, 2), (1, 1), (2, 2)] {
        Run::of(hosts, run * 300).keep(&mut history).unwrap();
    }
    let all = told(&history, Span::Since(at(0)), &["VM0", "VM1"]);
    let looks = |host: usize| {
        all.hosts[host]
            .looks(&all.runs)
            .map(|(run, _)| run)
            .collect::<Vec<_>>()
    };
    assert_eq!(looks(0), [0, 1, 2]);
    assert_eq!(looks(1), [0, 2]);
}

#[test]
fn how_bad_a_finding_was_is_known_of_each_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    let wrong = |seconds| Run::of(1, seconds).wrong("VM0", Class::DiskLow);
    for (run, severity) in [
        (0, Severity::Warning),
        (1, Severity::Warning),
        (2, Severity::Critical),
        (3, Severity::Info),
    ] {
        graded(wrong(run * 300), severity)
            .keep(&mut history)
            .unwrap();
    }
    Run::of(1, 1200).keep(&mut history).unwrap();
    let all = told(&history, Span::Since(at(0)), &["VM0"]);
    let [finding] = all.hosts[0].findings.as_slice() else {
        panic!("one finding");
    };
    let grades: Vec<Severity> = (1..=4).map(|run| finding.severity_at(run)).collect();
    use Severity::{Critical, Info, Warning};
    assert_eq!(grades, [Warning, Warning, Critical, Info]);
    assert_eq!(finding.closed, Some((at(1200), 5)));
    assert!(finding.was_there(4) && !finding.was_there(5) && !finding.was_there(0));
    // Told of the runs before it ended, it is there.
    let early = told(&history, Span::Runs(1, 4), &["VM0"]);
    assert_eq!(early.hosts[0].findings[0].closed, None);
    // What is pruned takes its grades along.
    let keep = Keep {
        age: Duration::ZERO,
        ..Keep::default()
    };
    for run in [5, 6] {
        Run::of(1, run * 300).keep(&mut history).unwrap();
    }
    history.prune(keep, at(9000)).unwrap();
    assert_eq!(
        (count(&history, "findings"), count(&history, "grades")),
        (0, 0)
    );
}

#[test]
fn runs_are_found_by_number_place_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    for run in 0..4 {
        Run::of(1, run * 300).keep(&mut history).unwrap();
    }
    let find = |wanted| history.find_run(Path::new(INVENTORY), wanted).unwrap();
    assert_eq!(find(RunWanted::Number(2)), Some(2));
    assert_eq!(find(RunWanted::Number(9)), None);
    assert_eq!(find(RunWanted::Last(0)), Some(4));
    assert_eq!(find(RunWanted::Last(3)), Some(1));
    assert_eq!(find(RunWanted::Last(4)), None);
    assert_eq!(find(RunWanted::Before(at(899))), Some(3));
    assert_eq!(find(RunWanted::Before(at(-1))), None);
    let extent = history.extent(Path::new(INVENTORY)).unwrap();
    assert_eq!((extent.runs, extent.elsewhere), (4, 0));
    assert_eq!(
        (extent.first, extent.last),
        (Some((1, at(0))), Some((4, at(900))))
    );
    assert_eq!(extent.hosts, ["VM0"]);
    let other = Path::new("/other.yaml");
    assert_eq!(history.extent(other).unwrap().elsewhere, 4);
    assert_eq!(history.find_run(other, RunWanted::Last(0)).unwrap(), None);
    let none = history.chronicle(other, Span::Since(at(0)), &["VM0".into()]);
    assert_eq!(none.unwrap(), crate::model::Chronicle::default());
}

/// A run with a clock that was far ahead hides nothing that came after it.
#[test]
fn a_clock_that_was_ahead_takes_nothing_out_of_a_span() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    for seconds in [0, 99_999_999, 300, 600] {
        Run::of(1, seconds).keep(&mut history).unwrap();
    }
    let ids = |since| {
        let all = told(&history, Span::Since(since), &["VM0"]);
        all.runs.iter().map(|run| run.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(at(400)), [4]);
    assert_eq!(ids(at(100)), [2, 3, 4]);
}

/// What a later version wrote, or a hand, is left out or refused with a sentence; nothing panics.
#[test]
fn rows_that_make_no_sense_are_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    Run::of(1, 0)
        .wrong("VM0", Class::DiskLow)
        .reads("VM0", ReadingKind::LatencyMs, 5)
        .keep(&mut history)
        .unwrap();
    history
        .connection
        .execute("UPDATE readings SET kind = 99", [])
        .unwrap();
    let all = told(&history, Span::Since(at(0)), &["VM0"]);
    assert!(all.hosts[0].numbers.is_empty());
    let findings: &[KeptFinding] = &all.hosts[0].findings;
    assert_eq!(findings.len(), 1);
    history
        .connection
        .execute("UPDATE findings SET severity = 'odd'", [])
        .unwrap();
    let odd = history.chronicle(Path::new(INVENTORY), Span::Since(at(0)), &["VM0".into()]);
    assert!(matches!(odd, Err(HistoryFault::Damaged { .. })), "{odd:?}");
}
