//! What a gateway's port is asked through the SSH connection, and what is made of the answers.

use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::fake::{Behaviour, Forward};
use crate::support::lab::{Lab, Server};
use crate::support::report::Checked;
use crate::support::web::{Answer, CHALLENGE, LIVE, Socket, Web};

pub(crate) const READY_6_10: &str = r#"{"ready":true,"failing":[],"uptimeMs":8443,"eventLoop":{"degraded":false,"reasons":[],"intervalMs":8443}}"#;
const READY_9_6: &str = r#"{"ready":true,"failing":[],"uptimeMs":9015,"eventLoop":{"degraded":true,"degradedSinceMs":null,"reasons":[]}}"#;
const PAGE_9_6: &str = r#"<html data-openclaw-control-ui-build-id="2026.9.6-release-eb377ac59e6c-2026-09-23T16-33-12.144Z" lang="en"><title>OpenClaw Control</title>"#;
const PAGE_OLD: &str = "<!doctype html><title>OpenClaw Control</title>";

pub(crate) fn forwarding() -> Behaviour {
    Behaviour {
        forward: Forward::Connect,
        ..Behaviour::default()
    }
}

/// Starts a web server.
pub(crate) fn start(lab: &Lab, web: &Web) -> Server {
    let web = web.clone();
    lab.raw(move |stream| web.clone().serve(stream))
}

/// Starts a web server behind TLS, with a certificate that nobody has signed.
fn start_tls(lab: &Lab, web: &Web) -> Server {
    let (key, cert) = (lab.path("tls.key"), lab.path("tls.pem"));
    lab.tool(
        Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
            .args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=nobody.example", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&cert),
    );
    let cert = CertificateDer::from_pem_file(cert).unwrap();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let web = web.clone();
    lab.raw(move |stream| {
        let (acceptor, web) = (acceptor.clone(), web.clone());
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                web.serve(stream).await;
            }
        }
    })
}

/// Checks one host whose gateway is that server.
#[track_caller]
pub(crate) fn check(lab: &mut Lab, server: &Server, service: &str, more: &str) -> Checked {
    let host = lab.fake(forwarding());
    lab.add(
        "one",
        host.port,
        &format!(
            "role: gateway, service: {{unit: no-such.service, port: {}{service}}}{more}",
            server.port
        ),
    );
    let checked = lab.check();
    checked.host("one").is("observed");
    checked
}

pub(crate) fn http(checked: &Checked) -> &Value {
    &checked.host("one").0["facts"]["gateways"][0]["http"]
}

#[test]
fn a_gateway_is_asked_on_one_connection() {
    let mut lab = Lab::new();
    let web = Web::gateway(READY_6_10);
    let server = start(&lab, &web);
    let checked = check(&mut lab, &server, "", "");
    let http = http(&checked);
    assert_eq!(http["status"], 200, "{http:#}");
    assert_eq!(http["is_gateway"], true);
    assert_eq!(http["route"], "forwarded");
    assert_eq!(http["ready"], true);
    assert_eq!(http["failing"], serde_json::json!([]));
    assert_eq!(http["uptime_ms"], 8443);
    assert_eq!(http["event_loop_degraded"], false);
    assert_eq!(http["tls"], false);
    for absent in ["version", "websocket", "models", "error"] {
        assert!(http.get(absent).is_none(), "{absent}: {http:#}");
    }
    assert_eq!(web.seen(), ["/healthz", "/readyz"]);
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_gateway_that_names_its_version_is_asked_for_it_on_the_same_connection() {
    let mut lab = Lab::new();
    // The page goes on for ever behind what is wanted of it.
    let page = format!("HTTP/1.1 200 OK\r\n\r\n{PAGE_9_6}{}", "x".repeat(2048));
    let web = Web::gateway(READY_9_6).with("/", Answer::Raw(page.into_bytes()));
    let server = start(&lab, &web);
    let checked = check(&mut lab, &server, "", "");
    let http = http(&checked);
    assert_eq!(http["version"], "2026.9.6", "{http:#}");
    assert_eq!(http["event_loop_degraded"], true);
    assert_eq!(web.seen(), ["/healthz", "/readyz", "/"]);
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_gateway_that_is_not_ready_says_what_it_waits_for() {
    let mut lab = Lab::new();
    let failing = r#"{"ready":false,"failing":["startup-sidecars"],"uptimeMs":838}"#;
    let web = Web::gateway("").with("/readyz", Answer::Body(503, failing.to_owned()));
    let server = start(&lab, &web);
    let checked = check(&mut lab, &server, "", "");
    let http = http(&checked);
    assert_eq!(http["ready"], false, "{http:#}");
    assert_eq!(http["failing"], serde_json::json!(["startup-sidecars"]));
}

#[test]
fn an_old_gateway_is_asked_no_more_than_its_page() {
    let mut lab = Lab::new();
    let mut web = Web::new();
    web.other = Answer::Body(200, PAGE_OLD.to_owned());
    let server = start(&lab, &web);
    let checked = check(&mut lab, &server, "", "");
    let http = http(&checked);
    assert_eq!(http["is_gateway"], true, "{http:#}");
    assert!(http.get("ready").is_none(), "{http:#}");
    assert_eq!(web.seen(), ["/healthz"]);
}

#[test]
fn a_gateway_without_a_health_document_is_known_by_its_challenge() {
    let mut lab = Lab::new();
    let web = Web::new().socket(Socket::Gateway("x".to_owned()));
    let server = start(&lab, &web);
    let checked = check(&mut lab, &server, "", "");
    let http = http(&checked);
    assert_eq!(http["status"], 404, "{http:#}");
    assert_eq!(http["is_gateway"], true);
    assert_eq!(http["websocket"]["challenge"], true);
    assert!(http["websocket"].get("hello").is_none());
    assert_eq!(web.seen(), ["/healthz", "websocket /"]);
}

#[test]
fn another_web_server_is_no_gateway() {
    let mut lab = Lab::new();
    let mut web = Web::new();
    web.other = Answer::Body(200, format!("It works! {CHALLENGE}"));
    let server = start(&lab, &web);
    let checked = check(&mut lab, &server, "", "");
    let http = http(&checked);
    assert_eq!(http["is_gateway"], false, "{http:#}");
    assert_eq!(http["websocket"]["challenge"], false);
    assert_eq!(http["websocket"]["error"], "no WebSocket: HTTP 200");
}

#[test]
fn a_gateway_that_speaks_tls_is_found_out() {
    for (service, tries) in [("", 2), (", tls: on", 1)] {
        let mut lab = Lab::new();
        let web = Web::gateway(READY_6_10);
        let server = start_tls(&lab, &web);
        let checked = check(&mut lab, &server, service, "");
        let http = http(&checked);
        assert_eq!(http["is_gateway"], true, "{service} {http:#}");
        assert_eq!(http["tls"], true);
        assert_eq!(http["ready"], true);
        assert_eq!(server.accepted(), tries, "{service}");
    }
}

#[test]
fn a_gateway_that_is_not_to_speak_tls_is_broken_if_it_does() {
    let mut lab = Lab::new();
    let server = start_tls(&lab, &Web::gateway(READY_6_10));
    let checked = check(&mut lab, &server, ", tls: off", "");
    let http = http(&checked);
    assert!(
        http["error"].as_str().unwrap().starts_with("broken"),
        "{http:#}"
    );
    assert_eq!(http["tls"], false);
}

#[test]
fn a_plain_gateway_that_is_to_speak_tls_is_broken() {
    let mut lab = Lab::new();
    let server = start(&lab, &Web::gateway(READY_6_10));
    let checked = check(&mut lab, &server, ", tls: on", "");
    let error = http(&checked)["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("broken: TLS: "), "{error}");
    assert_eq!(server.accepted(), 1);
}

#[test]
fn words_about_https_lead_to_tls() {
    let mut lab = Lab::new();
    let mut web = Web::new();
    let words = "Client sent an HTTP request to an HTTPS server.\n";
    web.other = Answer::Body(400, words.to_owned());
    let server = start(&lab, &web);
    let checked = check(&mut lab, &server, "", "");
    // It does not keep its word, so its first answer stands.
    let http = http(&checked);
    assert_eq!(http["status"], 400, "{http:#}");
    assert_eq!(http["tls"], false);
    // Plain, TLS, WebSocket.
    assert_eq!(server.accepted(), 3);
}

#[test]
fn where_nothing_is_forwarded_the_host_asks_itself() {
    let live = Answer::Body(200, LIVE.to_owned());
    for tls in [false, true] {
        let mut lab = Lab::new();
        let web = Web::new().with("/healthz", live.clone());
        let (server, setting) = if tls {
            (start_tls(&lab, &web), ", tls: on")
        } else {
            (start(&lab, &web), "")
        };
        let host = lab.fake(Behaviour::default());
        lab.add(
            "one",
            host.port,
            &format!(
                "role: gateway, service: {{unit: no-such.service, port: {}{setting}}}",
                server.port
            ),
        );
        let checked = lab.check();
        let http = http(&checked);
        assert_eq!(http["route"], "on-host", "{http:#}");
        assert_eq!(http["is_gateway"], true);
        assert_eq!(http["tls"], tls);
        assert!(http.get("ready").is_none());
    }
}
