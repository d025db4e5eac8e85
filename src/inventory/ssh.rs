//! What an inventory says of a host's connection, as keywords of OpenSSH that win over its files.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::InventoryError;
use super::host::{Values, is_login};
use super::resolve::{Entry, Resolver};
use super::services::Merged;
use super::settings::SettingValue;
use crate::model::{Become, BecomeHow, SecretSource, SshFiles, SshOption, SshRequest, SshSettings};

/// Keywords that have a key of their own in an inventory: said twice, nobody could tell which one
/// was meant.
const OWN_KEYS: [(&str, &str); 6] = [
    ("hostname", "address"),
    ("port", "port"),
    ("user", "user"),
    ("identityfile", "identity"),
    ("userknownhostsfile", "known_hosts"),
    ("proxyjump", "ssh.jump"),
];

impl Resolver<'_> {
    /// Returns what is said of the connection, and the connection as far as that goes.
    pub(super) fn connection(
        &self,
        entry: &Entry,
        merged: &Merged,
    ) -> Result<(SshRequest, Arc<SshSettings>), InventoryError> {
        let values = Values { merged };
        let user = values.text("user");
        if values.find("user").is_some() && !is_login(&user) {
            return Err(self.bad_value(merged, "user", "is no login"));
        }
        let host = values.find("ssh.host").map(ToString::to_string);
        if host.as_deref().is_some_and(|host| !is_login(host)) {
            return Err(self.bad_value(merged, "ssh.host", "is no host name"));
        }
        let request = SshRequest {
            host,
            files: match values.find("ssh.config").map(ToString::to_string) {
                None => SshFiles::Usual,
                Some(file) if file.eq_ignore_ascii_case("none") => SshFiles::None,
                Some(file) => SshFiles::Only(self.path(&file)),
            },
            match_exec: values.text("ssh.match_exec") == "yes",
            options: self.ssh_options(entry, merged)?,
            password: secret(&values, "password"),
        };
        let port = match values.number("port") {
            0 => 22,
            port => port,
        };
        let settings = SshSettings::plain(&entry.name, &entry.address, port, &user);
        Ok((request, Arc::new(settings)))
    }

    fn ssh_options(
        &self,
        entry: &Entry,
        merged: &Merged,
    ) -> Result<Vec<SshOption>, InventoryError> {
        let mut options = Vec::new();
        let mut add = |keyword: &str, value: String, origin: String| {
            options.push(SshOption {
                keyword: keyword.to_owned(),
                value,
                origin,
            });
        };
        if let Some(line) = entry.address_line {
            // An address is no text with tokens: `fe80::1%eth0` means what it says.
            let value = quoted(&entry.address.replace('%', "%%"));
            add(
                "HostName",
                value,
                format!("host {}, line {line}", entry.pattern),
            );
        }
        for (keyword, key) in OWN_KEYS {
            let Some((value, origin)) = merged.get(key) else {
                continue;
            };
            let origin = origin.to_string();
            match (keyword, value) {
                // One line for each file, as in ssh_config.
                ("identityfile", SettingValue::Texts(files)) => {
                    for file in files {
                        add("IdentityFile", quoted(file), origin.clone());
                    }
                }
                // These files are the only ones that vouch for the host.
                ("userknownhostsfile", SettingValue::Texts(files)) => {
                    let files: Vec<String> = files.iter().map(|file| quoted(file)).collect();
                    add("UserKnownHostsFile", files.join(" "), origin.clone());
                    add("GlobalKnownHostsFile", "/dev/null".to_owned(), origin);
                }
                ("proxyjump", SettingValue::Texts(jumps)) => {
                    add("ProxyJump", jumps.join(","), origin);
                }
                ("port", value) => add("Port", value.to_string(), origin),
                ("user", value) => add("User", quoted(&value.to_string()), origin),
                _ => {}
            }
        }
        for (key, (value, origin)) in merged {
            let Some(keyword) = key.strip_prefix("ssh.options.") else {
                continue;
            };
            let own = OWN_KEYS
                .iter()
                .find(|(own, _)| keyword.eq_ignore_ascii_case(own));
            if let Some((_, own)) = own {
                return Err(InventoryError {
                    hint: Some(format!("write it as `{own}`")),
                    ..self.bad_value(merged, key, "has a key of its own in an inventory")
                });
            }
            add(keyword, value.to_string(), origin.to_string());
        }
        Ok(options)
    }

    /// Reads what commands run as.
    pub(super) fn privilege(&self, merged: &Merged) -> Result<Become, InventoryError> {
        let values = Values { merged };
        let user = values.text("become_user");
        let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if user.is_empty() || user.starts_with('-') || !user.chars().all(fine) {
            return Err(self.bad_value(merged, "become_user", "is no user name"));
        }
        let how = match values.text("become").as_str() {
            "sudo" => BecomeHow::Sudo,
            "doas" => BecomeHow::Doas,
            "su" => BecomeHow::Su,
            _ => BecomeHow::None,
        };
        let password = secret(&values, "become_password");
        if how == BecomeHow::Doas && password.is_some() {
            return Err(InventoryError {
                hint: Some("give the login a `nopass` rule in doas.conf, or use sudo".to_owned()),
                ..self.bad_value(
                    merged,
                    "become_password",
                    "cannot be given to doas, which reads it from a terminal only",
                )
            });
        }
        Ok(Become {
            how,
            user,
            password,
        })
    }

    /// Replaces a leading `~`.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        match text.strip_prefix("~/") {
            Some(rest) => PathBuf::from(self.home).join(rest),
            None => PathBuf::from(text),
        }
    }
}

pub(super) fn secret(values: &Values<'_>, key: &str) -> Option<SecretSource> {
    match values.find(key) {
        Some(SettingValue::Token(source)) => Some(source.clone()),
        _ => None,
    }
}

/// One word of ssh_config, whatever is in it.
fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}
