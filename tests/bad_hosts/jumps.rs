//! Hosts behind jump hosts and proxy commands.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::fake::{Behaviour, Forward};
use crate::support::lab::{Lab, Server};
use crate::support::program;

fn jump_server(lab: &Lab) -> Server {
    lab.fake(Behaviour {
        forward: Forward::Connect,
        ..Behaviour::default()
    })
}

fn behind(jumps: &[u16]) -> String {
    let jumps: Vec<String> = jumps
        .iter()
        .map(|port| format!("tester@127.0.0.1:{port}"))
        .collect();
    format!("ssh: {{jump: [{}]}}", jumps.join(", "))
}

#[test]
fn hosts_behind_a_chain_of_jumps_share_one_connection_to_each() {
    let mut lab = Lab::new();
    let (first, second) = (jump_server(&lab), jump_server(&lab));
    for number in 1..=20 {
        let server = lab.fake(Behaviour::default());
        let settings = behind(&[first.port, second.port]);
        lab.add(&format!("host{number}"), server.port, &settings);
    }
    let checked = lab.check();
    checked.exits(0);
    for name in lab.names() {
        checked.host(&name).is_observed_in_full();
    }
    assert_eq!(first.accepted(), 1);
    assert_eq!(second.accepted(), 1);
}

#[test]
fn a_jump_that_is_down_is_one_failure() {
    let mut lab = Lab::new();
    let port = lab.closed_port();
    for number in 1..=5 {
        lab.add(&format!("host{number}"), 22, &behind(&[port]));
    }
    lab.add_healthy(&["good"]);
    let checked = lab.check();
    checked.exits(3).host("good").is_observed_in_full();
    for number in 1..=5 {
        let host = checked.host(&format!("host{number}"));
        host.is("unreachable")
            .at("tcp")
            .says(&["jump host tester@127.0.0.1", "connection refused"]);
        assert_eq!(host.0["error"]["via"], "127.0.0.1");
    }
    let shown = program::run(lab.command(&["check", "all"]));
    shown.exits(3);
    let out = shown.out();
    assert!(
        out.contains("5 behind jump host 127.0.0.1, which failed"),
        "{out}"
    );
    assert_eq!(out.matches("connection refused").count(), 1, "{out}");
}

#[test]
fn a_jump_with_an_unknown_key_is_refused_before_anything_is_sent_through_it() {
    let mut lab = Lab::new();
    let behaviour = Behaviour {
        forward: Forward::Connect,
        ..Behaviour::default()
    };
    let jump = lab.fake_with_key(behaviour, crate::support::fake::new_key());
    let server = lab.fake(Behaviour::default());
    lab.add("one", server.port, &behind(&[jump.port]));
    let checked = lab.check();
    checked
        .exits(3)
        .host("one")
        .is("host-key-rejected")
        .at("host-key")
        .says(&["jump host", "unknown host key"]);
    assert_eq!(server.accepted(), 0);
}

#[test]
fn a_jump_that_forwards_nothing_says_so() {
    let mut lab = Lab::new();
    let jump = lab.fake(Behaviour::default());
    let server = lab.fake(Behaviour::default());
    lab.add("one", server.port, &behind(&[jump.port]));
    let checked = lab.check();
    checked
        .exits(3)
        .host("one")
        .is("unreachable")
        .at("tcp")
        .says(&["forwards no connection"])
        .hints(&["AllowTcpForwarding"]);
}

#[test]
fn a_host_behind_a_jump_that_is_down_is_that_hosts_failure() {
    let mut lab = Lab::new();
    let jump = jump_server(&lab);
    let port = lab.closed_port();
    lab.add("down", port, &behind(&[jump.port]));
    let server = lab.fake(Behaviour::default());
    lab.add("up", server.port, &behind(&[jump.port]));
    let checked = lab.check();
    checked.exits(3).host("up").is_observed_in_full();
    checked
        .host("down")
        .is("unreachable")
        .at("tcp")
        .says(&["cannot connect to 127.0.0.1"]);
    assert!(checked.host("down").0["error"]["via"].is_null());
}

/// Refuses the first connections as sshd does that has too many not logged in yet.
fn busy_at_first(lab: &Lab, refusals: usize) -> Server {
    let behind = lab.fake(Behaviour::default());
    let left = std::sync::atomic::AtomicUsize::new(refusals);
    // The key of the server behind is the one that is shown here.
    let server = lab.raw(move |mut stream| {
        use std::sync::atomic::Ordering::SeqCst;
        let refuse = left
            .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
            .is_ok();
        let port = behind.port;
        async move {
            if refuse {
                stream.write_all(b"Exceeded MaxStartups\r\n").await.unwrap();
                stream.shutdown().await.unwrap();
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
                return;
            }
            let mut onward = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
        }
    });
    let known = std::fs::read_to_string(lab.path("known_hosts")).unwrap();
    let line = known.lines().last().unwrap();
    let key = line.split_once(' ').unwrap().1;
    lab.write(
        "known_hosts",
        format!("{known}[127.0.0.1]:{} {key}\n", server.port),
    );
    server
}

#[test]
fn a_server_that_has_too_many_logins_in_flight_is_asked_again() {
    let mut lab = Lab::new();
    let server = busy_at_first(&lab, 3);
    lab.add("one", server.port, "");
    let checked = lab.check();
    checked.exits(0).host("one").is_observed_in_full();
    assert_eq!(server.accepted(), 4);
}

#[test]
fn a_server_that_always_has_too_many_is_told_by_its_remedy() {
    let mut lab = Lab::new();
    let server = busy_at_first(&lab, 1000);
    lab.add("one", server.port, "");
    let checked = lab.check();
    checked
        .exits(3)
        .host("one")
        .is("unreachable")
        .says(&["too many are not logged in"])
        .hints(&["MaxStartups"]);
    assert_eq!(server.accepted(), 6);
}
