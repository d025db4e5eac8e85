use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Instant;

use jiff::Timestamp;

use super::*;
use crate::model::{
    Class, Facts, Fingerprint, HostError, HostObservation, HostOutcome, HostReport, Looked, Memory,
    Reading, ReadingKind, Report, Severity, Sighting, Sightings, Stage, StageTimes, Told, Trouble,
    TroubleKey, Verdict,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn host(name: String, up: bool) -> HostReport {
    let outcome = match up {
        true => HostOutcome::Observed(Box::new(Facts::default())),
        false => HostOutcome::Unreachable(HostError::new(Stage::Tcp, "no\u{1b} route".repeat(99))),
    };
    HostReport {
        name,
        address: "10.0.0.1".into(),
        login_command: String::new(),
        needs_sudo: false,
        unit: String::new(),
        maintenance: false,
        checks: Vec::new(),
        observation: HostObservation {
            outcome,
            stages: StageTimes::default(),
            elapsed: Duration::from_millis(100),
        },
        verdict: if up { Verdict::Ok } else { Verdict::Unknown },
        findings: Vec::new(),
    }
}

/// One run of a fleet: the hosts that are up, and what is wrong on which.
struct Run {
    report: Report,
    sightings: Sightings,
    readings: Vec<Reading>,
    fingerprints: Vec<Fingerprint>,
}

fn key(host: &str, class: Class) -> TroubleKey {
    TroubleKey {
        host: host.into(),
        gateway: Some(18789),
        class: class.id().into(),
        subject: "openclaw-gateway.service (system)".into(),
    }
}

impl Run {
    fn of(hosts: usize, seconds: i64) -> Self {
        let names = || (0..hosts).map(|host| format!("VM{host}"));
        Self {
            report: Report {
                started_at: at(seconds),
                elapsed_ms: 812,
                hosts: names().map(|name| host(name, true)).collect(),
                fleet_findings: Vec::new(),
                interrupted: false,
            },
            sightings: Sightings {
                at: at(seconds),
                hosts: names().map(|name| (name, Looked::Whole)).collect(),
                found: BTreeMap::new(),
            },
            readings: Vec::new(),
            fingerprints: Vec::new(),
        }
    }

    fn wrong(mut self, host: &str, class: Class) -> Self {
        let key = key(host, class);
        let sighting = Sighting {
            key: key.clone(),
            severity: class.severity(),
            follows: false,
        };
        self.sightings.found.insert(key, sighting);
        self
    }

    fn down(mut self, name: &str) -> Self {
        self.sightings.hosts.insert(name.into(), Looked::Not);
        for report in &mut self.report.hosts {
            if report.name == name {
                *report = host(name.into(), false);
            }
        }
        self
    }

    fn reads(mut self, host: &str, kind: ReadingKind, value: i64) -> Self {
        self.readings.push(Reading {
            host: host.into(),
            gateway: Some(18789),
            kind,
            value,
        });
        self
    }

    fn keep(&self, history: &mut History) -> Result<Recorded, HistoryFault> {
        self.keep_with(history, None)
    }

    fn keep_with(
        &self,
        history: &mut History,
        memory: Option<(&Memory, &Memory)>,
    ) -> Result<Recorded, HistoryFault> {
        history.record(&RunRecord {
            inventory: Path::new("/etc/inventory.yaml"),
            report: &self.report,
            sightings: &self.sightings,
            readings: &self.readings,
            fingerprints: &self.fingerprints,
            memory,
        })
    }
}

fn open_at(history: &History) -> Vec<(String, String, i64)> {
    let all = history.open_findings(Path::new("/etc/inventory.yaml"));
    let seconds = |at: Timestamp| at.as_second() - 1_800_000_000;
    all.unwrap()
        .into_iter()
        .map(|(key, open)| (key.host, key.class, seconds(open.since)))
        .collect()
}

fn count(history: &History, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {table}");
    let row = |row: &rusqlite::Row<'_>| row.get(0);
    history.connection.query_row(&query, [], row).unwrap()
}

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
fn what_is_not_ours_to_open_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let opened = || History::open(dir.path()).map(|_| ());
    let absent = History::open_existing(dir.path()).map(|_| ());
    assert!(matches!(absent, Err(HistoryFault::Absent { .. })));
    // A later version is left as it is.
    drop(History::open(dir.path()).unwrap());
    let later = Connection::open(&path).unwrap();
    later.pragma_update(None, "user_version", 99).unwrap();
    drop(later);
    let before = fs::read(&path).unwrap();
    let fault = opened().unwrap_err();
    assert!(matches!(fault, HistoryFault::Newer { found: 99, .. }));
    assert!(fault.to_string().contains("later clawfleet"), "{fault}");
    assert_eq!(fs::read(&path).unwrap(), before);
    // No database at all.
    fs::write(
        &path,
        "no database, and long enough to look like one ".repeat(100),
    )
    .unwrap();
    let fault = opened().unwrap_err();
    assert!(matches!(fault, HistoryFault::Damaged { .. }), "{fault}");
    assert!(fault.to_string().contains("move it away"), "{fault}");
    // A link and a directory in its place.
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    let fault = opened().unwrap_err();
    assert!(fault.to_string().contains("symbolic link"), "{fault}");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(opened(), Err(HistoryFault::Failed { .. })));
}

#[test]
fn a_damaged_page_is_told_of_and_not_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let mut history = History::open(dir.path()).unwrap();
    let mut run = Run::of(300, 0);
    for host in 0..300 {
        run = run.wrong(&format!("VM{host}"), Class::UnitWeak);
    }
    run.keep(&mut history).unwrap();
    drop(history);
    let whole = fs::read(&path).unwrap();
    for start in (4096..whole.len()).step_by(4096) {
        let mut torn = whole.clone();
        for byte in torn.iter_mut().skip(start).take(4096) {
            *byte ^= 0xa5;
        }
        fs::write(&path, &torn).unwrap();
        // Whatever comes of it, it is a value.
        if let Ok(mut history) = History::open(dir.path()) {
            let _ = history.open_findings(Path::new("/etc/inventory.yaml"));
            let _ = run.keep(&mut history);
            let _ = history.prune(Keep::default(), at(0));
        }
    }
    // Cut off, and a log of another database beside it.
    fs::write(&path, whole.get(..whole.len() / 2).unwrap()).unwrap();
    fs::write(dir.path().join("history.db-wal"), [0x37; 9000]).unwrap();
    if let Ok(mut history) = History::open(dir.path()) {
        assert!(run.keep(&mut history).is_err());
    }
}

/// Marks the directory of the test below.
const HERE: &str = "many-runs-are-written-here";

/// The other process of [`who_is_killed_loses_itself_at_most`]; alone it does nothing.
#[test]
fn a_writer_of_many_runs() {
    if !Path::new(HERE).exists() {
        return;
    }
    let mut history = History::open(Path::new(".")).unwrap();
    for run in 0.. {
        let mut now = Run::of(50, run);
        for host in 0..50 {
            let host = format!("VM{host}");
            now = now.reads(&host, ReadingKind::Restarts, run);
            if (run + i64::from(host.ends_with('7'))) % 2 == 0 {
                now = now.wrong(&host, Class::GatewayDown);
            }
        }
        now.keep(&mut history).unwrap();
        let keep = Keep {
            age: Duration::from_secs(5),
            bytes: u64::MAX,
        };
        history.prune_a_little(keep, at(run)).unwrap();
    }
}

#[test]
fn who_is_killed_loses_itself_at_most() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(HERE), "").unwrap();
    let mut last = 0;
    for round in 0..12_u64 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::history::tests::a_writer_of_many_runs"])
            .current_dir(dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Somewhere in the middle, each time elsewhere.
        std::thread::sleep(Duration::from_millis(60 + round * 17));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let history = History::open(dir.path()).unwrap();
        let whole: String = history
            .connection
            .pragma_query_value(None, "integrity_check", |row| row.get(0))
            .unwrap();
        assert_eq!(whole, "ok");
        let runs: i64 = history
            .connection
            .query_row("SELECT coalesce(max(id), 0) FROM runs", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert!(runs >= last);
        last = runs;
        // No half of a run: every number of the newest run is there, or none.
        let newest = "SELECT count(*) FROM readings WHERE run = (SELECT max(id) FROM runs)";
        let newest: i64 = history
            .connection
            .query_row(newest, [], |row| row.get(0))
            .unwrap();
        assert!(newest == 50 || runs == 0 || newest == 0, "{newest}");
        let after: i64 = history
            .connection
            .query_row(
                "SELECT count(*) FROM readings WHERE run > (SELECT max(id) FROM runs)",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(after, 0);
    }
    assert!(last > 3, "only {last} runs were written at all");
}

/// Mounts a small file system in memory; needs root.
struct Small(PathBuf);

impl Small {
    fn mount(dir: &Path, options: &str) -> Option<Self> {
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(dir)
            .status();
        match done {
            Ok(status) if status.success() => Some(Self(dir.to_owned())),
            _ => {
                eprintln!("NOT TESTED: a file system in memory needs root");
                None
            }
        }
    }

    fn read_only(&self) {
        let done = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(&self.0)
            .status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_loses_the_run_and_nothing_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_small) = Small::mount(dir.path(), "size=700k") else {
        return;
    };
    let mut history = History::open(dir.path()).unwrap();
    let wrong = |hosts: usize, seconds| {
        let mut run = Run::of(hosts, seconds);
        for host in 0..hosts {
            run = run.wrong(&format!("VM{host}"), Class::UnitWeak);
        }
        run
    };
    wrong(5, 0).keep(&mut history).unwrap();
    let fault = wrong(9000, 300).keep(&mut history).unwrap_err();
    assert!(matches!(fault, HistoryFault::Full { .. }), "{fault}");
    assert_eq!((count(&history, "runs"), open_at(&history).len()), (1, 5));
    drop(history);
    let mut history = History::open(dir.path()).unwrap();
    assert_eq!(open_at(&history).len(), 5);
    wrong(5, 600).keep(&mut history).unwrap();
}

#[test]
fn a_directory_that_cannot_be_written_to_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let Some(small) = Small::mount(dir.path(), "size=2m") else {
        return;
    };
    let mut history = History::open(dir.path()).unwrap();
    Run::of(1, 0).keep(&mut history).unwrap();
    drop(history);
    small.read_only();
    let fault = History::open(dir.path()).map(|_| ()).unwrap_err();
    assert!(matches!(fault, HistoryFault::Failed { .. }), "{fault:?}");
}

#[test]
fn readers_see_whole_runs_while_one_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    drop(History::open(&path).unwrap());
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || {
                let history = History::open(&path).unwrap();
                for _ in 0..50 {
                    let open = history.open_findings(Path::new("/etc/inventory.yaml"));
                    assert_eq!(open.unwrap().len() % 20, 0);
                }
            })
        })
        .collect();
    let mut history = History::open(&path).unwrap();
    for run in 0..60 {
        let mut now = Run::of(20, run);
        for host in 0..20 {
            if run % 2 == 0 {
                now = now.wrong(&format!("VM{host}"), Class::GatewayDown);
            }
        }
        now.keep(&mut history).unwrap();
    }
    for reader in readers {
        reader.join().unwrap();
    }
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
    assert_eq!(open_at(&history), [weak.clone()]);
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
    // Three steps go through the hosts; the age is ten runs.
    let runs = count(&history, "runs");
    assert!((11..=16).contains(&runs), "{runs}");
    assert!(count(&history, "readings") <= runs);
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

/// `cargo test --release --lib ten_thousand -- --ignored --nocapture`; `RUNS` says how many.
#[test]
#[ignore = "takes minutes; prints figures"]
fn ten_thousand_hosts_for_a_while() {
    let runs: i64 = std::env::var("RUNS").map_or(288, |runs| runs.parse().unwrap());
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
        if run == 0 || run == runs - 1 {
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
