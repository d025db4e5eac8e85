//! Ports that answer with more, with less, or with something else than any gateway would.

use std::time::Duration;

use crate::http::{READY_6_10, check, http, start};
use crate::support::lab::Lab;
use crate::support::web::{Answer, Socket, Web};

/// A gateway's answer may take a second here, twice where it is asked again.
const QUICK: &str = ", thresholds: {http_timeout: 1s}";
const LIMIT: Duration = Duration::from_secs(9);
const MIB: u64 = 64;

fn raw(text: &str) -> Answer {
    Answer::Raw(text.as_bytes().to_vec())
}

fn endless(begin: &str, more: &str, times: usize) -> Answer {
    Answer::Endless(begin.as_bytes().to_vec(), more.repeat(times).into_bytes())
}

/// The bodies that no end bounds.
fn floods() -> Vec<Answer> {
    vec![
        endless("HTTP/1.1 200 OK\r\n\r\n", "x", 16 << 10),
        endless(
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n",
            "[",
            16 << 10,
        ),
        endless(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "1\r\nx\r\n",
            1000,
        ),
        endless("HTTP/1.1 200 OK\r\n", "X-More: and more\r\n", 1000),
        endless("HTTP/1.1 200 OK\r\nX-Long: ", "x", 16 << 10),
        endless("", "HTTP/1.1 100 Continue\r\n\r\n", 1000),
    ]
}

#[test]
fn a_health_path_without_an_end_is_cut() {
    for (number, flood) in floods().into_iter().enumerate() {
        let mut lab = Lab::new();
        let server = start(&lab, &Web::new().with("/healthz", flood));
        let checked = check(&mut lab, &server, "", QUICK);
        checked.within(LIMIT).holds_at_most_mib(MIB);
        let http = http(&checked);
        assert_ne!(http["is_gateway"], true, "{number} {http:#}");
    }
}

#[test]
fn readiness_without_an_end_leaves_the_health_as_it_is() {
    let odd = [
        raw(""),
        raw("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"ready\":tr"),
        raw("\u{16}\u{3}\u{1}"),
        raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 7\r\n\r\ntrue"),
        Answer::Body(200, "[".repeat(60_000)),
        Answer::Body(200, "{\"ready\":\"\u{1b}[2J\"}".to_owned()),
        Answer::HangUp,
        Answer::Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec()),
    ];
    for (number, answer) in odd.into_iter().chain(floods()).enumerate() {
        let mut lab = Lab::new();
        let server = start(&lab, &Web::gateway("").with("/readyz", answer));
        let checked = check(&mut lab, &server, "", QUICK);
        checked.within(LIMIT).holds_at_most_mib(MIB);
        let http = http(&checked);
        assert_eq!(http["is_gateway"], true, "{number} {http:#}");
        assert!(http.get("ready").is_none(), "{number} {http:#}");
    }
}

#[test]
fn a_page_without_an_end_names_no_version() {
    let ready = READY_6_10.replace("\"reasons\"", "\"degradedSinceMs\":1,\"reasons\"");
    for (number, flood) in floods().into_iter().enumerate() {
        let mut lab = Lab::new();
        let server = start(&lab, &Web::gateway(&ready).with("/", flood));
        let checked = check(&mut lab, &server, "", QUICK);
        checked.within(LIMIT).holds_at_most_mib(MIB);
        let http = http(&checked);
        assert_eq!(http["ready"], true, "{number} {http:#}");
        assert!(http.get("version").is_none(), "{number} {http:#}");
    }
}

/// A text frame's head that promises so much.
fn promise(length: u64) -> Vec<u8> {
    let mut frame = vec![0x81, 127];
    frame.extend_from_slice(&length.to_be_bytes());
    frame
}

#[test]
fn a_websocket_that_means_no_good_is_no_gateway() {
    let mut many = Vec::new();
    for _ in 0..1000 {
        many.extend_from_slice(b"\x81\x02hi");
    }
    let odd = [
        Answer::Raw(promise(u64::MAX)),
        Answer::Raw(promise(1 << 62)),
        Answer::Raw(promise(300 << 10)),
        Answer::Endless(promise(200 << 10), vec![b'x'; 1000]),
        Answer::Endless(Vec::new(), many.clone()),
        // Pings, and pieces of a message that never ends.
        Answer::Endless(Vec::new(), b"\x89\x00".repeat(1000)),
        Answer::Endless(b"\x01\x01x".to_vec(), b"\x00\x01x".repeat(1000)),
        Answer::Drip([b"\x81\x7e\x10\x00".as_slice(), &[b'x'; 200]].concat()),
        Answer::Raw(b"\x81\x05hello".to_vec()),
        Answer::Raw(b"\x81\x02\xff\xfe".to_vec()),
        Answer::Raw(b"\xff\xff\xff\xff".to_vec()),
        Answer::Raw(b"\x88\x00".to_vec()),
        Answer::Raw(Vec::new()),
        Answer::HangUp,
    ];
    for (number, answer) in odd.into_iter().enumerate() {
        let mut lab = Lab::new();
        let server = start(&lab, &Web::new().socket(Socket::Answer(answer)));
        let checked = check(&mut lab, &server, "", QUICK);
        checked.within(LIMIT).holds_at_most_mib(MIB);
        let http = http(&checked);
        assert_eq!(http["status"], 404, "{number} {http:#}");
        assert_eq!(http["is_gateway"], false, "{number} {http:#}");
        assert_eq!(http["websocket"]["challenge"], false, "{number} {http:#}");
    }
}

#[test]
fn what_is_neither_http_nor_tls_is_broken_as_it_was() {
    let odd = [
        // An alert, a greeting of TLS without an end, another protocol, and nothing at all.
        b"\x15\x03\x01\x00\x02\x02\x46".to_vec(),
        b"\x16\x03\x03\xff\xff\x02\x00".to_vec(),
        b"220 mail.example ESMTP \x1b[2J\r\n".to_vec(),
        Vec::new(),
    ];
    for (number, bytes) in odd.into_iter().enumerate() {
        let mut lab = Lab::new();
        let server = lab.raw(move |mut stream| {
            let bytes = bytes.clone();
            async move {
                use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                let mut first = [0; 1024];
                let _ = stream.read(&mut first).await;
                let _ = stream.write_all(&bytes).await;
            }
        });
        let checked = check(&mut lab, &server, "", QUICK);
        checked.within(LIMIT).holds_at_most_mib(MIB);
        let http = http(&checked);
        let error = http["error"].as_str().unwrap();
        assert!(error.starts_with("broken: "), "{number} {error}");
        assert!(!error.contains("TLS"), "{number} {error}");
        assert_eq!(http["tls"], false);
    }
}

#[test]
fn a_gateway_that_stalls_in_the_handshake_of_tls_costs_its_deadline() {
    let mut lab = Lab::new();
    let server = lab.raw(|mut stream| async move {
        use tokio::io::AsyncReadExt as _;
        let mut bytes = [0; 4096];
        while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    });
    let checked = check(&mut lab, &server, ", tls: on", QUICK);
    checked.within(LIMIT);
    let error = http(&checked)["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("no answer within"), "{error}");
}
