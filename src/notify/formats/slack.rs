//! Slack's incoming webhooks, in Block Kit.

use serde_json::{Value, json};

use super::super::words::{self, Markup};
use crate::model::Alert;

/// Characters of a section's text (Block Kit reference, "Section block").
const MAX_SECTION: usize = 3000;

/// Blocks of a message (Block Kit reference, "Blocks").
const MAX_BLOCKS: usize = 50;

/// All sections together, in characters. Slack names no limit of it for webhooks; a message's text
/// is cut at 40,000 ("chat.postMessage").
const MAX_TEXT: usize = 30_000;

/// A context element's text (Block Kit reference, "Text object": 3,000; kept to a line).
const MAX_FOOTER: usize = 500;

const MARKUP: Markup = Markup {
    escape,
    strong: ("*", "*"),
    escape_quote: escape_code_block,
    quote: ("```", "```"),
    quote_joint: "\n",
    escape_code,
    code: ("`", "`"),
    joint: "\n",
    size: words::chars,
};

pub(super) fn render(alert: &Alert, id: &str) -> String {
    // A header, a line of what is left out, a footer.
    let fitted = words::fit(alert, &MARKUP, MAX_TEXT, MAX_SECTION, MAX_BLOCKS - 3, 0);
    let headline = words::headline(alert);
    let mut blocks = vec![json!({
        "type": "header",
        "text": {"type": "plain_text", "text": headline, "emoji": false},
    })];
    blocks.extend(fitted.pieces.iter().map(|piece| section(piece)));
    if let Some(text) = words::left_out(fitted.left_out) {
        blocks.push(section(&text));
    }
    let footer = words::footer(alert, id);
    let footer = crate::model::shorten(&footer, MAX_FOOTER);
    blocks.push(json!({
        "type": "context",
        "elements": [{"type": "plain_text", "text": footer, "emoji": false}],
    }));
    json!({
        // What a notification shows, where blocks are not.
        "text": escape(&headline),
        "blocks": blocks,
        "unfurl_links": false,
        "unfurl_media": false,
    })
    .to_string()
}

/// `verbatim`: nothing that looks like a channel, a person or an address becomes a link.
fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": true}})
}

/// The three characters that Slack gives a meaning ("Formatting text for app surfaces"). Without
/// `<` there is no mention, no link and no date.
fn escape(text: &str) -> String {
    words::defang(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn escape_code_block(text: &str) -> String {
    escape(&text.replace('`', "ˋ"))
}

fn escape_code(text: &str) -> Option<String> {
    let plain = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    (!text.contains('`')).then_some(plain)
}

/// What helps, by the codes of "Sending messages using incoming webhooks".
pub(super) fn advice(status: u16) -> &'static str {
    match status {
        403 => "the workspace does not let this webhook post: ask who manages it",
        404 => {
            "the webhook or its channel is gone: make a new one, and put it where `url` reads it"
        }
        410 => "the channel is archived: make a webhook for another",
        _ => "Slack does not take the message: is it the right `type` for that address?",
    }
}
