//! The heartbeat of `check`: what a watchdog hears when, and that nothing it does is felt by the check.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::receiver::{Answer, Receiver, Request, answer};
use crate::support::lab::Lab;
use crate::support::program::{self, Finished};

/// What would be a secret in an address.
const SECRET: &str = "0b9e4e4a-1ff9-4b2d-8c6b-5e7d0f6c2a11";

/// Runs the program on a lab with a host that is up, and one that is not where it is said so; off the thread that the
/// receivers live on.
async fn check(has_gone: bool, args: &[&str], env: &[(&str, &str)], tail: &str) -> Finished {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let own = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
    let env: Vec<(String, String)> = env.iter().map(own).collect();
    let tail = tail.to_owned();
    let work = move || {
        let lab = lab(has_gone);
        program::run(command(&lab, &args, &env, &tail))
    };
    let run = tokio::task::spawn_blocking(work).await.unwrap();
    assert!(!run.stderr.contains(SECRET), "{}", run.stderr);
    assert!(!run.out().contains(SECRET));
    run
}

fn lab(has_gone: bool) -> Lab {
    let mut lab = Lab::new();
    // The hosts are this machine, however full its disk is.
    lab.defaults = "  thresholds: {disk_free_percent: 0}\n".to_owned();
    lab.add_healthy(&["good"]);
    if has_gone {
        let port = lab.closed_port();
        lab.add("gone", port, "");
    }
    lab
}

fn command(lab: &Lab, args: &[String], env: &[(String, String)], tail: &str) -> Command {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command = lab.command(&words);
    let path = lab.path("inventory.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}{tail}")).unwrap();
    command.envs(env.iter().cloned());
    command
}

/// Paths without the run, and the run of each.
fn told(receiver: &Receiver) -> (Vec<String>, Vec<String>) {
    let split = |request: &Request| {
        assert!(request.line.starts_with("POST "), "{}", request.line);
        let (path, run) = request.target().split_once("?rid=").unwrap();
        (path.to_owned(), run.to_owned())
    };
    receiver.requests().iter().map(split).unzip()
}

#[tokio::test]
async fn a_run_is_told_at_its_begin_and_at_its_end() {
    let receiver = Receiver::always(answer(200, "", "OK")).await;
    let url = receiver.url(&format!("/{SECRET}"));
    let run = check(false, &["check", "--heartbeat", &url], &[], "").await;
    run.exits(0);
    assert_eq!(run.stderr, "");
    let (paths, runs) = told(&receiver);
    assert_eq!(paths, [format!("/{SECRET}/start"), format!("/{SECRET}")]);
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0].len(), 36);
    let requests = receiver.requests();
    assert_eq!(requests[0].body, "");
    let body = &requests[1].body;
    assert!(body.contains("1 host ok"), "{body}");
    assert!(body.contains("\nexit code 0, begun 2"), "{body}");
    assert_eq!(
        requests[1].header("content-type"),
        "text/plain; charset=utf-8"
    );
}

#[tokio::test]
async fn findings_are_a_failure_where_it_is_said() {
    for (on, end) in [
        (None, ""),
        (Some("critical"), ""),
        (Some("not-observed"), "/3"),
        (Some("warning"), "/3"),
    ] {
        let receiver = Receiver::always(answer(200, "", "OK")).await;
        let url = receiver.url("/x");
        let mut args = vec!["check", "--on-change", "--heartbeat", &url];
        args.extend(on.into_iter().flat_map(|on| ["--heartbeat-fail-on", on]));
        let run = check(true, &args, &[], "").await;
        run.exits(3);
        let (paths, _) = told(&receiver);
        assert_eq!(paths, ["/x/start".to_owned(), format!("/x{end}")], "{on:?}");
        let body = receiver.requests()[1].body.clone();
        assert!(
            body.contains("NOT OBSERVED") && body.contains("exit code 3"),
            "{body}"
        );
        assert!(body.contains("gone"), "{body}");
    }
}

#[tokio::test]
async fn the_inventory_says_where_for_runs_from_cron_alone() {
    let receiver = Receiver::tls("right", answer(200, "", "OK")).await;
    let url = format!("https://localhost:{}/{SECRET}", receiver.port);
    let env = [("BEAT", url.as_str())];
    let tail = format!(
        "heartbeat: {{env: BEAT, ca_file: {}, fail_on: not-observed}}\n",
        crate::file("ca.pem").display()
    );
    check(true, &["check"], &env, &tail).await.exits(3);
    check(
        true,
        &["check", "--on-change", "--heartbeat", "none"],
        &env,
        &tail,
    )
    .await
    .exits(3);
    assert!(receiver.requests().is_empty());
    let run = check(true, &["check", "--on-change"], &env, &tail).await;
    run.exits(3);
    assert_eq!(run.stderr, "");
    let (paths, _) = told(&receiver);
    assert_eq!(paths, [format!("/{SECRET}/start"), format!("/{SECRET}/3")]);
    // Whom nobody vouches for is told nothing.
    let run = check(
        true,
        &["check", "--on-change"],
        &env,
        "heartbeat: {env: BEAT}\n",
    )
    .await;
    run.exits(3).complains(&[
        "https://localhost:",
        "TLS with localhost",
        "the check itself is as it is",
    ]);
    assert_eq!(receiver.requests().len(), 2);
    // A secret that is not there, or is none.
    let run = check(true, &["check", "--on-change"], &[], &tail).await;
    run.exits(3)
        .complains(&["there is no heartbeat", "BEAT is not set"]);
    let bad = [("BEAT", "hc.example/0b9e4e4a-1ff9-4b2d-8c6b-5e7d0f6c2a11")];
    let run = check(true, &["check", "--on-change"], &bad, &tail).await;
    run.exits(3)
        .complains(&["there is no heartbeat", "does not begin with https://"]);
    let odd = format!("hc.example/{SECRET}");
    let run = check(false, &["check", "--heartbeat", &odd], &[], "").await;
    run.exits(64).complains(&[
        "--heartbeat: what is given is no address",
        "may be a secret",
    ]);
}

#[tokio::test]
async fn it_goes_by_the_proxy_of_the_environment() {
    let proxy = Receiver::always(answer(200, "", "OK")).await;
    let env = [("http_proxy", proxy.url("")), ("no_proxy", String::new())];
    let env: Vec<(&str, &str)> = env
        .iter()
        .map(|(name, url)| (*name, url.as_str()))
        .collect();
    let url = "http://watch.example/x";
    let run = check(true, &["check", "--heartbeat", url], &env, "").await;
    run.exits(3);
    let (paths, _) = told(&proxy);
    assert_eq!(paths, [format!("{url}/start"), url.to_owned()]);
    // From a source, what is not encrypted needs the inventory's word.
    let env = [("BEAT", url), ("http_proxy", env[0].1)];
    let args = ["check", "--heartbeat", "env:BEAT"];
    let run = check(true, &args, &env, "").await;
    run.exits(3)
        .complains(&["there is no heartbeat", "plaintext: true"]);
    assert_eq!(proxy.requests().len(), 2);
}

#[tokio::test]
async fn a_watchdog_in_trouble_is_tried_twice_and_changes_nothing() {
    // What it answers, how often it is asked, and what is said.
    let cases = [
        (answer(500, "", "no"), 4, "it answered 500"),
        (answer(429, "", "no"), 4, "it answered 429"),
        (
            answer(404, "", "not found"),
            2,
            "it does not know this address",
        ),
        (
            answer(200, "", "OK (not found)"),
            2,
            "it does not know this address",
        ),
        (
            answer(302, "Location: https://elsewhere.example/x\r\n", ""),
            2,
            "leads to https://elsewhere.example/",
        ),
        (Answer::Raw("no HTTP at all\r\n\r\n".into()), 4, "HTTP"),
    ];
    for (what, asked, words) in cases {
        let receiver = Receiver::always(what).await;
        let url = receiver.url(&format!("/{SECRET}"));
        let run = check(true, &["check", "--heartbeat", &url], &[], "").await;
        run.exits(3)
            .complains(&["did not hear that this run ended", words]);
        // The news of the begin may be left for the news of the end.
        let number = receiver.requests().len();
        assert!((asked - 1..=asked).contains(&number), "{words}: {number}");
    }
    let gone = Receiver::always(answer(200, "", "")).await.port;
    let closed = {
        // Bound and let go: nobody listens there.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    assert_ne!(gone, closed);
    let url = format!("http://127.0.0.1:{closed}/{SECRET}");
    let run = check(false, &["check", "--heartbeat", &url], &[], "").await;
    run.exits(0)
        .complains(&["did not hear that this run ended", "refused"]);
    assert!(run.elapsed < Duration::from_secs(12), "{:?}", run.elapsed);
}

#[tokio::test]
async fn a_watchdog_that_says_nothing_is_not_waited_for_long() {
    let receiver = Receiver::always(Answer::Hang).await;
    let url = receiver.url("/x");
    let begin = Instant::now();
    let run = check(false, &["check", "--heartbeat", &url], &[], "").await;
    run.exits(0).complains(&[
        "did not hear that this run began",
        "did not hear that this run ended: no answer within 10 s",
    ]);
    assert!(run.out().contains("ok"));
    // Two seconds for the begin, ten for each try of the end, and one between them.
    assert!(
        begin.elapsed() < Duration::from_secs(35),
        "{:?}",
        begin.elapsed()
    );
}

/// Starts a run on a host that takes the connection and says nothing.
fn stuck(url: &str) -> (Lab, crate::support::lab::Server, std::process::Child) {
    let mut lab = lab(false);
    let server = lab.raw(|stream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    });
    lab.add("silent", server.port, "");
    let words = ["check", "--on-change", "--heartbeat", url].map(str::to_owned);
    let mut command = command(&lab, &words, &[], "");
    let child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    server.wait_accepted(1);
    (lab, server, child)
}

#[tokio::test]
async fn a_run_that_is_stopped_says_nothing_more() {
    for signal in [rustix::process::Signal::KILL, rustix::process::Signal::TERM] {
        let receiver = Receiver::always(answer(200, "", "OK")).await;
        let url = receiver.url("/x");
        let requests = std::sync::Arc::clone(&receiver.requests);
        let status = tokio::task::spawn_blocking(move || {
            let (_lab, _server, mut child) = stuck(&url);
            let begin = Instant::now();
            while requests.lock().unwrap().is_empty() {
                assert!(begin.elapsed() < Duration::from_secs(20), "it never began");
                std::thread::sleep(Duration::from_millis(20));
            }
            let pid = rustix::process::Pid::from_child(&child);
            // The first one drains, the second one leaves.
            for _ in 0..2 {
                let _ = rustix::process::kill_process(pid, signal);
                std::thread::sleep(Duration::from_millis(400));
            }
            child.wait().unwrap()
        });
        let status = status.await.unwrap();
        assert!(!status.success(), "{status}");
        assert_eq!(told(&receiver).0, ["/x/start"], "{signal:?}");
    }
}

#[tokio::test]
async fn who_does_not_get_the_lock_says_nothing() {
    let (first, second) = (
        Receiver::always(answer(200, "", "OK")).await,
        Receiver::always(answer(200, "", "OK")).await,
    );
    let (one, other) = (first.url("/one"), second.url("/other"));
    let run = tokio::task::spawn_blocking(move || {
        let (lab, _server, mut child) = stuck(&one);
        let run = program::run(lab.command(&["check", "--on-change", "--heartbeat", &other]));
        child.kill().unwrap();
        child.wait().unwrap();
        run
    });
    run.await.unwrap().exits(75);
    assert!(second.requests().is_empty());
    assert_eq!(told(&first).0, ["/one/start"]);
}
