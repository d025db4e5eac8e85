//! Whether a unit is as its plan wants it.

use std::collections::BTreeMap;

use crate::diagnose::{UnitHealth, unit_health};
use crate::model::{Facts, Standing, UnitPlan};
use crate::rollout::Health;
use crate::unit::{self, InForce};

/// From so many restarts by its manager on, a unit that was just restarted does not come up.
const HOPELESS: u32 = 3;

/// Returns the properties that are looked at after a change, as `systemctl show` names them.
pub fn properties(plan: &UnitPlan) -> Vec<String> {
    let settings: Vec<_> = plan
        .files
        .iter()
        .filter_map(|file| file.after.as_ref())
        .flat_map(|after| unit::settings(&after.text))
        .collect();
    unit::shown_names(&settings)
}

/// Judges a unit after it was changed, or (`undone`) changed back.
pub fn health(
    plan: &UnitPlan,
    facts: &Facts,
    shown: &BTreeMap<String, String>,
    main_pid_before: Option<u32>,
    undone: bool,
) -> Health {
    if !undone && let Some(why) = not_in_force(plan, shown) {
        return Health::Bad(why);
    }
    let scope = plan.owner.scope();
    let health = unit_health(facts, &plan.unit, &scope);
    // What was not well before is not asked to be, unless it was started.
    if plan.before != Standing::Well && !plan.restart {
        return Health::Well { generation: (0, 0) };
    }
    if undone && plan.before != Standing::Well {
        return Health::Well { generation: (0, 0) };
    }
    let n_restarts = facts
        .units()
        .find(|unit| unit.name == plan.unit && unit.scope == scope)
        .and_then(|unit| unit.n_restarts)
        .unwrap_or(0);
    match health {
        UnitHealth::Well { main_pid, .. }
            if plan.restart && !undone && main_pid_before.is_some_and(|old| old == main_pid) =>
        {
            Health::NotYet("it has not been restarted yet".into())
        }
        UnitHealth::Well {
            main_pid,
            n_restarts,
        } => Health::Well {
            generation: (main_pid, n_restarts),
        },
        UnitHealth::NotYet(why) if plan.restart && n_restarts >= HOPELESS => Health::Bad(format!(
            "it was restarted {n_restarts} times and does not stay up: {why}"
        )),
        UnitHealth::NotYet(why) => Health::NotYet(why),
        UnitHealth::Bad(why) => Health::Bad(why),
        UnitHealth::Off => Health::NotYet("the unit is not active".into()),
        UnitHealth::Absent => Health::NotYet("the unit is not there".into()),
    }
}

/// A setting that systemd does not have in force, though its file is there. Nothing is known where
/// the unit's manager does not run.
fn not_in_force(plan: &UnitPlan, shown: &BTreeMap<String, String>) -> Option<String> {
    if shown.is_empty() {
        return None;
    }
    plan.files
        .iter()
        .filter_map(|file| file.after.as_ref())
        .flat_map(|after| unit::settings(&after.text))
        .find_map(|setting| match unit::in_force(&setting, shown) {
            InForce::No { now, .. } => Some(format!(
                "systemd has {}={now} in force, and not {}",
                setting.key, setting.value
            )),
            InForce::Yes | InForce::Unknown => None,
        })
}
