//! Commands that do not end by themselves, and all that they started.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::support::fake::{self, Behaviour};
use crate::support::lab::Lab;
use crate::support::program::{self, Running};
use crate::{fleet, gone, json, there, unique};

/// A command that ignores TERM, with children that hide: in a session of their own, twice forked, in the background
/// with nothing of the environment.
fn stubborn(mark: &str) -> String {
    format!(
        "trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM; sleep {mark}1 & sleep {mark}2' & \
         (setsid sleep {mark}3 >/dev/null 2>&1 &) ; env -i sleep {mark}4 & echo begun; sleep {mark}5; sleep {mark}6"
    )
}

#[test]
fn a_timeout_ends_all_that_it_started() {
    let lab = fleet(2);
    let mark = unique();
    let args = [
        "all",
        "--timeout",
        "1s",
        "--kill-after",
        "1s",
        "--shell",
        "--",
    ];
    let mut all = args.to_vec();
    let line = stubborn(&mark);
    all.push(&line);
    let report = json(&lab, 2, &all);
    for host in report["hosts"].as_array().unwrap() {
        assert_eq!(host["outcome"], "ended-by-timeout", "{host}");
        assert_eq!(host["still_running"], false);
    }
    assert_eq!(report["groups"][0]["stdout"], "begun\n");
    gone(&mark, Duration::ZERO);
}

#[test]
fn a_command_that_obeys_term_has_time_to_clean_up() {
    let lab = fleet(1);
    let line = "trap 'echo cleaned up; exit 9' TERM; echo begun; sleep 60 & wait";
    let report = json(&lab, 2, &["h1", "--timeout", "1s", "--shell", "--", line]);
    assert_eq!(report["hosts"][0]["outcome"], "ended-by-timeout");
    assert_eq!(report["groups"][0]["stdout"], "begun\ncleaned up\n");
}

fn begun(lab: &Lab, mark: &str, more: &[&str]) -> Running {
    let mut args = vec!["run", "all", "--format", "json", "--kill-after", "1s"];
    args.extend(more);
    let line = stubborn(mark);
    args.extend(["--shell", "--", &line]);
    let running = program::start(lab.command(&args));
    there(&format!("sleep {mark}5"), 2);
    running
}

#[test]
fn an_interrupt_ends_all_that_it_started_and_starts_no_more() {
    let lab = fleet(3);
    let mark = unique();
    let running = begun(&lab, &mark, &["--forks", "2"]);
    running.interrupt();
    let ran = running.finish();
    ran.exits(130);
    let report: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(report["interrupted"], true);
    assert_eq!(report["summary"]["ended"], 2, "{report}");
    assert_eq!(report["summary"]["not_tried"], 1, "{report}");
    gone(&mark, Duration::ZERO);
}

#[test]
fn a_second_interrupt_leaves_at_once_and_the_hosts_end_it_by_themselves() {
    let lab = fleet(2);
    let mark = unique();
    // Long enough that only the second one can be the reason to leave.
    let line = stubborn(&mark);
    let args = [
        "run",
        "all",
        "--format",
        "json",
        "--kill-after",
        "20s",
        "--shell",
        "--",
        &line,
    ];
    let mut running = program::start(lab.command(&args));
    there(&format!("sleep {mark}5"), 2);
    running.interrupt();
    assert!(running.outlives(Duration::from_millis(700)));
    running.interrupt();
    let begin = std::time::Instant::now();
    let ran = running.finish();
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
    ran.exits(130);
    let report: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    for host in report["hosts"].as_array().unwrap() {
        assert_eq!(host["outcome"], "interrupted");
        assert_eq!(host["still_running"], true, "nobody has seen its end");
    }
    assert_eq!(
        report["groups"][0]["stdout"], "begun\n",
        "what was printed is kept"
    );
}

#[test]
fn input_on_its_way_does_not_hold_an_end_up() {
    let lab = fleet(1);
    let mark = unique();
    lab.write("input", vec![b'x'; 8 << 20]);
    let line = format!("sleep {mark}");
    let args = [
        "h1",
        "--timeout",
        "1s",
        "--kill-after",
        "1s",
        "--stdin",
        "input",
        "--shell",
        "--",
        &line,
    ];
    let report = json(&lab, 2, &args);
    assert_eq!(report["hosts"][0]["outcome"], "ended-by-timeout");
    assert_eq!(report["hosts"][0]["still_running"], false);
    gone(&mark, Duration::ZERO);
}

#[test]
fn a_script_that_was_sent_may_begin_late() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::shell("sleep 4; exec sh -s"));
    let quick = "timeouts: {auth: 1s, channel: 1s, exec: 1s}";
    lab.add("h1", server.port, quick);
    let args = ["h1", "--retry", "2", "--", "true"];
    let report = json(&lab, 6, &args);
    let host = &report["hosts"][0];
    assert_eq!(host["outcome"], "lost", "{report}");
    assert_eq!(host["still_running"], true);
    assert_eq!(host["tries"], 1, "it may run already: {report}");
    let message = host["error"]["message"].as_str().unwrap();
    assert!(message.contains("began nothing in time"), "{message}");
}

#[test]
fn a_terminal_that_goes_away_ends_it_unless_nohup_said_otherwise() {
    use rustix::process::{Pid, Signal, kill_process};
    let lab = fleet(1);
    for (ignored, code) in [(false, 130), (true, 0)] {
        let mark = unique();
        let line = format!("sleep 3.{mark}");
        let command = lab.command(&["run", "h1", "--", "sh", "-c", &line]);
        let mut shell = std::process::Command::new("/bin/sh");
        let trap = if ignored { "trap '' HUP; " } else { "" };
        shell
            .args(["-c", &format!("{trap}exec \"$@\""), "sh"])
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .current_dir(lab.home());
        for (name, value) in command.get_envs() {
            shell.env(name, value.unwrap());
        }
        let mut child = shell.stdout(std::process::Stdio::null()).spawn().unwrap();
        there(&line, 1);
        kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{ignored}");
        gone(&line, Duration::ZERO);
    }
}

#[test]
fn without_awk_nobody_says_that_all_is_ended() {
    let mut lab = Lab::new();
    lab.write("bin/.keep", "");
    let bin = lab.path("bin");
    for name in ["sh", "cat", "grep", "sleep", "setsid", "head", "tr"] {
        let found = ["/bin", "/usr/bin"].map(|dir| std::path::Path::new(dir).join(name));
        let found = found.iter().find(|path| path.exists()).unwrap();
        std::os::unix::fs::symlink(found, bin.join(name)).unwrap();
    }
    let shell = format!("PATH={}; export PATH; exec sh -s", bin.display());
    let server = lab.fake(Behaviour::shell(shell));
    lab.add("h1", server.port, "");
    let mark = unique();
    let line = format!("sleep 60{mark} & sleep 70{mark}");
    let args = [
        "h1",
        "--timeout",
        "1s",
        "--kill-after",
        "1s",
        "--shell",
        "--",
        &line,
    ];
    let report = json(&lab, 6, &args);
    assert_eq!(
        report["hosts"][0]["outcome"], "ended-by-timeout",
        "{report}"
    );
    assert_eq!(report["hosts"][0]["still_running"], true);
    gone(&mark, Duration::ZERO);
}

/// A way to a server that is cut after some time.
fn cut_after(lab: &Lab, time: Duration) -> u16 {
    let key = fake::new_key();
    let public = key.public_key().clone();
    let port = lab.fake_with_key(Behaviour::default(), key).port;
    let way = lab.raw(move |mut stream| async move {
        let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let carry = tokio::io::copy_bidirectional(&mut stream, &mut server);
        let _ = tokio::time::timeout(time, carry).await;
    });
    lab.trust(way.port, &public);
    way.port
}

#[test]
fn a_lost_connection_leaves_the_host_in_doubt() {
    let mut lab = Lab::new();
    let port = cut_after(&lab, Duration::from_secs(2));
    lab.add("h1", port, "");
    let report = json(&lab, 6, &["h1", "--shell", "--", "echo begun; sleep 8"]);
    assert_eq!(report["hosts"][0]["outcome"], "lost", "{report}");
    assert_eq!(report["hosts"][0]["still_running"], true);
    assert_eq!(report["groups"][0]["stdout"], "begun\n");
    assert_eq!(report["verdict"], "unknown");
    // Nobody knows what it did: it is not done again by itself.
    let retry = [
        "h1",
        "--retry",
        "3",
        "--shell",
        "--",
        "echo >> times; sleep 8",
    ];
    assert_eq!(json(&lab, 6, &retry)["hosts"][0]["tries"], 1);
}
