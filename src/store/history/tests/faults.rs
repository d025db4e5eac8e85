//! What goes wrong with a file, and what it costs.

use std::process::Command;

use super::*;

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
            .args([
                "--exact",
                "store::history::tests::faults::a_writer_of_many_runs",
            ])
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
