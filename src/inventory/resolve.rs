//! Who wins: built-in < defaults < group < nested group < host.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_yaml::Spanned;

use super::checks;
use super::error::{InventoryError, did_you_mean};
use super::expect;
use super::file::{RawInventory, RawScope};
use super::heartbeat;
use super::notify;
use super::services;
use super::settings::{Layer, Origin, Setting, SettingValue, built_in, settings_of};
use crate::model::nodeset::expand;
use crate::model::{ChannelSpec, CheckSpec, HeartbeatSpec, Host};

/// The largest fleet of one inventory. A few bytes of node set can stand for millions of hosts.
const MAX_HOSTS: usize = 20_000;

/// Hosts in the file's order, their groups, and the origin of every value.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// The hosts.
    pub hosts: Vec<Host>,
    /// Each group's hosts by index, nested groups included.
    pub groups: BTreeMap<String, BTreeSet<usize>>,
    /// The operator's own checks, by name, each with its hosts by index.
    pub checks: Vec<(Arc<CheckSpec>, Vec<usize>)>,
    /// What the operator calls the fleet, if it is called anything.
    pub fleet: Option<String>,
    /// Where alerts go, in the file's order.
    pub channels: Vec<ChannelSpec>,
    /// Who notices that runs do not come any more.
    pub heartbeat: Option<HeartbeatSpec>,
    /// What the file sets for each host; built-in values are the same for all.
    origins: Vec<BTreeMap<String, (SettingValue, Origin)>>,
}

impl Inventory {
    /// Returns the index of a host.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.hosts.iter().position(|host| host.name == name)
    }

    /// Returns every setting of a host with its value and origin, by key.
    pub fn settings(&self, host: usize) -> BTreeMap<String, (SettingValue, Origin)> {
        let built_in = built_in().into_iter().map(|setting| {
            let origin = Origin {
                layer: Layer::BuiltIn,
                line: 0,
            };
            (setting.key, (setting.value, origin))
        });
        let set = self.origins.get(host).cloned().unwrap_or_default();
        built_in.chain(set).collect()
    }
}

/// Reads an inventory. `file` is its path, for messages and for what stands beside it; `home` replaces
/// a leading `~` of paths.
///
/// # Errors
/// The first fault, with its place where it has one.
pub fn parse(text: &str, file: &str, home: &str) -> Result<Inventory, InventoryError> {
    let nothing = |_: &str| Err("it cannot be read here".to_owned());
    let beside = Beside {
        checks: &[],
        script: &nothing,
    };
    parse_with(text, file, home, &beside)
}

/// What stands beside an inventory and belongs to it. It is read above, where files are.
#[derive(Clone, Copy)]
pub struct Beside<'a> {
    /// The files of `checks.d`: each one's path, and its text.
    pub checks: &'a [(String, String)],
    /// Reads a script that a check names, or says why it cannot.
    pub script: &'a dyn Fn(&str) -> Result<String, String>,
}

/// Reads an inventory and what stands beside it.
///
/// # Errors
/// As for [`parse`].
pub fn parse_with(
    text: &str,
    file: &str,
    home: &str,
    beside: &Beside<'_>,
) -> Result<Inventory, InventoryError> {
    if text.trim().is_empty() {
        return Err(InventoryError::new(file, "the file is empty")
            .hint("`clawfleet inventory init` writes a commented example"));
    }
    let raw: RawInventory = read(text, file)?;
    let mut inventory = Resolver { file, home }.resolve(&raw)?;
    checks::attach(&mut inventory, &raw.checks, file, beside)?;
    notify::attach(&mut inventory, &raw, file, home)?;
    heartbeat::attach(&mut inventory, &raw, file, home)?;
    Ok(inventory)
}

/// Reads YAML of a given shape, within a budget.
pub(super) fn read<T: serde::de::DeserializeOwned>(
    text: &str,
    file: &str,
) -> Result<T, InventoryError> {
    use serde_yaml::{Error, budget::Budget};
    let mut budget = Budget::default();
    // 10,000 hosts of 30 nodes each; the parser's own limit is for smaller files.
    budget.max_nodes = 1_000_000;
    budget.max_events = 4_000_000;
    budget.max_documents = 1;
    // Aliases are for a handful of shared values; ten thousand of them are a bomb.
    budget.max_aliases = 10_000;
    budget.max_recorded_anchor_events = 100_000;
    let mut options = serde_yaml::Options::default();
    options.budget = Some(budget);
    // Expanding is what costs: a few hundred thousand values are seconds of it.
    options.alias_limits.max_total_replayed_events = 100_000;
    options.with_snippet = false;
    serde_yaml::from_str_with_options(text, options).map_err(|error| {
        let error = error.without_snippet();
        let (message, hint) = match error {
            Error::SerdeUnknownField {
                field, expected, ..
            } => (
                format!("unknown key `{field}`"),
                did_you_mean(field, expected.iter().copied())
                    .or_else(|| Some(format!("known keys here: {}", expected.join(", ")))),
            ),
            Error::SerdeUnknownVariant {
                variant, expected, ..
            } => (
                format!("`{variant}` is none of {}", expected.join(", ")),
                did_you_mean(variant, expected.iter().copied()),
            ),
            other => in_our_words(other),
        };
        let at = error
            .location()
            .filter(|at| at.line() > 0)
            .map(|at| (at.line(), at.column()));
        InventoryError {
            file: file.to_owned(),
            at,
            message,
            hint,
        }
    })
}

/// The parser's errors that speak of its own options and types, said for an operator.
fn in_our_words(error: &serde_yaml::Error) -> (String, Option<String>) {
    use serde_yaml::Error;
    use serde_yaml::budget::BudgetBreach;
    let plain = |message: &str| (message.to_owned(), None);
    match error {
        Error::DuplicateMappingKey { key, .. } => (
            match key {
                Some(key) => format!("duplicate key `{key}`"),
                None => "duplicate key".to_owned(),
            },
            Some("one of the two would be lost; join them".to_owned()),
        ),
        Error::InvalidScalar { ty, .. } => match *ty {
            "u32" => plain("a whole number is wanted here"),
            other => (format!("this is no valid {other}"), None),
        },
        Error::MultipleDocuments { .. }
        | Error::Budget {
            breach: BudgetBreach::Documents { .. },
            ..
        } => plain("a second document begins here; an inventory is one document"),
        Error::Budget {
            breach: BudgetBreach::Depth { .. },
            ..
        } => plain("it nests deeper than any inventory does"),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::Budget {
            breach:
                BudgetBreach::Aliases { .. }
                | BudgetBreach::Anchors { .. }
                | BudgetBreach::RecordedAnchorEvents { .. }
                | BudgetBreach::AliasAnchorRatio { .. },
            ..
        } => plain("its aliases stand for far more than is written; write the values out"),
        Error::Budget { .. } => plain("it holds more than the largest inventory that is read"),
        Error::AliasError { error, .. } => in_our_words(error),
        other => (strip_place(&other.to_string()), None),
    }
}

/// The parser ends its messages with the place, which we put in front.
fn strip_place(message: &str) -> String {
    let line = message.lines().next().unwrap_or(message);
    let cut = line.rfind(" at line ").or_else(|| line.rfind(" (line "));
    cut.and_then(|cut| line.get(..cut))
        .unwrap_or(line)
        .trim_start_matches("error: ")
        .to_owned()
}

pub(super) struct Resolver<'a> {
    pub(super) file: &'a str,
    pub(super) home: &'a str,
}

impl Resolver<'_> {
    pub(super) fn error<T>(&self, at: &Spanned<T>, message: impl Into<String>) -> InventoryError {
        let at = at.referenced;
        InventoryError {
            file: self.file.to_owned(),
            at: (at.line() > 0).then(|| (at.line(), at.column())),
            message: message.into(),
            hint: None,
        }
    }

    fn resolve(&self, raw: &RawInventory) -> Result<Inventory, InventoryError> {
        let (entries, names) = self.hosts(raw)?;
        let groups = self.groups(raw, &names)?;
        if let Some(defaults) = &raw.defaults {
            self.only_settings("defaults", defaults)?;
            self.check_services(defaults)?;
        }
        let defaults = raw.defaults.as_ref().map(settings_of).unwrap_or_default();
        let mut inventory = Inventory {
            hosts: Vec::with_capacity(entries.len()),
            groups: groups
                .iter()
                .map(|(name, group)| (name.clone(), group.members.clone()))
                .collect(),
            checks: Vec::new(),
            fleet: None,
            channels: Vec::new(),
            heartbeat: None,
            origins: Vec::with_capacity(entries.len()),
        };
        for (index, entry) in entries.iter().enumerate() {
            let mine: Vec<(&String, &Group)> = groups
                .iter()
                .filter(|(_, group)| group.members.contains(&index))
                .collect();
            let mut merged = self.merge(entry, &defaults, &mine)?;
            services::fill(&mut merged);
            expect::fill(&mut merged);
            let group_names = raw
                .groups
                .0
                .iter()
                .map(|(name, _)| &name.value)
                .filter(|name| mine.iter().any(|(known, _)| known == name))
                .cloned()
                .collect();
            inventory
                .hosts
                .push(self.host(entry, &merged, group_names)?);
            // What the entries of `services` took from there is shown with each.
            merged.retain(|key, (_, origin)| {
                origin.layer != Layer::BuiltIn || key.starts_with("services.")
            });
            inventory.origins.push(merged);
        }
        Ok(inventory)
    }

    fn hosts(
        &self,
        raw: &RawInventory,
    ) -> Result<(Vec<Entry>, HashMap<String, usize>), InventoryError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut names: HashMap<String, usize> = HashMap::new();
        for (pattern, scope) in &raw.hosts.0 {
            let scope = scope.clone().unwrap_or_default();
            let expanded =
                expand(&pattern.value).map_err(|error| self.error(pattern, error.to_string()))?;
            let addresses = self.addresses(pattern, &scope, &expanded)?;
            if let Some(field) = scope.hosts.as_ref().or(scope.groups.as_ref()) {
                return Err(self.error(
                    field,
                    format!("host `{}` has a key that only groups have", pattern.value),
                ));
            }
            self.check_services(&scope)?;
            let settings = settings_of(&scope);
            for (name, address) in expanded.into_iter().zip(addresses) {
                self.check_name(pattern, "host", &name)?;
                if entries.len() == MAX_HOSTS {
                    return Err(self.error(
                        pattern,
                        format!("the inventory names more than {MAX_HOSTS} hosts"),
                    ));
                }
                if let Some(other) = names.insert(name.clone(), entries.len()) {
                    let other = entries.get(other).map_or(0, |entry| entry.line);
                    return Err(self.error(
                        pattern,
                        format!("host `{name}` is here and on line {other} already"),
                    ));
                }
                entries.push(Entry {
                    name,
                    address,
                    address_line: scope.address.as_ref().map(|at| at.referenced.line()),
                    pattern: pattern.value.clone(),
                    line: pattern.referenced.line(),
                    settings: settings.clone(),
                });
            }
        }
        if entries.is_empty() {
            return Err(
                InventoryError::new(self.file, "no host is named under `hosts`")
                    .hint("add one, e.g. `hosts: {VM151: {address: 10.0.0.151}}`"),
            );
        }
        Ok((entries, names))
    }

    fn addresses(
        &self,
        pattern: &Spanned<String>,
        scope: &RawScope,
        names: &[String],
    ) -> Result<Vec<String>, InventoryError> {
        let Some(address) = &scope.address else {
            return Ok(names.to_vec());
        };
        // `[fe80::1]` is an address in brackets, not a range.
        let bare = address.value.trim_start_matches('[').trim_end_matches(']');
        let addresses = if bare.parse::<std::net::Ipv6Addr>().is_ok() {
            vec![bare.to_owned()]
        } else {
            expand(&address.value).map_err(|error| self.error(address, error.to_string()))?
        };
        if addresses.len() != names.len() {
            return Err(self.error(
                address,
                format!(
                    "`{}` gives {} addresses for the {} hosts of `{}`",
                    address.value,
                    addresses.len(),
                    names.len(),
                    pattern.value
                ),
            ));
        }
        for one in &addresses {
            let odd = one.starts_with('-')
                || one
                    .chars()
                    .any(|c| c.is_whitespace() || c.is_control() || "/@".contains(c));
            if odd {
                return Err(self.error(address, format!("`{one}` is no address")));
            }
        }
        Ok(addresses)
    }

    /// Names must be what selectors can say.
    pub(super) fn check_name(
        &self,
        at: &Spanned<String>,
        what: &str,
        name: &str,
    ) -> Result<(), InventoryError> {
        let fine = |c: char| c.is_alphanumeric() || "._-:".contains(c);
        if matches!(name, "all" | "failed" | "unreachable") {
            let message = format!("`{name}` is a word of selectors and cannot name a {what}");
            return Err(self.error(at, message));
        }
        if name.is_empty() || name.starts_with('-') || !name.chars().all(fine) {
            return Err(self.error(
                at,
                format!("`{name}` is no {what} name: letters, digits and . _ - : make one"),
            ));
        }
        Ok(())
    }

    pub(super) fn only_settings(&self, what: &str, scope: &RawScope) -> Result<(), InventoryError> {
        if let Some(address) = &scope.address {
            return Err(self.error(address, format!("{what} cannot have an `address`")));
        }
        if let Some(field) = scope.hosts.as_ref().or(scope.groups.as_ref())
            && what == "defaults"
        {
            return Err(self.error(field, "`defaults` holds settings, not hosts or groups"));
        }
        Ok(())
    }

    fn merge(
        &self,
        entry: &Entry,
        defaults: &[Setting],
        groups: &[(&String, &Group)],
    ) -> Result<BTreeMap<String, (SettingValue, Origin)>, InventoryError> {
        let mut merged: BTreeMap<String, (SettingValue, Origin)> = BTreeMap::new();
        let mut put = |setting: &Setting, layer: Layer| {
            let origin = Origin {
                layer,
                line: setting.line,
            };
            merged.insert(setting.key.clone(), (setting.value.clone(), origin));
        };
        for setting in built_in() {
            put(&setting, Layer::BuiltIn);
        }
        for setting in defaults {
            put(setting, Layer::Defaults);
        }
        // Outer groups first, so that the inner one has the last word.
        let mut ordered = groups.to_vec();
        ordered.sort_by_key(|(_, group)| group.within.len());
        for (place, (name, group)) in ordered.iter().enumerate() {
            for setting in &group.settings {
                self.contradiction(
                    entry,
                    setting,
                    name,
                    group,
                    ordered.get(..place).unwrap_or_default(),
                )?;
                put(setting, Layer::Group((*name).clone()));
            }
        }
        for setting in &entry.settings {
            put(setting, Layer::Host(entry.pattern.clone()));
        }
        Ok(merged)
    }

    /// Two groups, neither within the other, that set a host's key differently: nobody can say
    /// which was meant, unless the host says it itself.
    fn contradiction(
        &self,
        entry: &Entry,
        setting: &Setting,
        name: &str,
        group: &Group,
        earlier: &[(&String, &Group)],
    ) -> Result<(), InventoryError> {
        if entry.settings.iter().any(|own| own.key == setting.key) {
            return Ok(());
        }
        for (other_name, other) in earlier {
            if group.within.contains(*other_name) {
                continue;
            }
            let clash = other
                .settings
                .iter()
                .find(|theirs| theirs.key == setting.key && theirs.value != setting.value);
            if let Some(theirs) = clash {
                return Err(InventoryError {
                    file: self.file.to_owned(),
                    at: Some((setting.line, 1)),
                    message: format!(
                        "host `{}` gets `{}: {}` from group `{name}` and `{}` from group `{other_name}` (line {})",
                        entry.name, setting.key, setting.value, theirs.value, theirs.line
                    ),
                    hint: Some(format!(
                        "set `{}` on the host, or nest one group in the other",
                        setting.key
                    )),
                });
            }
        }
        Ok(())
    }
}

/// A group with its place in the order of precedence.
pub(super) struct Group {
    pub(super) settings: Vec<Setting>,
    pub(super) members: BTreeSet<usize>,
    /// The group and all that it is nested in.
    pub(super) within: BTreeSet<String>,
}

pub(super) struct Entry {
    pub(super) name: String,
    pub(super) address: String,
    /// The line that sets the address; without one it is the name.
    pub(super) address_line: Option<u64>,
    pub(super) pattern: String,
    pub(super) line: u64,
    pub(super) settings: Vec<Setting>,
}
