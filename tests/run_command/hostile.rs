//! Hosts that mean harm while a command runs there, or a file comes from there.

use std::time::Duration;

use crate::support::fake::Behaviour;
use crate::support::lab::Lab;
use crate::support::program;

/// A host that reads the script, and answers by one of its own. `$n` is the mark that the script has.
fn liar(lab: &mut Lab, answer: &str) {
    let script = format!("IFS= read -r line; n=${{line#*\\'}}; n=${{n%\\'*}}; {answer}");
    let server = lab.fake(Behaviour::shell(script));
    lab.add("liar", server.port, "");
}

/// Whatever the host does, nothing is kept but what it had to give, and nothing outside of its place.
fn fetched(answer: &str) -> (Lab, program::Finished) {
    let mut lab = Lab::new();
    liar(&mut lab, answer);
    lab.write("precious", "mine");
    let ran = program::run(lab.command(&[
        "copy",
        "liar",
        ":/etc/motd",
        "back/",
        "--max-size",
        "1M",
        "--timeout",
        "4s",
    ]));
    assert_eq!(std::fs::read(lab.path("precious")).unwrap(), b"mine");
    assert!(ran.peak_kib < 120 << 10, "{} KiB", ran.peak_kib);
    let left: Vec<_> = std::fs::read_dir(lab.path("back/liar"))
        .map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect())
        .unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
    (lab, ran)
}

#[test]
fn a_file_that_never_ends() {
    let (_, ran) = fetched("echo \"@$n go 5 -rw-r--r--\"; echo \"@$n go\" >&2; exec cat /dev/zero");
    assert!(
        ran.exits(2).out().contains("more than it had announced"),
        "{ran:?}"
    );
    assert!(ran.elapsed < Duration::from_secs(15));
}

#[test]
fn a_file_that_is_too_large_or_has_no_size() {
    for size in [
        "2000000",
        "99999999999999999999999",
        "-1",
        "../../precious",
        "",
    ] {
        let answer =
            format!("echo \"@$n go {size} -rw-r--r--\"; echo \"@$n go\" >&2; exec cat /dev/zero");
        let (_, ran) = fetched(&answer);
        ran.exits(2);
        assert!(ran.elapsed < Duration::from_secs(15));
    }
}

#[test]
fn a_file_with_another_digest_or_a_short_one() {
    for (answer, words) in [
        (
            "printf abc; printf '\\n@%s end done %s\\n' $n 00 >&2",
            "not what the host has",
        ),
        (
            "printf ab; printf '\\n@%s end done %s\\n' $n 00 >&2",
            "2 bytes came of 3",
        ),
        (
            "printf abc; printf '\\n@%s end well ../x\\n' $n >&2",
            "means nothing here",
        ),
    ] {
        let answer = format!("echo \"@$n go 3 -rwsrwxrwx\"; echo \"@$n go\" >&2; {answer}");
        let (_, ran) = fetched(&answer);
        assert!(ran.exits(2).out().contains(words), "{words}: {ran:?}");
    }
}

#[test]
fn errors_without_end_and_silence() {
    let (_, ran) = fetched("exec cat /dev/zero >&2");
    assert!(matches!(ran.code, Some(2 | 3 | 6)), "{ran:?}");
    let (_, ran) =
        fetched("echo \"@$n go 3 -rw-r--r--\"; echo \"@$n go\" >&2; exec cat /dev/zero >&2");
    assert!(matches!(ran.code, Some(2 | 3 | 6)), "{ran:?}");
    let (_, ran) = fetched("echo \"@$n go 3 -rw-r--r--\"; echo \"@$n go\" >&2; exec sleep 60");
    assert!(matches!(ran.code, Some(2 | 3 | 6)), "{ran:?}");
    assert!(ran.elapsed < Duration::from_secs(30), "{:?}", ran.elapsed);
}

#[test]
fn a_command_whose_host_lies_about_its_end() {
    for (answer, outcome) in [
        ("printf '\\n@%s end exit 99999999999999\\n' $n >&2", "lost"),
        ("printf '\\n@%s end \\033[2J x\\n' $n >&2", "lost"),
        (
            "printf '\\n@%s end exit 0\\n' $n >&2; printf '\\n@%s end exit 1\\n' $n >&2",
            "exited",
        ),
    ] {
        let mut lab = Lab::new();
        liar(
            &mut lab,
            &format!("echo \"@$n go\"; echo \"@$n go\" >&2; {answer}"),
        );
        let ran = program::run(lab.command(&["run", "liar", "--format", "json", "--", "true"]));
        let report: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(report["hosts"][0]["outcome"], outcome, "{answer}: {report}");
        let out = String::from_utf8(ran.stdout).unwrap();
        assert!(!out.contains('\u{1b}'), "{out:?}");
    }
}

#[test]
fn a_mark_that_is_never_whole_fills_no_memory() {
    let mut lab = Lab::new();
    liar(&mut lab, "printf '@%s go' $n >&2; exec cat /dev/zero >&2");
    let ran = program::run(lab.command(&["run", "liar", "--max-output", "2M", "--", "true"]));
    assert!(ran.peak_kib < 120 << 10, "{} KiB", ran.peak_kib);
    assert!(matches!(ran.code, Some(2 | 3 | 6)), "{ran:?}");
}
