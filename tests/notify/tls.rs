//! Who is trusted: the system's authorities, or those of `ca_file` alone.

use std::collections::BTreeMap;

use clawfleet::notify::{Channel, Proxies};

use crate::receiver::{Receiver, answer};
use crate::{file, send_within, spec, webhook};

async fn sent(receiver: &Receiver, host: &str, ca: Option<&str>) -> crate::Sent {
    let mut channel = spec(webhook(&format!("https://{host}:{}/", receiver.port)));
    channel.ca_file = ca.map(file);
    send_within(&channel, &BTreeMap::new(), &Proxies::default(), 2400).await
}

#[tokio::test]
async fn a_certificate_of_ones_own_needs_ca_file() {
    let receiver = Receiver::tls("right", answer(200, "", "")).await;
    for host in ["127.0.0.1", "localhost"] {
        let without = sent(&receiver, host, None).await;
        without.waits(&["TLS"]);
        sent(&receiver, host, Some("ca.pem")).await.arrived();
    }
    assert_eq!(receiver.requests().len(), 2);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let receiver = Receiver::tls("wrong", answer(200, "", "")).await;
    let sent = sent(&receiver, "localhost", Some("ca.pem")).await;
    sent.waits(&["TLS with localhost", "for another name"]);
    assert!(receiver.requests().is_empty());
}

#[tokio::test]
async fn another_authority_does_not_vouch() {
    let receiver = Receiver::tls("right", answer(200, "", "")).await;
    // A certificate that is no authority's is none in the chain.
    let sent = sent(&receiver, "localhost", Some("wrong.pem")).await;
    sent.waits(&["nobody whom this machine trusts", "`ca_file`"]);
    assert!(receiver.requests().is_empty());
}

#[tokio::test]
async fn a_port_without_tls_gets_nothing() {
    let receiver = Receiver::always(answer(200, "", "")).await;
    let sent = sent(&receiver, "127.0.0.1", Some("ca.pem")).await;
    sent.waits(&["TLS with 127.0.0.1"]);
    assert!(receiver.requests().is_empty());
}

#[test]
fn a_file_of_authorities_that_is_none_is_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("empty.pem"), "").unwrap();
    std::fs::write(
        dir.path().join("odd.pem"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    for (name, why) in [
        ("none.pem", "no such file"),
        ("empty.pem", "holds no certificate"),
        ("odd.pem", "cannot be used"),
        ("", "is no file"),
    ] {
        let mut channel = spec(webhook("https://a.example/"));
        channel.ca_file = Some(dir.path().join(name));
        let fault = Channel::new(&channel, &BTreeMap::new()).unwrap_err();
        assert!(fault.what.contains(why), "{name}: {fault:?}");
    }
}
