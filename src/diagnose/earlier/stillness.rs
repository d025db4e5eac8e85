//! Whether anything of a gateway changed within the time that the inventory expects: one that nobody uses is as
//! still as one that is well.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Earlier;
use crate::model::{Class, Evidence, Facts, Finding, Gateway, Host, Subject};

/// Finds a gateway that the inventory names and of which nothing changed for too long.
pub(super) fn check(
    host: &Host,
    facts: &Facts,
    gateway: &Gateway,
    now: Timestamp,
    earlier: &dyn Earlier,
) -> Option<Finding> {
    gateway.named.as_ref()?;
    let limit = host.expect.change_within?;
    // What holds the port is the youngest thing of it, where it was started anew.
    let age = gateway
        .holders(facts)
        .map(|process| process.age_s)
        .min()??;
    let age = SignedDuration::from_secs(i64::try_from(age).ok()?);
    let started = now.checked_sub(age).ok()?;
    let last = earlier.last_change(gateway.port)?.max(started);
    let still = Duration::try_from(now.duration_since(last)).ok()?;
    (still > limit).then(|| Finding {
        gateway: Some(gateway.port),
        ..Finding::new(
            Class::ExpectationUnmet,
            Subject::Host,
            vec![Evidence::Still {
                since: last,
                still_s: still.as_secs(),
                limit_s: limit.as_secs(),
            }],
        )
    })
}
