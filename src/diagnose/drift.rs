//! Fleet findings: what is different on a few hosts, and the same on their peers.
//!
//! Peers are the gateways of the same unit on hosts of the same groups. A difference is named only
//! where most peers agree: a value that is each host's own (a token, a bot's key) has no majority.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Class, Evidence, Facts, FleetFinding, Gateway, Host, HostReport, Role, Severity, UnitScope,
};
use crate::unit::adds_up;

use super::lasting::package_of;
use super::settings::MADE_OF;

/// With fewer peers nobody can say who is the odd one.
const PEERS: usize = 3;

/// How many differences of one host are told.
const SHOWN: usize = 12;

/// One gateway of one host, as it is compared.
struct Member<'a> {
    host: &'a str,
    scope: &'static str,
    traits: BTreeMap<(Class, String), String>,
}

/// Compares the hosts of a run with each other.
pub fn compare(hosts: &[(&Host, &HostReport)]) -> Vec<FleetFinding> {
    let mut peers: BTreeMap<(BTreeSet<&str>, &str), Vec<Member<'_>>> = BTreeMap::new();
    for (host, report) in hosts {
        let Some(facts) = report.observation.outcome.facts() else {
            continue;
        };
        if host.role == Role::None || host.in_maintenance() {
            continue;
        }
        for gateway in &facts.gateways {
            let groups = host.groups.iter().map(String::as_str).collect();
            peers
                .entry((groups, gateway.name()))
                .or_default()
                .push(Member {
                    host: &host.name,
                    scope: scope(gateway),
                    traits: traits(facts, gateway),
                });
        }
    }
    let mut findings: Vec<FleetFinding> = Vec::new();
    for members in peers.values().filter(|members| members.len() >= PEERS) {
        for class in [Class::ConfigDrift, Class::VersionDrift] {
            findings.extend(deviations(class, members.iter()));
        }
        for scope in ["system", "user"] {
            let alike = members.iter().filter(|member| member.scope == scope);
            findings.extend(deviations(Class::UnitDiffers, alike));
        }
    }
    findings.sort_by(|a, b| a.class.cmp(&b.class).then(a.hosts.cmp(&b.hosts)));
    findings
}

/// What a gateway is compared by.
fn traits(facts: &Facts, gateway: &Gateway) -> BTreeMap<(Class, String), String> {
    let mut traits = BTreeMap::new();
    if let Some(config) = gateway.config.known() {
        for (path, value) in &config.leaves {
            traits.insert((Class::ConfigDrift, path.clone()), value.clone());
        }
        for (section, digest) in &config.hidden {
            traits.insert((Class::ConfigDrift, section.clone()), format!("*{digest}"));
        }
    }
    if let Some(package) = package_of(facts, gateway) {
        traits.insert(
            (Class::VersionDrift, "openclaw".into()),
            package.version.clone(),
        );
    }
    let file = gateway
        .units
        .iter()
        .find(|unit| unit.claims_port())
        .and_then(|unit| unit.file.as_ref());
    let lines = file.into_iter().flat_map(|file| file.lines());
    for (key, value) in settings(lines) {
        traits.insert((Class::UnitDiffers, key), value);
    }
    traits
}

/// What a unit's lines come to. The last one counts, or they add up.
fn settings<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for line in lines {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        // The gateway's installer writes its version there, and clawfleet what its drop-in was made of.
        if matches!(key, "Description" | "Documentation") || MADE_OF.contains(&key) {
            continue;
        }
        // Which of several variables differs is told by its name.
        let (key, value) = match (key, value.split_once('=')) {
            ("Environment", Some((name, value))) => (format!("Environment={name}"), value),
            _ => (key.to_owned(), value),
        };
        match settings.get_mut(&key) {
            Some(all) if !value.is_empty() && adds_up(&key) => {
                let all: &mut String = all;
                if !all.is_empty() {
                    all.push_str(" + ");
                }
                all.push_str(value);
            }
            _ => {
                settings.insert(key, value.to_owned());
            }
        }
    }
    settings
}

/// The manager that the gateway's unit belongs to. Units of different managers are written
/// differently, so they are compared with their like.
fn scope(gateway: &Gateway) -> &'static str {
    let unit = gateway.units.iter().find(|unit| unit.claims_port());
    match unit.map(|unit| &unit.scope) {
        Some(UnitScope::System) => "system",
        Some(UnitScope::User { .. }) => "user",
        None => "none",
    }
}

/// The hosts that deviate from what most of their peers have, those that deviate alike together.
fn deviations<'a>(
    class: Class,
    members: impl Iterator<Item = &'a Member<'a>>,
) -> Vec<FleetFinding> {
    // A host of which nothing of this kind is known deviates from nobody.
    let known: Vec<&Member<'_>> = members
        .filter(|member| member.traits.keys().any(|(of, _)| *of == class))
        .collect();
    if known.len() < PEERS {
        return Vec::new();
    }
    let keys: BTreeSet<&String> = known
        .iter()
        .flat_map(|member| member.traits.keys())
        .filter(|(of, _)| *of == class)
        .map(|(_, key)| key)
        .collect();
    let mut odd: BTreeMap<&str, Vec<Evidence>> = BTreeMap::new();
    for key in keys {
        let mut counts: BTreeMap<Option<&String>, usize> = BTreeMap::new();
        let value = |member: &Member<'_>| member.traits.get(&(class, key.clone())).cloned();
        let values: Vec<Option<String>> = known.iter().map(|member| value(member)).collect();
        for value in &values {
            *counts.entry(value.as_ref()).or_default() += 1;
        }
        let Some((usual, agree)) = counts.iter().max_by_key(|(_, count)| **count) else {
            continue;
        };
        // Two thirds are a majority that an operator would call one.
        if agree * 3 < known.len() * 2 || *agree == known.len() {
            continue;
        }
        for (member, value) in known.iter().zip(&values) {
            if value.as_ref() == *usual {
                continue;
            }
            odd.entry(member.host)
                .or_default()
                .push(Evidence::Deviates {
                    what: key.clone(),
                    here: shown(value.as_ref(), "another value (hidden)"),
                    peers: shown(*usual, "one and the same (hidden)"),
                    agree: *agree,
                    of: known.len(),
                });
        }
    }
    let mut groups: Vec<(Vec<Evidence>, Vec<String>)> = Vec::new();
    for (host, mut evidence) in odd {
        evidence.truncate(SHOWN);
        match groups.iter_mut().find(|(same, _)| *same == evidence) {
            Some((_, hosts)) => hosts.push(host.to_owned()),
            None => groups.push((evidence, vec![host.to_owned()])),
        }
    }
    groups
        .into_iter()
        .map(|(evidence, hosts)| FleetFinding {
            class,
            severity: Severity::Warning,
            hosts,
            evidence,
        })
        .collect()
}

/// A value as it may be shown: a digest says nothing to anybody.
fn shown(value: Option<&String>, hidden: &str) -> String {
    match value {
        None => "not set".to_owned(),
        Some(value) if value.is_empty() => "empty".to_owned(),
        Some(value) if value.starts_with('*') => hidden.to_owned(),
        Some(value) => hide_digests(value),
    }
}

/// Replaces `*DIGEST` words within a line.
fn hide_digests(line: &str) -> String {
    line.split(' ')
        .map(|word| match word.split_once('*') {
            Some((name, digest)) if digest.len() == 64 => format!("{name}(hidden)"),
            _ => word.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_to_what_systemd_has_in_force() {
        let lines = [
            "Description=Gateway 2026.6.10",
            "KillMode=process",
            "Environment=A=1",
            "Environment=B=2",
            "After=network.target",
            "After=time-sync.target",
            "SystemCallFilter=@basic-io",
            "Profile=strict",
            "KillMode=control-group",
            "Environment=A=3",
            "SystemCallFilter=",
            "SystemCallFilter=@system-service",
            "CapabilityBoundingSet=",
        ];
        let wanted = [
            ("After", "network.target + time-sync.target"),
            ("CapabilityBoundingSet", ""),
            ("Environment=A", "3"),
            ("Environment=B", "2"),
            ("KillMode", "control-group"),
            ("SystemCallFilter", "@system-service"),
        ];
        let found = settings(lines.into_iter());
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(found, wanted);
        assert_eq!(shown(Some(&String::new()), "hidden"), "empty");
    }
}
