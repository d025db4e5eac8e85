//! The formats: an alert as each service wants it, and what the service's answer means. Pure.

pub(super) mod dingtalk;
pub(super) mod email;
pub(super) mod feishu;
pub(super) mod slack;
pub(super) mod telegram;
pub(super) mod webhook;
pub(super) mod wecom;

use std::time::Duration;

use serde_json::Value;

use super::outbox::Outcome;
use super::words::{self, Markup};
use crate::model::{Alert, AlertKind, Severity, Target, sanitize, shorten};

/// How much of a receiver's words is quoted, in characters.
const LONGEST_QUOTE: usize = 160;

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// What Retry-After says.
    pub(super) retry_after: Option<Duration>,
    /// Where a redirect leads: the host alone.
    pub(super) leads_to: Option<String>,
    /// The body, as far as it was read.
    pub(super) body: Vec<u8>,
    /// Whether that is all of it.
    pub(super) whole: bool,
}

impl Reply {
    /// The body as JSON.
    fn json(&self) -> Option<Value> {
        self.whole
            .then(|| serde_json::from_slice(&self.body).ok())
            .flatten()
    }

    /// The beginning of the body, for a person.
    fn quote(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty());
        shorten(&sanitize(line.unwrap_or_default()), LONGEST_QUOTE).into_owned()
    }
}

/// Renders an alert for a channel: what is kept in the outbox.
pub(super) fn render(target: &Target, alert: &Alert, id: &str) -> String {
    match target {
        Target::Webhook { .. } | Target::Command { .. } => webhook::render(alert, id),
        Target::Slack { .. } => slack::render(alert, id),
        Target::Feishu { .. } => feishu::render(alert, id),
        Target::DingTalk { .. } => dingtalk::render(alert, id),
        Target::WeCom { .. } => wecom::render(alert, id),
        Target::Telegram { .. } => telegram::render(alert, id),
        Target::Email(_) => email::render(alert, id),
    }
}

/// Says what a receiver's answer means.
pub(super) fn judge(target: &Target, reply: &Reply) -> Outcome {
    if let Target::Telegram { .. } = target {
        // Its errors say more in their bodies than in their codes.
        return telegram::judge(reply);
    }
    if !(200..300).contains(&reply.status) {
        return not_accepted(target, reply);
    }
    match target {
        Target::Feishu { .. } => feishu::judge(reply),
        Target::DingTalk { .. } => dingtalk::judge(reply),
        Target::WeCom { .. } => wecom::judge(reply),
        _ => Outcome::Delivered { note: None },
    }
}

/// An answer that is no success, as HTTP has it (RFC 9110, section 15).
fn not_accepted(target: &Target, reply: &Reply) -> Outcome {
    let status = reply.status;
    let said = match reply.quote() {
        said if said.is_empty() => String::new(),
        said => format!(": {said}"),
    };
    match status {
        300..=399 => {
            let to = reply.leads_to.as_deref().unwrap_or("another place");
            Outcome::refused(
                format!("it answered {status}, a redirect to {}", sanitize(to)),
                "redirects are not followed, for they would take the message and its signature \
                 elsewhere: give the address that it leads to",
            )
        }
        408 | 425 | 429 | 500..=599 => Outcome::Later {
            why: format!("it answered {status}{said}"),
            wait: reply.retry_after,
        },
        _ => {
            let helps = match (target, status) {
                (Target::Slack { .. }, _) => slack::advice(status),
                (_, 401 | 403) => {
                    "it does not let this machine send: look at `secret` and at the receiver's list of addresses"
                }
                (_, 404 | 410) => "nothing takes messages at that address: look at `url`",
                (_, 407) => "the proxy wants a login: look at HTTPS_PROXY",
                (_, 413) => {
                    "it takes no message of that size: raise its limit, or narrow the channel's `classes` and `hosts`"
                }
                _ => "it does not understand the message: is it the right `type` for that address?",
            };
            Outcome::refused(format!("it answered {status}{said}"), helps)
        }
    }
}

/// Reads the code that services put into a body while HTTP says 200.
fn code(reply: &Reply, keys: &[&str]) -> Result<(i64, String), Outcome> {
    let unreadable = || {
        Outcome::later(format!(
            "it answered {}, and not as this service does: {}",
            reply.status,
            reply.quote()
        ))
    };
    let json = reply.json().ok_or_else(unreadable)?;
    let code = keys.iter().find_map(|key| json.get(key)?.as_i64());
    let said = ["msg", "errmsg", "StatusMessage"]
        .iter()
        .find_map(|key| json.get(key)?.as_str())
        .unwrap_or_default();
    let said = shorten(&sanitize(said), LONGEST_QUOTE).into_owned();
    code.map(|code| (code, said)).ok_or_else(unreadable)
}

/// How bad an alert is, for a colour.
fn tone(alert: &Alert) -> Tone {
    let of = |kind| alert.incidents.iter().any(|incident| incident.kind == kind);
    if alert.incidents.iter().all(|it| it.kind == AlertKind::Test) {
        return Tone::Test;
    }
    let open = alert
        .incidents
        .iter()
        .filter(|incident| incident.kind != AlertKind::Recovered);
    match open.map(|incident| incident.severity).max() {
        Some(Severity::Critical) => Tone::Critical,
        Some(_) => Tone::Warning,
        None if of(AlertKind::Recovered) => Tone::Over,
        None => Tone::Warning,
    }
}

enum Tone {
    Test,
    Critical,
    Warning,
    Over,
}

/// A message that is one text: a headline, the incidents, a footer.
fn message(
    alert: &Alert,
    id: &str,
    markup: &Markup,
    limit: usize,
    (headline_open, headline_close): (&str, &str),
    between: &str,
) -> String {
    let headline = format!(
        "{headline_open}{}{headline_close}",
        (markup.escape)(&words::headline(alert))
    );
    let footer = (markup.escape)(&words::footer(alert, id));
    let more = |number| words::left_out(number).map(|text| (markup.escape)(&text));
    let size = markup.size;
    // Room for the longest of what says that something is left out.
    let fixed = size(&headline)
        + size(&footer)
        + 3 * size(between)
        + more(alert.incidents.len()).map_or(0, |text| size(&text));
    let room = limit.saturating_sub(fixed);
    let fitted = words::fit(alert, markup, room, room, usize::MAX, size(between));
    let mut parts = vec![headline];
    parts.extend(fitted.pieces);
    parts.extend(more(fitted.left_out));
    parts.push(footer);
    parts.join(between)
}

/// For markdown without an escape of its own: what marks is replaced by what looks like it.
fn inert_markdown(text: &str) -> String {
    let text = words::defang(text).replace("](", "] (");
    let mut out = String::with_capacity(text.len());
    for (place, c) in text.char_indices() {
        out.push(match c {
            '<' => '＜',
            '>' => '＞',
            '*' => '＊',
            '`' => 'ˋ',
            '~' => '～',
            '\\' => '＼',
            '#' if place == 0 => '＃',
            c => c,
        });
    }
    out
}

/// A command in markdown's code. One that could end the code, or become a mention, is not shown: a
/// command in which something is replaced is another command.
fn markdown_code(command: &str) -> Option<String> {
    let odd = ["`", "<@", "<font", "</", "](", "\n"];
    (!odd.iter().any(|odd| command.contains(odd))).then(|| command.to_owned())
}
