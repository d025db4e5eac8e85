//! Whether a unit is as its plan wants it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::diagnose::{UnitHealth, unit_health};
use crate::model::{Act, Facts, Standing, UnitPlan};
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

/// Stop timeouts up to this are within the times of every rollout.
const SHORT_STOP: Duration = Duration::from_secs(60);

/// The longest stop that is waited for. The gateway's own units have 330 s.
const LONGEST_STOP: Duration = Duration::from_secs(900);

/// Returns how long a restart may take to end the old process, where that is long. The new files say it: their
/// timeout is in force by then.
pub fn stop_within(plan: &UnitPlan) -> Duration {
    if !plan.restart {
        return Duration::ZERO;
    }
    let settings = plan
        .files
        .iter()
        .flat_map(|file| [&file.after, &file.before])
        .flatten()
        .flat_map(|content| unit::settings(&content.text));
    let longest = settings
        .filter(|setting| setting.key == "TimeoutStopSec")
        .filter_map(|setting| unit::span(&setting.value))
        .max()
        .unwrap_or_default()
        .min(LONGEST_STOP);
    if longest > SHORT_STOP {
        longest
    } else {
        Duration::ZERO
    }
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
    if !undone && goes(plan) {
        return match health {
            UnitHealth::Off | UnitHealth::Absent => Health::Well { generation: (0, 0) },
            _ => Health::NotYet("the unit is there still".into()),
        };
    }
    let found = facts
        .units()
        .find(|unit| unit.name == plan.unit && unit.scope == scope);
    let n_restarts = found.and_then(|unit| unit.n_restarts).unwrap_or(0);
    if found.is_some_and(|unit| unit.active_state == "deactivating") {
        return Health::Stopping("its old process has not ended yet".into());
    }
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

/// Whether the plan takes the unit itself away.
pub fn goes(plan: &UnitPlan) -> bool {
    let acts = plan.remedy.iter().flat_map(|remedy| &remedy.acts);
    acts.into_iter().any(|act| match act {
        Act::Retire { unit, owner, .. } => *unit == plan.unit && *owner == plan.owner,
        _ => false,
    })
}

/// A setting that the plan changes and that systemd does not have in force, though its file is there. What the
/// plan does not change may be overridden, as it was before. Nothing is known where the unit's manager does not
/// run.
fn not_in_force(plan: &UnitPlan, shown: &BTreeMap<String, String>) -> Option<String> {
    if shown.is_empty() {
        return None;
    }
    let changes = |name: &str| plan.settings.iter().any(|change| change.name == name);
    plan.files
        .iter()
        .filter_map(|file| file.after.as_ref())
        .flat_map(|after| unit::settings(&after.text))
        .filter(|setting| changes(&setting.key))
        .find_map(|setting| match unit::in_force(&setting, shown) {
            InForce::No { now, .. } => Some(format!(
                "systemd has {}={now} in force, and not {}",
                setting.key, setting.value
            )),
            InForce::Yes | InForce::Unknown => None,
        })
}
