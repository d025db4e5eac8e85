//! Who is told of what changed, by a channel: once, and until it arrives.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{Fleet, WATCH, with};
use crate::support::lab::Lab;
use crate::support::program;

/// A receiver of alerts.
#[derive(Clone)]
struct Hub {
    port: u16,
    /// What it answers; 0 is nothing at all.
    status: Arc<Mutex<u16>>,
    got: Arc<Mutex<Vec<Value>>>,
}

impl Hub {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let hub = Self {
            port: listener.local_addr().unwrap().port(),
            status: Arc::new(Mutex::new(200)),
            got: Arc::default(),
        };
        let ours = hub.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let ours = ours.clone();
                thread::spawn(move || ours.serve(stream.unwrap()));
            }
        });
        hub
    }

    fn serve(&self, mut stream: std::net::TcpStream) {
        use std::io::{BufRead as _, Read as _};
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) <= 2 {
                break;
            }
            if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = number.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        if length == 0 || reader.read_exact(&mut body).is_err() {
            return;
        }
        self.got
            .lock()
            .unwrap()
            .push(serde_json::from_slice(&body).unwrap());
        let status = *self.status.lock().unwrap();
        if status == 0 {
            thread::sleep(Duration::from_secs(60));
            return;
        }
        let _ = write!(
            stream,
            "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
    }

    fn answer(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    /// What came since it was asked last.
    fn came(&self) -> Vec<Value> {
        std::mem::take(&mut *self.got.lock().unwrap())
    }

    fn section(&self, more: &str) -> String {
        format!(
            "fleet: claws\nnotify:\n  hub: {{type: webhook, url: \"http://127.0.0.1:{}/alerts\"{more}}}\n",
            self.port
        )
    }
}

fn told() -> (Fleet, Hub) {
    let hub = Hub::start();
    let mut fleet = Fleet::new();
    fleet.lab.sections = hub.section("");
    (fleet, hub)
}

#[test]
fn one_message_for_what_began_and_one_for_its_end() {
    let (fleet, hub) = told();
    let first = fleet.run(false, &WATCH);
    first.exits(3);
    assert_eq!(first.stderr, "");
    let came = hub.came();
    let [alert] = came.as_slice() else {
        panic!("{came:?}");
    };
    assert_eq!(alert["schema"], "clawfleet.alert/1");
    assert_eq!(alert["fleet"], "claws");
    assert_eq!(alert["run"], "1");
    assert_eq!(alert["summary"]["not_observed"], 1);
    let incident = &alert["incidents"][0];
    assert_eq!(incident["kind"], "not-observed");
    assert_eq!(
        (&incident["class"], &incident["hosts"]),
        (&"not-observed".into(), &"bad".into())
    );
    assert_eq!(incident["look"], "clawfleet check bad");
    assert_eq!(alert["incidents"].as_array().unwrap().len(), 1);
    // A run by hand tells nobody, and nothing is told twice.
    fleet.run(false, &WATCH).exits(3).prints_nothing();
    fleet.run(false, &["check"]).exits(3);
    fleet.run(true, &["check"]).exits(0);
    assert_eq!(hub.came(), Vec::<Value>::new());
    fleet.run(true, &WATCH).exits(0);
    let came = hub.came();
    let incident = &came[0]["incidents"][0];
    assert_eq!((came.len(), &incident["kind"]), (1, &"recovered".into()));
    assert_eq!(
        incident["severity"], "unknown",
        "as bad as it was told to be"
    );
    // They are told to the second.
    assert!(incident["since"].as_str() <= incident["until"].as_str());
    assert_eq!(came[0]["summary"]["ok"], 2);
}

#[test]
fn hosts_with_the_same_trouble_are_one_incident_and_joiners_name_the_others() {
    let hub = Hub::start();
    let mut lab = Lab::new();
    lab.sections = hub.section("");
    let ports: Vec<u16> = (1..=3).map(|_| lab.closed_port()).collect();
    for (number, port) in (1..).zip(&ports) {
        lab.add(&format!("bad{number}"), *port, "");
    }
    program::run(lab.command(&["check", "bad[1-2]", "--on-change"])).exits(3);
    let came = hub.came();
    assert_eq!(came.len(), 1);
    assert_eq!(
        came[0]["incidents"].as_array().unwrap().len(),
        1,
        "{came:?}"
    );
    let incident = &came[0]["incidents"][0];
    assert_eq!(
        (&incident["hosts"], &incident["host_count"]),
        (&"bad[1-2]".into(), &2.into())
    );
    assert_eq!(
        incident["evidence"],
        serde_json::json!(["tcp: connection refused"])
    );
    program::run(lab.command(&WATCH)).exits(3);
    let came = hub.came();
    let incident = &came[0]["incidents"][0];
    assert_eq!(
        (&incident["hosts"], &incident["remaining"]),
        (&"bad3".into(), &"bad[1-2]".into())
    );
}

#[test]
fn a_message_waits_for_its_receiver_and_is_told_of_once() {
    let (fleet, hub) = told();
    hub.answer(503);
    let args = with(&["--deadline", "12s"]);
    let first = fleet.run(false, &args);
    first
        .exits(3)
        .complains(&["channel hub: not delivered yet", "503"]);
    let tried = hub.came();
    assert!(!tried.is_empty());
    let again = fleet.run(false, &args);
    again.exits(3).prints_nothing();
    assert_eq!(again.stderr, "", "cron mails every word");
    hub.came();
    hub.answer(200);
    // It waits for its pause first, which is not more than half a minute by now.
    for _ in 0..8 {
        let later = fleet.run(false, &with(&["--deadline", "20s"]));
        later.exits(3).prints_nothing();
        let came = hub.came();
        if let [alert] = came.as_slice() {
            assert_eq!(alert["id"], tried[0]["id"], "the same message");
            fleet.run(false, &args).exits(3);
            assert_eq!(hub.came(), Vec::<Value>::new());
            return;
        }
        assert!(came.is_empty(), "{came:?}");
        thread::sleep(Duration::from_secs(5));
    }
    panic!("it never came");
}

#[test]
fn a_run_that_is_killed_while_it_sends_loses_no_message() {
    let (fleet, hub) = told();
    hub.answer(0);
    let mut child = fleet
        .command(false, &WATCH)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begin = std::time::Instant::now();
    while hub.got.lock().unwrap().is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let tried = hub.came();
    hub.answer(200);
    fleet.run(false, &WATCH).exits(3).prints_nothing();
    let came = hub.came();
    assert_eq!(came.len(), 1);
    assert_eq!(came[0]["id"], tried[0]["id"]);
    fleet.run(false, &WATCH).exits(3);
    assert_eq!(hub.came(), Vec::<Value>::new());
}

#[test]
fn without_a_history_it_is_told_at_every_run() {
    let (fleet, hub) = told();
    fleet.run(false, &WATCH).exits(3);
    hub.came();
    std::fs::write(fleet.database(), "no database ".repeat(999)).unwrap();
    for _ in 0..2 {
        fleet
            .run(false, &WATCH)
            .exits(3)
            .complains(&["all of it is told"]);
        let came = hub.came();
        assert_eq!(
            (came.len(), &came[0]["incidents"][0]["kind"]),
            (1, &"not-observed".into())
        );
    }
}

#[test]
fn a_secret_that_is_missing_is_told_of_before_anybody_is_asked() {
    let hub = Hub::start();
    let mut fleet = Fleet::new();
    fleet.lab.sections = hub.section(", secret: {env: NO_SUCH_SECRET_HERE}");
    let ran = fleet.run(true, &WATCH);
    ran.exits(78)
        .complains(&["hub", "NO_SUCH_SECRET_HERE", "inventory.yaml:"])
        .prints_nothing();
    fleet.run(true, &["check"]).exits(0);
    assert_eq!(hub.came(), Vec::<Value>::new());
}
