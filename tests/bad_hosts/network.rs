//! Before any key is exchanged: no name, no port, no SSH, no end.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::fake::{self, Behaviour};
use crate::support::lab::Lab;

const KEX_1S: &str = "timeouts: {kex: 1s}";
const SECOND: Duration = Duration::from_secs(1);
/// A host's own time may exceed its deadline by what a busy machine adds.
const SLACK: Duration = Duration::from_secs(3);

/// Reads until the client leaves, saying nothing.
async fn listen_only(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}

/// Reads exactly what the client says first: its banner and its offer of algorithms. Bytes that are
/// left unread would turn a close into a reset.
async fn read_first_words(stream: &mut TcpStream) {
    let mut banner = Vec::new();
    while !banner.ends_with(b"\n") {
        banner.push(stream.read_u8().await.unwrap());
    }
    assert!(banner.starts_with(b"SSH-2.0-clawfleet_"), "{banner:?}");
    let length = stream.read_u32().await.unwrap();
    let mut packet = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut packet).await.unwrap();
    // Behind the length of the padding stands the kind: SSH_MSG_KEXINIT.
    assert_eq!(packet[1], 20);
}

#[test]
fn a_host_where_nothing_listens_is_unreachable() {
    let mut lab = Lab::new();
    let port = lab.closed_port();
    let checked = lab.check_bad(port, "");
    checked
        .bad()
        .is("unreachable")
        .at("tcp")
        .says(&["connection refused"]);
    checked.bad().took_at_most(SLACK);
}

#[test]
fn a_name_that_does_not_resolve_is_unreachable() {
    let mut lab = Lab::new();
    // DNS has no label of 64 letters, so this is refused here and no name server is asked.
    let name = "x".repeat(64);
    lab.add_healthy(&["good1"]);
    lab.add_at("bad", &name, 22, "");
    let checked = lab.check();
    checked.exits(3).host("good1").is_observed_in_full();
    checked
        .bad()
        .is("unreachable")
        .at("dns")
        .says(&[&name, "does not resolve"]);
    checked.bad().is_unknown().hints(&["address"]);
}

#[test]
fn a_server_that_accepts_and_says_nothing_costs_its_deadline() {
    let mut lab = Lab::new();
    let server = lab.raw(listen_only);
    let checked = lab.check_bad(server.port, KEX_1S);
    checked
        .bad()
        .is("timed-out")
        .at("banner")
        .says(&["sent no SSH banner"]);
    checked.bad().took_at_least(SECOND).took_at_most(SLACK);
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_server_that_closes_before_its_banner_is_unreachable() {
    let mut lab = Lab::new();
    let server = lab.raw(|stream| async move { drop(stream) });
    let checked = lab.check_bad(server.port, KEX_1S);
    checked
        .bad()
        .is("unreachable")
        .at("banner")
        .says(&["closed the connection before its SSH banner"]);
    checked.bad().took_at_most(SLACK);
}

#[test]
fn a_web_server_is_quoted() {
    let mut lab = Lab::new();
    let server = lab.raw(|mut stream| async move {
        // A web server answers the first line that it cannot read.
        while stream.read_u8().await.unwrap() != b'\n' {}
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n")
            .await
            .unwrap();
        // An orderly end: what is left unread must not reset the connection under the answer.
        stream.shutdown().await.unwrap();
        listen_only(stream).await;
    });
    let checked = lab.check_bad(server.port, KEX_1S);
    checked.bad().is("unreachable").at("banner");
    checked
        .bad()
        .says(&["no SSH server", "`HTTP/1.1 400 Bad Request`"]);
}

#[test]
fn a_line_without_an_end_in_place_of_the_banner_is_cut() {
    let mut lab = Lab::new();
    let server = lab.raw(|mut stream| async move {
        let noise = [b'x'; 16 << 10];
        while stream.write_all(&noise).await.is_ok() {}
    });
    let checked = lab.check_bad(server.port, KEX_1S);
    checked
        .bad()
        .is("unreachable")
        .at("banner")
        .says(&["no SSH server", "xxxx"]);
    assert!(
        checked.bad().message().len() < 1000,
        "{}",
        checked.bad().message()
    );
    checked.bad().took_at_most(SLACK);
    checked.holds_at_most_mib(150);
}

#[test]
fn lines_without_an_end_before_the_banner_are_bounded() {
    let mut lab = Lab::new();
    let server = lab.raw(|mut stream| async move {
        let lines = b"please hold the line\r\n".repeat(1000);
        while stream.write_all(&lines).await.is_ok() {}
    });
    let checked = lab.check_bad(server.port, KEX_1S);
    checked
        .bad()
        .is("unreachable")
        .at("banner")
        .says(&["please hold the line"]);
    checked.bad().took_at_most(SLACK);
    checked.holds_at_most_mib(150);
}

#[test]
fn binary_noise_in_place_of_the_banner_is_no_ssh() {
    let mut lab = Lab::new();
    let server = lab.raw(|mut stream| async move {
        // A TLS alert, then bytes that are no text in any encoding.
        stream
            .write_all(b"\x15\x03\x01\x00\x02\x02\x46\xff\xfe\x00\x1b[2J\r\n")
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        listen_only(stream).await;
    });
    let checked = lab.check_bad(server.port, KEX_1S);
    checked
        .bad()
        .is("unreachable")
        .at("banner")
        .says(&["no SSH server"]);
}

#[test]
fn a_drip_of_garbage_does_not_stretch_the_deadline() {
    let mut lab = Lab::new();
    let server = lab.raw(|mut stream| async move {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let checked = lab.check_bad(server.port, KEX_1S);
    checked.bad().is("timed-out").at("banner");
    checked.bad().took_at_least(SECOND).took_at_most(SLACK);
}

#[test]
fn a_reset_after_the_banner_is_unreachable_in_the_key_exchange() {
    let mut lab = Lab::new();
    let server = lab.raw(|mut stream| async move {
        stream.write_all(b"SSH-2.0-Fake_1.0\r\n").await.unwrap();
        read_first_words(&mut stream).await;
        stream.set_zero_linger().unwrap();
    });
    let checked = lab.check_bad(server.port, KEX_1S);
    checked
        .bad()
        .is("unreachable")
        .at("kex")
        .says(&["connection reset"]);
    checked.bad().took_at_most(SLACK);
}

#[test]
fn a_close_after_the_banner_is_unreachable_in_the_key_exchange() {
    let mut lab = Lab::new();
    let server = lab.raw(|mut stream| async move {
        stream.write_all(b"SSH-2.0-Fake_1.0\r\n").await.unwrap();
        read_first_words(&mut stream).await;
    });
    let checked = lab.check_bad(server.port, KEX_1S);
    checked
        .bad()
        .is("unreachable")
        .at("kex")
        .says(&["closed the connection in the key exchange"]);
    checked.bad().took_at_most(SLACK);
}

#[test]
fn a_stall_in_the_key_exchange_costs_its_deadline() {
    let mut lab = Lab::new();
    let server = lab.raw(|mut stream| async move {
        stream.write_all(b"SSH-2.0-Fake_1.0\r\n").await.unwrap();
        listen_only(stream).await;
    });
    let checked = lab.check_bad(server.port, KEX_1S);
    checked
        .bad()
        .is("timed-out")
        .at("kex")
        .says(&["key exchange"]);
    checked.bad().took_at_least(SECOND).took_at_most(SLACK);
}

/// RFC 4253, 4.2: a server may print lines before its identification; some print a whole notice.
const NOTICE: &str = "Authorised use only. All that you do here is recorded and may be shown.\r\n";

#[test]
fn a_stall_behind_a_long_notice_is_still_one_in_the_key_exchange() {
    let mut lab = Lab::new();
    let server = lab.raw(|mut stream| async move {
        stream
            .write_all(NOTICE.repeat(12).as_bytes())
            .await
            .unwrap();
        stream.write_all(b"SSH-2.0-Fake_1.0\r\n").await.unwrap();
        listen_only(stream).await;
    });
    let checked = lab.check_bad(server.port, KEX_1S);
    checked.bad().is("timed-out").at("kex");
}

#[test]
fn a_long_notice_before_the_banner_is_no_obstacle() {
    let mut lab = Lab::new();
    let front = lab.fake(Behaviour::default());
    let server = lab.raw(move |mut stream| async move {
        stream
            .write_all(NOTICE.repeat(12).as_bytes())
            .await
            .unwrap();
        let mut behind = TcpStream::connect(("127.0.0.1", front.port)).await.unwrap();
        // Either side may be gone first.
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
    });
    let known = std::fs::read_to_string(lab.path("known_hosts")).unwrap();
    let port = known
        .split("]:")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    lab.write(
        "known_hosts",
        known.replace(&format!("]:{port} "), &format!("]:{} ", server.port)),
    );
    lab.check_odd(server.port, "");
}

#[test]
fn a_server_without_a_common_algorithm_is_told_apart() {
    let mut lab = Lab::new();
    let key = fake::new_key();
    let old = russh::Preferred {
        kex: std::borrow::Cow::Borrowed(&[russh::kex::DH_G1_SHA1]),
        ..russh::Preferred::DEFAULT
    };
    let config = std::sync::Arc::new(russh::server::Config {
        keys: vec![key],
        preferred: old,
        ..russh::server::Config::default()
    });
    let home = lab.home().to_owned();
    let server = lab.raw(move |stream| {
        fake::serve(
            std::sync::Arc::clone(&config),
            stream,
            Behaviour::default(),
            std::sync::Arc::default(),
            home.clone(),
        )
    });
    let checked = lab.check_bad(server.port, KEX_1S);
    checked.bad().is("unreachable").at("kex");
    checked
        .bad()
        .says(&["algorithm", "diffie-hellman-group1-sha1"]);
}
