//! What the real gateway says to clients: readiness, the WebSocket's challenge, what a token is good
//! for, and all of it over TLS.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{Bastion, Gateway, fleet, host, lab, plant};

const HOST: &str = "VM152";
/// The one of the scenario `token`, and the one of all others.
const MODELS_TOKEN: &str = "lab-token-2c41d7e8a05b93f6";
const LAB_TOKEN: &str = "lab-8f2e61c0d94b7a35";

/// What the host's gateway answered, asked with that token.
fn asked(token: Option<&str>) -> Value {
    let entry = format!("  {HOST}: {{");
    let service = token.map_or_else(String::new, |token| {
        format!("service: {{token: {{command: \"echo {token}\"}}}}, ")
    });
    let inventory = lab(&["inventory"]);
    assert!(inventory.contains(&entry), "{inventory}");
    let bastion = Bastion::from_text(&inventory.replace(&entry, &format!("{entry}{service}")));
    let mut report = bastion.check(HOST).1;
    // It listens a moment before it is ready, and greets nobody until then.
    for _ in 0..20 {
        if http(&report)["ready"] == true {
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
        report = bastion.check(HOST).1;
    }
    let http = http(&report).clone();
    assert_eq!(http["status"], 200, "{http:#}");
    assert_eq!(http["is_gateway"], true, "{http:#}");
    assert_eq!(http["route"], "forwarded", "{http:#}");
    assert_eq!(http["ready"], true, "{http:#}");
    assert!(http["uptime_ms"].as_u64().unwrap() > 0, "{http:#}");
    if let Some(token) = token {
        assert!(!report.to_string().contains(token), "the token is told");
        assert_eq!(http["websocket"]["challenge"], true, "{http:#}");
    }
    http
}

fn http(report: &Value) -> &Value {
    &host(report, HOST)["facts"]["gateways"][0]["http"]
}

fn planted(scenario: &str) {
    plant(HOST, scenario, Gateway::Real);
    lab(&["wait", HOST, "120"]);
}

#[test]
fn the_real_gateway_answers_clients() {
    let _turn = fleet();
    planted("token");
    let http = asked(None);
    assert_eq!(http["tls"], false, "{http:#}");
    for absent in ["models", "websocket", "version"] {
        assert!(http.get(absent).is_none(), "{absent}: {http:#}");
    }
    let http = asked(Some(MODELS_TOKEN));
    assert_eq!(http["models"]["status"], 200, "{http:#}");
    assert_eq!(http["models"]["count"], 3, "{http:#}");
    assert_eq!(http["websocket"]["hello"], true, "{http:#}");
    let http = asked(Some("not-the-token"));
    assert_eq!(http["models"]["error"], "token-refused", "{http:#}");
    assert_eq!(http["models"]["status"], 401, "{http:#}");
    assert_eq!(http["websocket"]["hello"], false, "{http:#}");
    let words = http["websocket"]["error"].as_str().unwrap();
    assert!(words.starts_with("AUTH_TOKEN_MISMATCH: "), "{words}");

    planted("tls");
    let http = asked(Some(LAB_TOKEN));
    assert_eq!(http["tls"], true, "{http:#}");
    assert_eq!(http["websocket"]["hello"], true, "{http:#}");
    // The HTTP API is off there, and the page answers in its place.
    assert_eq!(http["models"]["error"], "not-served", "{http:#}");

    planted("healthy");
    let http = asked(Some(LAB_TOKEN));
    assert_eq!(http["tls"], false, "{http:#}");
    assert_eq!(http["websocket"]["hello"], true, "{http:#}");
}
