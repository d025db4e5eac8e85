//! A host from its merged settings.

use std::path::Path;
use std::time::Duration;

use super::error::InventoryError;
use super::resolve::{Entry, Resolver};
use super::services::Merged;
use super::settings::SettingValue;
use crate::model::{Harden, Host, Shape, Thresholds, Timeouts, TransportKind};

impl Resolver<'_> {
    /// Builds a host. The built-in layer sets every key that is read with a type.
    pub(super) fn host(
        &self,
        entry: &Entry,
        merged: &Merged,
        groups: Vec<String>,
    ) -> Result<Host, InventoryError> {
        let values = Values { merged };
        let (service, more_services) = self.services(&entry.name, merged)?;
        let (ssh_request, ssh) = self.connection(entry, merged)?;
        Ok(Host {
            name: entry.name.clone(),
            ssh_request,
            ssh,
            privilege: self.privilege(merged)?,
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
            role: self.role(merged)?,
            service,
            more_services,
            harden: self.harden(merged)?,
            expect: self.expect(merged)?,
            checks: Vec::new(),
            thresholds: Thresholds {
                restarts_per_day: values.number("thresholds.restarts_per_day"),
                failed_starts_per_hour: values.number("thresholds.failed_starts_per_hour"),
                http_timeout: values.time("thresholds.http_timeout"),
                startup_grace: values.time("thresholds.startup_grace"),
                clock_skew: values.time("thresholds.clock_skew"),
                disk_free_percent: values.number("thresholds.disk_free_percent"),
                memory_growth_percent: values.number("thresholds.memory_growth_percent"),
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
        })
    }

    /// How the host's units are hardened.
    fn harden(&self, merged: &Merged) -> Result<Harden, InventoryError> {
        let values = Values { merged };
        let template_dir = match values.find("harden.template_dir") {
            None => None,
            Some(dir) => {
                let dir = dir.to_string();
                if dir.is_empty() || dir.chars().any(char::is_control) {
                    return Err(InventoryError {
                        hint: Some("leave it out to use the built-in templates".into()),
                        ..self.bad_value(merged, "harden.template_dir", "is no directory")
                    });
                }
                // What belongs to an inventory stands beside it, wherever the command is run.
                let beside = Path::new(self.file).parent().unwrap_or(Path::new(""));
                Some(beside.join(self.path(&dir)))
            }
        };
        Ok(Harden {
            profile: values.text("harden.profile"),
            shape: Shape::parse(&values.text("harden.shape")).unwrap_or(Shape::DropIn),
            template_dir,
        })
    }

    /// A value that would be accepted by its type and fail later on every host.
    pub(super) fn bad_value(&self, merged: &Merged, key: &str, what: &str) -> InventoryError {
        let found = merged.get(key);
        let value = found.map(|(value, _)| value.to_string());
        InventoryError {
            file: self.file.to_owned(),
            at: found
                .map(|(_, origin)| origin.line)
                .filter(|line| *line > 0)
                .map(|line| (line, 1)),
            message: format!("`{key}: {}` {what}", value.unwrap_or_default()),
            hint: None,
        }
    }
}

/// Whether a text can be a user's name on a host.
pub(super) fn is_login(user: &str) -> bool {
    !user.is_empty()
        && !user.starts_with('-')
        && !user
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || ":/@".contains(c))
}

/// Typed reading of merged settings. The built-in layer sets every key that is read with a type.
pub(super) struct Values<'a> {
    pub(super) merged: &'a Merged,
}

impl Values<'_> {
    pub(super) fn find(&self, key: &str) -> Option<&SettingValue> {
        self.merged.get(key).map(|(value, _)| value)
    }

    pub(super) fn text(&self, key: &str) -> String {
        self.find(key).map(ToString::to_string).unwrap_or_default()
    }

    pub(super) fn number<T: TryFrom<u64> + Default>(&self, key: &str) -> T {
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

    fn below(&self, prefix: &'static str) -> impl Iterator<Item = (&str, &SettingValue)> {
        self.merged
            .iter()
            .filter_map(move |(key, (value, _))| Some((key.strip_prefix(prefix)?, value)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::inventory::parse;

    #[test]
    fn a_relative_directory_of_templates_begins_at_the_inventory() {
        let dir = |text: &str, file: &str| {
            let text = format!("hosts: {{VM1: {{harden: {{template_dir: {text}}}}}}}");
            let inventory = parse(&text, file, "/root").unwrap();
            inventory.hosts[0].harden.template_dir.clone()
        };
        let is = |text, file, wanted: &str| {
            assert_eq!(dir(text, file).as_deref(), Some(Path::new(wanted)))
        };
        is("own", "inventory.yaml", "own");
        is("./own", "fleet/inventory.yaml", "fleet/./own");
        is("own", "/etc/clawfleet/inventory.yaml", "/etc/clawfleet/own");
        is("/own", "/etc/clawfleet/inventory.yaml", "/own");
        is("~/own", "/etc/clawfleet/inventory.yaml", "/root/own");
    }
}
