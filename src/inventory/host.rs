//! A host from its merged settings.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::error::InventoryError;
use super::resolve::{Entry, Resolver};
use super::settings::{Origin, SettingValue};
use crate::model::{
    Become, Host, HostKeyFiles, Role, ScopeWanted, ServiceSpec, Thresholds, Timeouts, TlsWanted,
    TransportKind,
};

impl Resolver<'_> {
    /// Builds a host. The built-in layer sets every key that is read with a type.
    pub(super) fn host(
        &self,
        entry: &Entry,
        merged: &BTreeMap<String, (SettingValue, Origin)>,
        groups: Vec<String>,
    ) -> Result<Host, InventoryError> {
        let values = Values { merged };
        let host = Host {
            name: entry.name.clone(),
            address: entry.address.clone(),
            port: values.number("port"),
            user: values.text("user"),
            identity: values.paths("identity", self.home),
            known_hosts: HostKeyFiles(values.paths("known_hosts", self.home)),
            become_root: match values.text("become").as_str() {
                "sudo" => Become::Sudo,
                "doas" => Become::Doas,
                _ => Become::None,
            },
            transport: match values.text("transport").as_str() {
                "local" => TransportKind::Local,
                _ => TransportKind::Ssh,
            },
            labels: values
                .below("labels.")
                .map(|(key, value)| (key.to_owned(), value.to_string()))
                .collect(),
            vars: values
                .below("vars.")
                .map(|(key, value)| match value {
                    SettingValue::Any(value) => (key.to_owned(), value.clone()),
                    other => (key.to_owned(), serde_json::Value::String(other.to_string())),
                })
                .collect(),
            groups,
            role: match values.text("role").as_str() {
                "none" => Role::None,
                _ => Role::Gateway,
            },
            service: ServiceSpec {
                unit: values.text("service.unit"),
                scope: match values.text("service.scope").as_str() {
                    "system" => ScopeWanted::System,
                    "user" => ScopeWanted::User,
                    _ => ScopeWanted::Auto,
                },
                owner: values.find("service.owner").map(ToString::to_string),
                port: values.number("service.port"),
                health_path: values.text("service.health_path"),
                tls: match values.text("service.tls").as_str() {
                    "on" => TlsWanted::On,
                    "off" => TlsWanted::Off,
                    _ => TlsWanted::Auto,
                },
                token: match values.find("service.token") {
                    Some(SettingValue::Token(source)) => Some(source.clone()),
                    _ => None,
                },
            },
            more_services: Vec::new(),
            thresholds: Thresholds {
                restarts_per_day: values.number("thresholds.restarts_per_day"),
                failed_starts_per_hour: values.number("thresholds.failed_starts_per_hour"),
                http_timeout: values.time("thresholds.http_timeout"),
                startup_grace: values.time("thresholds.startup_grace"),
                clock_skew: values.time("thresholds.clock_skew"),
                disk_free_percent: values.number("thresholds.disk_free_percent"),
            },
            timeouts: Timeouts {
                dns: values.time("timeouts.dns"),
                tcp: values.time("timeouts.tcp"),
                kex: values.time("timeouts.kex"),
                auth: values.time("timeouts.auth"),
                channel: values.time("timeouts.channel"),
                exec: values.time("timeouts.exec"),
                host: values.time("timeouts.host"),
            },
        };
        self.check(&host, merged)?;
        Ok(host)
    }

    /// Values that would be accepted by their type and fail later on every host.
    fn check(
        &self,
        host: &Host,
        merged: &BTreeMap<String, (SettingValue, Origin)>,
    ) -> Result<(), InventoryError> {
        let unit = &host.service.unit;
        let unit_fine = unit.ends_with(".service")
            && !unit.starts_with(['-', '.'])
            && unit
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c));
        let user_fine = |user: &str| {
            !user.is_empty()
                && !user.starts_with('-')
                && !user
                    .chars()
                    .any(|c| c.is_whitespace() || c.is_control() || ":/@".contains(c))
        };
        let path = &host.service.health_path;
        let faults = [
            (
                "service.unit",
                unit_fine,
                "is no unit name; it ends in `.service`",
            ),
            ("user", user_fine(&host.user), "is no login"),
            (
                "service.owner",
                host.service.owner.as_deref().is_none_or(user_fine),
                "is no user name",
            ),
            (
                "service.health_path",
                path.starts_with('/') && path.chars().all(|c| c.is_ascii_graphic()),
                "is no path; it begins with `/`",
            ),
        ];
        for (key, fine, what) in faults {
            if !fine && let Some((value, origin)) = merged.get(key) {
                return Err(InventoryError {
                    file: self.file.to_owned(),
                    at: (origin.line > 0).then_some((origin.line, 1)),
                    message: format!("`{key}: {value}` {what}"),
                    hint: None,
                });
            }
        }
        Ok(())
    }
}

/// Typed reading of merged settings. The built-in layer sets every key that is read with a type.
struct Values<'a> {
    merged: &'a BTreeMap<String, (SettingValue, Origin)>,
}

impl Values<'_> {
    fn find(&self, key: &str) -> Option<&SettingValue> {
        self.merged.get(key).map(|(value, _)| value)
    }

    fn text(&self, key: &str) -> String {
        self.find(key).map(ToString::to_string).unwrap_or_default()
    }

    fn number<T: TryFrom<u64> + Default>(&self, key: &str) -> T {
        match self.find(key) {
            Some(SettingValue::Number(number)) => T::try_from(*number).unwrap_or_default(),
            _ => T::default(),
        }
    }

    fn time(&self, key: &str) -> Duration {
        match self.find(key) {
            Some(SettingValue::Time(time)) => *time,
            _ => Duration::ZERO,
        }
    }

    fn paths(&self, key: &str, home: &str) -> Vec<PathBuf> {
        match self.find(key) {
            Some(SettingValue::Texts(paths)) => paths
                .iter()
                .map(|path| match path.strip_prefix("~/") {
                    Some(rest) => PathBuf::from(home).join(rest),
                    None => PathBuf::from(path),
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    fn below(&self, prefix: &'static str) -> impl Iterator<Item = (&str, &SettingValue)> {
        self.merged
            .iter()
            .filter_map(move |(key, (value, _))| Some((key.strip_prefix(prefix)?, value)))
    }
}
