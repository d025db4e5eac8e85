//! A unit's settings: which of them let a fault run for ever, and whether they are in force.

use std::sync::LazyLock;

use crate::model::{
    Class, Evidence, Facts, Finding, Gateway, Host, Observed, Seen, Shape, Unit, UnitScope,
};

use super::signs::subject;
use crate::unit::{self, RenderRequest, Templates};

/// From this version on the gateway's own doctor asks for a stop timeout of 330 s: its drain takes up
/// to 315 s.
const LONG_DRAIN_SINCE: (u32, u32) = (2026, 8);
const DRAIN_US: u64 = 330_000_000;

/// Checks the settings of each unit that its manager would start.
pub(super) fn check(
    host: &Host,
    facts: &Facts,
    gateway: &Gateway,
    version: Option<&str>,
) -> Vec<Finding> {
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
        findings.extend(drift(host, facts, gateway, unit, version));
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
/// hardened has none, and does not drift. One that was made of other templates than these is not judged:
/// nobody here knows what they would say.
fn drift(
    host: &Host,
    facts: &Facts,
    gateway: &Gateway,
    unit: &Unit,
    version: Option<&str>,
) -> Option<Finding> {
    static TEMPLATES: LazyLock<Templates> = LazyLock::new(Templates::embedded);
    let file = unit.file.as_ref()?;
    let (path, found) = file
        .parts
        .iter()
        .find(|(path, _)| path.ends_with(unit::DROP_IN))?;
    let of = |key: &str| found.iter().find_map(|line| line.strip_prefix(key));
    let profile = match of("Profile=") {
        // The first drop-ins did not say what they were made of.
        None => "baseline",
        Some(profile) => {
            let digest = TEMPLATES.digest();
            if !digest.starts_with(of("Templates=").filter(|digest| digest.len() == 16)?) {
                return None;
            }
            profile
        }
    };
    let own = file.parts.iter().find(|(path, _)| *path == file.path);
    let existing = own.map(|(_, lines)| format!("[Service]\n{}\n", lines.join("\n")));
    let some = |path: &'_ String| (!path.is_empty()).then(|| path.clone());
    let rendered = unit::render(
        &TEMPLATES,
        &RenderRequest {
            profile,
            shape: Shape::DropIn,
            scope: &unit.scope,
            unit: &unit.name,
            // Where the package is not seen now, what was installed when it was written.
            gateway_version: version.or_else(|| of("GatewayVersion=")),
            systemd: facts.system.systemd,
            port: gateway.port,
            home: None,
            state_dir: some(&file.state_dir).as_deref(),
            config_path: some(&file.config_path).as_deref(),
            existing: existing.as_deref(),
            workspace: gateway
                .config
                .known()
                .and_then(|config| config.workspace.as_deref()),
            starts_with_more: file.starts_with_more(),
            vars: &host.vars,
        },
    );
    let wanted = assignments(&rendered.ok()?.text);
    let found: Vec<&str> = found
        .iter()
        .map(String::as_str)
        .filter(|line| !MADE_OF.contains(&key_of(line)))
        .collect();
    let differs = |found: Option<&str>, wanted: Option<&str>| Evidence::LineDiffers {
        path: path.clone(),
        found: found.map(|line| match is_hidden(line) {
            true => format!("{}=(hidden)", key_of(line)),
            false => line.to_owned(),
        }),
        wanted: wanted.map(str::to_owned),
    };
    let here = |line: &str| found.iter().find(|other| key_of(other) == key_of(line));
    let missing = wanted
        .iter()
        .filter(|line| !found.contains(&line.as_str()))
        // What the probe hides cannot be compared.
        .filter(|line| !here(line).is_some_and(|other| is_hidden(other)))
        .map(|line| differs(here(line).copied(), Some(line)));
    let more = found
        .iter()
        .filter(|line| !wanted.iter().any(|other| key_of(other) == key_of(line)))
        .map(|line| differs(Some(line), None));
    let evidence: Vec<_> = missing.chain(more).collect();
    (!evidence.is_empty()).then(|| Finding::new(Class::UnitDrift, subject(unit), evidence))
}

/// What a drop-in says of its making.
pub(super) const MADE_OF: [&str; 3] = ["Profile", "Templates", "GatewayVersion"];

fn key_of(line: &str) -> &str {
    line.split('=').next().unwrap_or_default()
}

/// Whether the probe sent a digest instead of the value.
fn is_hidden(line: &str) -> bool {
    line.split_once("=*")
        .is_some_and(|(_, digest)| digest == "unknown" || digest.len() == 64)
}

/// The assignments of a rendered file as the probe sends them, without what it says of its making.
fn assignments(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.starts_with(['#', '[']) && line.contains('='))
        .filter(|line| !MADE_OF.contains(&key_of(line)))
        .map(str::to_owned)
        .collect()
}
