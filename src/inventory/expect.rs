//! What the inventory expects of a host.

use super::error::InventoryError;
use super::host::Values;
use super::resolve::Resolver;
use super::services::Merged;
use super::settings::{Layer, SettingValue};
use crate::model::{Comparison, Expect, Role, compare_versions};

/// `expect.gateway` is `role` in other words: where no role is set, it sets one.
pub(super) fn fill(merged: &mut Merged) {
    let own = merged
        .get("role")
        .is_some_and(|(_, origin)| origin.layer != Layer::BuiltIn);
    if let (false, Some((word, origin))) = (own, merged.get("expect.gateway")) {
        let role = role_of(&word.to_string()).to_owned();
        let value = (SettingValue::Text(role), origin.clone());
        merged.insert("role".into(), value);
    }
}

fn role_of(presence: &str) -> &'static str {
    match presence {
        "absent" => "none",
        _ => "gateway",
    }
}

impl Resolver<'_> {
    /// Reads what a host is for.
    pub(super) fn role(&self, merged: &Merged) -> Result<Role, InventoryError> {
        let values = Values { merged };
        let role = values.text("role");
        if let (Some(expected), Some((_, origin))) =
            (values.find("expect.gateway"), merged.get("role"))
            && role_of(&expected.to_string()) != role
        {
            let what = format!("contradicts `role: {role}` ({origin})");
            return Err(self
                .bad_value(merged, "expect.gateway", &what)
                .hint("say one of them: `expect.gateway: absent` is `role: none`"));
        }
        Ok(match role.as_str() {
            "none" => Role::None,
            _ => Role::Gateway,
        })
    }

    /// Reads what is expected of a host's gateways.
    pub(super) fn expect(&self, merged: &Merged) -> Result<Expect, InventoryError> {
        let values = Values { merged };
        let mut expect = Expect {
            model: values.find("expect.model").map(ToString::to_string),
            channels: match values.find("expect.channels") {
                Some(SettingValue::Texts(names)) => names.clone(),
                _ => Vec::new(),
            },
            change_within: match values.find("expect.change_within") {
                Some(SettingValue::Time(time)) => Some(*time),
                _ => None,
            },
            version: Vec::new(),
        };
        let Some(version) = values.find("expect.version").map(ToString::to_string) else {
            return Ok(expect);
        };
        for part in version.split(',') {
            let (comparison, wanted) =
                Comparison::split(part).unwrap_or((Comparison::Equal, part.trim()));
            if comparison == Comparison::Unequal || compare_versions(wanted, wanted).is_none() {
                return Err(self
                    .bad_value(merged, "expect.version", "is no range of versions")
                    .hint("e.g. `\">=2026.5\"`, or `\">=2026.5, <2026.9\"`"));
            }
            expect.version.push((comparison, wanted.to_owned()));
        }
        Ok(expect)
    }
}
