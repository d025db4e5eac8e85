//! Where alerts go, as the inventory says it: never the secrets themselves.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Alert, AlertKind, Incident, SecretSource, Severity};

/// A channel that alerts go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSpec {
    /// Its name in the inventory.
    pub name: String,
    /// The line of the inventory that it begins on, from 1.
    pub line: u64,
    /// What is at its other end.
    pub target: Target,
    /// Which incidents it gets.
    pub filter: AlertFilter,
    /// Messages per minute at most.
    pub rate: u32,
    /// How long one try to deliver a message may take.
    pub timeout: Duration,
    /// The only certificate authorities that are trusted for it, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether the proxies of the environment are used.
    pub proxy: bool,
    /// Whether it may go over the network without TLS. To this machine itself it may always.
    pub plaintext: bool,
}

/// What is at the other end of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Any program that takes our JSON over HTTP.
    Webhook {
        /// Its address.
        url: Address,
        /// What signs the messages.
        secret: Option<SecretSource>,
    },
    /// Slack's incoming webhooks.
    Slack {
        /// The address, which is its secret.
        url: SecretSource,
    },
    /// A custom bot of Feishu or Lark.
    Feishu {
        /// The address, which is a secret.
        url: SecretSource,
        /// What signs the messages, where the bot checks signatures.
        secret: Option<SecretSource>,
    },
    /// A custom robot of DingTalk.
    DingTalk {
        /// The address, which is a secret.
        url: SecretSource,
        /// What signs the messages, where the robot checks signatures.
        secret: Option<SecretSource>,
    },
    /// A group robot of WeCom.
    WeCom {
        /// The address, which is its secret.
        url: SecretSource,
    },
    /// A bot of Telegram.
    Telegram {
        /// The bot's token.
        token: SecretSource,
        /// The chat: a number or `@name`.
        chat: String,
        /// The topic of a forum.
        topic: Option<u64>,
        /// Where the Bot API is.
        api: String,
    },
    /// Mail by SMTP.
    Email(MailSpec),
    /// A program on this machine, which reads our JSON on its standard input.
    Command {
        /// The program and its arguments.
        argv: Vec<String>,
    },
}

impl Target {
    /// Returns the inventory's word for it.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Slack { .. } => "slack",
            Self::Feishu { .. } => "feishu",
            Self::DingTalk { .. } => "dingtalk",
            Self::WeCom { .. } => "wecom",
            Self::Telegram { .. } => "telegram",
            Self::Email(_) => "email",
            Self::Command { .. } => "command",
        }
    }

    /// Returns where its secrets come from, each with the key that names it.
    pub fn secrets(&self) -> Vec<(&'static str, &SecretSource)> {
        match self {
            Self::Webhook { url, secret } => {
                let url = match url {
                    Address::Plain(_) => None,
                    Address::Secret(source) => Some(("url", source)),
                };
                url.into_iter()
                    .chain(secret.as_ref().map(|source| ("secret", source)))
                    .collect()
            }
            Self::Slack { url } | Self::WeCom { url } => vec![("url", url)],
            Self::Feishu { url, secret } | Self::DingTalk { url, secret } => {
                std::iter::once(("url", url))
                    .chain(secret.as_ref().map(|source| ("secret", source)))
                    .collect()
            }
            Self::Telegram { token, .. } => vec![("token", token)],
            Self::Email(mail) => mail
                .password
                .iter()
                .map(|source| ("password", source))
                .collect(),
            Self::Command { .. } => Vec::new(),
        }
    }
}

/// An address on the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// One that anybody may know.
    Plain(String),
    /// One that is a secret.
    Secret(SecretSource),
}

/// How mail is handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSpec {
    /// The server's name or address.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept secret.
    pub tls: MailTls,
    /// Who logs in, if anybody does.
    pub user: Option<String>,
    /// Where the password is to be had.
    pub password: Option<SecretSource>,
    /// The sender: a bare address.
    pub from: String,
    /// The recipients: bare addresses.
    pub to: Vec<String>,
}

/// How a connection to a mail server is kept secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// TLS after the STARTTLS command; never without it.
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// Not at all.
    None,
}

impl MailTls {
    /// Returns the inventory's word for it.
    pub fn id(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::Implicit => "implicit",
            Self::None => "none",
        }
    }

    /// Returns the port that is usual with it.
    pub fn port(self) -> u16 {
        match self {
            // RFC 6409, RFC 8314, RFC 5321.
            Self::StartTls => 587,
            Self::Implicit => 465,
            Self::None => 25,
        }
    }
}

/// Which incidents a channel gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertFilter {
    /// Ids of classes; `custom` stands for every check of the operator's own. `None` is all.
    pub classes: Option<Vec<String>>,
    /// The least severity.
    pub min_severity: Severity,
    /// Only these hosts, with the selector that means them. `None` is all.
    pub hosts: Option<(String, BTreeSet<String>)>,
    /// Only these kinds. `None` is all.
    pub kinds: Option<Vec<AlertKind>>,
    /// Whether it is told that something is over.
    pub send_recovered: bool,
}

impl Default for AlertFilter {
    fn default() -> Self {
        Self {
            classes: None,
            min_severity: Severity::Info,
            hosts: None,
            kinds: None,
            send_recovered: true,
        }
    }
}

impl AlertFilter {
    /// Returns what of an alert passes; `None` where nothing does. A test passes always. Evidence
    /// is not taken apart by host: an incident with one host that passes brings all its lines.
    pub fn pass(&self, alert: &Alert) -> Option<Alert> {
        let incidents: Vec<Incident> = alert
            .incidents
            .iter()
            .filter_map(|incident| self.incident(incident))
            .collect();
        (!incidents.is_empty()).then(|| Alert {
            incidents,
            ..alert.clone()
        })
    }

    fn incident(&self, incident: &Incident) -> Option<Incident> {
        if incident.kind == AlertKind::Test {
            return Some(incident.clone());
        }
        let class = |wanted: &String| {
            *wanted == incident.class
                || (wanted == "custom" && incident.class.starts_with("custom/"))
        };
        // What became less severe is told to who was told of it before.
        let severity = incident
            .was
            .map_or(incident.severity, |was| was.max(incident.severity));
        let passes = self
            .classes
            .as_ref()
            .is_none_or(|all| all.iter().any(class))
            && severity >= self.min_severity
            && self
                .kinds
                .as_ref()
                .is_none_or(|all| all.contains(&incident.kind))
            && (self.send_recovered || incident.kind != AlertKind::Recovered);
        if !passes {
            return None;
        }
        let mut incident = incident.clone();
        if let Some((_, names)) = &self.hosts {
            for hosts in [&mut incident.hosts, &mut incident.remaining] {
                hosts.retain(|host| names.contains(host));
            }
            if incident.hosts.is_empty() {
                return None;
            }
        }
        Some(incident)
    }
}

impl fmt::Display for AlertFilter {
    /// Says what passes, for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(classes) = &self.classes {
            parts.push(classes.join(", "));
        }
        if self.min_severity > Severity::Info {
            parts.push(format!("{} and worse", self.min_severity.id()));
        }
        if let Some((selector, _)) = &self.hosts {
            parts.push(format!("hosts {selector}"));
        }
        if let Some(kinds) = &self.kinds {
            let kinds: Vec<&str> = kinds.iter().map(|kind| kind.id()).collect();
            parts.push(kinds.join(", "));
        }
        if !self.send_recovered {
            parts.push("no recoveries".to_owned());
        }
        if parts.is_empty() {
            return f.write_str("everything");
        }
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::model::{AlertCounts, Class};

    fn alert() -> Alert {
        let one = |kind, class: Class, hosts: &[&str]| {
            let hosts = hosts.iter().map(ToString::to_string).collect();
            Incident::new(kind, class.id(), class.severity(), hosts)
        };
        let mut own = one(AlertKind::New, Class::Custom, &["VM3"]);
        own.class = "custom/queue".into();
        Alert {
            fleet: "f".into(),
            bastion: "b".into(),
            run: "r".into(),
            at: jiff::Timestamp::UNIX_EPOCH,
            incidents: vec![
                one(AlertKind::New, Class::GatewayDown, &["VM1", "VM2"]),
                one(AlertKind::NotObserved, Class::NotObserved, &["VM4"]),
                one(AlertKind::Worsened, Class::UnitWeak, &["VM2"]),
                own,
                one(AlertKind::Recovered, Class::GatewayHung, &["VM1"]),
            ],
            counts: AlertCounts::default(),
        }
    }

    fn passed(filter: &AlertFilter) -> Vec<String> {
        filter.pass(&alert()).map_or_else(Vec::new, |alert| {
            let told = alert.incidents.iter();
            told.map(|it| format!("{} {}", it.class, it.hosts.join(",")))
                .collect()
        })
    }

    #[test]
    fn a_filter_passes_what_it_says() {
        let all = AlertFilter::default();
        assert_eq!(passed(&all).len(), 5);
        let critical = AlertFilter {
            min_severity: Severity::Critical,
            send_recovered: false,
            ..AlertFilter::default()
        };
        assert_eq!(passed(&critical), ["gateway-down VM1,VM2"]);
        let unknown = AlertFilter {
            min_severity: Severity::Unknown,
            ..AlertFilter::default()
        };
        assert_eq!(passed(&unknown).len(), 3);
        let hosts = AlertFilter {
            hosts: Some(("VM2".into(), BTreeSet::from(["VM2".into()]))),
            ..AlertFilter::default()
        };
        assert_eq!(passed(&hosts), ["gateway-down VM2", "unit-weak VM2"]);
        let classes = AlertFilter {
            classes: Some(vec!["custom".into(), "unit-weak".into()]),
            ..AlertFilter::default()
        };
        assert_eq!(passed(&classes), ["unit-weak VM2", "custom/queue VM3"]);
        let kinds = AlertFilter {
            kinds: Some(vec![AlertKind::NotObserved]),
            ..AlertFilter::default()
        };
        assert_eq!(passed(&kinds), ["not-observed VM4"]);
        let none = AlertFilter {
            classes: Some(vec!["disk-low".into()]),
            ..AlertFilter::default()
        };
        assert!(none.pass(&alert()).is_none());
    }

    #[test]
    fn who_was_told_of_something_severe_hears_that_it_is_less() {
        let mut told = alert();
        told.incidents.truncate(1);
        let first = told.incidents.first_mut().unwrap();
        first.severity = Severity::Warning;
        first.was = Some(Severity::Critical);
        let critical = AlertFilter {
            min_severity: Severity::Critical,
            ..AlertFilter::default()
        };
        assert!(critical.pass(&told).is_some());
    }
}
