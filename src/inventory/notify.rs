//! `notify`: the channels that alerts go to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_yaml::{Location, Spanned};

use super::error::{InventoryError, did_you_mean};
use super::file::{RawInventory, RawToken};
use super::raw_channel::{RawChannel, RawKind, RawMailTls, RawSeverity, RawUrl};
use super::resolve::{Inventory, Resolver};
use crate::model::{
    Address, AlertFilter, AlertKind, ChannelSpec, Class, MailSpec, MailTls, SecretSource, Severity,
    Target, WebAddress, is_loopback,
};

/// More channels than people read.
const MAX_CHANNELS: usize = 32;

/// How long one try may take, where the inventory does not say it: a receiver answers in well under
/// a second, a mail server may look a name up first.
const TIMEOUT: Duration = Duration::from_secs(10);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_TIMEOUT: Duration = Duration::from_secs(300);

/// More messages in a minute than this are no messages any more.
const MAX_RATE: u32 = 600;

/// RFC 5321, 4.5.3.1: 64 octets of local part, 256 of a path with its two angles.
const MAX_LOCAL: usize = 64;
const MAX_MAIL: usize = 254;

/// Recipients of one mail that every server takes (RFC 5321, 4.5.3.1.8).
const MAX_RECIPIENTS: usize = 100;

const SOURCES: &str =
    "name where it is to be had: `{env: NAME}`, `{file: /PATH}` or `{command: \"…\"}`";

/// Reads the channels.
pub(super) fn attach(
    inventory: &mut Inventory,
    raw: &RawInventory,
    file: &str,
    home: &str,
) -> Result<(), InventoryError> {
    let resolver = Resolver { file, home };
    if let Some(fleet) = &raw.fleet {
        let name = fleet.value.trim();
        if name.is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
            return Err(resolver
                .error(fleet, "`fleet` is no name")
                .hint("a few words that head each alert, e.g. `fleet: production gateways`"));
        }
        inventory.fleet = Some(name.to_owned());
    }
    for (name, channel) in &raw.notify.0 {
        resolver.check_name(name, "channel", &name.value)?;
        if inventory.channels.len() == MAX_CHANNELS {
            return Err(resolver.error(name, format!("more than {MAX_CHANNELS} channels")));
        }
        let empty = RawChannel::default();
        let reader = Reader {
            resolver: &resolver,
            name,
            raw: channel.as_ref().unwrap_or(&empty),
        };
        let spec = reader.channel(inventory)?;
        inventory.channels.push(spec);
    }
    Ok(())
}

/// Reads one channel.
struct Reader<'a> {
    resolver: &'a Resolver<'a>,
    name: &'a Spanned<String>,
    raw: &'a RawChannel,
}

impl Reader<'_> {
    fn at<T>(&self, place: &Spanned<T>, message: impl std::fmt::Display) -> InventoryError {
        let message = format!("channel `{}`: {message}", self.name.value);
        self.resolver.error(place, message)
    }

    /// Returns what a kind of channel cannot do without.
    fn needs<'b, T>(
        &self,
        value: &'b Option<Spanned<T>>,
        key: &str,
        example: &str,
    ) -> Result<&'b Spanned<T>, InventoryError> {
        value.as_ref().ok_or_else(|| {
            self.at(self.name, format!("`{key}` is missing"))
                .hint(example.to_owned())
        })
    }

    fn channel(&self, inventory: &Inventory) -> Result<ChannelSpec, InventoryError> {
        let raw = self.raw;
        let kind = self.needs(
            &raw.kind,
            "type",
            "one of webhook, slack, feishu, dingtalk, wecom, telegram, email, command",
        )?;
        self.only_own_keys(kind.value)?;
        let target = self.target(kind.value)?;
        let filter = self.filter(inventory)?;
        let is_command = kind.value == RawKind::Command;
        let timeout = match &raw.timeout {
            Some(span) if span.value.0 > MAX_TIMEOUT => {
                return Err(self
                    .at(span, "one try to deliver may take 5 minutes at most")
                    .hint("what does not arrive is tried again, by the next runs too"));
            }
            Some(span) => span.value.0,
            None if is_command => COMMAND_TIMEOUT,
            None => TIMEOUT,
        };
        let rate = match &raw.rate {
            Some(rate) if !(1..=MAX_RATE).contains(&rate.value) => {
                return Err(self
                    .at(rate, "`rate` is messages per minute, from 1 to 600")
                    .hint("e.g. `rate: 20`"));
            }
            Some(rate) => rate.value,
            None => usual_rate(kind.value),
        };
        Ok(ChannelSpec {
            name: self.name.value.clone(),
            line: self.name.referenced.line(),
            target,
            filter,
            rate,
            timeout,
            ca_file: raw.ca_file.as_ref().map(|path| self.path(&path.value)),
            proxy: raw.proxy.as_ref().is_none_or(|proxy| proxy.value.0),
            plaintext: self.plaintext(),
        })
    }

    fn plaintext(&self) -> bool {
        self.raw.plaintext.as_ref().is_some_and(|yes| yes.value.0)
    }

    /// A path: `~/` is the home directory, a relative one begins at the inventory's directory.
    fn path(&self, path: &str) -> PathBuf {
        match path.strip_prefix("~/") {
            Some(rest) => Path::new(self.resolver.home).join(rest),
            None => Path::new(self.resolver.file)
                .parent()
                .unwrap_or(Path::new(""))
                .join(path),
        }
    }

    /// A key of another kind of channel is a mistake, and not to be read past.
    fn only_own_keys(&self, kind: RawKind) -> Result<(), InventoryError> {
        use RawKind::{Command, DingTalk, Email, Feishu, Slack, Telegram, WeCom, Webhook};
        fn place<T>(value: &Option<Spanned<T>>) -> Option<Location> {
            value.as_ref().map(|value| value.referenced)
        }
        let raw = self.raw;
        let web: &[RawKind] = &[Webhook, Slack, Feishu, DingTalk, WeCom, Telegram];
        let network: &[RawKind] = &[Webhook, Slack, Feishu, DingTalk, WeCom, Telegram, Email];
        let keys: [(&str, Option<Location>, &[RawKind]); 18] = [
            (
                "url",
                place(&raw.url),
                &[Webhook, Slack, Feishu, DingTalk, WeCom],
            ),
            ("secret", place(&raw.secret), &[Webhook, Feishu, DingTalk]),
            ("token", place(&raw.token), &[Telegram]),
            ("chat", place(&raw.chat), &[Telegram]),
            ("topic", place(&raw.topic), &[Telegram]),
            ("api", place(&raw.api), &[Telegram]),
            ("server", place(&raw.server), &[Email]),
            ("port", place(&raw.port), &[Email]),
            ("tls", place(&raw.tls), &[Email]),
            ("user", place(&raw.user), &[Email]),
            ("password", place(&raw.password), &[Email]),
            ("from", place(&raw.from), &[Email]),
            ("to", place(&raw.to), &[Email]),
            ("command", place(&raw.command), &[Command]),
            ("shell", place(&raw.shell), &[Command]),
            ("ca_file", place(&raw.ca_file), network),
            ("proxy", place(&raw.proxy), web),
            ("plaintext", place(&raw.plaintext), &[Webhook, Email]),
        ];
        for (key, place, kinds) in keys {
            let Some(place) = place else { continue };
            if kinds.contains(&kind) {
                continue;
            }
            let names: Vec<&str> = kinds.iter().map(|kind| kind.id()).collect();
            return Err(InventoryError {
                file: self.resolver.file.to_owned(),
                at: (place.line() > 0).then(|| (place.line(), place.column())),
                message: format!(
                    "channel `{}`: `{key}` is not for {}",
                    self.name.value,
                    kind.id()
                ),
                hint: Some(format!("it is for {}", names.join(", "))),
            });
        }
        Ok(())
    }

    fn target(&self, kind: RawKind) -> Result<Target, InventoryError> {
        let raw = self.raw;
        let secret = raw.secret.as_ref().map(|token| token.value.0.clone());
        Ok(match kind {
            RawKind::Webhook => Target::Webhook {
                url: self.webhook_url()?,
                secret,
            },
            RawKind::Slack => Target::Slack {
                url: self.secret_url("SLACK_WEBHOOK")?,
            },
            RawKind::Feishu => Target::Feishu {
                url: self.secret_url("FEISHU_WEBHOOK")?,
                secret,
            },
            RawKind::DingTalk => Target::DingTalk {
                url: self.secret_url("DINGTALK_WEBHOOK")?,
                secret,
            },
            RawKind::WeCom => Target::WeCom {
                url: self.secret_url("WECOM_WEBHOOK")?,
            },
            RawKind::Telegram => self.telegram()?,
            RawKind::Email => Target::Email(self.mail()?),
            RawKind::Command => self.command()?,
        })
    }

    /// The addresses of these services are what lets anybody send: secrets.
    fn secret_url(&self, variable: &str) -> Result<SecretSource, InventoryError> {
        let example = format!("e.g. `url: {{env: {variable}}}`");
        let url = self.needs(&self.raw.url, "url", &example)?;
        match &url.value {
            RawUrl::Secret(source) => Ok(source.clone()),
            RawUrl::Plain(_) => Err(self
                .at(
                    url,
                    "whoever has this address can send: it is a secret, and does not stand in the inventory",
                )
                .hint(format!("{SOURCES}; {example}"))),
        }
    }

    fn webhook_url(&self) -> Result<Address, InventoryError> {
        let example = "e.g. `url: https://alerts.example/clawfleet`, or `url: {env: ALERT_URL}`";
        let url = self.needs(&self.raw.url, "url", example)?;
        let text = match &url.value {
            RawUrl::Secret(source) => return Ok(Address::Secret(source.clone())),
            RawUrl::Plain(text) => text,
        };
        let address = WebAddress::parse(text)
            .map_err(|why| self.at(url, format!("`url` {why}")).hint(example))?;
        if let Some(service) = address.service() {
            return Err(self
                .at(
                    url,
                    format!("this is an address of {service}, and a secret"),
                )
                .hint(format!("set `type: {service}`, and {SOURCES}")));
        }
        if text.contains('?') {
            return Err(self
                .at(
                    url,
                    "a query often holds a secret, which does not stand in the inventory",
                )
                .hint(SOURCES));
        }
        if address.path.split('/').any(looks_secret) {
            return Err(self
                .at(
                    url,
                    "a part of its path looks like a secret, which does not stand in the inventory",
                )
                .hint(SOURCES));
        }
        self.may_be_plain(url, &address)?;
        Ok(Address::Plain(text.clone()))
    }

    fn may_be_plain<T>(
        &self,
        place: &Spanned<T>,
        address: &WebAddress,
    ) -> Result<(), InventoryError> {
        if address.https || address.is_loopback() || self.plaintext() {
            return Ok(());
        }
        Err(self
            .at(place, "without TLS everybody on the way reads the alerts")
            .hint("begin it with https://, or say `plaintext: true`"))
    }

    fn telegram(&self) -> Result<Target, InventoryError> {
        let raw = self.raw;
        let chat = self.needs(
            &raw.chat,
            "chat",
            "e.g. `chat: -1001234567890` or `chat: \"@ops\"`",
        )?;
        let id = chat.value.0.trim();
        let is_name = id.strip_prefix('@').is_some_and(|name| {
            name.len() >= 4 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        if !is_name && id.parse::<i64>().is_err() {
            return Err(self
                .at(
                    chat,
                    "`chat` is neither the number of a chat nor the @name of a channel",
                )
                .hint("e.g. `chat: -1001234567890`; getUpdates of the Bot API shows it"));
        }
        let token = self.needs(&raw.token, "token", "e.g. `token: {env: TELEGRAM_TOKEN}`")?;
        let api = match &raw.api {
            None => "https://api.telegram.org".to_owned(),
            Some(api) => {
                let address = WebAddress::parse(&api.value)
                    .map_err(|why| self.at(api, format!("`api` {why}")))?;
                self.may_be_plain(api, &address)?;
                api.value.trim_end_matches('/').to_owned()
            }
        };
        Ok(Target::Telegram {
            token: token.value.0.clone(),
            chat: id.to_owned(),
            topic: raw.topic.as_ref().map(|topic| topic.value.into()),
            api,
        })
    }

    fn mail(&self) -> Result<MailSpec, InventoryError> {
        let raw = self.raw;
        let server = self.needs(&raw.server, "server", "e.g. `server: smtp.example`")?;
        let host = server.value.trim();
        let fine = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
        let is_address = host.parse::<std::net::IpAddr>().is_ok();
        if host.is_empty() || !host.chars().all(fine) || (host.contains(':') && !is_address) {
            return Err(self
                .at(
                    server,
                    "`server` is no name and no address of a mail server",
                )
                .hint("e.g. `server: smtp.example`, with `port: 587` for a port"));
        }
        let tls = match raw.tls.as_ref().map(|tls| tls.value) {
            None | Some(RawMailTls::StartTls) => MailTls::StartTls,
            Some(RawMailTls::Implicit) => MailTls::Implicit,
            Some(RawMailTls::None) => MailTls::None,
        };
        if let (MailTls::None, Some(place)) = (tls, &raw.tls)
            && !is_loopback(host)
            && !self.plaintext()
        {
            return Err(self
                .at(
                    place,
                    "without TLS everybody on the way reads the mail and the password",
                )
                .hint("`tls: starttls` or `tls: implicit`; or say `plaintext: true`"));
        }
        let (user, password) = self.mail_login()?;
        let from = self.needs(&raw.from, "from", "e.g. `from: clawfleet@example.org`")?;
        let to = self.needs(&raw.to, "to", "e.g. `to: ops@example.org`")?;
        if to.value.0.is_empty() || to.value.0.len() > MAX_RECIPIENTS {
            return Err(self
                .at(
                    to,
                    format!("a mail has from 1 to {MAX_RECIPIENTS} recipients"),
                )
                .hint("e.g. `to: [ops@example.org]`"));
        }
        for address in &to.value.0 {
            check_mail(address).map_err(|why| self.bad_mail(to, address, why))?;
        }
        check_mail(&from.value).map_err(|why| self.bad_mail(from, &from.value, why))?;
        let port = raw.port.as_ref().map(|port| u64::from(port.value));
        Ok(MailSpec {
            server: host.to_owned(),
            port: port
                .and_then(|port| u16::try_from(port).ok())
                .unwrap_or_else(|| tls.port()),
            tls,
            user,
            password,
            from: from.value.clone(),
            to: to.value.0.clone(),
        })
    }

    fn mail_login(&self) -> Result<(Option<String>, Option<SecretSource>), InventoryError> {
        match (&self.raw.user, &self.raw.password) {
            (Some(user), Some(password)) => {
                let odd = |c: char| c.is_control();
                if user.value.is_empty() || user.value.chars().any(odd) {
                    return Err(self.at(user, "`user` is no name"));
                }
                let source: &RawToken = &password.value;
                Ok((Some(user.value.clone()), Some(source.0.clone())))
            }
            (Some(user), None) => Err(self
                .at(user, "`user` logs in with a password, and there is none")
                .hint("e.g. `password: {env: SMTP_PASSWORD}`")),
            (None, Some(password)) => Err(self
                .at(
                    password,
                    "`password` belongs to a `user`, and there is none",
                )
                .hint("e.g. `user: clawfleet@example.org`")),
            (None, None) => Ok((None, None)),
        }
    }

    fn bad_mail<T>(&self, place: &Spanned<T>, address: &str, why: &str) -> InventoryError {
        self.at(place, format!("`{address}` {why}"))
            .hint("the bare address, e.g. `ops@example.org`")
    }

    fn command(&self) -> Result<Target, InventoryError> {
        let example =
            "e.g. `command: [/usr/local/bin/page, --team, ops]`; `shell: \"…\"` is run by sh";
        let argv = match (&self.raw.command, &self.raw.shell) {
            (Some(command), None) => {
                let argv = &command.value;
                if argv.first().is_none_or(|program| program.trim().is_empty()) {
                    return Err(self.at(command, "`command` names no program").hint(example));
                }
                if argv.iter().any(|word| word.contains('\0')) {
                    return Err(self.at(command, "`command` holds a NUL character"));
                }
                argv.clone()
            }
            (None, Some(shell)) => {
                if shell.value.trim().is_empty() || shell.value.contains('\0') {
                    return Err(self.at(shell, "`shell` is no command").hint(example));
                }
                ["sh", "-c", shell.value.as_str()]
                    .map(str::to_owned)
                    .to_vec()
            }
            (Some(_), Some(shell)) => {
                return Err(self
                    .at(shell, "has both `command` and `shell`")
                    .hint("one of them says what runs"));
            }
            (None, None) => {
                return Err(self.at(self.name, "`command` is missing").hint(example));
            }
        };
        Ok(Target::Command { argv })
    }

    fn filter(&self, inventory: &Inventory) -> Result<AlertFilter, InventoryError> {
        let raw = self.raw;
        let classes = raw.classes.as_ref();
        let classes = classes
            .map(|place| {
                let words = place.value.0.iter();
                words
                    .map(|word| self.class(place, word, inventory))
                    .collect::<Result<Vec<_>, _>>()
            })
            .transpose()?;
        let kinds = raw.kinds.as_ref();
        let kinds = kinds
            .map(|place| {
                let words = place.value.0.iter();
                words
                    .map(|word| self.kind(place, word))
                    .collect::<Result<Vec<_>, _>>()
            })
            .transpose()?;
        if let (Some(kinds), Some(send)) = (&kinds, &raw.send_recovered) {
            let has = kinds.contains(&AlertKind::Recovered);
            if has != send.value.0 {
                return Err(self
                    .at(send, "`kinds` says the opposite of it")
                    .hint("leave `send_recovered` out: `kinds` says it all"));
            }
        }
        let hosts = raw.hosts.as_ref().map(|place| self.hosts(place, inventory));
        Ok(AlertFilter {
            classes,
            min_severity: match raw.min_severity.as_ref().map(|least| least.value) {
                None | Some(RawSeverity::Info) => Severity::Info,
                Some(RawSeverity::Warning) => Severity::Warning,
                Some(RawSeverity::Unknown) => Severity::Unknown,
                Some(RawSeverity::Critical) => Severity::Critical,
            },
            hosts: hosts.transpose()?,
            kinds,
            send_recovered: raw.send_recovered.as_ref().is_none_or(|send| send.value.0),
        })
    }

    fn class<T>(
        &self,
        place: &Spanned<T>,
        word: &str,
        inventory: &Inventory,
    ) -> Result<String, InventoryError> {
        let own = word
            .strip_prefix("custom/")
            .is_some_and(|name| inventory.checks.iter().any(|(spec, _)| spec.name == name));
        if own || Class::from_id(word).is_some() {
            return Ok(word.to_owned());
        }
        let near = did_you_mean(word, Class::ALL.iter().map(|class| class.id()));
        Err(self
            .at(place, format!("no class is called `{word}`"))
            .hint(near.unwrap_or_else(|| "`clawfleet check --list` lists them".to_owned())))
    }

    fn kind<T>(&self, place: &Spanned<T>, word: &str) -> Result<AlertKind, InventoryError> {
        let kind = AlertKind::from_id(word).filter(|kind| *kind != AlertKind::Test);
        kind.ok_or_else(|| {
            self.at(place, format!("`{word}` is no kind of alert"))
                .hint("new, worsened, not-observed, reminder, recovered")
        })
    }

    fn hosts(
        &self,
        place: &Spanned<super::file::OneOrMany>,
        inventory: &Inventory,
    ) -> Result<(String, BTreeSet<String>), InventoryError> {
        let selectors = &place.value.0;
        let last_run = || Err("the hosts of a channel cannot depend on the last run".to_owned());
        let indices = inventory.select(selectors, last_run).map_err(|error| {
            let hint = "a selector as for `clawfleet check`, e.g. `\"@gateways\"`";
            self.at(place, &error.message)
                .hint(error.hint.unwrap_or_else(|| hint.to_owned()))
        })?;
        let names = indices
            .iter()
            .filter_map(|index| inventory.hosts.get(*index))
            .map(|host| host.name.clone());
        Ok((selectors.join(","), names.collect()))
    }
}

/// Whether a part of a path is what services give out as a key: long, with letters and digits.
/// A name that is taken for one has a place in the environment.
pub(super) fn looks_secret(part: &str) -> bool {
    let has = |kind: fn(&char) -> bool| part.chars().any(|c| kind(&c));
    part.len() >= 20 && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic)
}

/// What a service takes in a minute, and for the others what a person can read.
fn usual_rate(kind: RawKind) -> u32 {
    match kind {
        // DingTalk's "Custom robots", WeCom's "Group robots": 20 messages a minute and robot.
        // Telegram's "Bots FAQ": 20 a minute to one group.
        RawKind::DingTalk | RawKind::WeCom | RawKind::Telegram => 20,
        // Slack's "Rate limits": one a second. Feishu's "Custom bot usage guide": 100 a minute.
        RawKind::Slack | RawKind::Feishu | RawKind::Webhook => 60,
        RawKind::Email | RawKind::Command => 30,
    }
}

/// Checks a bare mail address: what goes unquoted into a command and a header of SMTP. Quoted local
/// parts and other scripts are not taken: no alert needs them, and injections do.
fn check_mail(address: &str) -> Result<(), &'static str> {
    let (local, domain) = address.rsplit_once('@').ok_or("is no mail address")?;
    let local_fine = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let domain_fine = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    let fine = !local.is_empty()
        && local.len() <= MAX_LOCAL
        && local.chars().all(local_fine)
        && !domain.is_empty()
        && domain.chars().all(domain_fine)
        && !domain.starts_with(['-', '.'])
        && address.len() <= MAX_MAIL;
    if fine {
        Ok(())
    } else {
        Err("is no mail address that goes into a message as it is")
    }
}
