//! Two units that want one port: which one stays.

use std::collections::{BTreeMap, BTreeSet};

use super::need::{Need, Wish};
use crate::model::{
    Class, Facts, Gateway, Host, Planned, ScopeWanted, Standing, Unit, UnitOwner, UnitScope,
};
use crate::planner::{refused, standing};

/// Which of two units is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// The system's.
    System,
    /// A user's: of that name, or of whichever user there is.
    User(Option<String>),
    /// Exactly this one.
    Unit {
        /// Its name.
        unit: String,
        /// Whose manager it belongs to.
        owner: UnitOwner,
    },
}

impl Keep {
    fn means(&self, unit: &Unit) -> bool {
        match (self, &unit.scope) {
            (Self::System, scope) => *scope == UnitScope::System,
            (Self::User(None), UnitScope::User { .. }) => true,
            (Self::User(Some(name)), UnitScope::User { user, .. }) => user == name,
            (Self::User(_), UnitScope::System) => false,
            (Self::Unit { unit: name, owner }, scope) => {
                *name == unit.name && *owner == UnitOwner::of(scope)
            }
        }
    }
}

/// Which of two units are kept, where the inventory does not say it.
#[derive(Debug, Clone, Default)]
pub struct Keeping {
    /// On every host.
    pub everywhere: Option<Keep>,
    /// On one host, at one port.
    pub answers: BTreeMap<(String, u16), Keep>,
}

/// Units of which nobody says which one stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contest {
    /// The port that they want.
    pub port: u16,
    /// Their names and owners.
    pub units: Vec<(String, UnitOwner)>,
}

/// What claims a gateway's port.
fn claims(gateway: &Gateway) -> Vec<&Unit> {
    let units = gateway.units.iter();
    units
        .filter(|unit| unit.claims_port() && unit.exists())
        .collect()
}

impl Keeping {
    /// The units of those that may stay: one where it is decided.
    fn chosen<'a>(&self, host: &Host, gateway: &Gateway, claims: &[&'a Unit]) -> Vec<&'a Unit> {
        let mut services = host.services();
        let service = services
            .find(|service| service.port == gateway.port)
            .unwrap_or(&host.service);
        let answer = self.answers.get(&(host.name.clone(), gateway.port));
        let keep = match (service.scope, answer.or(self.everywhere.as_ref())) {
            (ScopeWanted::System, _) => Keep::System,
            (ScopeWanted::User, _) => Keep::User(service.owner.clone()),
            (ScopeWanted::Auto, Some(keep)) => keep.clone(),
            (ScopeWanted::Auto, None) => return Vec::new(),
        };
        let claims = claims.iter().copied();
        claims.filter(|unit| keep.means(unit)).collect()
    }

    /// Whether somebody has to be asked which unit of a gateway stays.
    pub(super) fn contest(&self, host: &Host, gateway: &Gateway) -> Option<Contest> {
        let claims = claims(gateway);
        if claims.len() < 2 || self.chosen(host, gateway, &claims).len() == 1 {
            return None;
        }
        let units = claims.iter();
        Some(Contest {
            port: gateway.port,
            units: units
                .map(|unit| (unit.name.clone(), UnitOwner::of(&unit.scope)))
                .collect(),
        })
    }

    /// What the unit that stays needs.
    pub(super) fn one_of_two<'a>(
        &self,
        host: &Host,
        facts: &'a Facts,
        gateway: &'a Gateway,
    ) -> Result<Need<'a>, Planned> {
        let claims = claims(gateway);
        let chosen = self.chosen(host, gateway, &claims);
        let [kept] = chosen.as_slice() else {
            let names: Vec<String> = claims
                .iter()
                .map(|unit| format!("{} ({})", unit.name, UnitOwner::of(&unit.scope)))
                .collect();
            let why = format!(
                "duplicate-unit: {} claim port {}, and nobody says which one stays",
                names.join(" and "),
                gateway.port
            );
            let hint = "set service.scope (and service.owner) in the inventory, or say --keep system, --keep user or --keep user:NAME";
            return Err(refused(None, why, Some(hint)));
        };
        let others: Vec<&Unit> = claims
            .iter()
            .copied()
            .filter(|unit| (&unit.name, &unit.scope) != (&kept.name, &kept.scope))
            .collect();
        if others.is_empty() {
            let why = "duplicate-unit: another manager of services starts a gateway on this port";
            let hint = "`clawfleet explain duplicate-unit` tells how to find it";
            return Err(refused(Some(&kept.name), why, Some(hint)));
        }
        let (now, _) = standing(facts, &kept.name, &kept.scope);
        Ok(Need {
            unit: kept,
            port: gateway.port,
            classes: BTreeSet::from([Class::DuplicateUnit]),
            acts: others.into_iter().map(Wish::Retire).collect(),
            // One that the other restarted again and again may serve just now; a start by hand ends its count.
            restart: now != Standing::Well || kept.n_restarts.is_some_and(|count| count > 0),
            enable: kept.unit_file_state == "disabled",
            harden: false,
            notes: Vec::new(),
        })
    }
}
