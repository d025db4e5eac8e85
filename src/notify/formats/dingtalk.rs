//! DingTalk's custom robots: markdown.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::super::outbox::Outcome;
use super::super::sign;
use super::super::words::{self, Markup};
use super::{Reply, code, inert_markdown, markdown_code, message};
use crate::model::{Alert, WebAddress};

/// The body of a request, in bytes ("Custom robots": messages of at most 20,000 bytes).
const MAX_BODY: usize = 19_900;

/// How long a robot is silent that sent more than 20 messages in a minute ("Custom robots").
const PENALTY: Duration = Duration::from_secs(600);

const MARKUP: Markup = Markup {
    escape: inert_markdown,
    strong: ("**", "**"),
    escape_quote: inert_markdown,
    quote: ("> ", ""),
    quote_joint: "  \n> ",
    escape_code: markdown_code,
    code: ("`", "`"),
    // Two blanks in front of a line's end make it one.
    joint: "  \n",
    size: words::json_size,
};

pub(super) fn render(alert: &Alert, id: &str) -> String {
    let body = |text: &str| {
        json!({
            "msgtype": "markdown",
            "markdown": {"title": words::headline(alert), "text": text},
            // Whom the text names, it does not call.
            "at": {"isAtAll": false},
        })
        .to_string()
    };
    let room = MAX_BODY.saturating_sub(body("").len());
    body(&message(alert, id, &MARKUP, room, ("#### ", ""), "\n\n"))
}

/// Puts the signature into an address: the timestamp in milliseconds, and the HMAC of
/// `TIMESTAMP\nSECRET` under the secret, in base64, encoded for a query ("Custom robots", signing).
/// It counts for an hour.
pub(in crate::notify) fn signed(address: &WebAddress, secret: &str, now: Timestamp) -> WebAddress {
    let timestamp = now.as_millisecond();
    let text = format!("{timestamp}\n{secret}");
    let signature = sign::base64(&sign::hmac_sha256(secret.as_bytes(), text.as_bytes()));
    let joint = if address.path.contains('?') { '&' } else { '?' };
    WebAddress {
        path: format!(
            "{}{joint}timestamp={timestamp}&sign={}",
            address.path,
            sign::in_query(&signature)
        ),
        ..address.clone()
    }
}

/// A failure, too, comes with HTTP's 200 and is told by `errcode` alone.
pub(super) fn judge(reply: &Reply) -> Outcome {
    let (code, said) = match code(reply, &["errcode"]) {
        Ok(read) => read,
        Err(outcome) => return outcome,
    };
    let why = format!("DingTalk answered {code}: {said}");
    match code {
        0 => Outcome::Delivered { note: None },
        310_000 => Outcome::refused(
            why,
            "the robot's security settings: set `secret` to its signing key (and look at this machine's clock), \
             or add `clawfleet` to its keywords, or this machine to its IP addresses",
        ),
        300_001 | 300_005 | 400_101 | 400_102 | 400_105 | 400_106 | 400_013 => Outcome::refused(
            why,
            "no robot takes messages there: was it removed or stopped? Put its address where `url` reads it",
        ),
        460_101 => Outcome::refused(why, "narrow the channel's `classes` and `hosts`"),
        130_101 | 410_100 => Outcome::Later {
            why,
            wait: Some(PENALTY),
        },
        // -1 is "busy"; others may pass, and are told until they do.
        _ => Outcome::later(why),
    }
}
