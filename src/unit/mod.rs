//! L1: units as text: what `harden` renders.

use minijinja::{Environment, UndefinedBehavior, context};

/// The name of the drop-in that clawfleet writes.
pub const DROP_IN: &str = "50-clawfleet.conf";

const BASELINE: &str = include_str!("../../templates/50-clawfleet.conf.j2");

/// Reads the year and the month out of a gateway's version, e.g. `2026.9.6`.
pub fn year_and_month(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Renders the drop-in of the profile `baseline` for a gateway's version, without its comments: one
/// `KEY=VALUE` each.
///
/// # Errors
///
/// What is wrong with the template, with its line.
pub fn baseline(version: Option<&str>) -> Result<Vec<String>, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let (year, month) = version.and_then(year_and_month).unwrap_or_default();
    let text = environment
        .render_str(BASELINE, context! { version_month => vec![year, month] })
        .map_err(|error| error.to_string())?;
    Ok(text
        .lines()
        .filter(|line| line.contains('=') && !line.starts_with('#'))
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_baseline_follows_the_version() {
        let of = |version| baseline(version).unwrap();
        assert!(of(Some("2026.6.10")).contains(&"KillMode=control-group".to_owned()));
        assert!(of(Some("2026.6.10")).contains(&"TimeoutStopSec=30".to_owned()));
        assert!(of(Some("2026.8.1")).contains(&"TimeoutStopSec=330".to_owned()));
        assert!(of(Some("2026.10.1")).contains(&"KillMode=mixed".to_owned()));
        assert!(of(None).contains(&"KillMode=control-group".to_owned()));
        assert_eq!(of(Some("2026.9.6")).len(), 9);
    }

    #[test]
    fn versions() {
        assert_eq!(year_and_month("2026.9.6"), Some((2026, 9)));
        assert_eq!(year_and_month("2026.10"), Some((2026, 10)));
        assert_eq!(year_and_month("x.y"), None);
        assert_eq!(year_and_month(""), None);
    }
}
