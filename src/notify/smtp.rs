//! Mail is handed in (RFC 5321): one message, one connection.
//!
//! Eight commands, by a client of our own: the one crate for it that is well kept brings 34 others,
//! tables of Unicode for names of domains among them, and a second way to connect and to trust.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use super::net::{self, Stream, Trust};
use super::outbox::Outcome;
use super::sign;
use crate::model::{MailSpec, MailTls, Secret, sanitize, shorten};

/// A line of an answer (RFC 5321, 4.5.3.1.5: 512 octets; servers exceed it).
const MAX_LINE: usize = 4096;

/// Lines of one answer.
const MAX_LINES: usize = 100;

/// How much of a server's words is quoted, in characters.
const LONGEST_QUOTE: usize = 160;

/// An answer: its code, and its lines without it.
struct Answer {
    code: u16,
    lines: Vec<String>,
}

impl Answer {
    /// Says what the server said.
    fn quote(&self) -> String {
        let said = self.lines.join(" ");
        let said = shorten(&sanitize(&said), LONGEST_QUOTE).into_owned();
        format!("{} {said}", self.code).trim_end().to_owned()
    }

    /// What a refusal means (RFC 5321, 4.2.1): 4xx passes, 5xx stays.
    fn refusal(&self, step: &str, helps: &str) -> Outcome {
        let why = format!("the mail server answered {step} with {}", self.quote());
        match self.code {
            500..=599 => Outcome::refused(why, helps),
            _ => Outcome::later(why),
        }
    }
}

/// Why a dialogue ended: as an outcome, for words alone do not tell what passes.
type End = Outcome;

struct Dialogue {
    stream: Stream,
    deadline: Instant,
    /// What was read beyond the last answer.
    rest: Vec<u8>,
}

/// Hands a message in.
pub(super) async fn send(
    spec: &MailSpec,
    password: Option<&Secret>,
    trust: &Trust,
    host: &str,
    message: &str,
    limit: Duration,
) -> Outcome {
    let deadline = Instant::now() + limit;
    match dialogue(spec, password, trust, host, message, deadline).await {
        Ok(outcome) | Err(outcome) => outcome,
    }
}

async fn dialogue(
    spec: &MailSpec,
    password: Option<&Secret>,
    trust: &Trust,
    host: &str,
    message: &str,
    deadline: Instant,
) -> Result<Outcome, End> {
    let failed = |why: String| Outcome::later(why);
    let mut stream = net::dial(&spec.server, spec.port, deadline)
        .await
        .map_err(failed)?;
    if spec.tls == MailTls::Implicit {
        stream = net::tls(stream, &spec.server, trust, deadline)
            .await
            .map_err(failed)?;
    }
    let mut dialogue = Dialogue {
        stream,
        deadline,
        rest: Vec::new(),
    };
    let greeting = dialogue.answer().await?;
    if greeting.code != 220 {
        return Err(greeting.refusal("the connection", "is it the right `server` and `port`?"));
    }
    let mut abilities = dialogue.hello(host).await?;
    if spec.tls == MailTls::StartTls {
        dialogue = dialogue.start_tls(spec, trust, &abilities).await?;
        // What was offered before TLS anybody could have said.
        abilities = dialogue.hello(host).await?;
    }
    if let (Some(user), Some(password)) = (&spec.user, password) {
        dialogue.log_in(user, password, &abilities).await?;
    }
    let outcome = dialogue.hand_in(spec, message).await?;
    // It has the message; how it says goodbye changes nothing.
    let _ = dialogue.say("QUIT").await;
    Ok(outcome)
}

impl Dialogue {
    /// Reads an answer of one line or more.
    async fn answer(&mut self) -> Result<Answer, End> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
            let (Some(code), Some(text)) = (code, line.get(3..)) else {
                return Err(Outcome::later("it does not answer as a mail server does"));
            };
            lines.push(text.get(1..).unwrap_or_default().to_owned());
            if !text.starts_with('-') {
                return Ok(Answer { code, lines });
            }
            if lines.len() >= MAX_LINES {
                return Err(Outcome::later("the mail server's answer has no end"));
            }
        }
    }

    async fn line(&mut self) -> Result<String, End> {
        let lost = |why: String| Outcome::later(format!("the mail server: {why}"));
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.rest.len() > MAX_LINE {
                return Err(lost("its line has no end".to_owned()));
            }
            let mut bytes = [0; 1024];
            let read = timeout_at(self.deadline, self.stream.read(&mut bytes)).await;
            match read {
                Err(_) => return Err(lost("no answer in time".to_owned())),
                Ok(Err(error)) => return Err(lost(net::words(&error))),
                Ok(Ok(0)) => return Err(lost("it closed the connection".to_owned())),
                Ok(Ok(count)) => self
                    .rest
                    .extend_from_slice(bytes.get(..count).unwrap_or_default()),
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let writing = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout_at(self.deadline, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Outcome::later(format!(
                "the mail server: {}",
                net::words(&error)
            ))),
            Err(_) => Err(Outcome::later("the mail server takes no more in time")),
        }
    }

    /// Says a line, and reads the answer.
    async fn say(&mut self, line: &str) -> Result<Answer, End> {
        // No line holds anything but what was checked when the inventory was read. Should one, it
        // must not become two.
        if line.contains(['\r', '\n', '\0']) {
            return Err(Outcome::refused(
                "a name for the mail server holds a line's end",
                "look at `user`, `from` and `to`",
            ));
        }
        self.write(format!("{line}\r\n").as_bytes()).await?;
        self.answer().await
    }

    /// Greets, and returns what the server can do.
    async fn hello(&mut self, host: &str) -> Result<Vec<String>, End> {
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let name = match host.contains('.') && host.chars().all(fine) {
            true => host,
            // What has no full name says its address (RFC 5321, 4.1.3).
            false => "[127.0.0.1]",
        };
        let answer = self.say(&format!("EHLO {name}")).await?;
        if answer.code != 250 {
            return Err(answer.refusal("EHLO", "is it a mail server for submission?"));
        }
        let upper = answer.lines.iter().skip(1);
        Ok(upper.map(|line| line.to_ascii_uppercase()).collect())
    }

    async fn start_tls(
        mut self,
        spec: &MailSpec,
        trust: &Trust,
        abilities: &[String],
    ) -> Result<Self, End> {
        if !abilities.iter().any(|ability| ability == "STARTTLS") {
            return Err(Outcome::refused(
                "the mail server offers no STARTTLS, and without TLS nothing is sent",
                "`tls: implicit` (port 465), another `port`, or `tls: none` if that is what is meant",
            ));
        }
        let answer = self.say("STARTTLS").await?;
        if answer.code != 220 {
            return Err(answer.refusal("STARTTLS", "look at the server's TLS"));
        }
        if !self.rest.is_empty() {
            // Somebody on the way may have put it there, to be read as said under TLS.
            return Err(Outcome::later(
                "the mail server spoke on between STARTTLS and TLS",
            ));
        }
        let stream = net::tls(self.stream, &spec.server, trust, self.deadline)
            .await
            .map_err(Outcome::later)?;
        Ok(Self {
            stream,
            deadline: self.deadline,
            rest: Vec::new(),
        })
    }

    /// Logs in by PLAIN (RFC 4616), or else by LOGIN.
    async fn log_in(
        &mut self,
        user: &str,
        password: &Secret,
        abilities: &[String],
    ) -> Result<(), End> {
        let ways: Vec<&str> = abilities
            .iter()
            .filter_map(|ability| {
                ability
                    .strip_prefix("AUTH ")
                    .or(ability.strip_prefix("AUTH="))
            })
            .flat_map(str::split_whitespace)
            .collect();
        let base64 = |text: &str| sign::base64(text.as_bytes());
        let answer = if ways.contains(&"PLAIN") {
            let both = base64(&format!("\0{user}\0{}", password.expose()));
            self.say(&format!("AUTH PLAIN {both}")).await?
        } else if ways.contains(&"LOGIN") {
            let mut answer = self.say("AUTH LOGIN").await?;
            for part in [user, password.expose()] {
                if answer.code != 334 {
                    break;
                }
                answer = self.say(&base64(part)).await?;
            }
            answer
        } else {
            return Err(Outcome::refused(
                "the mail server offers neither AUTH PLAIN nor AUTH LOGIN",
                "leave `user` and `password` out if it wants none; look at `port`",
            ));
        };
        match answer.code {
            235 => Ok(()),
            // 334: it goes on asking. The server's words are not quoted: some repeat what was sent.
            334 | 500..=599 => Err(Outcome::refused(
                format!("the mail server does not take the login ({})", answer.code),
                "look at `user` and `password`; some services want a password of its own for each program",
            )),
            code => Err(Outcome::later(format!(
                "the mail server does not take the login now ({code})"
            ))),
        }
    }

    async fn hand_in(&mut self, spec: &MailSpec, message: &str) -> Result<Outcome, End> {
        let answer = self.say(&format!("MAIL FROM:<{}>", spec.from)).await?;
        if answer.code != 250 {
            return Err(answer.refusal(
                "the sender",
                "look at `from`, and at whether it wants a login",
            ));
        }
        let mut refused = Vec::new();
        for to in &spec.to {
            let answer = self.say(&format!("RCPT TO:<{to}>")).await?;
            if !matches!(answer.code, 250..=252) {
                refused.push((to, answer));
            }
        }
        if let (true, Some((to, answer))) = (refused.len() == spec.to.len(), refused.first()) {
            return Err(answer.refusal(&format!("the recipient {to}"), "look at `to`"));
        }
        let answer = self.say("DATA").await?;
        if answer.code != 354 {
            return Err(answer.refusal("DATA", "look at the server's log"));
        }
        // No line of the message begins with a full stop: there is nothing to double.
        self.write(message.as_bytes()).await?;
        self.write(b".\r\n").await?;
        let answer = self.answer().await?;
        if answer.code != 250 {
            return Err(answer.refusal("the message", "look at the server's log"));
        }
        let note = refused
            .iter()
            .map(|(to, answer)| format!("{to}: {}", answer.quote()));
        let note: Vec<String> = note.collect();
        Ok(Outcome::Delivered {
            note: (!note.is_empty()).then(|| format!("not to {}", note.join("; "))),
        })
    }
}
