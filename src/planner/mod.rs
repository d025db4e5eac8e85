//! L1: from what was seen to a plan: what is changed on which host, what is left alone and why; and afterwards,
//! whether it is as it should be.

mod harden;
mod judge;
mod mending;
mod restarting;
mod rollback;

pub use harden::Hardening;
pub use judge::{goes, health, properties, stop_within};
pub use mending::{Contest, Keep, Keeping, Mending, is_model, still_found};
pub use restarting::Restarting;
pub use rollback::Reversal;

use crate::diagnose::{UnitHealth, unit_health};
use crate::model::{Facts, Planned, Refusal, Standing, UnitScope};
use crate::rollout::Survey;

/// How a unit stands, and what is wrong with it where something is.
fn standing(facts: &Facts, unit: &str, scope: &UnitScope) -> (Standing, Option<String>) {
    match unit_health(facts, unit, scope) {
        UnitHealth::Well { .. } => (Standing::Well, None),
        UnitHealth::NotYet(why) | UnitHealth::Bad(why) => (Standing::Ill, Some(why)),
        UnitHealth::Off => (Standing::Off, None),
        UnitHealth::Absent => (Standing::Absent, None),
    }
}

/// Another run that is not confirmed yet: what stands there now may be gone in a minute.
fn held(unit: &str, survey: &Survey) -> Option<Planned> {
    let held = survey.held.as_ref()?;
    Some(refused(
        Some(unit),
        format!("run {held} is at work here, or waits for its undo"),
        Some("wait until it is over: `clawfleet history --rollouts` on its bastion"),
    ))
}

fn refused(unit: Option<&str>, why: impl Into<String>, hint: Option<&str>) -> Planned {
    Planned::Refused(Refusal {
        unit: unit.map(str::to_owned),
        why: why.into(),
        hint: hint.map(str::to_owned),
    })
}
