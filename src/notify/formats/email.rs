//! Mail: plain text. It reads in every client, and holds nothing that one could load or obey.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::super::sign;
use super::super::words::{self, Markup};
use super::message;
use crate::model::{Alert, MailSpec, sanitize};

/// The text, in bytes: what every server takes many times over, and nobody reads to its end.
const MAX_TEXT: usize = 100_000;

/// A line with an encoded word holds at most 76 characters (RFC 2047, section 2). `Subject: `,
/// `=?utf-8?B?` and `?=` are 21 of them: the 55 that are left are 52 of base64, which are 39 bytes.
const ENCODED_BYTES: usize = 39;

/// A line of base64 in a body (RFC 2045, section 6.8).
const BASE64_LINE: usize = 76;

const MARKUP: Markup = Markup {
    escape: plain,
    strong: ("", ""),
    escape_quote: plain,
    quote: ("    ", ""),
    quote_joint: "\n    ",
    escape_code: |text| Some(text.to_owned()),
    code: ("", ""),
    joint: "\n",
    size: str::len,
};

fn plain(text: &str) -> String {
    words::defang(text).into_owned()
}

/// What the outbox keeps of a mail.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::notify) struct Mail {
    subject: String,
    text: String,
}

pub(super) fn render(alert: &Alert, id: &str) -> String {
    let mail = Mail {
        subject: words::headline(alert),
        text: message(alert, id, &MARKUP, MAX_TEXT, ("", ""), "\n\n"),
    };
    // A struct of two texts.
    serde_json::to_string(&mail).unwrap_or_default()
}

/// Reads what the outbox kept.
pub(in crate::notify) fn read(payload: &str) -> Option<Mail> {
    serde_json::from_str(payload).ok()
}

impl Mail {
    /// Makes the message (RFC 5322) that is handed in. No line of it begins with a full stop, and
    /// none holds more than 78 characters, whatever the texts hold.
    pub(in crate::notify) fn message(
        &self,
        spec: &MailSpec,
        id: &str,
        host: &str,
        made: Timestamp,
    ) -> String {
        let date = made.to_zoned(TimeZone::UTC);
        let date = date.strftime("%a, %d %b %Y %H:%M:%S +0000");
        let domain: String = host.chars().filter(|c| is_domain(*c)).collect();
        let domain = if domain.is_empty() {
            "localhost"
        } else {
            &domain
        };
        let headers = [
            ("From", spec.from.clone()),
            ("To", spec.to.join(",\r\n ")),
            ("Subject", header_text(&self.subject)),
            ("Date", date.to_string()),
            // The same for each try, so that whoever gets it twice can tell.
            ("Message-ID", format!("<{id}@{domain}>")),
            // RFC 3834: no vacation answers this.
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("MIME-Version", "1.0".to_owned()),
            ("Content-Type", "text/plain; charset=utf-8".to_owned()),
            ("Content-Transfer-Encoding", "base64".to_owned()),
        ];
        let mut message = String::new();
        for (name, value) in headers {
            message += &format!("{name}: {value}\r\n");
        }
        message += "\r\n";
        let text = self.text.replace("\r\n", "\n").replace('\n', "\r\n");
        let base64 = sign::base64(format!("{text}\r\n").as_bytes());
        for line in base64.as_bytes().chunks(BASE64_LINE) {
            message += &String::from_utf8_lossy(line);
            message += "\r\n";
        }
        message
    }
}

fn is_domain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '.' || c == '-'
}

/// A header's text: encoded words (RFC 2047) always, so that there is one way and nothing in the
/// text can end the header.
fn header_text(text: &str) -> String {
    let text = sanitize(text);
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if word.len() + c.len_utf8() > ENCODED_BYTES {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let encoded = words
        .iter()
        .map(|word| format!("=?utf-8?B?{}?=", sign::base64(word.as_bytes())));
    encoded.collect::<Vec<_>>().join("\r\n ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::model::MailTls;
    use proptest::prelude::*;

    fn spec() -> MailSpec {
        MailSpec {
            server: "localhost".into(),
            port: 25,
            tls: MailTls::None,
            user: None,
            password: None,
            from: "a@b.example".into(),
            to: vec!["c@d.example".into(), "e@f.example".into()],
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_header_or_a_line_too_long(subject in "\\PC{0,200}|[\\x00-\\xff]{0,60}", text in "\\PC{0,300}|(\\.|\r|\n){0,30}") {
            let mail = Mail { subject, text };
            let message = mail.message(&spec(), "id", "b\r\nX: y", Timestamp::UNIX_EPOCH);
            let (head, _) = message.split_once("\r\n\r\n").unwrap();
            let names: Vec<&str> = head
                .split("\r\n")
                .filter(|line| !line.starts_with(' '))
                .map(|line| line.split(':').next().unwrap())
                .collect();
            prop_assert_eq!(names, [
                "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version",
                "Content-Type", "Content-Transfer-Encoding",
            ]);
            for line in message.split("\r\n") {
                prop_assert!(line.len() <= 78 && line.is_ascii() && !line.starts_with('.'));
                prop_assert!(!line.contains(['\r', '\n']));
            }
        }
    }
}
