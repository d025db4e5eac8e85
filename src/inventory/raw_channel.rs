//! The shape of one entry of `notify`. All kinds of channels share it: `notify` says which keys
//! belong to which, so that a key of another kind is told for what it is.

use serde::Deserialize;
use serde::de;
use serde_yaml::Spanned;

use super::file::{OneOrMany, Port, RawToken, Scalar, Span, YesNo};
use crate::model::SecretSource;

/// One channel.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawChannel {
    #[serde(rename = "type")]
    pub(super) kind: Option<Spanned<RawKind>>,
    pub(super) url: Option<Spanned<RawUrl>>,
    pub(super) secret: Option<Spanned<RawToken>>,
    pub(super) token: Option<Spanned<RawToken>>,
    pub(super) chat: Option<Spanned<Scalar>>,
    pub(super) topic: Option<Spanned<u32>>,
    pub(super) api: Option<Spanned<String>>,
    pub(super) server: Option<Spanned<String>>,
    pub(super) port: Option<Spanned<Port>>,
    pub(super) tls: Option<Spanned<RawMailTls>>,
    pub(super) user: Option<Spanned<String>>,
    pub(super) password: Option<Spanned<RawToken>>,
    pub(super) from: Option<Spanned<String>>,
    pub(super) to: Option<Spanned<OneOrMany>>,
    pub(super) command: Option<Spanned<Vec<String>>>,
    pub(super) shell: Option<Spanned<String>>,
    pub(super) classes: Option<Spanned<OneOrMany>>,
    pub(super) min_severity: Option<Spanned<RawSeverity>>,
    pub(super) hosts: Option<Spanned<OneOrMany>>,
    pub(super) kinds: Option<Spanned<OneOrMany>>,
    pub(super) send_recovered: Option<Spanned<YesNo>>,
    pub(super) rate: Option<Spanned<u32>>,
    pub(super) timeout: Option<Spanned<Span>>,
    pub(super) ca_file: Option<Spanned<String>>,
    pub(super) proxy: Option<Spanned<YesNo>>,
    pub(super) plaintext: Option<Spanned<YesNo>>,
}

/// The kinds of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawKind {
    Webhook,
    Slack,
    #[serde(alias = "lark")]
    Feishu,
    DingTalk,
    WeCom,
    Telegram,
    Email,
    Command,
}

impl RawKind {
    /// The word for it.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Slack => "slack",
            Self::Feishu => "feishu",
            Self::DingTalk => "dingtalk",
            Self::WeCom => "wecom",
            Self::Telegram => "telegram",
            Self::Email => "email",
            Self::Command => "command",
        }
    }
}

/// The least severity that a channel is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawSeverity {
    Info,
    Warning,
    Unknown,
    Critical,
}

/// How a connection to a mail server is kept secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawMailTls {
    StartTls,
    Implicit,
    None,
}

/// An address, or where it is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RawUrl {
    Plain(String),
    Secret(SecretSource),
}

impl<'de> Deserialize<'de> for RawUrl {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self::Plain(text)),
            // By hand, so that no error quotes what may be a secret.
            value @ serde_json::Value::Object(_) => RawToken::deserialize(value)
                .map(|token| Self::Secret(token.0))
                .map_err(de::Error::custom),
            _ => Err(de::Error::custom(
                "`url` is an address, or where it is to be had: `{env: NAME}`, `{file: /PATH}` or \
                 `{command: \"…\"}`",
            )),
        }
    }
}
