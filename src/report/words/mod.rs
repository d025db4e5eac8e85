//! Sentences from typed evidence, and commands from findings.

mod evidence;
mod remedy;

pub(super) use evidence::evidence;
pub(super) use remedy::remedy;

use super::text::sanitize;
use crate::model::{Subject, UnitScope};

/// Names a unit's owner.
pub(super) fn scope(scope: &UnitScope) -> String {
    match scope {
        UnitScope::System => "system".to_owned(),
        UnitScope::User { user, .. } => format!("user {}", sanitize(user)),
    }
}

/// Names what a finding is about.
pub(super) fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Host => "host".to_owned(),
        Subject::Port(port) => format!("port {port}"),
        Subject::Unit { name, scope: whose } => format!("{} ({})", sanitize(name), scope(whose)),
        Subject::Model(name) | Subject::Path(name) | Subject::Check(name) => {
            sanitize(name).into_owned()
        }
    }
}
