//! WeCom's group robots: markdown.

use std::time::Duration;

use serde_json::json;

use super::super::outbox::Outcome;
use super::super::words::Markup;
use super::{Reply, code, inert_markdown, markdown_code, message};
use crate::model::Alert;

/// The content, in bytes of UTF-8 ("Group robots", markdown).
const MAX_CONTENT: usize = 4096;

const MARKUP: Markup = Markup {
    escape: inert_markdown,
    strong: ("**", "**"),
    escape_quote: inert_markdown,
    quote: ("> ", ""),
    quote_joint: "\n> ",
    escape_code: markdown_code,
    code: ("`", "`"),
    joint: "\n",
    size: str::len,
};

pub(super) fn render(alert: &Alert, id: &str) -> String {
    let content = message(alert, id, &MARKUP, MAX_CONTENT, ("#### ", ""), "\n\n");
    json!({"msgtype": "markdown", "markdown": {"content": content}}).to_string()
}

/// A failure, too, comes with HTTP's 200 and is told by `errcode` alone.
pub(super) fn judge(reply: &Reply) -> Outcome {
    let (code, said) = match code(reply, &["errcode"]) {
        Ok(read) => read,
        Err(outcome) => return outcome,
    };
    let why = format!("WeCom answered {code}: {said}");
    match code {
        0 => Outcome::Delivered { note: None },
        93_000 | 93_004 | 93_008 => Outcome::refused(
            why,
            "no robot takes messages there: was it removed? Put its address where `url` reads it",
        ),
        40_058 | 45_002 | 40_008 => {
            Outcome::refused(why, "narrow the channel's `classes` and `hosts`")
        }
        // More than 20 messages in a minute ("Group robots").
        45_009 | 45_033 => Outcome::Later {
            why,
            wait: Some(Duration::from_secs(60)),
        },
        // -1 is "busy"; others may pass, and are told until they do.
        _ => Outcome::later(why),
    }
}
