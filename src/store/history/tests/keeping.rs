//! What is kept, for how long, how fast.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use super::*;
use crate::model::{Severity, Told, Trouble};

#[test]
fn findings_have_a_beginning_and_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("new/state");
    let mut history = History::open(&dir).unwrap();
    let down = || ("VM1".to_owned(), "gateway-down".to_owned(), 0);
    Run::of(3, 0)
        .wrong("VM1", Class::GatewayDown)
        .keep(&mut history)
        .unwrap();
    Run::of(3, 300)
        .wrong("VM1", Class::GatewayDown)
        .keep(&mut history)
        .unwrap();
    assert_eq!(open_at(&history), [down()]);
    // Who is not seen, or not asked for, has not recovered.
    Run::of(3, 600).down("VM1").keep(&mut history).unwrap();
    Run::of(1, 900).keep(&mut history).unwrap();
    drop(history);
    let mut history = History::open_existing(&dir).unwrap();
    assert_eq!(open_at(&history), [down()]);
    Run::of(3, 1200).keep(&mut history).unwrap();
    assert_eq!(open_at(&history), []);
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (first, last, closed): (i64, i64, i64) = history
        .connection
        .query_row(
            "SELECT first_seen_ms, last_seen_ms, closed_ms FROM findings",
            [],
            row,
        )
        .unwrap();
    let ms = |seconds| at(seconds).as_millisecond();
    assert_eq!((first, last, closed), (ms(0), ms(300), ms(1200)));
    // A second time is another row.
    let again = Run::of(3, 1500).wrong("VM1", Class::GatewayDown);
    again.keep(&mut history).unwrap();
    assert_eq!(count(&history, "findings"), 2);
    // Of the answers only the changes are kept, printable and short: VM0, VM1 three times, VM2.
    assert_eq!(count(&history, "outcomes"), 5);
    let message: String = history
        .connection
        .query_row(
            "SELECT message FROM outcomes WHERE stage = 'tcp'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert!(message.chars().count() <= 300 && !message.contains('\u{1b}'));
}

#[test]
fn the_file_is_for_its_user_alone() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("a/b");
    let mut history = History::open(&state).unwrap();
    Run::of(1, 0).keep(&mut history).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&state), 0o700);
    for name in ["history.db", "history.db-wal", "history.db-shm"] {
        assert_eq!(mode(&state.join(name)), 0o600, "{name}");
    }
}

#[test]
fn what_was_told_is_kept_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    let inventory = Path::new("/etc/inventory.yaml");
    let empty = Memory::default();
    assert_eq!(history.memory(inventory).unwrap(), empty);
    let trouble = Trouble {
        severity: Severity::Critical,
        first_seen: at(1),
        gone_since: Some(at(2)),
        seen: 3,
        missed: 4,
        worse: 5,
        told: Some(Told {
            at: at(6),
            severity: Severity::Warning,
        }),
        came: vec![at(7), at(8)],
        flapping: true,
        peers: 9,
    };
    let mut full = Memory {
        last_run: Some(at(10)),
        ..Memory::default()
    };
    full.troubles
        .insert(key("VM1", Class::GatewayDown), trouble.clone());
    let plain = Trouble {
        gone_since: None,
        told: None,
        came: Vec::new(),
        ..trouble
    };
    full.troubles.insert(key("VM2", Class::DiskLow), plain);
    Run::of(2, 0)
        .keep_with(&mut history, Some((&empty, &full)))
        .unwrap();
    assert_eq!(history.memory(inventory).unwrap(), full);
    // A run by hand leaves it alone; another inventory has its own.
    Run::of(2, 5).keep(&mut history).unwrap();
    assert_eq!(history.memory(inventory).unwrap(), full);
    assert_eq!(history.memory(Path::new("/other")).unwrap(), empty);
    let mut less = full.clone();
    less.troubles.remove(&key("VM1", Class::GatewayDown));
    Run::of(2, 10)
        .keep_with(&mut history, Some((&full, &less)))
        .unwrap();
    assert_eq!(history.memory(inventory).unwrap(), less);
}

#[test]
fn a_clock_that_was_set_back_is_told_of_and_makes_nothing_negative() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    let wrong = |seconds| Run::of(1, seconds).wrong("VM0", Class::GatewayDown);
    assert_eq!(wrong(9000).keep(&mut history).unwrap().after, None);
    let recorded = wrong(0).keep(&mut history).unwrap();
    assert_eq!(recorded.after, Some(at(9000)));
    Run::of(1, -50).keep(&mut history).unwrap();
    let negative: i64 = history
        .connection
        .query_row(
            "SELECT count(*) FROM findings WHERE first_seen_ms > last_seen_ms OR last_seen_ms > closed_ms",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(negative, 0);
}

#[test]
fn numbers_are_kept_where_they_change() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    for (run, (restarts, latency)) in (0..).zip([(3, 20), (3, 25), (4, 21), (0, 90), (0, 100)]) {
        Run::of(1, run * 300)
            .reads("VM0", ReadingKind::Restarts, restarts)
            .reads("VM0", ReadingKind::LatencyMs, latency)
            .keep(&mut history)
            .unwrap();
    }
    let mut read = history
        .connection
        .prepare("SELECT kind, run, value FROM readings")
        .unwrap();
    let rows: Vec<(i64, i64, i64)> = read
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        rows,
        [(1, 1, 3), (1, 3, 4), (1, 4, 0), (4, 1, 20), (4, 4, 90)]
    );
}

#[test]
fn an_older_database_is_brought_to_this_version() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    let wrong = Run::of(1, 0).wrong("VM0", Class::GatewayDown);
    wrong.keep(&mut history).unwrap();
    // As the first version left it.
    history
        .connection
        .execute_batch(
            "DROP TABLE outbox; DROP TABLE silences; DROP TABLE grades; DROP TABLE rollouts; PRAGMA user_version = 1",
        )
        .unwrap();
    drop(history);
    let mut history = History::open(dir.path()).unwrap();
    assert_eq!(open_at(&history).len(), 1);
    let inventory = Path::new("/etc/inventory.yaml");
    let mut kept = KeptSilence {
        id: 0,
        silence: crate::model::Silence {
            hosts: ["VM0".to_owned()].into(),
            classes: ["gateway-down".to_owned()].into(),
            until: at(100),
        },
        made_at: at(0),
        made_by: "ops@bastion".into(),
        why: "moved".into(),
    };
    kept.id = history.add_silence(inventory, &kept).unwrap();
    assert_eq!(history.silences(inventory, at(99)).unwrap(), [kept.clone()]);
    assert_eq!(history.silences(inventory, at(100)).unwrap(), []);
    assert!(
        !history
            .end_silence(Path::new("/other"), kept.id, at(1))
            .unwrap()
    );
    assert!(history.end_silence(inventory, kept.id, at(1)).unwrap());
    assert_eq!(history.silences(inventory, at(2)).unwrap(), []);
}

#[test]
fn restarts_are_counted_from_what_held_a_day_ago() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    for (run, count) in (0..).zip([1, 2, 2, 7, 0, 4]) {
        Run::of(2, run * 3600)
            .reads("VM1", ReadingKind::Restarts, count)
            .reads("VM1", ReadingKind::LatencyMs, 100 * run)
            .keep(&mut history)
            .unwrap();
    }
    let counts = |history: &History, inventory: &str, host: &str, since| {
        history
            .readings_since(
                Path::new(inventory),
                (host, 18789),
                ReadingKind::Restarts,
                at(since),
            )
            .unwrap()
            .into_iter()
            .map(|(_, count)| count)
            .collect::<Vec<i64>>()
    };
    let here = "/etc/inventory.yaml";
    assert_eq!(counts(&history, here, "VM1", -1), [1, 2, 7, 0, 4]);
    // Two held in the third run, too.
    assert_eq!(counts(&history, here, "VM1", 2 * 3600), [2, 7, 0, 4]);
    assert_eq!(counts(&history, here, "VM1", 5 * 3600), [4]);
    // No run since then: what was counted before says nothing of the time since.
    assert_eq!(counts(&history, here, "VM1", 6 * 3600), [0; 0]);
    assert_eq!(counts(&history, here, "VM0", 0), [0; 0]);
    assert_eq!(counts(&history, "/other", "VM1", 0), [0; 0]);
    // A run of a clock that was far ahead does not make all runs since then the last day's.
    for (at, count) in [(1_000_000, 5), (7 * 3600, 6), (8 * 3600, 9)] {
        Run::of(2, at)
            .reads("VM1", ReadingKind::Restarts, count)
            .keep(&mut history)
            .unwrap();
    }
    assert_eq!(counts(&history, here, "VM1", 8 * 3600), [9]);
}

#[test]
fn restarts_while_nobody_looked_are_not_the_last_days() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    let day = 86_400;
    let run =
        |hour: i64, count: i64| Run::of(2, hour * 3600).reads("VM1", ReadingKind::Restarts, count);
    run(0, 2).keep(&mut history).unwrap();
    // It cannot be reached for two days, is not asked for once, and is there again.
    for hour in 1..49 {
        let gone = Run::of(2, hour * 3600).down("VM1");
        gone.keep(&mut history).unwrap();
    }
    Run::of(1, 49 * 3600).keep(&mut history).unwrap();
    let counts = |history: &History, hour: i64| {
        let inventory = Path::new("/etc/inventory.yaml");
        let since = at(hour * 3600 - day);
        history
            .readings_since(inventory, ("VM1", 18789), ReadingKind::Restarts, since)
            .unwrap()
            .into_iter()
            .map(|(_, count)| count)
            .collect::<Vec<i64>>()
    };
    assert_eq!(counts(&history, 50), [0; 0]);
    run(50, 30).keep(&mut history).unwrap();
    run(51, 31).keep(&mut history).unwrap();
    assert_eq!(counts(&history, 52), [30, 31]);
    // The same number again is no new row.
    Run::of(2, 80 * 3600).keep(&mut history).unwrap();
    assert_eq!(counts(&history, 81), [31]);
}

#[test]
fn what_is_old_goes_and_what_still_holds_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    let day = 86_400;
    Run::of(2, 0)
        .wrong("VM0", Class::GatewayDown)
        .wrong("VM1", Class::UnitWeak)
        .reads("VM0", ReadingKind::Restarts, 7)
        .keep(&mut history)
        .unwrap();
    for run in 1..100 {
        Run::of(2, run * day)
            .wrong("VM1", Class::UnitWeak)
            .reads("VM0", ReadingKind::Restarts, if run < 50 { 7 } else { run })
            .keep(&mut history)
            .unwrap();
    }
    let pruned = history.prune(Keep::default(), at(99 * day)).unwrap();
    assert_eq!((pruned.runs, count(&history, "runs")), (9, 91));
    // What was over went, what is open keeps its beginning.
    let weak = ("VM1".to_owned(), "unit-weak".to_owned(), 0);
    assert_eq!(open_at(&history).first(), Some(&weak));
    assert_eq!(count(&history, "findings"), 1);
    // The number that held at the cut holds from there on.
    let (run, value): (i64, i64) = history
        .connection
        .query_row("SELECT min(run), value FROM readings", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!((run, value), (10, 7));
    // The newest run stays, whatever is asked for.
    let none = Keep {
        age: Duration::ZERO,
        bytes: 0,
    };
    history.prune(none, at(999 * day)).unwrap();
    assert_eq!(count(&history, "runs"), 1);
    assert_eq!(open_at(&history), [weak]);
}

#[test]
fn each_run_tidies_a_little() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    let keep = Keep {
        age: Duration::from_secs(1000),
        bytes: u64::MAX,
    };
    for run in 0..100 {
        let now = Run::of(450, run * 100).reads("VM0", ReadingKind::Restarts, run);
        now.keep(&mut history).unwrap();
        history.prune_a_little(keep, at(run * 100)).unwrap();
    }
    // Three steps go through the hosts; the age is ten runs, from the earliest of the last ten on.
    let runs = count(&history, "runs");
    assert!((20..=26).contains(&runs), "{runs}");
    assert!(count(&history, "readings") <= runs);
}

#[test]
fn a_clock_that_was_ahead_for_a_while_takes_nothing_away() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    let year = 365 * 86_400;
    for (runs, ahead) in [(0..20, 0), (20..25, year), (25..60, 0)] {
        for run in runs {
            let now = Run::of(2, ahead + run * 300).reads("VM0", ReadingKind::Restarts, run);
            now.keep(&mut history).unwrap();
            let now = now.report.started_at;
            history.prune_a_little(Keep::default(), now).unwrap();
        }
    }
    assert_eq!(count(&history, "runs"), 60);
    assert_eq!(count(&history, "readings"), 60);
}

/// A fleet in which something happens: of each hundred hosts one is another in each run, latencies
/// waver, a tenth has a lasting warning.
fn lively(hosts: usize, run: i64, every_s: i64) -> Run {
    let mut now = Run::of(hosts, run * every_s);
    for host in 0..hosts {
        let name = format!("VM{host}");
        let turn = i64::try_from(host).unwrap() + run;
        let down = turn % 100 == 0;
        if down {
            now = now.wrong(&name, Class::GatewayDown);
        }
        if host % 10 == 0 {
            now = now.wrong(&name, Class::UnitWeak);
        }
        let waver = (turn * 7919) % 13;
        now = now
            .reads(&name, ReadingKind::Restarts, run / 288 + i64::from(down))
            .reads(&name, ReadingKind::Restarts24h, i64::from(down))
            .reads(&name, ReadingKind::Failed1h, i64::from(down))
            .reads(&name, ReadingKind::LatencyMs, 20 + waver)
            .reads(&name, ReadingKind::DiskFreePercent, 50 - run / 2880)
            .reads(&name, ReadingKind::ClockAheadS, waver % 2);
    }
    now
}

#[test]
fn a_thousand_hosts_are_written_in_well_under_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    let mut times = Vec::new();
    for run in 0..5 {
        let now = lively(1000, run, 300);
        let begin = Instant::now();
        now.keep(&mut history).unwrap();
        times.push(begin.elapsed());
    }
    let best = times.iter().min().unwrap();
    println!("1,000 hosts: {times:?}");
    assert!(*best < Duration::from_millis(900), "{times:?}");
}

/// A day of it: `cargo test --release --lib ten_thousand -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes; prints figures"]
fn ten_thousand_hosts_for_a_while() {
    let runs = 288;
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    let mut spent = Duration::ZERO;
    for run in 0..runs {
        let now = lively(10_000, run, 300);
        let begin = Instant::now();
        now.keep(&mut history).unwrap();
        history
            .prune_a_little(Keep::default(), now.report.started_at)
            .unwrap();
        spent += begin.elapsed();
        if run % 24 == 0 || run == runs - 1 {
            let pages: i64 = history
                .connection
                .pragma_query_value(None, "page_count", |row| row.get(0))
                .unwrap();
            println!("run {run}: {:?} in all, {} KiB", spent, pages * 4);
        }
    }
    let begin = Instant::now();
    let open = history
        .open_findings(Path::new("/etc/inventory.yaml"))
        .unwrap();
    println!("{} open findings read in {:?}", open.len(), begin.elapsed());
}
