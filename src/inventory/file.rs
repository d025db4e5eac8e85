//! The shape of the YAML file. Everything that is not in it is an error.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde_yaml::Spanned;

use super::heartbeat::RawHeartbeat;
use super::raw_channel::RawChannel;
use crate::model::SecretSource;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawInventory {
    pub(super) defaults: Option<RawScope>,
    pub(super) groups: Pairs<Option<RawScope>>,
    pub(super) hosts: Pairs<Option<RawScope>>,
    pub(super) checks: Pairs<Option<RawCheck>>,
    /// What the operator calls the fleet.
    pub(super) fleet: Option<Spanned<String>>,
    pub(super) notify: Pairs<Option<RawChannel>>,
    pub(super) heartbeat: Option<Spanned<RawHeartbeat>>,
}

/// One place that settings stand in: the defaults, a group, or a host.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawScope {
    /// Groups only: node sets of hosts.
    pub(super) hosts: Option<Spanned<OneOrMany>>,
    /// Groups only: names of groups whose hosts belong to this one as well.
    pub(super) groups: Option<Spanned<OneOrMany>>,
    /// Hosts only.
    pub(super) address: Option<Spanned<String>>,
    pub(super) port: Option<Spanned<Port>>,
    pub(super) user: Option<Spanned<String>>,
    pub(super) identity: Option<Spanned<OneOrMany>>,
    pub(super) known_hosts: Option<Spanned<OneOrMany>>,
    #[serde(rename = "become")]
    pub(super) become_root: Option<Spanned<RawBecome>>,
    pub(super) become_user: Option<Spanned<String>>,
    pub(super) become_password: Option<Spanned<RawToken>>,
    pub(super) password: Option<Spanned<RawToken>>,
    pub(super) ssh: RawSsh,
    pub(super) transport: Option<Spanned<RawTransport>>,
    pub(super) role: Option<Spanned<RawRole>>,
    pub(super) labels: Pairs<Scalar>,
    pub(super) vars: Pairs<serde_json::Value>,
    pub(super) service: RawService,
    pub(super) services: Option<Spanned<Vec<RawService>>>,
    pub(super) harden: RawHarden,
    pub(super) expect: RawExpect,
    pub(super) thresholds: RawThresholds,
    pub(super) timeouts: RawTimeouts,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawService {
    /// Short for the unit of that profile.
    pub(super) profile: Option<Spanned<String>>,
    pub(super) unit: Option<Spanned<String>>,
    pub(super) scope: Option<Spanned<RawServiceScope>>,
    pub(super) owner: Option<Spanned<String>>,
    pub(super) port: Option<Spanned<Port>>,
    pub(super) health_path: Option<Spanned<String>>,
    pub(super) tls: Option<Spanned<Switch>>,
    pub(super) token: Option<Spanned<RawToken>>,
}

/// What is said of the connection beside OpenSSH's own files.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSsh {
    /// The name that the files are asked for.
    pub(super) host: Option<Spanned<String>>,
    /// The file that is read instead of the usual two, or `none`.
    pub(super) config: Option<Spanned<String>>,
    /// ProxyJump.
    pub(super) jump: Option<Spanned<OneOrMany>>,
    pub(super) match_exec: Option<Spanned<YesNo>>,
    /// Any other keyword, as behind `ssh -o`.
    pub(super) options: Pairs<Scalar>,
}

/// How units are hardened.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHarden {
    pub(super) profile: Option<Spanned<RawProfile>>,
    pub(super) shape: Option<Spanned<RawShape>>,
    pub(super) template_dir: Option<Spanned<String>>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawExpect {
    pub(super) gateway: Option<Spanned<RawPresence>>,
    pub(super) version: Option<Spanned<String>>,
    pub(super) model: Option<Spanned<String>>,
    pub(super) channels: Option<Spanned<OneOrMany>>,
    pub(super) change_within: Option<Spanned<Period>>,
}

/// One of the operator's own checks: an entry of `checks`, or a file of `checks.d`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCheck {
    pub(super) script: Option<Spanned<String>>,
    pub(super) file: Option<Spanned<String>>,
    pub(super) read: Option<Spanned<RawRead>>,
    pub(super) codes: Option<Pairs<RawCode>>,
    pub(super) warning: Option<Spanned<String>>,
    pub(super) critical: Option<Spanned<String>>,
    pub(super) hosts: Option<Spanned<OneOrMany>>,
    pub(super) explain: Option<String>,
    pub(super) timeout: Option<Spanned<Span>>,
}

/// What an exit code of a check means.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) enum RawCode {
    #[serde(rename = "ok")]
    Fine,
    #[serde(rename = "warning")]
    Warning,
    #[serde(rename = "critical")]
    Critical,
    #[serde(rename = "failed")]
    Failed,
}

/// How a check's output is read.
#[derive(Debug, Clone)]
pub(super) enum RawRead {
    Exit,
    Number,
    Regex(String),
    Json(String),
}

impl<'de> Deserialize<'de> for RawRead {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || {
            de::Error::custom(
                "`read` is `exit`, `number`, `{regex: \"…\"}` or `{json: \"path.to.value\"}`",
            )
        };
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(word) if word == "exit" => Ok(Self::Exit),
            serde_json::Value::String(word) if word == "number" => Ok(Self::Number),
            serde_json::Value::Object(map) if map.len() == 1 => {
                let pair = map.into_iter().next();
                let (key, value) = pair.ok_or_else(wrong)?;
                match (key.as_str(), value) {
                    ("regex", serde_json::Value::String(text)) => Ok(Self::Regex(text)),
                    ("json", serde_json::Value::String(text)) => Ok(Self::Json(text)),
                    _ => Err(wrong()),
                }
            }
            _ => Err(wrong()),
        }
    }
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawThresholds {
    pub(super) restarts_per_day: Option<Spanned<u32>>,
    pub(super) failed_starts_per_hour: Option<Spanned<u32>>,
    pub(super) http_timeout: Option<Spanned<Span>>,
    pub(super) startup_grace: Option<Spanned<Span>>,
    pub(super) clock_skew: Option<Spanned<Span>>,
    pub(super) disk_free_percent: Option<Spanned<Percent>>,
    pub(super) memory_growth_percent: Option<Spanned<u32>>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTimeouts {
    pub(super) dns: Option<Spanned<Span>>,
    pub(super) tcp: Option<Spanned<Span>>,
    pub(super) kex: Option<Spanned<Span>>,
    pub(super) auth: Option<Spanned<Span>>,
    pub(super) channel: Option<Spanned<Span>>,
    pub(super) exec: Option<Spanned<Span>>,
    pub(super) host: Option<Spanned<Span>>,
}

macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        pub(super) enum $name { $(#[serde(rename = $word)] $variant,)+ }

        impl $name {
            pub(super) fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

words!(RawBecome { None = "none", Sudo = "sudo", Doas = "doas", Su = "su" });
words!(RawTransport { Ssh = "ssh", Local = "local" });
words!(RawRole { Gateway = "gateway", None = "none" });
words!(RawPresence { Present = "present", Absent = "absent" });
words!(RawProfile { Baseline = "baseline", Strict = "strict" });
words!(RawShape { DropIn = "drop-in", Full = "unit" });
words!(RawServiceScope { Auto = "auto", System = "system", User = "user" });

/// A mapping in the file's order, each key with its place. A repeated key is the parser's error.
#[derive(Debug, Clone)]
pub(super) struct Pairs<V>(pub(super) Vec<(Spanned<String>, V)>);

impl<V> Default for Pairs<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for PairsVisitor<V> {
            type Value = Pairs<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Pairs(Vec::new()))
            }
        }

        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

/// One text, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OneOrMany(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrManyVisitor;

        impl<'de> Visitor<'de> for OneOrManyVisitor {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMany(texts))
            }
        }

        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

/// A label's value: a text, or a number or truth value that is meant as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scalar(pub(super) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self(text)),
            value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => {
                Ok(Self(value.to_string()))
            }
            _ => Err(de::Error::custom("one word or one number is wanted here")),
        }
    }
}

/// A TCP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Port(u16);

impl From<Port> for u64 {
    fn from(port: Port) -> Self {
        port.0.into()
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer)?
            .as_u64()
            .and_then(|number| u16::try_from(number).ok())
            .filter(|port| *port != 0)
            .map(Self)
            .ok_or_else(|| de::Error::custom("a port is a number from 1 to 65535"))
    }
}

/// `auto`, `on` or `off`. YAML itself takes the last two for truth values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    Auto,
    On,
    Off,
}

impl Switch {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Bool(true) => Ok(Self::On),
            serde_json::Value::Bool(false) => Ok(Self::Off),
            serde_json::Value::String(word) if word == "auto" => Ok(Self::Auto),
            serde_json::Value::String(word) if word == "on" => Ok(Self::On),
            serde_json::Value::String(word) if word == "off" => Ok(Self::Off),
            _ => Err(de::Error::custom("this is none of auto, on, off")),
        }
    }
}

/// `yes` or `no`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct YesNo(pub(super) bool);

impl YesNo {
    pub(super) fn word(self) -> &'static str {
        if self.0 { "yes" } else { "no" }
    }
}

/// Where a secret comes from: a token or a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawToken(pub(super) SecretSource);

impl<'de> Deserialize<'de> for RawToken {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By hand, so that a token that somebody wrote here is not quoted by an error.
        let wrong = || {
            de::Error::custom(
                "a secret does not stand in the inventory; name where it is to be had: \
                 `{env: NAME}`, `{file: /PATH}` or `{command: \"…\"}`",
            )
        };
        let mut fields = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Object(fields) if fields.len() == 1 => fields.into_iter(),
            _ => return Err(wrong()),
        };
        match fields.next() {
            Some((key, serde_json::Value::String(text))) if !text.trim().is_empty() => {
                let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                match key.as_str() {
                    "env" if text.chars().all(name) => Ok(Self(SecretSource::Env(text))),
                    "env" => Err(de::Error::custom(
                        "`env` wants the name of an environment variable, e.g. OPENCLAW_TOKEN",
                    )),
                    "file" if text.starts_with('/') || text.starts_with("~/") => {
                        Ok(Self(SecretSource::File(text)))
                    }
                    "file" => Err(de::Error::custom(
                        "`file` wants an absolute path, or one that begins with ~/",
                    )),
                    "command" if !text.contains('\0') => Ok(Self(SecretSource::Command(text))),
                    _ => Err(wrong()),
                }
            }
            _ => Err(wrong()),
        }
    }
}

/// A share in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Percent(u32);

impl From<Percent> for u64 {
    fn from(percent: Percent) -> Self {
        percent.0.into()
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer)?
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|percent| *percent <= 100)
            .map(Self)
            .ok_or_else(|| de::Error::custom("a share is a number from 0 to 100"))
    }
}

/// A length of time: `5s`, `2m`, `500ms`, or a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// A time in hours or days, at most a year.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period(pub(super) Duration);

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || de::Error::custom("it is a time from `1h` to `366d`, in hours or days");
        let text = String::deserialize(deserializer).map_err(|_: D::Error| wrong())?;
        let (number, hours) = match (text.strip_suffix('h'), text.strip_suffix('d')) {
            (Some(number), _) => (number, 1),
            (_, Some(number)) => (number, 24),
            _ => return Err(wrong()),
        };
        let number: u64 = number.trim().parse().map_err(|_| wrong())?;
        let hours = number.saturating_mul(hours);
        if hours == 0 || hours > 366 * 24 {
            return Err(wrong());
        }
        Ok(Self(Duration::from_secs(hours * 3600)))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || {
            de::Error::custom(
                "a time is a number of seconds or a text such as `5s`, `500ms` or `2m`",
            )
        };
        let duration = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Number(number) => number
                .as_f64()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .ok_or_else(wrong)?,
            serde_json::Value::String(text) => text
                .parse::<jiff::SignedDuration>()
                .ok()
                .and_then(|span| Duration::try_from(span).ok())
                .ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        // A day is beyond any deadline that a person waits for, and far from overflowing a clock.
        if duration.is_zero() || duration > Duration::from_secs(86_400) {
            return Err(de::Error::custom(
                "a time is more than zero and at most a day",
            ));
        }
        Ok(Self(duration))
    }
}
