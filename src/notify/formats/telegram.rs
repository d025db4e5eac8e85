//! Telegram's Bot API: `sendMessage`, in its HTML.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::outbox::Outcome;
use super::super::words::{self, Markup};
use super::{LONGEST_QUOTE, Reply, message};
use crate::model::{Alert, sanitize, shorten};

/// Characters of a message ("Bot API", sendMessage: 1-4096 after its marks were read). The marks
/// are counted here as well, and characters as Telegram does, in units of UTF-16.
const MAX_TEXT: usize = 4096;

const MARKUP: Markup = Markup {
    escape,
    strong: ("<b>", "</b>"),
    escape_quote: escape_html,
    quote: ("<pre>", "</pre>"),
    quote_joint: "\n",
    escape_code: |text| Some(escape_html(text)),
    code: ("<code>", "</code>"),
    joint: "\n",
    size: |text| text.encode_utf16().count(),
};

pub(super) fn render(alert: &Alert, id: &str) -> String {
    let text = message(alert, id, &MARKUP, MAX_TEXT, ("<b>", "</b>"), "\n\n");
    // The chat is put to it when it is sent: one that was set wrong can be set right meanwhile.
    json!({
        "text": text,
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": true},
    })
    .to_string()
}

/// The four characters of "HTML style".
fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Outside of code Telegram makes mentions of `@name`, and commands of `/name`.
fn escape(text: &str) -> String {
    let text = words::defang(text).replace('@', "＠");
    escape_html(&text.replace(" /", " ⁄"))
}

/// Puts the chat into a body.
pub(in crate::notify) fn addressed(body: &str, chat: &str, topic: Option<u64>) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(body) else {
        return body.to_owned();
    };
    let chat = match chat.parse::<i64>() {
        Ok(number) => Value::from(number),
        Err(_) => Value::from(chat),
    };
    fields.insert("chat_id".to_owned(), chat);
    if let Some(topic) = topic {
        fields.insert("message_thread_id".to_owned(), topic.into());
    }
    Value::Object(fields).to_string()
}

/// What an answer means ("Making requests": `ok`, `error_code`, `description`, `parameters`).
pub(super) fn judge(reply: &Reply) -> Outcome {
    let json = reply.json().unwrap_or_default();
    let ok = json.get("ok").and_then(Value::as_bool);
    if (200..300).contains(&reply.status) && ok == Some(true) {
        return Outcome::Delivered { note: None };
    }
    let said = json
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let said = shorten(&sanitize(said), LONGEST_QUOTE).into_owned();
    let parameter = |name: &str| {
        json.get("parameters")
            .and_then(|all| all.get(name)?.as_i64())
    };
    let why = match (ok, said.is_empty()) {
        (None, _) | (_, true) => format!(
            "it answered {}, and not as Telegram does: {}",
            reply.status,
            reply.quote()
        ),
        _ => format!("Telegram answered {}: {said}", reply.status),
    };
    match reply.status {
        300..=399 => Outcome::refused(
            format!("it answered {}, a redirect", reply.status),
            "redirects are not followed: look at `api`",
        ),
        429 => Outcome::Later {
            why,
            wait: parameter("retry_after")
                .and_then(|seconds| u64::try_from(seconds).ok())
                .map(Duration::from_secs)
                .or(reply.retry_after),
        },
        400 => match parameter("migrate_to_chat_id") {
            Some(chat) => Outcome::refused(why, format!("the group has become `chat: {chat}`")),
            None => Outcome::refused(
                why,
                "look at `chat` and `topic`; a group's number begins with a minus",
            ),
        },
        401 | 404 => Outcome::refused(why, "Telegram does not know that bot: look at `token`"),
        403 => Outcome::refused(why, "add the bot to the chat, and let it post there"),
        413 => Outcome::refused(why, "narrow the channel's `classes` and `hosts`"),
        402 | 405..=407 | 409..=412 | 414..=424 | 426..=428 | 430..=499 => {
            Outcome::refused(why, "is there a Bot API at `api`?")
        }
        _ => Outcome::Later {
            why,
            wait: reply.retry_after,
        },
    }
}
