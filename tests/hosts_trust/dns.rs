//! SSHFP records, from a DNS server of the test.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use russh::keys::{HashAlg, PrivateKey};

use crate::support::fake::{self, Behaviour};
use crate::support::lab::Lab;
use crate::{known_hosts, trust};

/// What the server answers: its flags, and records of algorithm, type and digest.
struct Zone {
    flags: u16,
    records: Vec<(u8, u8, Vec<u8>)>,
}

const ANSWER: u16 = 0x8180;
const AUTHENTIC: u16 = 0x0020;
const SERVFAIL: u16 = 2;
const TRUNCATED: u16 = 0x0200;

/// A DNS server that ends with the test.
struct Dns {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves one answer over TCP where a truncated one came over UDP.
fn serve_tcp(listener: &TcpListener, zone: &Zone) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut question).unwrap();
    let answer = answer(&question, zone);
    let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], &answer].concat()).unwrap();
}

fn serve(zone: Zone) -> Dns {
    serve_on(UdpSocket::bind("127.0.0.1:0").unwrap(), zone)
}

fn serve_on(socket: UdpSocket, zone: Zone) -> Dns {
    socket
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let port = socket.local_addr().unwrap().port();
    let stop = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let mut question = [0; 512];
        while !ended.load(Ordering::SeqCst) {
            let Ok((length, from)) = socket.recv_from(&mut question) else {
                continue;
            };
            let question = &question[..length];
            // Somebody who guesses is not believed: wrong id first.
            let mut forged = answer(question, &zone);
            forged[0] ^= 0xff;
            socket.send_to(&forged, from).unwrap();
            socket.send_to(&answer(question, &zone), from).unwrap();
        }
    });
    Dns {
        port,
        stop,
        thread: Some(thread),
    }
}

fn answer(question: &[u8], zone: &Zone) -> Vec<u8> {
    // Its last 11 bytes are the record that extends it.
    let mut message = question[..question.len() - 11].to_vec();
    message[2..4].copy_from_slice(&(ANSWER | zone.flags).to_be_bytes());
    let records = u16::try_from(zone.records.len()).unwrap();
    message[6..8].copy_from_slice(&records.to_be_bytes());
    message[10..12].copy_from_slice(&[0, 0]);
    for (algorithm, kind, digest) in &zone.records {
        let length = u16::try_from(digest.len() + 2).unwrap();
        message.extend([0xc0, 12, 0, 44, 0, 1, 0, 0, 1, 0]);
        message.extend(length.to_be_bytes());
        message.extend([*algorithm, *kind]);
        message.extend(digest);
    }
    message
}

fn sha256(key: &PrivateKey) -> Vec<u8> {
    let print = key.public_key().fingerprint(HashAlg::Sha256);
    print.as_bytes().to_vec()
}

fn sha1(key: &PrivateKey) -> Vec<u8> {
    use sha1::Digest as _;
    sha1::Sha1::digest(key.public_key().to_bytes().unwrap()).to_vec()
}

/// A lab with one new host, which has a name that DNS can be asked for.
fn new_host() -> (Lab, PrivateKey) {
    let mut lab = Lab::new();
    let key = fake::new_key();
    let server = lab.fake_with_key(Behaviour::default(), key.clone());
    lab.add_at("VM1", "localhost", server.port, "");
    (lab, key)
}

fn resolv_conf(lab: &Lab, dns: &Dns, options: &str) -> PathBuf {
    let text = format!(
        "nameserver 127.0.0.1:{}\noptions timeout:1 {options}\n",
        dns.port
    );
    lab.write("resolv.conf", text)
}

fn ask(lab: &Lab, zone: Zone, options: &str, more: &[&str]) -> crate::support::program::Finished {
    let dns = serve(zone);
    let file = resolv_conf(lab, &dns, options);
    let args = [
        &["--dns", "--resolv-conf", file.to_str().unwrap(), "--yes"],
        more,
    ]
    .concat();
    trust(lab, &args)
}

#[test]
fn a_signed_record_vouches() {
    let (lab, key) = new_host();
    let zone = Zone {
        flags: AUTHENTIC,
        records: vec![(4, 1, vec![9; 20]), (4, 2, sha256(&key))],
    };
    let run = ask(&lab, zone, "edns0 trust-ad", &[]);
    run.exits(0).complains(&["a source vouches", "DNS"]);
    lab.check().exits(0);
}

#[test]
fn a_record_is_shown_and_does_not_vouch_where_nobody_checked_its_signature() {
    let (lab, key) = new_host();
    // The first server did not check; nobody is told to believe the second.
    for (flags, options) in [(0, "trust-ad"), (AUTHENTIC, "")] {
        let zone = Zone {
            flags,
            records: vec![(4, 2, sha256(&key))],
        };
        let run = ask(&lab, zone, options, &[]);
        run.exits(1)
            .prints_nothing()
            .complains(&["nobody (DNS says the same, unsigned)"]);
    }
}

#[test]
fn sha1_is_shown_and_does_not_vouch() {
    let (lab, key) = new_host();
    let zone = Zone {
        flags: AUTHENTIC,
        records: vec![(4, 1, sha1(&key))],
    };
    let run = ask(&lab, zone, "trust-ad", &[]);
    run.exits(1)
        .complains(&["nobody (DNS says the same, by SHA-1 only)"]);
}

#[test]
fn a_record_of_another_key_stops_the_host_signed_or_not() {
    let (lab, _) = new_host();
    for flags in [0, AUTHENTIC] {
        let zone = Zone {
            flags,
            records: vec![(4, 2, sha256(&fake::new_key()))],
        };
        let run = ask(&lab, zone, "trust-ad", &["--unvouched"]);
        run.exits(2)
            .complains(&["CONTRADICTED", "DNS SAYS SHA256:"]);
    }
    assert_eq!(known_hosts(&lab), "");
}

#[test]
fn records_of_other_kinds_and_no_records_say_nothing() {
    let (lab, _) = new_host();
    let zone = Zone {
        flags: AUTHENTIC,
        records: vec![(1, 2, vec![1; 32]), (4, 9, vec![1; 3]), (4, 2, vec![])],
    };
    let run = ask(&lab, zone, "trust-ad", &[]);
    run.exits(1)
        .complains(&["New keys that nobody vouches for"]);
    assert!(!run.stderr.contains("DNS"), "{}", run.stderr);
}

#[test]
fn a_server_that_fails_or_is_silent_is_told() {
    let (lab, _) = new_host();
    let zone = Zone {
        flags: SERVFAIL,
        records: Vec::new(),
    };
    let run = ask(&lab, zone, "trust-ad", &[]);
    run.exits(1)
        .complains(&["VM1: DNS vouches for nothing", "SERVFAIL"]);
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let file = lab.write(
        "silent.conf",
        format!("nameserver 127.0.0.1:{port}\noptions timeout:1\n"),
    );
    let file = file.to_str().unwrap();
    let run = trust(&lab, &["--dns", "--resolv-conf", file, "--yes"]);
    run.exits(1)
        .complains(&["DNS vouches for nothing", "no answer"]);
}

#[test]
fn a_truncated_answer_is_asked_for_over_tcp() {
    let (lab, key) = new_host();
    let (listener, socket) = loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // The same port may be taken for UDP.
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()) {
            break (listener, socket);
        }
    };
    let whole = Zone {
        flags: AUTHENTIC,
        records: vec![(4, 2, sha256(&key))],
    };
    let thread = std::thread::spawn(move || serve_tcp(&listener, &whole));
    let cut = Zone {
        flags: TRUNCATED,
        records: Vec::new(),
    };
    let dns = serve_on(socket, cut);
    let file = resolv_conf(&lab, &dns, "trust-ad");
    let file = file.to_str().unwrap();
    trust(&lab, &["--dns", "--resolv-conf", file, "--yes"]).exits(0);
    thread.join().unwrap();
}
