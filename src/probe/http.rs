//! Telling a gateway's answer from any other web server's, and reading what it says.

use serde_json::Value;

use crate::model::{HttpAnswer, HttpError, HttpRoute, ModelsAnswer, Readiness};

use super::{Nonce, split};

/// Whether the body of the health path is a gateway's.
///
/// Seen on the real one: `{"ok":true,"status":"live"}` from 3.8 on; older ones answer every path
/// with the page whose title is `OpenClaw Control`. A bare 200 proves nothing.
pub fn is_gateway_body(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let live = serde_json::from_str::<Value>(text.trim()).is_ok_and(|value| {
        value.get("status").and_then(|status| status.as_str()) == Some("live")
            && value.get("ok").and_then(|ok| ok.as_bool()) == Some(true)
    });
    live || is_page(body)
}

/// How many reasons of a gateway that is not ready are kept, and how long each may be.
const MAX_FAILING: usize = 16;
const MAX_WORDS: usize = 120;

/// Reads what `/readyz` says. Old versions answer with the page, or with a document that says
/// nothing of readiness: then it is not known.
pub fn readiness(body: &[u8]) -> Option<Readiness> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let failing = value.get("failing").and_then(Value::as_array);
    Some(Readiness {
        ready: value.get("ready")?.as_bool()?,
        failing: failing
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .take(MAX_FAILING)
            .map(plain)
            .collect(),
        uptime_ms: value.get("uptimeMs").and_then(Value::as_u64),
        event_loop_degraded: event_loop(&value)
            .and_then(|event_loop| event_loop.get("degraded"))
            .and_then(Value::as_bool),
    })
}

fn event_loop(readiness: &Value) -> Option<&Value> {
    readiness.get("eventLoop").filter(|value| value.is_object())
}

/// Whether a gateway with that readiness may name its version in its page. Those that do (2026.9)
/// say since when their event loop lags; up to 2026.7 that key is not there, and asking for the
/// page would be in vain.
pub fn may_name_version(readiness: &[u8]) -> bool {
    serde_json::from_slice::<Value>(readiness).is_ok_and(|value| match event_loop(&value) {
        Some(event_loop) => event_loop.get("degradedSinceMs").is_some(),
        // It has just begun, or has changed since.
        None => value.get("ready").is_some(),
    })
}

/// Reads the version out of the build id in the control page, e.g. `2026.9.6-release-eb37…`.
/// `None` as well for a page that was cut before the id's end.
pub fn page_version(page: &[u8]) -> Option<String> {
    const ATTRIBUTE: &[u8] = b"data-openclaw-control-ui-build-id=\"";
    let begin = page
        .windows(ATTRIBUTE.len())
        .position(|window| window == ATTRIBUTE)?;
    let id = page.get(begin + ATTRIBUTE.len()..)?;
    let end = id.iter().take(300).position(|byte| *byte == b'"')?;
    let id = std::str::from_utf8(id.get(..end)?).ok()?;
    // Builds that are no release name no version that a package has.
    let (version, _) = id.split_once("-release")?;
    is_version(version).then(|| version.to_owned())
}

/// Year, month and number, and perhaps a stage such as `-beta.1`.
fn is_version(text: &str) -> bool {
    let (numbers, stage) = text.split_once('-').unwrap_or((text, ""));
    let parts: Vec<&str> = numbers.split('.').collect();
    let number =
        |part: &&str| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    parts.len() == 3
        && parts.iter().all(number)
        && stage.len() <= 20
        && stage
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.')
}

/// Reads what `/v1/models` answers to a token.
pub fn models(status: u16, body: &[u8]) -> ModelsAnswer {
    let listed = || {
        let value: Value = serde_json::from_slice(body).ok()?;
        let count = value.get("data")?.as_array()?.len();
        u32::try_from(count).ok()
    };
    match status {
        401 | 403 => ModelsAnswer::Refused { status },
        404 => ModelsAnswer::NotServed { status },
        // Up to 2026.7 the page answers every path that there is not.
        200 if is_page(body) => ModelsAnswer::NotServed { status },
        200 => listed().map_or(ModelsAnswer::Odd { status }, ModelsAnswer::Listed),
        _ => ModelsAnswer::Odd { status },
    }
}

fn is_page(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).contains("<title>OpenClaw Control</title>")
}

/// Whether an answer says that the port wants TLS: web servers say so in words, with status 400.
pub fn wants_tls(status: u16, body: &[u8]) -> bool {
    status == 400
        && [
            "HTTP request to an HTTPS server",
            "HTTP request was sent to HTTPS port",
        ]
        .iter()
        .any(|words| String::from_utf8_lossy(body).contains(words))
}

/// Text of a host, cut and without characters that could do anything.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_WORDS)
        .collect()
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
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
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

    #[test]
    fn readiness_of_each_version() {
        let of = |body: &str| readiness(body.as_bytes());
        let ready = of(
            r#"{"ready":true,"failing":[],"uptimeMs":8443,"eventLoop":{"degraded":false,"reasons":[]}}"#,
        );
        assert_eq!(
            ready,
            Some(Readiness {
                ready: true,
                failing: vec![],
                uptime_ms: Some(8443),
                event_loop_degraded: Some(false),
            })
        );
        let starting =
            of(r#"{"ready":false,"failing":["startup-sidecars"],"uptimeMs":838}"#).unwrap();
        assert!(!starting.ready);
        assert_eq!(starting.failing, ["startup-sidecars"]);
        assert_eq!(starting.event_loop_degraded, None);
        for unknown in [
            r#"{"ok":true,"status":"ready"}"#,
            "<!doctype html><title>OpenClaw Control</title>",
            r#"{"ready":"yes"}"#,
            r#"[{"ready":true}]"#,
            "null",
            "",
        ] {
            assert_eq!(of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn hostile_readiness_is_cut() {
        let words = format!("\"\\u001b[2J{}\"", "x".repeat(5000));
        let many = vec![words.as_str(); 500].join(",");
        let body = format!(
            "{{\"ready\":false,\"failing\":[1,null,{many}],\"uptimeMs\":-1,\"eventLoop\":7}}"
        );
        let read = readiness(body.as_bytes()).unwrap();
        assert_eq!(read.failing.len(), MAX_FAILING);
        assert!(read.failing.iter().all(|text| text.len() <= MAX_WORDS));
        assert!(!read.failing[0].contains('\u{1b}'));
        assert_eq!(read.uptime_ms, None);
        assert_eq!(read.event_loop_degraded, None);
        assert_eq!(readiness("[".repeat(60_000).as_bytes()), None);
    }

    #[test]
    fn only_versions_that_name_themselves_are_asked() {
        let cases = [
            (r#"{"ready":true,"eventLoop":{"degraded":false}}"#, false),
            (
                r#"{"ready":true,"eventLoop":{"degraded":false,"degradedSinceMs":null}}"#,
                true,
            ),
            (r#"{"ready":false,"failing":["startup-sidecars"]}"#, true),
            (r#"{"ok":true,"status":"ready"}"#, false),
            ("<html>", false),
        ];
        for (body, wanted) in cases {
            assert_eq!(may_name_version(body.as_bytes()), wanted, "{body}");
        }
    }

    #[test]
    fn a_page_names_its_version() {
        let page = |id: &str| {
            format!("<html data-openclaw-control-ui-build-id=\"{id}\" lang=\"en\">").into_bytes()
        };
        let of = |id: &str| page_version(&page(id));
        assert_eq!(
            of("2026.9.6-release-eb377ac59e6c-2026-09-23T16-33-12.144Z").as_deref(),
            Some("2026.9.6")
        );
        assert_eq!(
            of("2026.9.6-beta.1-release-eb37").as_deref(),
            Some("2026.9.6-beta.1")
        );
        for odd in [
            "",
            "2026.9.6",
            "2026.9.6-dev-eb37",
            "-release-x",
            "2026.9-release-x",
            "2026.9.x-release-x",
            "2026.9.6\u{1b}[2J-release-x",
            "20260000.9.6-release-x",
        ] {
            assert_eq!(of(odd), None, "{odd}");
        }
        assert_eq!(of(&"9".repeat(70_000)), None);
        let whole = page("2026.9.6-release-eb37");
        for cut in 0..whole.len() - 12 {
            assert_eq!(page_version(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(page_version(b"<html><title>OpenClaw Control</title>"), None);
    }

    #[test]
    fn models_are_counted_or_said_why_not() {
        let list = br#"{"object":"list","data":[{"id":"openclaw"},{"id":"openclaw/main"}]}"#;
        assert_eq!(models(200, list), ModelsAnswer::Listed(2));
        assert_eq!(models(200, br#"{"data":[]}"#), ModelsAnswer::Listed(0));
        assert_eq!(models(401, b"{}"), ModelsAnswer::Refused { status: 401 });
        assert_eq!(
            models(404, b"Not Found"),
            ModelsAnswer::NotServed { status: 404 }
        );
        assert_eq!(
            models(200, b"<title>OpenClaw Control</title>"),
            ModelsAnswer::NotServed { status: 200 }
        );
        for odd in [&b"{}"[..], b"[]", b"", b"{\"data\":7}", b"\xff"] {
            assert_eq!(models(200, odd), ModelsAnswer::Odd { status: 200 });
        }
        assert_eq!(models(500, list), ModelsAnswer::Odd { status: 500 });
    }

    #[test]
    fn a_server_says_that_it_wants_tls() {
        let words = b"Client sent an HTTP request to an HTTPS server.\n";
        assert!(wants_tls(400, words));
        assert!(!wants_tls(200, words));
        assert!(!wants_tls(400, b"Bad Request"));
    }
}
