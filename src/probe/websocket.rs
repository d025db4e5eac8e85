//! The words of a gateway's WebSocket: its challenge, and its answer to `connect`.

use serde_json::{Value, json};

use super::http::plain;
use crate::model::Secret;

/// The id of the only request that is made on a connection.
const REQUEST: &str = "clawfleet";

/// Whether a frame is the challenge that every version sends first. No other server has it.
pub fn is_challenge(frame: &str) -> bool {
    serde_json::from_str::<Value>(frame).is_ok_and(|value| {
        text(&value, "type") == Some("event") && text(&value, "event") == Some("connect.challenge")
    })
}

/// Composes the `connect` request. It is the gateway's own kind of client for such questions, and
/// asks for no rights: only whether the token is taken. Without a device identity the gateway would
/// drop all rights anyway.
pub fn connect_request(token: &Secret) -> String {
    json!({
        "type": "req",
        "id": REQUEST,
        "method": "connect",
        "params": {
            // Of the answer only its type is read, which is the same in all of them: 3 up to
            // 2026.3, 4 from 2026.6 on.
            "minProtocol": 3,
            "maxProtocol": 9,
            "client": {
                "id": "openclaw-probe",
                "displayName": "clawfleet",
                "version": env!("CARGO_PKG_VERSION"),
                "platform": "linux",
                "mode": "probe",
            },
            "role": "operator",
            "scopes": [],
            "caps": [],
            "auth": { "token": token.expose() },
            "userAgent": concat!("clawfleet/", env!("CARGO_PKG_VERSION")),
        },
    })
    .to_string()
}

/// Reads the answer to [`connect_request`]: a greeting, or the gateway's words why not. `None` for
/// any other frame, such as an event.
pub fn greeting(frame: &str) -> Option<Result<(), String>> {
    let value: Value = serde_json::from_str(frame).ok()?;
    if text(&value, "type") != Some("res") || text(&value, "id") != Some(REQUEST) {
        return None;
    }
    let payload = value.get("payload").unwrap_or(&Value::Null);
    if value.get("ok") == Some(&Value::Bool(true)) {
        return Some(match text(payload, "type") {
            Some("hello-ok") => Ok(()),
            _ => Err("the answer is no greeting".to_owned()),
        });
    }
    let error = value.get("error").unwrap_or(&Value::Null);
    let details = error.get("details").unwrap_or(&Value::Null);
    // The details' code tells a wrong token from a missing device; the outer one is the same.
    let words: Vec<String> = [
        text(details, "code").or(text(error, "code")),
        text(error, "message"),
    ]
    .into_iter()
    .flatten()
    .map(plain)
    .collect();
    Some(Err(if words.is_empty() {
        "the gateway refused without a reason".to_owned()
    } else {
        words.join(": ")
    }))
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gateway_challenges() {
        let cases = [
            (
                r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"6742","ts":1}}"#,
                true,
            ),
            (r#"{"type":"event","event":"tick"}"#, false),
            (r#"{"type":"res","event":"connect.challenge"}"#, false),
            (r#"say "event":"connect.challenge" to me"#, false),
            ("hello", false),
            ("", false),
        ];
        for (frame, wanted) in cases {
            assert_eq!(is_challenge(frame), wanted, "{frame}");
        }
        assert!(!is_challenge(&"[".repeat(60_000)));
    }

    #[test]
    fn the_request_carries_the_token_as_json() {
        let secret = Secret::new("a\"b\\c".to_owned());
        let request: Value = serde_json::from_str(&connect_request(&secret)).unwrap();
        assert_eq!(request["params"]["auth"]["token"], "a\"b\\c");
        assert_eq!(request["method"], "connect");
        assert!(!format!("{secret:?}").contains("a\"b"));
    }

    #[test]
    fn the_answer_is_a_greeting_or_the_gateways_words() {
        let hello = r#"{"type":"res","id":"clawfleet","ok":true,"payload":{"type":"hello-ok","protocol":4}}"#;
        assert_eq!(greeting(hello), Some(Ok(())));
        let wrong = r#"{"type":"res","id":"clawfleet","ok":false,"error":{"code":"INVALID_REQUEST",
            "message":"unauthorized: gateway token mismatch","details":{"code":"AUTH_TOKEN_MISMATCH"}}}"#;
        assert_eq!(
            greeting(wrong),
            Some(Err(
                "AUTH_TOKEN_MISMATCH: unauthorized: gateway token mismatch".to_owned()
            ))
        );
        let old =
            r#"{"type":"res","id":"clawfleet","ok":false,"error":{"code":"NOT_PAIRED\u001b[2J"}}"#;
        assert_eq!(greeting(old), Some(Err("NOT_PAIRED[2J".to_owned())));
        for other in [
            r#"{"type":"event","event":"presence"}"#,
            r#"{"type":"res","id":"another","ok":true}"#,
            "[]",
            "",
        ] {
            assert_eq!(greeting(other), None, "{other}");
        }
        for odd in [
            r#"{"type":"res","id":"clawfleet"}"#,
            r#"{"type":"res","id":"clawfleet","ok":true}"#,
            r#"{"type":"res","id":"clawfleet","ok":"true","error":[]}"#,
        ] {
            assert!(matches!(greeting(odd), Some(Err(_))), "{odd}");
        }
    }
}
