//! Composing what is sent to `sh -s`.

use std::fmt::Write as _;

use crate::model::Host;

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
    /// Whether `ss` may be used where the host has it; without it `/proc` alone is read.
    pub use_ss: bool,
}

/// A command line and what is written to its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeScript {
    /// The command, free of anything that a host or an inventory chose.
    pub command: &'static str,
    /// The script.
    pub stdin: String,
}

const PROBE: &str = include_str!("scripts/probe.sh");
const HTTP: &str = include_str!("scripts/http.sh");

/// Composes the probe for a host.
pub fn probe_script(request: ProbeRequest<'_>) -> ProbeScript {
    let service = &request.host.service;
    let mut header = Header::new(request.nonce);
    header.set("UNIT", &service.unit);
    header.set("PORT", &service.port.to_string());
    header.set("OWNER", service.owner.as_deref().unwrap_or_default());
    header.set(
        "LIMIT_S",
        &request.host.timeouts.exec.as_secs().max(1).to_string(),
    );
    header.set("USE_SS", if request.use_ss { "yes" } else { "no" });
    header.before(PROBE, request.host)
}

/// Composes the HTTP question for a host that forwards no connection.
pub fn http_script(host: &Host, nonce: &Nonce, address: &str) -> ProbeScript {
    let mut header = Header::new(nonce);
    header.set("ADDRESS", address);
    header.set("PORT", &host.service.port.to_string());
    header.set("HEALTH_PATH", &host.service.health_path);
    header.set(
        "LIMIT_S",
        &host.thresholds.http_timeout.as_secs().max(1).to_string(),
    );
    header.before(HTTP, host)
}

/// The assignments in front of a script.
struct Header(String);

impl Header {
    fn new(nonce: &Nonce) -> Self {
        let mut header = Self(String::new());
        header.set("N", nonce.as_str());
        header
    }

    /// Quoted by the one rule that holds in every POSIX shell: single quotes, and a quote itself
    /// as `'\''`. A value with a newline stays one value.
    fn set(&mut self, name: &str, value: &str) {
        let quoted = value.replace('\'', "'\\''");
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{name}='{quoted}'");
    }

    fn before(self, script: &str, host: &Host) -> ProbeScript {
        use crate::model::Become;
        ProbeScript {
            command: match host.become_root {
                Become::None => "exec sh -s",
                Become::Sudo => "exec sudo -n -- sh -s",
                Become::Doas => "exec doas -n sh -s",
            },
            stdin: self.0 + script,
        }
    }
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
