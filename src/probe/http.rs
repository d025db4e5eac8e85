//! Telling a gateway's answer from any other web server's.

use crate::model::{HttpAnswer, HttpError, HttpRoute};

use super::{Nonce, split};

/// Whether the body of the health path is a gateway's.
///
/// Seen on the real one: `{"ok":true,"status":"live"}` from 3.8 on; older ones answer every path
/// with the page whose title is `OpenClaw Control`. A bare 200 proves nothing.
pub fn is_gateway_body(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let live = serde_json::from_str::<serde_json::Value>(text.trim()).is_ok_and(|value| {
        value.get("status").and_then(|status| status.as_str()) == Some("live")
            && value.get("ok").and_then(|ok| ok.as_bool()) == Some(true)
    });
    live || text.contains("<title>OpenClaw Control</title>")
}

/// Reads what the on-host HTTP script printed.
pub fn parse_on_host(stdout: &str, nonce: &Nonce) -> Result<HttpAnswer, HttpError> {
    let frames = split(stdout, nonce);
    let Some(frame) = frames.frames.iter().find(|frame| frame.name == "http") else {
        return Err(HttpError::NotAsked(
            "the script on the host printed nothing".into(),
        ));
    };
    if let Some(why) = frame.get("not_asked") {
        return Err(HttpError::NotAsked(why.into()));
    }
    let waited_ms = frame.get("ms").and_then(|ms| ms.parse().ok()).unwrap_or(0);
    match frame.get("failed") {
        Some("refused") => return Err(HttpError::Refused),
        Some("timeout") => return Err(HttpError::NoAnswer { waited_ms }),
        Some(why) => return Err(HttpError::Broken(why.into())),
        None => {}
    }
    let Some(status) = frame.get("status").and_then(|status| status.parse().ok()) else {
        return Err(HttpError::Broken("the answer has no HTTP status".into()));
    };
    let body: String = frame.all("body").collect::<Vec<_>>().join("\n");
    Ok(HttpAnswer {
        status,
        latency_ms: waited_ms,
        is_gateway: is_gateway_body(body.as_bytes()),
        route: HttpRoute::OnHost,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gateway_is_a_gateway() {
        let cases: &[(&str, bool)] = &[
            (r#"{"ok":true,"status":"live"}"#, true),
            (r#" {"status":"live","ok":true,"more":1} "#, true),
            (
                "<html><head><title>OpenClaw Control</title></head></html>",
                true,
            ),
            (r#"{"ok":true}"#, false),
            (r#"{"ok":false,"status":"live"}"#, false),
            ("OK", false),
            ("<html>It works!</html>", false),
            ("", false),
        ];
        for (body, wanted) in cases {
            assert_eq!(is_gateway_body(body.as_bytes()), *wanted, "{body}");
        }
        assert!(!is_gateway_body(b"\xff\xfe\x00"));
    }
}
