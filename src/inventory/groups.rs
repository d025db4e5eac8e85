//! Groups: their hosts, and how they nest.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_yaml::Spanned;

use super::error::{InventoryError, did_you_mean};
use super::file::{OneOrMany, RawInventory, RawScope};
use super::resolve::{Group, Resolver};
use super::settings::settings_of;
use crate::model::nodeset::expand;

impl Resolver<'_> {
    pub(super) fn groups(
        &self,
        raw: &RawInventory,
        names: &HashMap<String, usize>,
    ) -> Result<BTreeMap<String, Group>, InventoryError> {
        let empty = RawScope::default();
        let scopes: BTreeMap<&str, (&Spanned<String>, &RawScope)> = raw
            .groups
            .0
            .iter()
            .map(|(name, scope)| {
                (
                    name.value.as_str(),
                    (name, scope.as_ref().unwrap_or(&empty)),
                )
            })
            .collect();
        let mut groups = BTreeMap::new();
        for (name, (place, scope)) in &scopes {
            self.check_name(place, "group", name)?;
            self.only_settings(&format!("group `{name}`"), scope)?;
            self.check_services(scope)?;
            let mut members = BTreeSet::new();
            for (at, pattern) in texts(scope.hosts.as_ref()) {
                for host in expand(pattern).map_err(|error| self.error(at, error.to_string()))? {
                    let Some(index) = names.get(&host) else {
                        let mut error = self.error(
                            at,
                            format!("group `{name}` names `{host}`, which is not under `hosts`"),
                        );
                        error.hint = did_you_mean(&host, names.keys().map(String::as_str));
                        return Err(error);
                    };
                    members.insert(*index);
                }
            }
            groups.insert(
                (*name).to_owned(),
                Group {
                    settings: settings_of(scope),
                    members,
                    within: BTreeSet::from([(*name).to_owned()]),
                },
            );
        }
        self.nest(&scopes, &mut groups)?;
        Ok(groups)
    }

    /// Puts nested groups' hosts into the groups around them, from the innermost outwards.
    fn nest(
        &self,
        scopes: &BTreeMap<&str, (&Spanned<String>, &RawScope)>,
        groups: &mut BTreeMap<String, Group>,
    ) -> Result<(), InventoryError> {
        fn visit<'a>(
            resolver: &Resolver<'_>,
            name: &'a str,
            path: &mut Vec<&'a str>,
            done: &mut BTreeSet<&'a str>,
            scopes: &'a BTreeMap<&str, (&Spanned<String>, &'a RawScope)>,
            groups: &mut BTreeMap<String, Group>,
        ) -> Result<(), InventoryError> {
            let Some((place, scope)) = scopes.get(name) else {
                return Ok(());
            };
            if path.contains(&name) {
                path.push(name);
                return Err(resolver.error(
                    *place,
                    format!("groups nest in a circle: {}", path.join(" > ")),
                ));
            }
            if !done.insert(name) {
                return Ok(());
            }
            path.push(name);
            for (at, child) in texts(scope.groups.as_ref()) {
                if !scopes.contains_key(child.as_str()) {
                    let mut error = resolver.error(
                        at,
                        format!("group `{name}` holds `{child}`, which is no group"),
                    );
                    error.hint = did_you_mean(child, scopes.keys().copied());
                    return Err(error);
                }
                // Cycles must be found even below a group that is already done.
                visit(resolver, child, path, done, scopes, groups)?;
                let members = groups
                    .get(child)
                    .map(|group| group.members.clone())
                    .unwrap_or_default();
                if let Some(group) = groups.get_mut(name) {
                    group.members.extend(members);
                }
            }
            path.pop();
            Ok(())
        }
        let mut done = BTreeSet::new();
        for name in scopes.keys() {
            visit(self, name, &mut Vec::new(), &mut done, scopes, groups)?;
        }
        // `within` is filled after the cycle check, so this always ends.
        loop {
            let mut changed = false;
            for (name, (_, scope)) in scopes {
                let outer = groups
                    .get(*name)
                    .map(|group| group.within.clone())
                    .unwrap_or_default();
                for (_, child) in texts(scope.groups.as_ref()) {
                    if let Some(group) = groups.get_mut(child) {
                        let before = group.within.len();
                        group.within.extend(outer.iter().cloned());
                        changed |= group.within.len() != before;
                    }
                }
            }
            if !changed {
                return Ok(());
            }
        }
    }
}

/// The texts of a list, each with the place of the list.
fn texts(
    list: Option<&Spanned<OneOrMany>>,
) -> impl Iterator<Item = (&Spanned<OneOrMany>, &String)> {
    list.into_iter()
        .flat_map(|list| list.value.0.iter().map(move |text| (list, text)))
}
