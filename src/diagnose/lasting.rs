//! Gateways that serve now and will not later, or that serve something else than they seem to.

use crate::model::{
    Class, Confidence, Evidence, Facts, Finding, Gateway, JournalSignature, Package, Subject, Unit,
};

use super::ownership::Ownership;
use super::signs::subject;

/// How long after the start of a process its package may be written without being a later version:
/// the two times are known to the second, and come from different clocks.
const SETTLED_S: u64 = 5;

/// Checks a gateway that serves.
pub(super) fn check(facts: &Facts, gateway: &Gateway, ownership: &Ownership<'_>) -> Vec<Finding> {
    let serving = gateway.units.iter().find(|unit| ownership.manages(unit));
    let Some(unit) = serving else {
        return Vec::new();
    };
    next_start(facts, gateway, unit)
        .into_iter()
        .chain(version(facts, gateway, unit, ownership))
        .collect()
}

/// What the next start would stumble over.
fn next_start(facts: &Facts, gateway: &Gateway, unit: &Unit) -> Option<Finding> {
    let mut evidence = Vec::new();
    let mut confidence = Confidence::Medium;
    if let Some((count, text)) = skipped_reload(facts, gateway, unit) {
        confidence = Confidence::High;
        evidence.push(Evidence::LogLine {
            text: text.to_owned(),
            count,
            hours: 24,
        });
    }
    let config = gateway.config.known();
    if let Some((config, why)) = config.and_then(|config| Some((config, config.broken.as_ref()?))) {
        evidence.push(Evidence::BrokenFile {
            path: config.path.clone(),
            why: why.clone(),
        });
    } else if let Some(config) = config
        && config.mode.as_deref() != Some("local")
        && !(config.includes && config.mode.is_none())
        && !lets_unconfigured(unit)
    {
        evidence.push(Evidence::ConfigSays {
            path: config.path.clone(),
            key: "gateway.mode",
            value: config.mode.clone().unwrap_or_else(|| "(unset)".into()),
        });
    }
    for path in unit.file.iter().flat_map(|file| &file.missing) {
        confidence = Confidence::High;
        evidence.push(Evidence::Missing { path: path.clone() });
    }
    (!evidence.is_empty()).then(|| Finding {
        confidence,
        ..Finding::new(Class::NextStartFails, subject(unit), evidence)
    })
}

/// What the running process said when it could not use a changed configuration. A file that was
/// written again later is another one: a repaired file that equals what runs is not logged at all,
/// and one that is still broken is logged again.
fn skipped_reload<'a>(facts: &Facts, gateway: &Gateway, unit: &'a Unit) -> Option<(u32, &'a str)> {
    /// The watcher needs a moment, and the times come from different clocks.
    const NOTICED_S: u64 = 5;
    let kind = JournalSignature::ConfigUnusable;
    let journal = unit.journal.known()?;
    facts.process(journal.writer(kind)?)?;
    let changed_s = gateway
        .config
        .known()
        .and_then(|config| facts.mode(&config.path))
        .map(|file| file.changed_s);
    let written_again = changed_s
        .zip(journal.unusable_at_s)
        .is_some_and(|(changed_s, at_s)| changed_s > at_s + NOTICED_S);
    journal.signature(kind).filter(|_| !written_again)
}

/// Whether the unit starts its gateway whatever `gateway.mode` says.
fn lets_unconfigured(unit: &Unit) -> bool {
    unit.file
        .iter()
        .flat_map(|file| file.lines())
        .any(|line| line.contains("--allow-unconfigured"))
}

/// What runs against what is installed. A version that the gateway names itself is sure; a package
/// that was written after the start of the process is a good sign.
fn version(
    facts: &Facts,
    gateway: &Gateway,
    unit: &Unit,
    ownership: &Ownership<'_>,
) -> Option<Finding> {
    let package = package_of(facts, gateway)?;
    let running = gateway.http.version.as_deref();
    let started_s = ownership
        .holders
        .first()
        .and_then(|holder| holder.process.age_s)
        .zip(facts.system.clock_s)
        .map(|(age_s, now_s)| now_s.saturating_sub(age_s));
    let written_after_s = started_s
        .and_then(|started_s| package.changed_s.checked_sub(started_s))
        .filter(|after_s| *after_s > SETTLED_S);
    let confidence = match running {
        Some(running) if running == package.version => return None,
        Some(_) => Confidence::High,
        None if written_after_s.is_some() => Confidence::Medium,
        None => return None,
    };
    Some(Finding {
        confidence,
        ..Finding::new(
            Class::VersionMismatch,
            subject(unit),
            vec![Evidence::Versions {
                running: running.map(str::to_owned),
                installed: package.version.clone(),
                written_after_s,
            }],
        )
    })
}

/// The package that a gateway runs from: by its process, else by the unit that would start it.
pub(super) fn package_of<'a>(facts: &'a Facts, gateway: &Gateway) -> Option<&'a Package> {
    let entry = |package: &Package| format!("{}/", package.root);
    let runs = |package: &&Package| {
        let entry = entry(package);
        gateway
            .holders(facts)
            .any(|process| process.argv.iter().any(|arg| arg.starts_with(&entry)))
    };
    let starts = |package: &&Package| {
        let entry = entry(package);
        gateway
            .units
            .iter()
            .filter(|unit| unit.claims_port())
            .filter_map(|unit| unit.file.as_ref())
            .flat_map(|file| file.lines())
            .any(|line| line.starts_with("ExecStart=") && line.contains(&entry))
    };
    let packages = || facts.packages.iter();
    packages()
        .find(runs)
        .or_else(|| packages().find(starts))
        .or(match (facts.packages.as_slice(), facts.gateways.len()) {
            ([only], 1) => Some(only),
            _ => None,
        })
}

/// Two gateways of a host that share a configuration, a state directory or a workspace: they
/// overwrite each other's sessions, and one's start ends the other as stale.
pub(super) fn overlaps(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let active = |gateway: &&Gateway| gateway.units.iter().any(Unit::claims_port);
    let gateways: Vec<&Gateway> = facts.gateways.iter().filter(active).collect();
    for (place, one) in gateways.iter().enumerate() {
        for other in gateways.iter().skip(place + 1) {
            let file = |gateway: &Gateway| {
                gateway
                    .units
                    .iter()
                    .find(|unit| unit.claims_port())
                    .and_then(|unit| unit.file.clone())
            };
            let (Some(a), Some(b)) = (file(one), file(other)) else {
                continue;
            };
            let workspace = |gateway: &Gateway| gateway.config.known()?.workspace.clone();
            let pairs = [
                ("state directory", Some(a.state_dir), Some(b.state_dir)),
                ("configuration", Some(a.config_path), Some(b.config_path)),
                ("workspace", workspace(one), workspace(other)),
            ];
            let evidence: Vec<_> = pairs
                .into_iter()
                .filter_map(|(what, a, b)| {
                    let value = a.filter(|a| !a.is_empty() && Some(a) == b.as_ref())?;
                    Some(Evidence::Shared {
                        what,
                        value,
                        between: [one, other]
                            .map(|gateway| format!("{} (port {})", gateway.name(), gateway.port))
                            .to_vec(),
                    })
                })
                .collect();
            if !evidence.is_empty() {
                findings.push(Finding {
                    gateway: Some(other.port),
                    ..Finding::new(Class::GatewayOverlap, Subject::Host, evidence)
                });
            }
        }
    }
    findings
}
