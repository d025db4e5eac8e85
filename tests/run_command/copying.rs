//! Files there and back.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::fleet;
use crate::support::fake::Behaviour;
use crate::support::lab::{Lab, set_mode};
use crate::support::program::{self, Finished};

fn copy(lab: &Lab, args: &[&str]) -> Finished {
    let mut all = vec!["copy"];
    all.extend(args);
    program::run(lab.command(&all))
}

/// Bytes that a terminal or a text would not leave as they are.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 31 % 256) as u8).collect()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_goes_there_whole_with_its_permissions_and_once() {
    let lab = fleet(1);
    let content = bytes(1_500_000);
    let file = lab.write("it's $a file", &content);
    set_mode(&file, 0o640);
    std::fs::create_dir(lab.path("there")).unwrap();
    let ran = copy(&lab, &["h1", "it's $a file", ":there/x y"]);
    assert!(
        ran.exits(0).out().contains("it's $a file: copied"),
        "{ran:?}"
    );
    let there = lab.path("there/x y");
    assert!(std::fs::read(&there).unwrap() == content);
    assert_eq!(mode(&there), 0o640);
    let ran = copy(&lab, &["h1", "it's $a file", ":there/x y"]);
    assert!(ran.exits(0).out().contains("was there already"), "{ran:?}");
    // Another mode is another file.
    set_mode(&file, 0o755);
    let ran = copy(&lab, &["h1", "it's $a file", ":there/x y"]);
    assert!(ran.exits(0).out().contains("copied"), "{ran:?}");
    assert_eq!(mode(&there), 0o755);
    assert_eq!(
        names(&lab.path("there")),
        ["x y"],
        "nothing is left beside it"
    );
}

#[test]
fn several_files_go_into_a_directory() {
    let lab = fleet(1);
    lab.write("a", "1");
    lab.write("b/c", "");
    std::fs::create_dir(lab.path("there")).unwrap();
    copy(&lab, &["h1", "a", "b/c", ":there"]).exits(0);
    assert_eq!(names(&lab.path("there")), ["a", "c"]);
    let ran = copy(&lab, &["h1", "a", ":nowhere/"]);
    assert!(
        ran.exits(2).out().contains("nowhere/ is not a directory"),
        "{ran:?}"
    );
    let ran = copy(&lab, &["h1", "a", "b/c", ":a"]);
    assert!(
        ran.exits(2).out().contains("a is not a directory"),
        "{ran:?}"
    );
    lab.write("d/a", "2");
    copy(&lab, &["h1", "a", "d/a", ":there"])
        .exits(64)
        .complains(&["two files of that name"]);
}

#[test]
fn a_file_comes_back_from_each_host() {
    let lab = fleet(2);
    let content = bytes(700_000);
    let file = lab.write("deep/source.bin", &content);
    set_mode(&file, 0o600);
    let ran = copy(&lab, &["all", ":deep/source.bin", "back/"]);
    assert!(
        ran.exits(0).out().contains("── h[1-2] (2 hosts)"),
        "the same digest: {ran:?}"
    );
    for host in ["h1", "h2"] {
        let path = lab.path(&format!("back/{host}/source.bin"));
        assert!(std::fs::read(&path).unwrap() == content);
        assert_eq!(mode(&path), 0o600);
        assert_eq!(names(&lab.path(&format!("back/{host}"))), ["source.bin"]);
    }
    lab.write("empty", "");
    copy(&lab, &["h1", ":empty", "back/"]).exits(0);
    assert_eq!(std::fs::read(lab.path("back/h1/empty")).unwrap(), b"");
}

#[test]
fn what_cannot_be_copied_is_said() {
    let lab = fleet(1);
    lab.write("big", bytes(100_000));
    lab.write("a", "1");
    std::fs::create_dir(lab.path("dir")).unwrap();
    for (args, words) in [
        (&["h1", ":gone", "back"][..], "gone is not there"),
        (&["h1", ":dir", "back"], "is a directory"),
        (&["h1", ":big", "back", "--max-size", "1K"], "--max-size"),
        (&["h1", "a", ":gone/a"], "gone is not a directory"),
    ] {
        let ran = copy(&lab, args);
        assert!(ran.exits(2).out().contains(words), "{words}: {ran:?}");
    }
    for (args, words) in [
        (&["h1", "a", "b"][..], "on the hosts"),
        (&["h1", ":a", ":b"], "here"),
        (&["h1", "a", ":"], "names no place"),
        (&["h1", ":", "a"], "names no file"),
        (&["h1", ":dir/..", "back"], "is no file"),
        (&["h1", ":a", ":b", "c"], "on the hosts"),
        (&["h1", "gone", ":x"], "gone"),
        (&["h1", "dir", ":x"], "not a file"),
        (&["h1", "a", ":~/x"], "no shell reads it"),
        (&["h1", ":~/x", "back"], "no shell reads it"),
    ] {
        copy(&lab, args)
            .exits(64)
            .complains(&[words])
            .prints_nothing();
    }
    assert!(!lab.path("back/h1").exists() || names(&lab.path("back/h1")).is_empty());
}

#[test]
fn a_full_disk_leaves_the_old_file_and_nothing_beside_it() {
    let mut lab = Lab::new();
    // A limit of the file size is what a full disk is to the writer.
    let server = lab.fake(Behaviour::shell("ulimit -f 100; trap '' XFSZ; eval \"$1\""));
    lab.add("h1", server.port, "");
    lab.write("new", bytes(1_000_000));
    lab.write("there/file", "old");
    let ran = copy(&lab, &["h1", "new", ":there/file"]);
    ran.exits(2);
    assert!(ran.out().contains("was not written"), "{ran:?}");
    assert_eq!(std::fs::read(lab.path("there/file")).unwrap(), b"old");
    assert_eq!(names(&lab.path("there")), ["file"]);
}

#[test]
fn a_copy_whose_time_is_over_is_taken_back() {
    let mut lab = Lab::new();
    // It reads what comes as long as anything may come; what it gives takes its time.
    let head = "#!/bin/sh\n[ -f /proc/self/fd/0 ] || exec cat >/dev/null\nsleep 3\nexec /usr/bin/head \"$@\"\n";
    lab.write_program("slow", "head", head);
    let server = lab.fake(Behaviour {
        programs: Some(lab.path("slow")),
        ..Behaviour::default()
    });
    lab.add("h1", server.port, "");
    lab.write("new", bytes(4_000_000));
    lab.write("there/file", "old");
    let json = ["--timeout", "1s", "--format", "json"];
    for (paths, place) in [
        (["new", ":there/file"], "there"),
        ([":new", "back"], "back/h1"),
    ] {
        let args = [&["h1"][..], &paths, &json].concat();
        let ran = copy(&lab, &args);
        let report: serde_json::Value = serde_json::from_slice(&ran.exits(2).stdout).unwrap();
        assert_eq!(
            report["hosts"][0]["outcome"], "ended-by-timeout",
            "{report}"
        );
        assert_eq!(report["hosts"][0]["still_running"], false, "{report}");
        let left: &[&str] = if place == "there" { &["file"] } else { &[] };
        assert_eq!(names(&lab.path(place)), left);
    }
    assert_eq!(std::fs::read(lab.path("there/file")).unwrap(), b"old");
    // What nobody may be told by: a bit that makes whoever runs it somebody else.
    std::fs::set_permissions(lab.path("new"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    copy(&lab, &["h1", "new", ":there/other", "--timeout", "1s"])
        .exits(2)
        .complains(&["set-user-ID"]);
}

#[test]
fn what_was_changed_on_its_way_does_not_take_its_place() {
    let mut lab = Lab::new();
    // A head that adds something.
    lab.write_program(
        "liar",
        "head",
        "#!/bin/sh\n/usr/bin/head \"$@\"\nprintf x\n",
    );
    let server = lab.fake(Behaviour {
        programs: Some(lab.path("liar")),
        ..Behaviour::default()
    });
    lab.add("h1", server.port, "");
    lab.write("new", bytes(10_000));
    lab.write("there/file", "old");
    let ran = copy(&lab, &["h1", "new", ":there/file"]);
    assert!(
        ran.exits(2).out().contains("is not what was sent"),
        "{ran:?}"
    );
    assert_eq!(std::fs::read(lab.path("there/file")).unwrap(), b"old");
    assert_eq!(names(&lab.path("there")), ["file"]);
    let ran = copy(&lab, &["h1", ":new", "back"]);
    ran.exits(2);
    assert!(ran.out().contains("more than it had announced"), "{ran:?}");
    assert!(names(&lab.path("back/h1")).is_empty());
}
