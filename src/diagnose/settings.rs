//! A unit's settings: which of them let a fault run for ever, and whether they are in force.

use crate::model::{Class, Evidence, Finding, Gateway, Observed, Seen, Unit, UnitScope};

use super::signs::subject;
use crate::unit;

/// From this version on the gateway's own doctor asks for a stop timeout of 330 s: its drain takes up
/// to 315 s.
const LONG_DRAIN_SINCE: (u32, u32) = (2026, 8);
const DRAIN_US: u64 = 330_000_000;

/// Checks the settings of each unit that its manager would start.
pub(super) fn check(gateway: &Gateway, version: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for unit in gateway.units.iter().filter(|unit| unit.claims_port()) {
        if let (UnitScope::User { .. }, Observed::Known(false)) = (&unit.scope, &unit.linger) {
            findings.push(Finding::new(Class::NoLinger, subject(unit), Vec::new()));
        }
        if unit.seen != Seen::Manager {
            continue;
        }
        findings.extend(weak(unit, version));
        findings.extend(unreachable_limit(unit));
        findings.extend(drift(unit, version));
        if unit.needs_reload == Some(true) {
            findings.push(Finding::new(
                Class::DaemonReloadNeeded,
                subject(unit),
                vec![Evidence::Setting {
                    scope: unit.scope.clone(),
                    setting: "NeedDaemonReload=yes".into(),
                    effect: "what stands in the files is not in force until the manager reads them again",
                }],
            ));
        }
    }
    findings
}

fn weak(unit: &Unit, version: Option<&str>) -> Option<Finding> {
    let mut evidence = Vec::new();
    let mut weak = |setting: String, effect: &'static str| {
        evidence.push(Evidence::Setting {
            scope: unit.scope.clone(),
            setting,
            effect,
        });
    };
    let restarts = restarts_after_failure(unit);
    if !unit.restart.is_empty() && !restarts {
        weak(
            format!("Restart={}", unit.restart),
            "a gateway that dies stays down",
        );
    }
    if matches!(unit.kill_mode.as_str(), "process" | "none") {
        weak(
            format!("KillMode={}", unit.kill_mode),
            "a stop leaves the gateway's children alive, and they hold the port",
        );
    }
    if let Some(prevent) = &unit.restart_prevent
        && restarts
        && !prevent.split_whitespace().any(|status| status == "78")
    {
        weak(
            match prevent.as_str() {
                "" => "no RestartPreventExitStatus".to_owned(),
                prevent => format!("RestartPreventExitStatus={prevent}"),
            },
            "without 78 a taken port or a broken configuration is tried again for ever",
        );
    }
    if restarts && (unit.start_limit_interval_us == Some(0) || unit.start_limit_burst == Some(0)) {
        weak(
            "StartLimitIntervalSec=0".into(),
            "no number of failed starts ends the loop",
        );
    }
    if unit.timeout_stop_us == Some(u64::MAX) {
        weak(
            "TimeoutStopSec=infinity".into(),
            "a gateway that hangs can never be stopped",
        );
    }
    if unit.timeout_stop_us.is_some_and(|limit| limit < DRAIN_US)
        && version
            .and_then(unit::year_and_month)
            .is_some_and(|version| version >= LONG_DRAIN_SINCE)
    {
        weak(
            format!(
                "TimeoutStopSec={}",
                unit.timeout_stop_us.unwrap_or(0) / 1_000_000
            ),
            "this version drains its work for up to 315 s, and is killed in the middle of it",
        );
    }
    (!evidence.is_empty()).then(|| Finding::new(Class::UnitWeak, subject(unit), evidence))
}

fn restarts_after_failure(unit: &Unit) -> bool {
    matches!(
        unit.restart.as_str(),
        "always" | "on-failure" | "on-abnormal" | "on-abort"
    )
}

/// So many starts take at least burst × delay: where that is not less than the interval, the limit
/// is never reached.
fn unreachable_limit(unit: &Unit) -> Option<Finding> {
    let burst = unit.start_limit_burst.filter(|burst| *burst > 0)?;
    let interval_us = unit
        .start_limit_interval_us
        .filter(|interval| *interval > 0 && *interval < u64::MAX)?;
    let delay_us = unit.restart_us?;
    let unreachable =
        restarts_after_failure(unit) && delay_us.saturating_mul(burst.into()) >= interval_us;
    unreachable.then(|| {
        Finding::new(
            Class::StartLimitUnreachable,
            subject(unit),
            vec![Evidence::StartLimit {
                burst,
                delay_us,
                interval_us,
            }],
        )
    })
}

/// A drop-in that was pushed here, and that is no longer what would be pushed. A unit that was never
/// hardened has none, and does not drift.
fn drift(unit: &Unit, version: Option<&str>) -> Option<Finding> {
    let file = unit.file.as_ref()?;
    let (path, found) = file
        .parts
        .iter()
        .find(|(path, _)| path.ends_with(unit::DROP_IN))?;
    let wanted = unit::baseline(version).ok()?;
    let differs = |found: Option<&String>, wanted: Option<&String>| Evidence::LineDiffers {
        path: path.clone(),
        found: found.cloned(),
        wanted: wanted.cloned(),
    };
    let evidence: Vec<_> = wanted
        .iter()
        .filter(|line| !found.contains(line))
        .map(|line| {
            let key = line.split('=').next().unwrap_or_default();
            let here = found
                .iter()
                .find(|other| other.split('=').next() == Some(key));
            differs(here, Some(line))
        })
        .chain(
            found
                .iter()
                .filter(|line| {
                    let key = line.split('=').next().unwrap_or_default();
                    !wanted
                        .iter()
                        .any(|other| other.split('=').next() == Some(key))
                })
                .map(|line| differs(Some(line), None)),
        )
        .collect();
    (!evidence.is_empty()).then(|| Finding::new(Class::UnitDrift, subject(unit), evidence))
}
