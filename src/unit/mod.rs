//! L1: units as text: what `harden` renders, how a unit file is read, and whether what stands in one is
//! in force.
//!
//! `template` holds the texts and their variables, `render` fills them, `quote` makes words of systemd's
//! syntax, `parse` reads unit files, `diff` compares two, `force` compares a file with what a manager says. `timer` and
//! `crontab` are of this machine itself: what runs its checks.

mod crontab;
mod diff;
mod force;
mod parse;
mod quote;
mod render;
mod template;
mod timer;
mod variables;

pub use crontab::{cron_block, cron_blocks, cron_fields, read_cron_block, with_cron_block};
pub use diff::diff;
pub use force::{InForce, in_force, needs_restart, shown_names, span};
pub use parse::{UnitSetting, adds_up, lines_with_secrets, settings};
pub use render::{RenderRequest, Rendered, render};
pub use template::{ProfileDescription, TemplateFault, Templates};
pub use timer::{
    SCHEDULE_MARK, is_temporary, runs, schedule_service, schedule_timer, span as short_span,
    written_by,
};
pub use variables::VariableDescription;

pub use crate::model::Shape;

/// The name of the drop-in that clawfleet writes.
pub const DROP_IN: &str = "50-clawfleet.conf";

/// Reads the year and the month out of a gateway's version, e.g. `2026.9.6`.
pub fn year_and_month(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Reads the year, the month and the number of the release in that month out of a gateway's version. What
/// follows the last number, as in `2026.9.6-beta.1`, is left out: a beta has what its release has.
pub fn release(version: &str) -> Option<[u32; 3]> {
    let mut parts = version.splitn(3, '.');
    let year = parts.next()?.parse().ok()?;
    let month = parts.next()?.parse().ok()?;
    let last = parts.next()?;
    let digits = last
        .find(|c: char| !c.is_ascii_digit())
        .map_or(last, |end| last.get(..end).unwrap_or_default());
    Some([year, month, digits.parse().ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(year_and_month("2026.9.6"), Some((2026, 9)));
        assert_eq!(year_and_month("2026.10"), Some((2026, 10)));
        assert_eq!(year_and_month("x.y"), None);
        assert_eq!(year_and_month(""), None);
        assert_eq!(release("2026.9.6"), Some([2026, 9, 6]));
        assert_eq!(release("2026.9.6-beta.1"), Some([2026, 9, 6]));
        assert_eq!(release("2026.9.6.7"), Some([2026, 9, 6]));
        for wrong in ["", "2026.9", "2026.9.", "2026.9.x", "a.b.c", "2026..6"] {
            assert_eq!(release(wrong), None, "{wrong}");
        }
    }
}
