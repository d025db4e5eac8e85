//! Proxies: TLS goes through them, plain requests go to them, and NO_PROXY goes past them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use clawfleet::notify::Proxies;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::receiver::{Answer, Receiver, answer, head};
use crate::{file, send_within, spec, webhook};

/// A proxy for CONNECT that notes what it is asked. It sends everybody to one port.
struct Tunnel {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    async fn start(to: u16, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let noted = Arc::clone(&noted);
                tokio::spawn(async move {
                    let head = head(&mut stream).await.unwrap();
                    noted.lock().unwrap().push(head);
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    if answer.contains(" 200 ") {
                        let mut other = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut stream, &mut other).await;
                    }
                });
            }
        });
        Self { port, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

const WELL: &str = "HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n";

#[tokio::test]
async fn tls_goes_through_a_proxy() {
    let receiver = Receiver::tls("right", answer(200, "", "")).await;
    let tunnel = Tunnel::start(receiver.port, WELL).await;
    // The proxy asks for the name, and sends everybody to the receiver.
    let mut channel = spec(webhook("https://receiver.test:8443/path-that-is-a-secret"));
    channel.ca_file = Some(file("ca.pem"));
    let address = format!("http://user:pass@127.0.0.1:{}", tunnel.port);
    let proxies = Proxies::new(Some(&address), None, None);
    let sent = send_within(&channel, &BTreeMap::new(), &proxies, 2400).await;
    sent.arrived();
    let heads = tunnel.heads();
    assert!(
        heads[0].starts_with("CONNECT receiver.test:8443 HTTP/1.1\r\nHost: receiver.test:8443\r\n")
    );
    assert!(heads[0].contains("Proxy-Authorization: Basic dXNlcjpwYXNz\r\n"));
    assert!(!heads[0].contains("secret"));
    assert_eq!(receiver.only().target(), "/path-that-is-a-secret");
    // Its own login is the proxy's alone.
    assert_eq!(receiver.only().header("proxy-authorization"), "");

    // What goes past the proxy asks for the name here, where there is none of it.
    let past = Proxies::new(Some(&address), None, Some("receiver.test"));
    let sent = send_within(&channel, &BTreeMap::new(), &past, 2400).await;
    sent.waits(&["DNS"]);
    let mut without = channel.clone();
    without.proxy = false;
    let sent = send_within(&without, &BTreeMap::new(), &proxies, 2400).await;
    sent.waits(&["DNS"]);
    // HTTP_PROXY is not for TLS.
    let plain = Proxies::new(None, Some(&address), None);
    let sent = send_within(&channel, &BTreeMap::new(), &plain, 2400).await;
    sent.waits(&["DNS"]);
    // This machine itself is reached by no proxy.
    let mut own = spec(webhook(&format!("https://localhost:{}/", receiver.port)));
    own.ca_file = Some(file("ca.pem"));
    let sent = send_within(&own, &BTreeMap::new(), &proxies, 2400).await;
    sent.arrived();
    assert_eq!(tunnel.heads().len(), 1);
}

#[tokio::test]
async fn a_proxy_may_itself_speak_tls() {
    // It answers as a receiver does, and not as a proxy: what matters is that it was asked in TLS.
    let proxy = Receiver::tls("right", answer(403, "", "")).await;
    let address = format!("https://localhost:{}", proxy.port);
    let proxies = Proxies::new(Some(&address), None, None);
    let mut channel = spec(webhook("https://receiver.test:8443/"));
    channel.ca_file = Some(file("ca.pem"));
    let sent = send_within(&channel, &BTreeMap::new(), &proxies, 2400).await;
    sent.waits(&["proxy: it does not connect to receiver.test:8443 (403)"]);
    assert!(proxy.only().line.starts_with("CONNECT receiver.test:8443 "));
    let mut stranger = spec(webhook("https://receiver.test:8443/"));
    stranger.ca_file = Some(file("wrong.pem"));
    let sent = send_within(&stranger, &BTreeMap::new(), &proxies, 2400).await;
    sent.waits(&[
        "proxy: TLS with localhost",
        "nobody whom this machine trusts",
    ]);
}

#[tokio::test]
async fn a_plain_request_is_handed_to_a_proxy() {
    let proxy = Receiver::always(answer(200, "", "")).await;
    let mut channel = spec(webhook("http://receiver.test:81/x"));
    channel.plaintext = true;
    let proxies = Proxies::new(None, Some(&proxy.url("")), None);
    send_within(&channel, &BTreeMap::new(), &proxies, 2400)
        .await
        .arrived();
    assert_eq!(proxy.only().line, "POST http://receiver.test:81/x HTTP/1.1");
    assert_eq!(proxy.only().header("host"), "receiver.test:81");
}

#[tokio::test]
async fn a_proxy_that_does_not_do_it_is_told() {
    for (says, words) in [
        ("HTTP/1.1 407 x\r\n\r\n", "wants a login (407)"),
        (
            "HTTP/1.1 403 x\r\n\r\n",
            "does not connect to receiver.test:8443 (403)",
        ),
        ("SSH-2.0-x\r\n\r\n", "not answer as an HTTP proxy"),
        ("HTTP/1.1 200", "proxy: "),
    ] {
        let tunnel = Tunnel::start(
            1,
            if says.ends_with("200") {
                "HTTP/1.1 2"
            } else {
                says
            },
        )
        .await;
        let proxies = Proxies::new(
            Some(&format!("http://127.0.0.1:{}", tunnel.port)),
            None,
            None,
        );
        let channel = spec(webhook("https://receiver.test:8443/"));
        let sent = send_within(&channel, &BTreeMap::new(), &proxies, 2400).await;
        sent.waits(&[words]);
    }
    let socks = Proxies::new(Some("socks5://127.0.0.1:1"), None, None);
    let channel = spec(webhook("https://receiver.test:8443/"));
    let sent = send_within(&channel, &BTreeMap::new(), &socks, 2400).await;
    sent.waits(&["socks5:// is not spoken"]);
    let hanging = Receiver::always(Answer::Hang).await;
    let proxies = Proxies::new(Some(&hanging.url("")), None, None);
    let sent = send_within(&channel, &BTreeMap::new(), &proxies, 1200).await;
    sent.waits(&["proxy: no answer in time"]);
}
