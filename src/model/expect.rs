//! What an inventory expects of a host.

use std::cmp::Ordering;
use std::time::Duration;

use super::Comparison;

/// What the inventory expects of a host's gateways.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expect {
    /// The installed version.
    pub version: Vec<(Comparison, String)>,
    /// The primary model.
    pub model: Option<String>,
    /// Channels that are to be configured and on.
    pub channels: Vec<String>,
    /// Within what time something of a gateway changes: one that is idle for longer is told of.
    pub change_within: Option<Duration>,
}

/// Compares two versions number by number, as far as the wanted one is written: 2026.5.3 and a
/// wanted 2026.5 are equal. `None` where one of them is no version.
pub fn compare_versions(found: &str, wanted: &str) -> Option<Ordering> {
    let mut found = found.trim().trim_start_matches('v').split(['.', '-', '+']);
    for wanted in wanted.split('.') {
        let wanted: u64 = wanted.parse().ok()?;
        // A part that is not there is 0: 2026.5 is older than 2026.5.1.
        let found: u64 = found.next().unwrap_or("0").parse().ok()?;
        match found.cmp(&wanted) {
            Ordering::Equal => {}
            other => return Some(other),
        }
    }
    Some(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers_as_far_as_they_are_written() {
        let cases = [
            ("2026.10.1", "2026.9", Some(Ordering::Greater)),
            ("2026.5.3", "2026.5", Some(Ordering::Equal)),
            ("2026.5", "2026.5.1", Some(Ordering::Less)),
            ("2026.9.6-beta.1", "2026.9.6", Some(Ordering::Equal)),
            ("v2026.3.1", "2026.6", Some(Ordering::Less)),
            ("", "2026.6", None),
            ("unknown", "2026.6", None),
        ];
        for (found, wanted, order) in cases {
            assert_eq!(compare_versions(found, wanted), order, "{found} {wanted}");
        }
    }
}
