//! What was obtained, with every default, as settings.

use std::sync::Arc;
use std::time::Duration;

use super::algorithms::Family;
use super::error::SshConfigError;
use super::jump::{Jump, harmless_host, harmless_user};
use super::keywords::{self, KEYWORDS, Standing};
use super::options::{Obtained, Options, Origin, Way};
use super::resolve::{Asked, Target};
use super::tokens::{self, Known, Tokens};
use super::value::Value;
use crate::model::{self, AddressFamily, RekeyLimit, SecretSource, SshSettings};

/// How bytes get to the host, before tokens are filled in.
pub(super) enum Route {
    Direct,
    Jump(Arc<SshSettings>),
    Command(String),
}

/// A keyword's effective value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The keyword as OpenSSH's manual spells it.
    pub keyword: &'static str,
    /// What is in force.
    pub value: String,
    /// The value as it was written, where tokens or defaults made another of it.
    pub written: Option<String>,
    /// Where it came from.
    pub origin: Origin,
}

/// What `ssh NAME` would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    settings: Arc<SshSettings>,
    entries: Vec<Entry>,
}

impl Effective {
    /// Returns the settings, with those of all jumps.
    pub fn settings(&self) -> &Arc<SshSettings> {
        &self.settings
    }

    /// Returns every supported keyword's value and where it came from, in the order of the alphabet. Keywords that
    /// nobody set and that have no value of their own are left out; what has several values has several entries.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.clone()
    }

    pub(super) fn new(
        asked: &Asked<'_>,
        target: &Target,
        options: &Options,
        host: &str,
        route: Route,
        password: Option<SecretSource>,
    ) -> Result<Self, SshConfigError> {
        let port = options
            .word("Port")
            .and_then(|port| port.parse().ok())
            .unwrap_or(22);
        let user = options.word("User").unwrap_or(&asked.bastion.user);
        let alias = options.word("HostKeyAlias").map(str::to_ascii_lowercase);
        let tokens = Tokens::of(&Known {
            bastion: asked.bastion,
            host,
            original: &target.name,
            alias: alias.as_deref().unwrap_or(&target.name),
            port,
            user,
            jump: &jump_text(options).unwrap_or_default(),
        });
        let mut finish = Finish {
            asked,
            target,
            options,
            tokens,
            entries: Vec::new(),
        };
        finish.refuse()?;
        let settings = SshSettings {
            password,
            ..finish.settings(host, port, user, alias, route)?
        };
        finish.rest();
        let mut entries = finish.entries;
        entries.sort_by_key(|entry| entry.keyword.to_ascii_lowercase());
        Ok(Self {
            settings: Arc::new(settings),
            entries,
        })
    }
}

/// Writes a chain of jumps as `ssh -G` does.
fn jump_text(options: &Options) -> Option<String> {
    let Way::Jump(Jump::Through { last, before }) = &options.way.as_ref()?.value else {
        return None;
    };
    let numeric =
        last.host.contains(':') || last.host.chars().all(|c| c.is_ascii_digit() || c == '.');
    let before = before.as_ref().map(|text| format!("{text},"));
    let user = last.user.as_ref().map(|user| format!("{user}@"));
    let host = if numeric {
        format!("[{}]", last.host)
    } else {
        last.host.clone()
    };
    let port = last.port.map(|port| format!(":{port}"));
    let parts = [before, user, Some(host), port];
    Some(parts.into_iter().flatten().collect())
}

/// Makes settings and entries from what was obtained.
pub(super) struct Finish<'a> {
    pub(super) asked: &'a Asked<'a>,
    pub(super) target: &'a Target,
    pub(super) options: &'a Options,
    tokens: Tokens,
    entries: Vec<Entry>,
}

impl Finish<'_> {
    /// Refuses what would be silently ignored otherwise, and changes where a connection goes or what is trusted.
    fn refuse(&self) -> Result<(), SshConfigError> {
        for (name, obtained) in self.options.all() {
            let row = keywords::find(&name.to_ascii_lowercase());
            let Some(row) = row.filter(|row| row.standing == Standing::Refused) else {
                continue;
            };
            let words: &[String] = match &obtained.value {
                Value::One(word) => std::slice::from_ref(word),
                Value::Many(words) => words,
                _ => &[],
            };
            let harmless = words.iter().all(|word| {
                row.harmless
                    .iter()
                    .any(|fine| fine.eq_ignore_ascii_case(word))
            });
            if harmless || self.does_nothing(name, words) {
                continue;
            }
            let message = format!("{name} {} is not supported: {}", words.join(" "), row.what);
            let hint = match row.harmless.first() {
                Some(fine) => format!(
                    "`{name} {fine}` for this host, in the inventory or before this line, wins over it"
                ),
                None => format!(
                    "keep {name} out of the blocks that apply to `{}`",
                    self.target.name
                ),
            };
            return Err(SshConfigError::from(&obtained.origin, message).hint(hint));
        }
        if self.options.number("ConnectionAttempts") == Some(0) {
            let origin = self.options.origin("ConnectionAttempts");
            let message = "ConnectionAttempts 0 would connect never; at least 1 is wanted";
            return Err(SshConfigError::from(&origin, message));
        }
        Ok(())
    }

    /// Whether a value that is refused otherwise changes nothing as things are.
    fn does_nothing(&self, name: &str, words: &[String]) -> bool {
        match name {
            "CanonicalizePermittedCNAMEs" => !self.options.is_on("CanonicalizeHostname", false),
            "ProxyUseFdpass" => !matches!(
                self.options.way.as_ref().map(|way| &way.value),
                Some(Way::Command(command)) if !command.eq_ignore_ascii_case("none")
            ),
            "CASignatureAlgorithms" => {
                Family::of(name)
                    .zip(words.first())
                    .is_some_and(|(family, spec)| {
                        let list = family.list(spec).unwrap_or_default();
                        family
                            .default
                            .iter()
                            .all(|name| list.iter().any(|kept| kept == name))
                    })
            }
            _ => false,
        }
    }

    fn settings(
        &mut self,
        host: &str,
        port: u16,
        user: &str,
        alias: Option<String>,
        route: Route,
    ) -> Result<SshSettings, SshConfigError> {
        let options = self.options;
        let seconds = |name: &str| {
            let seconds = options.number(name).filter(|seconds| *seconds > 0);
            seconds.map(|seconds| Duration::from_secs(seconds.into()))
        };
        self.show("HostName", host.to_owned(), options.origin("HostName"));
        if let Some(alias) = &alias {
            self.show(
                "HostKeyAlias",
                alias.clone(),
                options.origin("HostKeyAlias"),
            );
        }
        Ok(SshSettings {
            route: self.route(host, user, route)?,
            family: match options.word("AddressFamily") {
                Some("inet") => AddressFamily::Inet,
                Some("inet6") => AddressFamily::Inet6,
                _ => AddressFamily::Any,
            },
            bind_address: options.word("BindAddress").map(str::to_owned),
            connect_timeout: seconds("ConnectTimeout"),
            attempts: options.number("ConnectionAttempts").unwrap_or(1),
            alive_interval: seconds("ServerAliveInterval"),
            alive_count: options.number("ServerAliveCountMax").unwrap_or(3),
            compression: options.is_on("Compression", false),
            rekey: self.rekey(),
            algorithms: self.algorithms()?,
            // Less than 1024 is never enough, as for OpenSSH.
            min_rsa_bits: options.number("RequiredRSASize").unwrap_or(0).max(1024),
            host_keys: self.host_keys(alias)?,
            identities: self.identities()?,
            methods: self.methods()?,
            environment: self.environment(),
            ..SshSettings::plain(&self.target.name, host, port, user)
        })
    }

    pub(super) fn show(&mut self, keyword: &'static str, value: String, origin: Origin) {
        self.entries.push(Entry {
            keyword,
            value,
            written: None,
            origin,
        });
    }

    pub(super) fn show_written(
        &mut self,
        keyword: &'static str,
        value: String,
        written: &str,
        origin: Origin,
    ) {
        let written = (written != value).then(|| written.to_owned());
        self.entries.push(Entry {
            keyword,
            value,
            written,
            origin,
        });
    }

    fn route(
        &mut self,
        host: &str,
        user: &str,
        route: Route,
    ) -> Result<model::Route, SshConfigError> {
        let Some(way) = &self.options.way else {
            return Ok(model::Route::Direct);
        };
        match route {
            Route::Direct => Ok(model::Route::Direct),
            Route::Jump(jump) => {
                let text = jump_text(self.options).unwrap_or_default();
                self.show("ProxyJump", text, way.origin.clone());
                Ok(model::Route::Jump(jump))
            }
            Route::Command(template) => {
                let line = self.proxy_command(way, &template, host, user)?;
                self.show_written("ProxyCommand", line.clone(), &template, way.origin.clone());
                Ok(model::Route::Command { line, template })
            }
        }
    }

    fn proxy_command(
        &self,
        way: &Obtained<Way>,
        template: &str,
        host: &str,
        user: &str,
    ) -> Result<String, SshConfigError> {
        let wrong =
            |message: String| SshConfigError::from(&way.origin, format!("ProxyCommand: {message}"));
        if template == "-" {
            return Err(wrong(
                "`-` hands over the program's own input, which is no connection here".to_owned(),
            ));
        }
        // The command is for a shell, and names become part of it. HostName and User of the files are checked as
        // well: what a file says may come from a name by tokens.
        let used = |token: &str| template.contains(token);
        let host = Some(host).filter(|name| used("%h") && !harmless_host(name));
        let user = Some(user).filter(|name| used("%r") && !harmless_user(name));
        if let Some(name) = host.or(user) {
            return Err(wrong(format!("`{name}` would mean something to the shell")));
        }
        self.tokens
            .only("hknpr")
            .fill(template, None)
            .map_err(wrong)
    }

    fn rekey(&mut self) -> RekeyLimit {
        let bytes = self.options.rekey_bytes.as_ref();
        let time = self.options.rekey_time.as_ref();
        let text = format!(
            "{} {}",
            bytes.map_or(0, |bytes| bytes.value),
            time.map_or(0, |time| time.value)
        );
        let origin = bytes
            .map(|bytes| &bytes.origin)
            .or(time.map(|time| &time.origin))
            .cloned()
            .unwrap_or(Origin::BuiltIn);
        self.show("RekeyLimit", text, origin);
        RekeyLimit {
            bytes: bytes.map(|bytes| bytes.value).filter(|bytes| *bytes > 0),
            time: time
                .map(|time| Duration::from_secs(time.value.into()))
                .filter(|time| !time.is_zero()),
        }
    }

    /// Fills in `~`, tokens and variables.
    pub(super) fn path(
        &self,
        keyword: &str,
        text: &str,
        origin: &Origin,
    ) -> Result<String, SshConfigError> {
        self.tilde(keyword, text, origin).and_then(|path| {
            self.tokens
                .fill(&path, Some(self.asked.world))
                .map_err(|message| SshConfigError::from(origin, format!("{keyword}: {message}")))
        })
    }

    pub(super) fn tilde(
        &self,
        keyword: &str,
        text: &str,
        origin: &Origin,
    ) -> Result<String, SshConfigError> {
        tokens::tilde(text, &self.asked.bastion.home, self.asked.world)
            .map_err(|message| SshConfigError::from(origin, format!("{keyword}: {message}")))
    }

    /// Shows the keywords that need no more than their word.
    fn rest(&mut self) {
        for row in &KEYWORDS {
            let shown = self.entries.iter().any(|entry| entry.keyword == row.name);
            if shown || row.standing != Standing::Supported {
                continue;
            }
            let value = match self.options.get(row.name).map(|obtained| &obtained.value) {
                Some(Value::One(word)) => Some(word.clone()),
                Some(Value::Many(words)) => Some(words.join(" ")),
                Some(_) => None,
                None if row.name == "User" => Some(self.asked.bastion.user.clone()),
                None => built_in(row.name).map(str::to_owned),
            };
            if let Some(value) = value.filter(|_| row.name != "RevokedHostKeys") {
                self.show(row.name, value, self.options.origin(row.name));
            }
        }
    }
}

/// What a keyword means if nobody says anything.
fn built_in(keyword: &str) -> Option<&'static str> {
    Some(match keyword {
        "AddressFamily" => "any",
        "CanonicalDomains" | "ConnectTimeout" => "none",
        "CanonicalizeHostname"
        | "CheckHostIP"
        | "Compression"
        | "HashKnownHosts"
        | "IdentitiesOnly" => "no",
        "CanonicalizeFallbackLocal"
        | "KbdInteractiveAuthentication"
        | "PasswordAuthentication"
        | "PubkeyAuthentication" => "yes",
        "CanonicalizeMaxDots" | "ConnectionAttempts" => "1",
        "LogLevel" => "INFO",
        "NumberOfPasswordPrompts" | "ServerAliveCountMax" => "3",
        "Port" => "22",
        "RequiredRSASize" => "1024",
        "ServerAliveInterval" => "0",
        "StrictHostKeyChecking" => "ask",
        _ => return None,
    })
}
