//! Feishu's and Lark's custom bots: an interactive card.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::outbox::Outcome;
use super::super::sign;
use super::super::words::{self, Markup};
use super::{Reply, Tone, code, tone};
use crate::model::Alert;

/// The body of a request, in bytes ("Custom bot usage guide": 20 KB), with room for the signature.
const MAX_BODY: usize = 20_000 - 200;

/// What one element of the card takes beside its text.
const ELEMENT: usize = 60;

/// Everything stands in `plain_text`, in which Feishu reads neither marks nor `<at>` tags.
const MARKUP: Markup = Markup {
    escape: plain,
    strong: ("", ""),
    escape_quote: plain,
    quote: ("  ", ""),
    quote_joint: "\n  ",
    escape_code: command,
    code: ("", ""),
    joint: "\n",
    size: words::json_size,
};

fn plain(text: &str) -> String {
    words::defang(text).into_owned()
}

/// A command stays as it is, so that it can be copied.
fn command(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub(super) fn render(alert: &Alert, id: &str) -> String {
    let without = card(alert, id, &[], Some(usize::MAX)).to_string().len();
    let room = MAX_BODY.saturating_sub(without);
    let fitted = words::fit(alert, &MARKUP, room, room, usize::MAX, ELEMENT);
    let left_out = (fitted.left_out > 0).then_some(fitted.left_out);
    card(alert, id, &fitted.pieces, left_out).to_string()
}

fn card(alert: &Alert, id: &str, pieces: &[String], left_out: Option<usize>) -> Value {
    let text = |text: &str| json!({"tag": "plain_text", "content": text});
    let mut elements: Vec<Value> = pieces
        .iter()
        .map(|piece| json!({"tag": "div", "text": text(piece)}))
        .collect();
    if let Some(more) = left_out.and_then(words::left_out) {
        elements.push(json!({"tag": "div", "text": text(&more)}));
    }
    elements.push(json!({"tag": "hr"}));
    let footer = words::footer(alert, id);
    elements.push(json!({"tag": "note", "elements": [text(&footer)]}));
    json!({
        "msg_type": "interactive",
        "card": {
            "config": {"wide_screen_mode": true},
            "header": {
                "title": text(&words::headline(alert)),
                "template": match tone(alert) {
                    Tone::Test => "blue",
                    Tone::Critical => "red",
                    Tone::Warning => "orange",
                    Tone::Over => "green",
                },
            },
            "elements": elements,
        },
    })
}

/// Puts the signature into a body: the timestamp in seconds, and the HMAC of nothing under the key
/// `TIMESTAMP\nSECRET`, in base64 ("Custom bot usage guide", signature verification). It counts for
/// an hour, so it is made when the message is sent.
pub(in crate::notify) fn signed(body: &str, secret: &str, now: Timestamp) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(body) else {
        return body.to_owned();
    };
    let timestamp = now.as_second().to_string();
    let key = format!("{timestamp}\n{secret}");
    let signature = sign::base64(&sign::hmac_sha256(key.as_bytes(), b""));
    fields.insert("timestamp".to_owned(), timestamp.into());
    fields.insert("sign".to_owned(), signature.into());
    Value::Object(fields).to_string()
}

/// A failure, too, comes with HTTP's 200 and is told by `code` (once `StatusCode`) alone.
pub(super) fn judge(reply: &Reply) -> Outcome {
    let (code, said) = match code(reply, &["code", "StatusCode"]) {
        Ok(read) => read,
        Err(outcome) => return outcome,
    };
    let why = format!("Feishu answered {code}: {said}");
    match code {
        0 => Outcome::Delivered { note: None },
        19_021 => Outcome::refused(
            why,
            "set `secret` to the bot's signing key, and look at this machine's clock",
        ),
        19_022 => Outcome::refused(why, "add this machine's address to the bot's IP whitelist"),
        19_024 => Outcome::refused(why, "add `clawfleet` to the bot's keywords"),
        19_001 | 19_002 => Outcome::refused(
            why,
            "no bot takes messages there: was it removed from the group? Put its address where `url` reads it",
        ),
        9_499 => Outcome::refused(
            why,
            "Feishu does not understand the message: is `type` right?",
        ),
        // 11232 is the rate limit; others may pass, and are told until they do.
        _ => Outcome::later(why),
    }
}
