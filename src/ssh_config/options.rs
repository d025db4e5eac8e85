//! What was obtained for a host, the first value of each keyword, with where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::error::SshConfigError;
use super::jump::Jump;
use super::keywords::Row;
use super::value::Value;
use crate::model::matches_pattern;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of a file.
    File {
        /// The file.
        file: Arc<str>,
        /// The line, from 1.
        line: usize,
    },
    /// The inventory; the text says where.
    Inventory(String),
    /// The name itself: `USER@HOST`, or a jump's user and port.
    Name(String),
    /// Nobody said anything.
    BuiltIn,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Inventory(place) => f.write_str(place),
            Self::Name(name) => write!(f, "ssh {name}"),
            Self::BuiltIn => f.write_str("built in"),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Obtained<T> {
    pub(super) value: T,
    pub(super) origin: Origin,
    /// Whether the user's file or the inventory says so, not the system's file.
    pub(super) user: bool,
}

/// How bytes get to the host, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Jump(Jump),
    Command(String),
}

/// Everything that was obtained.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    first: BTreeMap<&'static str, Obtained<Value>>,
    /// Whether `ProxyJump none` was said.
    pub(super) no_jump: bool,
    /// ProxyJump or ProxyCommand: the first of either wins.
    pub(super) way: Option<Obtained<Way>>,
    pub(super) rekey_bytes: Option<Obtained<u64>>,
    pub(super) rekey_time: Option<Obtained<u32>>,
    pub(super) identities: Vec<Obtained<String>>,
    pub(super) certificates: Vec<Obtained<String>>,
    pub(super) send_env: Vec<Obtained<String>>,
    /// Whether the inventory named keys, so that the files add none.
    pub(super) identities_closed: bool,
    pub(super) certificates_closed: bool,
}

/// How many of these there may be, as in OpenSSH.
const MAX_KEYS: usize = 100;
const MAX_HOST_FILES: usize = 32;
const MAX_DOMAINS: usize = 32;

impl Options {
    /// Takes a value, unless there is one.
    pub(super) fn obtain(
        &mut self,
        row: &'static Row,
        value: &Value,
        origin: &Origin,
        user: bool,
    ) -> Result<(), SshConfigError> {
        let wrong = |message: String| SshConfigError::from(origin, message);
        match (row.name, value) {
            (_, Value::Nothing) => {}
            ("IdentityFile", Value::One(file)) if !self.identities_closed => {
                add(&mut self.identities, file, origin, user)
                    .ok_or_else(|| wrong("too many IdentityFiles; 100 are read".to_owned()))?;
            }
            ("CertificateFile", Value::One(file)) if !self.certificates_closed => {
                add(&mut self.certificates, file, origin, user)
                    .ok_or_else(|| wrong("too many CertificateFiles; 100 are read".to_owned()))?;
            }
            ("IdentityFile" | "CertificateFile", _) => {}
            ("SendEnv", Value::Many(patterns)) => self.send_env(patterns, origin, user),
            // It keeps later jumps out, but no later ProxyCommand.
            ("ProxyJump", Value::Jump(Jump::None)) => self.no_jump = true,
            ("ProxyJump", Value::Jump(jump)) if !self.no_jump => {
                first(&mut self.way, Way::Jump(jump.clone()), origin, user);
            }
            ("ProxyJump", _) => {}
            ("ProxyCommand", Value::One(command)) => {
                first(&mut self.way, Way::Command(command.clone()), origin, user);
            }
            (_, Value::Rekey(bytes, time)) => {
                first(&mut self.rekey_bytes, *bytes, origin, user);
                if let Some(time) = time {
                    first(&mut self.rekey_time, *time, origin, user);
                }
            }
            (_, Value::Many(words)) if words.is_empty() => {}
            (name, Value::Many(words)) => {
                let most = match name {
                    "UserKnownHostsFile" | "GlobalKnownHostsFile" => MAX_HOST_FILES,
                    "CanonicalDomains" => MAX_DOMAINS,
                    _ => usize::MAX,
                };
                if words.len() > most && !self.first.contains_key(name) {
                    return Err(wrong(format!("too many arguments; {most} are read")));
                }
                self.keep(name, value, origin, user);
            }
            (name, _) => self.keep(name, value, origin, user),
        }
        Ok(())
    }

    fn keep(&mut self, name: &'static str, value: &Value, origin: &Origin, user: bool) {
        self.first.entry(name).or_insert_with(|| Obtained {
            value: value.clone(),
            origin: origin.clone(),
            user,
        });
    }

    fn send_env(&mut self, patterns: &[String], origin: &Origin, user: bool) {
        for pattern in patterns {
            match pattern.strip_prefix('-') {
                Some(gone) => self
                    .send_env
                    .retain(|kept| !matches_pattern(gone, &kept.value)),
                None => self.send_env.push(Obtained {
                    value: pattern.clone(),
                    origin: origin.clone(),
                    user,
                }),
            }
        }
    }

    /// Settles how names are made full. OpenSSH does so after the first reading, so that the second, which knows
    /// the full name, cannot turn it on any more.
    pub(super) fn settle_names(&mut self) {
        for (name, value) in [
            ("CanonicalizeHostname", "no"),
            ("CanonicalizeMaxDots", "1"),
            ("CanonicalizeFallbackLocal", "yes"),
        ] {
            self.give(name, value.to_owned(), &Origin::BuiltIn);
        }
    }

    /// Sets a value that somebody gave with the name.
    pub(super) fn give(&mut self, name: &'static str, value: String, origin: &Origin) {
        self.keep(name, &Value::One(value), origin, true);
    }

    /// Returns a keyword's value.
    pub(super) fn get(&self, name: &str) -> Option<&Obtained<Value>> {
        self.first.get(name)
    }

    /// Returns a keyword's value, if it is one word.
    pub(super) fn word(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.value {
            Value::One(word) => Some(word),
            _ => None,
        }
    }

    /// Returns a keyword's value, if it is several words.
    pub(super) fn words(&self, name: &str) -> Option<&[String]> {
        match &self.get(name)?.value {
            Value::Many(words) => Some(words),
            _ => None,
        }
    }

    /// Returns where a keyword's value came from.
    pub(super) fn origin(&self, name: &str) -> Origin {
        self.get(name)
            .map_or(Origin::BuiltIn, |obtained| obtained.origin.clone())
    }

    /// Says whether a switch is on.
    pub(super) fn is_on(&self, name: &str, built_in: bool) -> bool {
        self.word(name).map_or(built_in, |word| word != "no")
    }

    /// Returns a number that was checked when it was read.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.word(name).and_then(|word| word.parse().ok())
    }

    /// Returns everything that was obtained as one value.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, &Obtained<Value>)> {
        self.first.iter().map(|(name, obtained)| (*name, obtained))
    }
}

fn first<T>(slot: &mut Option<Obtained<T>>, value: T, origin: &Origin, user: bool) {
    slot.get_or_insert_with(|| Obtained {
        value,
        origin: origin.clone(),
        user,
    });
}

/// Adds a file unless it is there; `None` if there are too many.
fn add(list: &mut Vec<Obtained<String>>, file: &str, origin: &Origin, user: bool) -> Option<()> {
    if list.len() >= MAX_KEYS {
        return None;
    }
    // The system's file may name a key that the user's named: OpenSSH keeps both.
    if !list
        .iter()
        .any(|kept| kept.value == file && kept.user == user)
    {
        list.push(Obtained {
            value: file.to_owned(),
            origin: origin.clone(),
            user,
        });
    }
    Some(())
}
