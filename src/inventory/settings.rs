//! Settings as a flat list of `key = value`, each with its origin, so that merging, showing and
//! finding contradictions are one loop each and no key can be forgotten by one of them.

use std::fmt;
use std::time::Duration;

use serde_yaml::Spanned;

use super::file::{OneOrMany, RawScope, RawService, RawSsh, RawToken, Span, YesNo};
use crate::model::SecretSource;

/// Who sets a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The program.
    BuiltIn,
    /// The inventory's `defaults`.
    Defaults,
    /// A group.
    Group(String),
    /// The host's own entry.
    Host(String),
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Who sets it.
    pub layer: Layer,
    /// The line in the inventory, from 1; 0 for built-in values.
    pub line: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.layer {
            Layer::BuiltIn => return f.write_str("built in"),
            Layer::Defaults => f.write_str("defaults")?,
            Layer::Group(name) => write!(f, "group {name}")?,
            Layer::Host(pattern) => write!(f, "host {pattern}")?,
        }
        write!(f, ", line {}", self.line)
    }
}

/// A setting's value.
#[derive(Debug, Clone, PartialEq)]
pub enum SettingValue {
    /// A word or a path.
    Text(String),
    /// Several.
    Texts(Vec<String>),
    /// A number.
    Number(u64),
    /// A length of time.
    Time(Duration),
    /// Where a token or a password comes from; never the secret.
    Token(SecretSource),
    /// Anything, for templates.
    Any(serde_json::Value),
    /// Services, each as far as it differs from `service`.
    Services(Vec<ServiceEntry>),
}

/// What one entry of `services` sets.
#[derive(Debug, Clone)]
pub struct ServiceEntry(pub(super) Vec<Setting>);

impl PartialEq for ServiceEntry {
    /// By what it says, wherever it stands.
    fn eq(&self, other: &Self) -> bool {
        let said = |entry: &Self| -> Vec<(String, SettingValue)> {
            let settings = entry.0.iter();
            settings
                .map(|setting| (setting.key.clone(), setting.value.clone()))
                .collect()
        };
        said(self) == said(other)
    }
}

impl fmt::Display for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Texts(texts) => f.write_str(&texts.join(", ")),
            Self::Number(number) => write!(f, "{number}"),
            Self::Time(time) => write!(f, "{time:?}"),
            Self::Token(source) => write!(f, "{source}"),
            Self::Any(value) => write!(f, "{value}"),
            Self::Services(entries) => write!(f, "{} in all", entries.len()),
        }
    }
}

/// One value as one layer sets it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) value: SettingValue,
    pub(super) line: u64,
}

/// Lists what a scope sets. `hosts`, `groups` and `address` are structure, not settings.
pub(super) fn settings_of(scope: &RawScope) -> Vec<Setting> {
    let mut list = List(Vec::new());
    list.text("user", scope.user.as_ref());
    list.number("port", scope.port.as_ref());
    list.texts("identity", scope.identity.as_ref());
    list.texts("known_hosts", scope.known_hosts.as_ref());
    list.word("become", scope.become_root.as_ref(), |word| word.word());
    list.text("become_user", scope.become_user.as_ref());
    list.secret("become_password", scope.become_password.as_ref());
    list.secret("password", scope.password.as_ref());
    list.ssh(&scope.ssh);
    list.word("transport", scope.transport.as_ref(), |word| word.word());
    list.word("role", scope.role.as_ref(), |word| word.word());
    list.service("service.", &scope.service);
    if let Some(services) = &scope.services {
        let entries = services.value.iter().map(|service| {
            let mut entry = List(Vec::new());
            entry.service("", service);
            ServiceEntry(entry.0)
        });
        let value = SettingValue::Services(entries.collect());
        list.add("services", value, services);
    }
    let harden = &scope.harden;
    list.word("harden.profile", harden.profile.as_ref(), |word| {
        word.word()
    });
    list.word("harden.shape", harden.shape.as_ref(), |word| word.word());
    list.text("harden.template_dir", harden.template_dir.as_ref());
    let expect = &scope.expect;
    list.word("expect.gateway", expect.gateway.as_ref(), |word| {
        word.word()
    });
    list.text("expect.version", expect.version.as_ref());
    list.text("expect.model", expect.model.as_ref());
    list.texts("expect.channels", expect.channels.as_ref());
    if let Some(period) = &expect.change_within {
        let time = SettingValue::Time(period.value.0);
        list.add("expect.change_within", time, period);
    }
    let thresholds = &scope.thresholds;
    list.number(
        "thresholds.restarts_per_day",
        thresholds.restarts_per_day.as_ref(),
    );
    list.number(
        "thresholds.failed_starts_per_hour",
        thresholds.failed_starts_per_hour.as_ref(),
    );
    list.time("thresholds.http_timeout", thresholds.http_timeout.as_ref());
    list.time(
        "thresholds.startup_grace",
        thresholds.startup_grace.as_ref(),
    );
    list.time("thresholds.clock_skew", thresholds.clock_skew.as_ref());
    list.number(
        "thresholds.disk_free_percent",
        thresholds.disk_free_percent.as_ref(),
    );
    list.number(
        "thresholds.memory_growth_percent",
        thresholds.memory_growth_percent.as_ref(),
    );
    let timeouts = &scope.timeouts;
    list.time("timeouts.dns", timeouts.dns.as_ref());
    list.time("timeouts.tcp", timeouts.tcp.as_ref());
    list.time("timeouts.kex", timeouts.kex.as_ref());
    list.time("timeouts.auth", timeouts.auth.as_ref());
    list.time("timeouts.channel", timeouts.channel.as_ref());
    list.time("timeouts.exec", timeouts.exec.as_ref());
    list.time("timeouts.host", timeouts.host.as_ref());
    for (key, value) in &scope.labels.0 {
        let value = SettingValue::Text(value.0.clone());
        list.add(format!("labels.{}", key.value), value, key);
    }
    for (key, value) in &scope.vars.0 {
        let value = SettingValue::Any(value.clone());
        list.add(format!("vars.{}", key.value), value, key);
    }
    list.0
}

/// The unit that the gateway's own installer makes for a profile.
fn unit_of_profile(profile: &str) -> String {
    match profile {
        "default" => "openclaw-gateway.service".to_owned(),
        profile => format!("openclaw-gateway-{profile}.service"),
    }
}

struct List(Vec<Setting>);

impl List {
    fn add<T>(&mut self, key: impl Into<String>, value: SettingValue, at: &Spanned<T>) {
        self.0.push(Setting {
            key: key.into(),
            value,
            line: at.referenced.line(),
        });
    }

    fn service(&mut self, prefix: &str, service: &RawService) {
        let key = |name: &str| format!("{prefix}{name}");
        if let Some(profile) = &service.profile {
            let unit = unit_of_profile(&profile.value);
            self.add(key("unit"), SettingValue::Text(unit), profile);
        }
        self.text(&key("unit"), service.unit.as_ref());
        self.word(&key("scope"), service.scope.as_ref(), |word| word.word());
        self.text(&key("owner"), service.owner.as_ref());
        self.number(&key("port"), service.port.as_ref());
        self.text(&key("health_path"), service.health_path.as_ref());
        self.word(&key("tls"), service.tls.as_ref(), |word| word.word());
        self.secret(&key("token"), service.token.as_ref());
    }

    fn ssh(&mut self, ssh: &RawSsh) {
        self.text("ssh.host", ssh.host.as_ref());
        self.text("ssh.config", ssh.config.as_ref());
        self.texts("ssh.jump", ssh.jump.as_ref());
        self.word("ssh.match_exec", ssh.match_exec.as_ref(), YesNo::word);
        for (key, value) in &ssh.options.0 {
            let value = SettingValue::Text(value.0.clone());
            self.add(format!("ssh.options.{}", key.value), value, key);
        }
    }

    fn secret(&mut self, key: &str, secret: Option<&Spanned<RawToken>>) {
        if let Some(secret) = secret {
            let source = SettingValue::Token(secret.value.0.clone());
            self.add(key, source, secret);
        }
    }

    fn text(&mut self, key: &str, text: Option<&Spanned<String>>) {
        if let Some(text) = text {
            self.add(key, SettingValue::Text(text.value.clone()), text);
        }
    }

    fn word<T: Copy>(&mut self, key: &str, word: Option<&Spanned<T>>, name: fn(T) -> &'static str) {
        if let Some(word) = word {
            self.add(key, SettingValue::Text(name(word.value).to_owned()), word);
        }
    }

    fn texts(&mut self, key: &str, texts: Option<&Spanned<OneOrMany>>) {
        if let Some(texts) = texts {
            self.add(key, SettingValue::Texts(texts.value.0.clone()), texts);
        }
    }

    fn number<T: Copy + Into<u64>>(&mut self, key: &str, number: Option<&Spanned<T>>) {
        if let Some(number) = number {
            self.add(key, SettingValue::Number(number.value.into()), number);
        }
    }

    fn time(&mut self, key: &str, time: Option<&Spanned<Span>>) {
        if let Some(time) = time {
            self.add(key, SettingValue::Time(time.value.0), time);
        }
    }
}

/// The program's own defaults: the layer below all others. Of the connection there are none:
/// OpenSSH's files and its own defaults say what the inventory does not.
pub(super) fn built_in() -> Vec<Setting> {
    let text = |text: &str| SettingValue::Text(text.to_owned());
    let seconds = |seconds| SettingValue::Time(Duration::from_secs(seconds));
    let values = [
        ("become", text("none")),
        ("become_user", text("root")),
        ("ssh.match_exec", text("no")),
        ("transport", text("ssh")),
        ("role", text("gateway")),
        ("service.unit", text("openclaw-gateway.service")),
        ("service.scope", text("auto")),
        ("service.port", SettingValue::Number(18_789)),
        ("service.health_path", text("/healthz")),
        ("service.tls", text("auto")),
        ("harden.profile", text("baseline")),
        ("harden.shape", text("drop-in")),
        ("thresholds.restarts_per_day", SettingValue::Number(50)),
        ("thresholds.failed_starts_per_hour", SettingValue::Number(5)),
        ("thresholds.http_timeout", seconds(5)),
        ("thresholds.startup_grace", seconds(180)),
        ("thresholds.clock_skew", seconds(30)),
        ("thresholds.disk_free_percent", SettingValue::Number(5)),
        ("thresholds.memory_growth_percent", SettingValue::Number(50)),
        ("timeouts.dns", seconds(5)),
        ("timeouts.tcp", seconds(5)),
        ("timeouts.kex", seconds(10)),
        ("timeouts.auth", seconds(10)),
        ("timeouts.channel", seconds(5)),
        ("timeouts.exec", seconds(20)),
        ("timeouts.host", seconds(40)),
    ];
    values
        .into_iter()
        .map(|(key, value)| Setting {
            key: key.to_owned(),
            value,
            line: 0,
        })
        .collect()
}
