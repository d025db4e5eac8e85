//! `heartbeat`: who notices that runs from cron do not come any more.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{self, DeserializeOwned};
use serde_json::Value;

use super::error::InventoryError;
use super::file::{RawInventory, RawToken, YesNo};
use super::notify::looks_secret;
use super::raw_channel::RawUrl;
use super::resolve::{Inventory, Resolver};
use crate::model::{Address, HeartbeatFailOn, HeartbeatSpec, WebAddress};

const SOURCES: &str =
    "name where it is to be had: `heartbeat: {env: NAME}`, `{file: /PATH}` or `{command: \"…\"}`";

/// The entry as it is written: an address, where one is to be had, or either with more keys.
#[derive(Debug, Clone)]
pub(super) struct RawHeartbeat {
    url: RawUrl,
    ca_file: Option<String>,
    proxy: bool,
    plaintext: bool,
    fail_on: HeartbeatFailOn,
}

/// Takes a key out of an entry and reads it.
fn take<T: DeserializeOwned, E: de::Error>(
    fields: &mut serde_json::Map<String, Value>,
    key: &str,
) -> Result<Option<T>, E> {
    let value = fields.remove(key);
    // No word of the value: it may be an address that was written into the wrong line.
    value
        .map(|value| T::deserialize(value).map_err(|_| E::custom(format!("`{key}` is of no use"))))
        .transpose()
}

impl<'de> Deserialize<'de> for RawHeartbeat {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = match Value::deserialize(deserializer)? {
            Value::Object(fields) => fields,
            Value::String(text) => {
                let url = ("url".to_owned(), Value::String(text));
                std::iter::once(url).collect()
            }
            _ => {
                return Err(de::Error::custom(
                    "`heartbeat` is an address, or where it is to be had: `{env: NAME}`, `{file: /PATH}` or `{command: \"…\"}`",
                ));
            }
        };
        let ca_file = take(&mut fields, "ca_file")?;
        let proxy: Option<YesNo> = take(&mut fields, "proxy")?;
        let plaintext: Option<YesNo> = take(&mut fields, "plaintext")?;
        let fail_on: Option<String> = take(&mut fields, "fail_on")?;
        let fail_on = match fail_on.as_deref().map(HeartbeatFailOn::from_id) {
            None => HeartbeatFailOn::Never,
            Some(Some(fail_on)) => fail_on,
            Some(None) => {
                return Err(de::Error::custom(
                    "`fail_on` is one of never, critical, not-observed and warning",
                ));
            }
        };
        let url = match fields.remove("url") {
            Some(_) if !fields.is_empty() => {
                return Err(de::Error::custom(
                    "beside `url` there are ca_file, proxy, plaintext and fail_on",
                ));
            }
            Some(url) => RawUrl::deserialize(url).map_err(de::Error::custom)?,
            None => RawToken::deserialize(Value::Object(fields))
                .map(|token| RawUrl::Secret(token.0))
                .map_err(|_| {
                    de::Error::custom(
                        "`heartbeat` has one of url, env, file and command, and may have ca_file, proxy, plaintext and fail_on",
                    )
                })?,
        };
        Ok(Self {
            url,
            ca_file,
            proxy: proxy.is_none_or(|proxy| proxy.0),
            plaintext: plaintext.is_some_and(|plain| plain.0),
            fail_on,
        })
    }
}

/// Whether an address is one that is a secret by its looks.
pub fn is_secret_address(url: &str) -> bool {
    WebAddress::parse(url).is_ok_and(|address| holds_secret(&address))
}

fn holds_secret(address: &WebAddress) -> bool {
    address.path.contains('?') || address.path.split('/').any(looks_secret)
}

/// Reads the entry.
pub(super) fn attach(
    inventory: &mut Inventory,
    raw: &RawInventory,
    file: &str,
    home: &str,
) -> Result<(), InventoryError> {
    let Some(place) = &raw.heartbeat else {
        return Ok(());
    };
    let resolver = Resolver { file, home };
    let wrong = |message: String, hint: &str| Err(resolver.error(place, message).hint(hint));
    let entry = &place.value;
    let url = match &entry.url {
        RawUrl::Secret(source) => Address::Secret(source.clone()),
        RawUrl::Plain(text) => {
            let address = match WebAddress::parse(text) {
                Ok(address) => address,
                Err(why) => return wrong(format!("`heartbeat` {why}"), SOURCES),
            };
            if holds_secret(&address) {
                return wrong(
                    "whoever has the heartbeat's address can send one: it is a secret, and does not stand in the inventory".to_owned(),
                    SOURCES,
                );
            }
            if !address.https && !address.is_loopback() && !entry.plaintext {
                return wrong(
                    "without TLS everybody on the way reads the heartbeat".to_owned(),
                    "begin it with https://, or say `plaintext: true`",
                );
            }
            Address::Plain(text.clone())
        }
    };
    inventory.heartbeat = Some(HeartbeatSpec {
        url,
        ca_file: entry.ca_file.as_deref().map(|path| of(path, file, home)),
        proxy: entry.proxy,
        plaintext: entry.plaintext,
        fail_on: entry.fail_on,
    });
    Ok(())
}

/// A path: `~/` is the home directory, a relative one begins at the inventory's directory.
fn of(path: &str, file: &str, home: &str) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => Path::new(home).join(rest),
        None => Path::new(file).parent().unwrap_or(Path::new("")).join(path),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::model::SecretSource;

    fn read(text: &str) -> Result<HeartbeatSpec, String> {
        let text = format!("hosts: {{VM1: {{}}}}\nheartbeat: {text}\n");
        parse(&text, "/etc/c/inventory.yaml", "/root")
            .map(|inventory| inventory.heartbeat.unwrap())
            .map_err(|error| format!("{error} ({})", error.hint.clone().unwrap_or_default()))
    }

    #[test]
    fn an_address_or_its_source() {
        let env = Address::Secret(SecretSource::Env("HEARTBEAT".into()));
        assert_eq!(read("{env: HEARTBEAT}").unwrap().url, env);
        assert_eq!(read("{url: {env: HEARTBEAT}}").unwrap().url, env);
        let plain = read("https://beat.example/clawfleet").unwrap();
        assert_eq!(
            plain.url,
            Address::Plain("https://beat.example/clawfleet".into())
        );
        assert!(plain.proxy && !plain.plaintext && plain.ca_file.is_none());
        assert_eq!(plain.fail_on, HeartbeatFailOn::Never);
        let all = read(
            "{file: ~/beat, ca_file: ca.pem, proxy: no, plaintext: yes, fail_on: not-observed}",
        )
        .unwrap();
        assert_eq!(
            all.url,
            Address::Secret(SecretSource::File("~/beat".into()))
        );
        assert_eq!(all.ca_file.unwrap(), Path::new("/etc/c/ca.pem"));
        assert!(!all.proxy && all.plaintext);
        assert_eq!(all.fail_on, HeartbeatFailOn::NotObserved);
    }

    #[test]
    fn what_is_wrong_is_told_without_the_secret() {
        let secret = "0b9e4e4a-1ff9-4b2d-8c6b-5e7d0f6c2a11";
        let cases = [
            (format!("https://hc.example/{secret}"), "it is a secret"),
            (
                format!("{{url: 'https://hc.example/{secret}'}}"),
                "it is a secret",
            ),
            (
                format!("hc.example/{secret}"),
                "does not begin with https://",
            ),
            ("http://hc.example/ping".into(), "plaintext: true"),
            (
                format!("{{url: 'https://a.example', env: X{}}}", 1),
                "beside `url`",
            ),
            (
                format!("{{link: 'https://a.example/{secret}'}}"),
                "one of url, env, file",
            ),
            ("{env: A, fail_on: always}".into(), "not-observed"),
            (format!("{{env: A, proxy: {secret}}}"), "`proxy`"),
            ("5".into(), "is an address"),
            ("{}".into(), "one of url, env, file"),
        ];
        for (text, words) in cases {
            let why = read(&text).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
            assert!(why.starts_with("/etc/c/inventory.yaml:2:"), "{why}");
            assert!(!why.contains(secret), "{why}");
        }
    }
}
