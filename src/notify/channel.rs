//! A channel that is ready: its secrets are there, its address is one, its authorities are read.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::formats::{self, dingtalk, email, feishu, telegram};
use super::http::{Post, post};
use super::net::Trust;
use super::outbox::Outcome;
use super::sign;
use super::{Bearings, command, smtp};
use crate::model::OutboxEntry;
use crate::model::{Address, ChannelSpec, Secret, SecretSource, Secrets, Target, WebAddress};

/// Parts of secrets that are shorter than this are words of the language, too.
const SHORTEST_SECRET: usize = 6;

/// What is wrong with a channel, and what helps. Neither holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelFault {
    /// What is wrong.
    pub what: String,
    /// What helps.
    pub helps: String,
}

/// A channel that can be sent to. Its `Debug` shows no secret.
pub struct Channel {
    spec: ChannelSpec,
    way: Way,
    trust: Trust,
    /// What must be in no message: the receiver may repeat what it was sent.
    hidden: Vec<String>,
}

/// What is needed to send.
enum Way {
    Web {
        address: WebAddress,
        secret: Option<Secret>,
    },
    Mail {
        password: Option<Secret>,
    },
    Program,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel")
            .field("name", &self.spec.name)
            .finish_non_exhaustive()
    }
}

impl Channel {
    /// Makes a channel ready. Nothing is sent.
    ///
    /// # Errors
    /// A secret that is not there, an address that is none, authorities that cannot be read.
    pub fn new(spec: &ChannelSpec, secrets: &Secrets) -> Result<Self, ChannelFault> {
        let get = |key: &str, source: &SecretSource| {
            secrets.get(source).cloned().ok_or_else(|| ChannelFault {
                what: format!("there is no `{key}` ({source})"),
                helps: "it is to be had before the channel is used".to_owned(),
            })
        };
        let maybe = |key: &str, source: &Option<SecretSource>| {
            let source = source.as_ref();
            source.map(|source| get(key, source)).transpose()
        };
        let web = |url: &SecretSource, secret: &Option<SecretSource>| {
            Ok(Way::Web {
                address: address(spec, get("url", url)?.expose())?,
                secret: maybe("secret", secret)?,
            })
        };
        let way = match &spec.target {
            Target::Webhook { url, secret } => Way::Web {
                address: match url {
                    Address::Plain(url) => address(spec, url)?,
                    Address::Secret(source) => address(spec, get("url", source)?.expose())?,
                },
                secret: maybe("secret", secret)?,
            },
            Target::Slack { url } | Target::WeCom { url } => web(url, &None)?,
            Target::Feishu { url, secret } | Target::DingTalk { url, secret } => web(url, secret)?,
            Target::Telegram { token, api, .. } => {
                let token = get("token", token)?;
                check_telegram_token(token.expose())?;
                let url = format!("{api}/bot{}/sendMessage", token.expose());
                Way::Web {
                    address: address(spec, &url)?,
                    secret: Some(token),
                }
            }
            Target::Email(mail) => Way::Mail {
                password: maybe("password", &mail.password)?,
            },
            Target::Command { .. } => Way::Program,
        };
        let trust = match &spec.ca_file {
            None => Trust::System,
            Some(file) => Trust::of(file).map_err(|why| ChannelFault {
                what: format!("`ca_file` {}: {why}", file.display()),
                helps: "a PEM file with the certificates of the authorities to trust".to_owned(),
            })?,
        };
        let is_public = matches!(
            spec.target,
            Target::Webhook {
                url: Address::Plain(_),
                ..
            }
        );
        Ok(Self {
            hidden: hidden(&way, is_public),
            spec: spec.clone(),
            way,
            trust,
        })
    }

    /// Returns what the inventory says of it.
    pub fn spec(&self) -> &ChannelSpec {
        &self.spec
    }

    /// Returns where it sends to: a host, an address's secret left out, or a program.
    pub fn place(&self) -> String {
        match (&self.way, &self.spec.target) {
            (Way::Web { address, .. }, _) => address.to_string(),
            (Way::Mail { .. }, Target::Email(mail)) => {
                format!("{}:{} for {}", mail.server, mail.port, mail.to.join(", "))
            }
            (_, Target::Command { argv }) => argv.first().cloned().unwrap_or_default(),
            _ => self.spec.target.id().to_owned(),
        }
    }

    /// Tries once to deliver.
    pub(super) async fn send(
        &self,
        entry: &OutboxEntry,
        bearings: &Bearings<'_>,
        limit: Duration,
    ) -> Outcome {
        let outcome = self.try_once(entry, bearings, limit).await;
        self.without_secrets(outcome)
    }

    async fn try_once(
        &self,
        entry: &OutboxEntry,
        bearings: &Bearings<'_>,
        limit: Duration,
    ) -> Outcome {
        match (&self.way, &self.spec.target) {
            (Way::Web { address, secret }, target) => {
                let request = self.request(address, secret.as_ref(), entry, Timestamp::now());
                let proxies = self.spec.proxy.then_some(bearings.proxies);
                match post(request, proxies, &self.trust, limit).await {
                    Ok(reply) => formats::judge(target, &reply),
                    Err(why) => Outcome::later(why),
                }
            }
            (Way::Mail { password }, Target::Email(spec)) => {
                let Some(mail) = email::read(&entry.payload) else {
                    return Outcome::refused("the outbox's mail is none", "nothing: it is dropped");
                };
                let host = bearings.bastion;
                let message = mail.message(spec, &entry.id, host, entry.first_at);
                smtp::send(spec, password.as_ref(), &self.trust, host, &message, limit).await
            }
            (Way::Program, Target::Command { argv }) => {
                let without: &BTreeSet<String> = bearings.secret_variables;
                command::send(argv, without, &entry.id, &entry.payload, limit).await
            }
            _ => Outcome::refused("the channel is not what it was", "nothing: it is dropped"),
        }
    }

    /// What is posted, with all that is not kept in the outbox.
    fn request(
        &self,
        address: &WebAddress,
        secret: Option<&Secret>,
        entry: &OutboxEntry,
        now: Timestamp,
    ) -> Post {
        let mut post = Post {
            address: address.clone(),
            content_type: "application/json; charset=utf-8",
            headers: Vec::new(),
            body: entry.payload.clone(),
        };
        match (&self.spec.target, secret) {
            (Target::Webhook { .. }, secret) => {
                post.headers.push(("idempotency-key", entry.id.clone()));
                post.headers.push(("x-clawfleet-message", entry.id.clone()));
                if let Some(secret) = secret {
                    let timestamp = now.as_second().to_string();
                    let signed = format!("{timestamp}.{}", post.body);
                    let key = secret.expose().as_bytes();
                    let signature = sign::hex(&sign::hmac_sha256(key, signed.as_bytes()));
                    post.headers.push(("x-clawfleet-timestamp", timestamp));
                    post.headers
                        .push(("x-clawfleet-signature", format!("v1={signature}")));
                }
            }
            (Target::Feishu { .. }, Some(secret)) => {
                post.body = feishu::signed(&post.body, secret.expose(), now);
            }
            (Target::DingTalk { .. }, Some(secret)) => {
                post.address = dingtalk::signed(&post.address, secret.expose(), now);
            }
            (Target::Telegram { chat, topic, .. }, _) => {
                post.body = telegram::addressed(&post.body, chat, *topic);
            }
            _ => {}
        }
        post
    }

    /// Takes secrets out of a receiver's words.
    fn without_secrets(&self, outcome: Outcome) -> Outcome {
        let clean = |text: String| {
            self.hidden.iter().fold(text, |text, secret| {
                if text.contains(secret.as_str()) {
                    text.replace(secret.as_str(), "(hidden)")
                } else {
                    text
                }
            })
        };
        match outcome {
            Outcome::Delivered { note } => Outcome::Delivered {
                note: note.map(clean),
            },
            Outcome::Later { why, wait } => Outcome::Later {
                why: clean(why),
                wait,
            },
            Outcome::Refused { why, helps } => Outcome::Refused {
                why: clean(why),
                helps,
            },
        }
    }
}

/// All that is secret of a channel, the longest first, so that no part is replaced within a whole.
/// A public address is not.
fn hidden(way: &Way, is_public: bool) -> Vec<String> {
    let mut all = Vec::new();
    match way {
        Way::Web { address, secret } => {
            if !is_public {
                all.push(address.path.clone());
                all.extend(address.path.split(['/', '?', '&', '=']).map(str::to_owned));
            }
            all.extend(secret.iter().map(|secret| secret.expose().to_owned()));
        }
        Way::Mail { password } => {
            all.extend(password.iter().map(|secret| secret.expose().to_owned()));
        }
        Way::Program => {}
    }
    // Words of the services' own addresses, which say nothing.
    let known = [
        "services",
        "webhook",
        "open-apis",
        "access_token",
        "cgi-bin",
        "sendMessage",
    ];
    all.retain(|part| part.len() >= SHORTEST_SECRET && !known.contains(&part.as_str()));
    all.sort_by_key(|part| std::cmp::Reverse(part.len()));
    all.dedup();
    all
}

/// Reads an address that may be a secret, and sees whether it is one of the right service.
fn address(spec: &ChannelSpec, text: &str) -> Result<WebAddress, ChannelFault> {
    let kind = spec.target.id();
    let fault = |what: String, helps: &str| ChannelFault {
        what,
        helps: helps.to_owned(),
    };
    let address = WebAddress::parse(text).map_err(|why| {
        fault(
            format!("`url` {why}"),
            "copy it again from the service, as a whole",
        )
    })?;
    if !address.https && !address.is_loopback() && !spec.plaintext {
        return Err(fault(
            "`url` begins with http://: everybody on the way reads the alerts".to_owned(),
            "begin it with https://",
        ));
    }
    let Some(service) = address.service() else {
        return Ok(address);
    };
    if service != kind {
        return Err(fault(
            format!("`url` is an address of {service}, and `type` is {kind}"),
            &format!("set `type: {service}`"),
        ));
    }
    // What the services' own pages give out.
    let path = &address.path;
    let (fits, wanted) = match kind {
        "slack" => (
            path.starts_with("/services/"),
            "an incoming webhook of Slack begins with https://hooks.slack.com/services/",
        ),
        "feishu" => (
            path.starts_with("/open-apis/bot/v2/hook/"),
            "a custom bot's address goes on with /open-apis/bot/v2/hook/; add the bot anew if its address is older",
        ),
        "dingtalk" => (
            path.contains("access_token="),
            "a robot's address ends in /robot/send?access_token=…",
        ),
        "wecom" => (
            path.contains("key="),
            "a robot's address ends in /cgi-bin/webhook/send?key=…",
        ),
        _ => (true, ""),
    };
    if fits {
        Ok(address)
    } else {
        Err(fault(
            format!("`url` is no address of a {kind} robot"),
            wanted,
        ))
    }
}

/// A bot's token is a number, a colon and letters ("Bot API", authorizing your bot). Anything else
/// would become a part of a path that nobody meant.
fn check_telegram_token(token: &str) -> Result<(), ChannelFault> {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_token = token.split_once(':').is_some_and(|(number, key)| {
        !number.is_empty()
            && number.chars().all(|c| c.is_ascii_digit())
            && !key.is_empty()
            && key.chars().all(fine)
    });
    if is_token {
        return Ok(());
    }
    Err(ChannelFault {
        what: "`token` is no token of a bot".to_owned(),
        helps: "BotFather gives it out: a number, a colon and letters".to_owned(),
    })
}
