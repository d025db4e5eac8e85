//! L1: from what was seen to a plan: what is changed on which host, what is left alone and why; and afterwards,
//! whether it is as it should be.

mod harden;
mod judge;
mod rollback;

pub use harden::Hardening;
pub use judge::{health, properties};
pub use rollback::Reversal;

use crate::diagnose::{UnitHealth, unit_health};
use crate::model::{Facts, Planned, Refusal, Standing, UnitScope};

/// How a unit stands, and what is wrong with it where something is.
fn standing(facts: &Facts, unit: &str, scope: &UnitScope) -> (Standing, Option<String>) {
    match unit_health(facts, unit, scope) {
        UnitHealth::Well { .. } => (Standing::Well, None),
        UnitHealth::NotYet(why) | UnitHealth::Bad(why) => (Standing::Ill, Some(why)),
        UnitHealth::Off => (Standing::Off, None),
        UnitHealth::Absent => (Standing::Absent, None),
    }
}

fn refused(unit: Option<&str>, why: impl Into<String>, hint: Option<&str>) -> Planned {
    Planned::Refused(Refusal {
        unit: unit.map(str::to_owned),
        why: why.into(),
        hint: hint.map(str::to_owned),
    })
}
