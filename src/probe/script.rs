//! Composing what is sent to `sh -s`.

use std::fmt::Write as _;

use crate::model::{Become, BecomeHow, Host};

/// A word that only this run knows. It marks the frames, so that nothing printed by a login
/// profile or quoted from a journal can pass for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// Makes a nonce of 128 random bits.
    pub fn new(random: u128) -> Self {
        Self(format!("{random:032x}"))
    }

    /// Returns it as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a probe is asked for.
#[derive(Debug, Clone, Copy)]
pub struct ProbeRequest<'a> {
    /// The host, with its service and limits.
    pub host: &'a Host,
    /// Marks the frames.
    pub nonce: &'a Nonce,
    /// Marks what is said before the script is sent. It is seen in the host's list of processes, so
    /// it is not the nonce of the frames.
    pub dialogue: &'a Nonce,
    /// The run's own key for digests of what is compared between hosts and not told.
    pub digest_key: &'a str,
    /// Whether `ss` may be used where the host has it; without it `/proc` alone is read.
    pub use_ss: bool,
}

/// A command line and what is written to its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeScript {
    /// The command. Nothing in it was chosen by a host, and of the inventory only the name of the
    /// user to become, which is one word.
    pub command: String,
    /// What is said before the script may be sent.
    pub questions: Option<Questions>,
    /// The script.
    pub stdin: String,
}

/// What a command says that becomes another user with a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Questions {
    /// Its word that the program runs which may ask: what looks like a question before it is none.
    pub begin: String,
    /// Its question for the password.
    pub prompt: String,
    /// Its word that the other user's shell runs.
    pub ready: String,
}

/// The probe's parts; only the last one does anything when it is read.
const PROBE: &str = concat!(
    include_str!("scripts/probe/10-base.sh"),
    include_str!("scripts/probe/20-unit-files.sh"),
    include_str!("scripts/probe/30-sockets.sh"),
    include_str!("scripts/probe/40-processes.sh"),
    include_str!("scripts/probe/50-units.sh"),
    include_str!("scripts/probe/60-journal.sh"),
    include_str!("scripts/probe/70-config.sh"),
    include_str!("scripts/probe/80-machine.sh"),
    include_str!("scripts/probe/85-checks.sh"),
    include_str!("scripts/probe/90-main.sh"),
);
const HTTP: &str = include_str!("scripts/http.sh");

/// Composes the probe for a host.
pub fn probe_script(request: ProbeRequest<'_>) -> ProbeScript {
    let host = request.host;
    let mut header = Header::new(request.nonce);
    header.set("K", request.digest_key);
    header.set_words("UNITS", host.services().map(|service| service.unit.clone()));
    header.set_words(
        "PORTS",
        host.services().map(|service| service.port.to_string()),
    );
    header.set_words(
        "OWNERS",
        host.services().filter_map(|service| service.owner.clone()),
    );
    let limit = host.timeouts.exec.as_secs().max(1) + host.checks_limit().as_secs();
    header.set("LIMIT_S", &limit.to_string());
    header.set("USE_SS", if request.use_ss { "yes" } else { "no" });
    header.custom_checks(host);
    let (command, questions) = command(&host.privilege, request.dialogue.as_str());
    ProbeScript {
        command,
        questions,
        stdin: header.0 + PROBE,
    }
}

/// Composes the HTTP question for a host that forwards no connection.
pub fn http_script(
    host: &Host,
    nonce: &Nonce,
    (address, port): (&str, u16),
    path: &str,
    tls: bool,
) -> ProbeScript {
    let mut header = Header::new(nonce);
    header.set("SCHEME", if tls { "https" } else { "http" });
    header.set("ADDRESS", address);
    header.set("PORT", &port.to_string());
    header.set("HEALTH_PATH", path);
    header.set(
        "LIMIT_S",
        &host.thresholds.http_timeout.as_secs().max(1).to_string(),
    );
    ProbeScript {
        // Whoever logs in may ask the loopback.
        command: "exec sh -s".to_owned(),
        questions: None,
        stdin: header.0 + HTTP,
    }
}

/// The assignments in front of a script. Every value stands in quotes.
#[derive(Debug, Clone)]
pub struct Header(String);

impl Header {
    /// Begins one; the nonce is its first variable.
    pub fn new(nonce: &Nonce) -> Self {
        let mut header = Self(String::new());
        header.set("N", nonce.as_str());
        header
    }

    /// Sets a variable. The name is ours, the value may be anything.
    pub fn set(&mut self, name: &str, value: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{name}={}", quoted(value));
    }

    /// Defines a function that runs these commands. Each is words; the first is a command of ours, the
    /// others may be anything.
    pub fn function(&mut self, name: &str, commands: &[&[&str]]) {
        let _ = writeln!(self.0, "{name}() {{\n:");
        for words in commands {
            let mut words = words.iter();
            self.0.push_str(words.next().copied().unwrap_or(":"));
            for word in words {
                let _ = write!(self.0, " {}", quoted(word));
            }
            self.0.push('\n');
        }
        self.0.push_str("}\n");
    }

    /// Returns the text so far.
    pub fn text(self) -> String {
        self.0
    }

    /// Words without blanks, each once.
    fn set_words(&mut self, name: &str, words: impl Iterator<Item = String>) {
        let mut list: Vec<String> = Vec::new();
        for word in words {
            if !list.contains(&word) {
                list.push(word);
            }
        }
        self.set(name, &list.join(" "));
    }

    /// The operator's own checks as a function: their scripts stand in quotes and never on a command
    /// line.
    fn custom_checks(&mut self, host: &Host) {
        self.0.push_str("custom_checks() {\n:\n");
        for check in &host.checks {
            // A name is made of letters, digits and hyphens. Writing to a String cannot fail.
            let _ = writeln!(
                self.0,
                "run_check {} {} {}",
                check.name,
                check.limit_s(),
                quoted(&check.script)
            );
        }
        self.0.push_str("}\n");
    }
}

/// Returns the command that reads a script as the user that the inventory wants, and what is said
/// before the script may be sent.
pub fn shell(become_user: &Become, dialogue: &Nonce) -> (String, Option<Questions>) {
    command(become_user, dialogue.as_str())
}

/// Returns the command that reads a script as the user that the inventory wants. Login shells of
/// every kind read it (fish and csh among them), so it is words and at most one pair of single
/// quotes.
fn command(become_user: &Become, nonce: &str) -> (String, Option<Questions>) {
    let user = &become_user.user;
    if become_user.password.is_none() {
        let command = match become_user.how {
            BecomeHow::None => "exec sh -s".to_owned(),
            BecomeHow::Sudo => format!("exec sudo -n -u {user} -- sh -s"),
            BecomeHow::Doas => format!("exec doas -n -u {user} sh -s"),
            // Without a password only root passes, and su must not read the script for one.
            BecomeHow::Su => format!("exec su {user} -c \"exec sh -s\""),
        };
        return (command, None);
    }
    let ready = format!("clawfleet-ready-{nonce}");
    let begin = format!("clawfleet-asks-{nonce}");
    let say_begin = format!("a=clawfleet-asks; echo $a-{nonce} >&2");
    // The word is put together only where it is said: sudo quotes a command that it refuses.
    let shell = format!("r=clawfleet-ready; echo \\$r-{nonce} >&2; exec sh -s");
    let (command, prompt) = match become_user.how {
        BecomeHow::None | BecomeHow::Doas => return ("exec sh -s".to_owned(), None),
        // Without a password first: where none is needed, none is sent. The variable names our
        // prompt for the password only; with `-p` a question for a second factor would look the
        // same.
        BecomeHow::Sudo => {
            let prompt = format!("clawfleet-password-{nonce}:");
            let command = format!(
                "sudo -n -u {user} -- sh -c : 2>/dev/null && exec sudo -n -u {user} -- sh -c \"{shell}\"; \
                 LC_ALL=C; SUDO_PROMPT={prompt}; export LC_ALL SUDO_PROMPT; {say_begin}; \
                 exec sudo -S -u {user} -- sh -c \"{shell}\""
            );
            (command, prompt)
        }
        // su has no prompt of one's choice; in the C locale this is it.
        BecomeHow::Su => {
            let command =
                format!("LC_ALL=C; export LC_ALL; {say_begin}; exec su {user} -c \"{shell}\"");
            (command, "Password: ".to_owned())
        }
    };
    (
        format!("exec sh -c '{command}'"),
        Some(Questions {
            begin,
            prompt,
            ready,
        }),
    )
}

/// Quotes by the one rule that holds in every POSIX shell: single quotes, and a quote itself as
/// `'\''`. A value with a newline stays one value.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_for_every_shell() {
        let mut header = Header::new(&Nonce::new(1));
        header.set("UNIT", "a'b $(reboot) `x`\n;c");
        assert_eq!(
            header.0,
            "N='00000000000000000000000000000001'\nUNIT='a'\\''b $(reboot) `x`\n;c'\n"
        );
    }
}
