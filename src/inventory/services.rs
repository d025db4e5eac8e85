//! The gateway services of a host: one in `service`, or several in `services`.

use std::collections::BTreeMap;

use super::error::InventoryError;
use super::file::{RawScope, RawService};
use super::host::Values;
use super::resolve::Resolver;
use super::settings::{Origin, SettingValue};
use crate::model::{ScopeWanted, ServiceSpec, TlsWanted};

/// More gateways than any host runs; each costs a question of its own.
const MAX_SERVICES: usize = 16;

/// A host's settings, by key.
pub(super) type Merged = BTreeMap<String, (SettingValue, Origin)>;

/// Fills each entry of `services` from `service`, as settings of its own: `services.1.unit`…
pub(super) fn fill(merged: &mut Merged) {
    let Some((SettingValue::Services(entries), list)) = merged.get("services").cloned() else {
        return;
    };
    let shared: Vec<_> = merged
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("service.")?.to_owned(), value.clone())))
        .collect();
    for (place, entry) in (1..).zip(entries) {
        for (key, value) in &shared {
            merged.insert(format!("services.{place}.{key}"), value.clone());
        }
        for setting in entry.0 {
            let origin = Origin {
                layer: list.layer.clone(),
                line: setting.line,
            };
            let key = format!("services.{place}.{}", setting.key);
            merged.insert(key, (setting.value, origin));
        }
    }
}

impl Resolver<'_> {
    /// What is wrong with a scope's services, wherever they are used.
    pub(super) fn check_services(&self, scope: &RawScope) -> Result<(), InventoryError> {
        self.check_profile(&scope.service)?;
        let Some(services) = &scope.services else {
            return Ok(());
        };
        if services.value.is_empty() {
            return Err(self
                .error(services, "`services` is empty")
                .hint("name at least one, or leave it out; `role: none` says that there is none"));
        }
        if services.value.len() > MAX_SERVICES {
            let message = format!("more than {MAX_SERVICES} services on one host");
            return Err(self
                .error(services, message)
                .hint("gateways that the inventory does not name are found on the host as well"));
        }
        services
            .value
            .iter()
            .try_for_each(|service| self.check_profile(service))
    }

    fn check_profile(&self, service: &RawService) -> Result<(), InventoryError> {
        let Some(profile) = &service.profile else {
            return Ok(());
        };
        if let Some(unit) = &service.unit {
            return Err(self
                .error(unit, "`unit` and `profile` both name the unit")
                .hint("say one of them; `profile: work` is openclaw-gateway-work.service"));
        }
        let name = &profile.value;
        let fine = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if name.is_empty() || name.starts_with('-') || !name.chars().all(fine) {
            return Err(self
                .error(profile, format!("`profile: {name}` is no profile name"))
                .hint("letters, digits, _ and - make one, e.g. `work`"));
        }
        Ok(())
    }

    /// Returns a host's services, the first one first.
    pub(super) fn services(
        &self,
        host: &str,
        merged: &Merged,
    ) -> Result<(ServiceSpec, Vec<ServiceSpec>), InventoryError> {
        let values = Values { merged };
        let Some((SettingValue::Services(entries), list)) = merged.get("services") else {
            return Ok((self.service(&values, "service.")?, Vec::new()));
        };
        let mut specs: Vec<ServiceSpec> = Vec::new();
        for (place, entry) in (1..).zip(entries) {
            let spec = self.service(&values, &format!("services.{place}."))?;
            let same = specs.iter().position(|other| other.port == spec.port);
            if let Some(other) = same {
                let own = entry.0.iter().find(|setting| setting.key == "port");
                return Err(InventoryError {
                    file: self.file.to_owned(),
                    at: Some((own.map_or(list.line, |own| own.line), 1)),
                    message: format!(
                        "services {} and {place} of host `{host}` both have port {}",
                        other + 1,
                        spec.port
                    ),
                    hint: Some("give each a `port` of its own".into()),
                });
            }
            specs.push(spec);
        }
        if specs.is_empty() {
            return Ok((self.service(&values, "service.")?, Vec::new()));
        }
        let more = specs.split_off(1);
        // The list is not empty.
        let first = specs
            .pop()
            .map_or_else(|| self.service(&values, "service."), Ok)?;
        Ok((first, more))
    }

    fn service(&self, values: &Values<'_>, prefix: &str) -> Result<ServiceSpec, InventoryError> {
        let key = |name: &str| format!("{prefix}{name}");
        let spec = ServiceSpec {
            unit: values.text(&key("unit")),
            scope: match values.text(&key("scope")).as_str() {
                "system" => ScopeWanted::System,
                "user" => ScopeWanted::User,
                _ => ScopeWanted::Auto,
            },
            owner: values.find(&key("owner")).map(ToString::to_string),
            port: values.number(&key("port")),
            health_path: values.text(&key("health_path")),
            tls: match values.text(&key("tls")).as_str() {
                "on" => TlsWanted::On,
                "off" => TlsWanted::Off,
                _ => TlsWanted::Auto,
            },
            token: super::ssh::secret(values, &key("token")),
        };
        let unit = &spec.unit;
        let unit_fine = unit.ends_with(".service")
            && !unit.starts_with(['-', '.'])
            && unit
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c));
        let path = &spec.health_path;
        let path_fine = path.starts_with('/') && path.chars().all(|c| c.is_ascii_graphic());
        let owner_fine = spec.owner.as_deref().is_none_or(super::host::is_login);
        for (name, fine, what) in [
            ("unit", unit_fine, "is no unit name; it ends in `.service`"),
            ("owner", owner_fine, "is no user name"),
            ("health_path", path_fine, "is no path; it begins with `/`"),
        ] {
            if !fine {
                return Err(self.bad_value(values.merged, &key(name), what));
            }
        }
        Ok(spec)
    }
}
