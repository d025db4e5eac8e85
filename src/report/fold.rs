//! Hosts in the same state as one row, as `dshbak -c` folds equal outputs.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

use super::text::shorten;
use super::words;
use crate::model::nodeset::fold;
use crate::model::{
    Class, Evidence, Finding, Gateway, HostOutcome, HostReport, HttpError, ModelsAnswer, Observed,
    Seen, Verdict,
};

/// One row of the table: gateways in the same state, one of each host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// The hosts, by their place in the report.
    pub(super) hosts: Vec<usize>,
    pub(super) verdict: Verdict,
    /// Which gateway of the host: its unit and port.
    pub(super) gateway: String,
    /// What leads: a finding, or how far the host was reached.
    pub(super) finding: String,
    pub(super) units: String,
    pub(super) holder: String,
    pub(super) restarts: Option<(u32, u32)>,
    pub(super) http: String,
    /// Latencies of the row, in ms: lowest and highest.
    pub(super) latency_ms: Option<(u32, u32)>,
}

/// The rows of a report, worst first, then in the inventory's order.
pub(super) fn rows(hosts: &[HostReport], each: bool) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut places: BTreeMap<_, usize> = BTreeMap::new();
    let each_gateway = hosts.iter().enumerate().flat_map(|(index, host)| {
        let gateways: Vec<Option<&Gateway>> = match host.observation.outcome.facts() {
            Some(facts) if !facts.gateways.is_empty() => facts.gateways.iter().map(Some).collect(),
            _ => vec![None],
        };
        gateways
            .into_iter()
            .enumerate()
            .map(move |(place, gateway)| (index, host, place == 0, gateway))
    });
    for (index, host, first, gateway) in each_gateway {
        let row = row(index, host, first, gateway, each);
        let key = (
            row.verdict,
            row.gateway.clone(),
            row.finding.clone(),
            row.units.clone(),
            row.holder.clone(),
            row.http.clone(),
        );
        let place = if each {
            None
        } else {
            places.get(&key).copied()
        };
        match place.and_then(|place| rows.get_mut(place)) {
            Some(same) => {
                same.hosts.push(index);
                same.restarts = join(same.restarts, row.restarts);
                same.latency_ms = join(same.latency_ms, row.latency_ms);
            }
            None => {
                places.insert(key, rows.len());
                rows.push(row);
            }
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.verdict));
    rows
}

fn join(a: Option<(u32, u32)>, b: Option<(u32, u32)>) -> Option<(u32, u32)> {
    match (a, b) {
        (Some((low, high)), Some((other_low, other_high))) => {
            Some((low.min(other_low), high.max(other_high)))
        }
        (one, other) => one.or(other),
    }
}

/// The first row of a host tells of the host as a whole, too.
fn row(index: usize, host: &HostReport, first: bool, gateway: Option<&Gateway>, each: bool) -> Row {
    let about = |finding: &&Finding| match (finding.gateway, gateway) {
        (Some(port), Some(gateway)) => port == gateway.port,
        _ => first,
    };
    let findings: Vec<&Finding> = host.findings.iter().filter(about).collect();
    let mut verdict = findings
        .iter()
        .map(|finding| Verdict::of(finding.severity))
        .max()
        .unwrap_or(Verdict::Ok);
    if first && !matches!(host.observation.outcome, HostOutcome::Observed(_)) {
        verdict = verdict.max(host.verdict);
    }
    Row {
        hosts: vec![index],
        verdict,
        gateway: gateway.map(name).unwrap_or_default(),
        finding: headline(host, first, &findings),
        units: gateway.map(units).unwrap_or_default(),
        holder: gateway
            .map(|gateway| holder(gateway, &findings))
            .unwrap_or_default(),
        restarts: gateway.and_then(|gateway| {
            let known = gateway.units.iter().filter_map(|unit| unit.journal.known());
            known
                .map(|journal| journal.restarts_24h)
                .max()
                .map(|most| (most, most))
        }),
        http: gateway
            .map(|gateway| http(gateway, each))
            .unwrap_or_default(),
        latency_ms: gateway
            .and_then(|gateway| gateway.http.answer())
            .map(|answer| (answer.latency_ms, answer.latency_ms)),
    }
}

fn name(gateway: &Gateway) -> String {
    let name = super::sanitize(gateway.name());
    let name = name.strip_suffix(".service").unwrap_or(&name);
    format!("{} :{}", shorten(name, 40), gateway.port)
}

/// The root findings by name; what follows from them is not repeated here.
fn headline(host: &HostReport, first: bool, findings: &[&Finding]) -> String {
    let outcome = &host.observation.outcome;
    let mut words: Vec<String> = Vec::new();
    if first && host.maintenance {
        words.push("in maintenance".to_owned());
    }
    match outcome {
        HostOutcome::Observed(_) => {}
        other if first => {
            let stage = other
                .error()
                .map(|error| match &error.via {
                    None => format!(" ({})", error.stage.id()),
                    Some(jump) => {
                        let jump = super::sanitize(jump);
                        format!(" (jump host {}: {})", shorten(&jump, 30), error.stage.id())
                    }
                })
                .unwrap_or_default();
            words.push(format!("{}{stage}", other.id()));
        }
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for finding in findings {
        let leads = finding.cause.is_none() && finding.class != Class::NotObserved;
        if leads && seen.insert(finding.id()) {
            words.push(super::sanitize(&finding.id()).into_owned());
        }
    }
    words.join(", ")
}

fn units(gateway: &Gateway) -> String {
    if gateway.units.is_empty() {
        return "none".to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    for unit in &gateway.units {
        let state = match (unit.seen, unit.sub_state.as_str()) {
            (Seen::FileOnly, _) => format!("file, {}", unit.unit_file_state),
            (_, "auto-restart") => "auto-restart".to_owned(),
            (_, "running") => "running".to_owned(),
            _ => unit.active_state.clone(),
        };
        words.push(format!(
            "{} {}",
            words::scope(&unit.scope),
            shorten(&super::sanitize(&state), 20)
        ));
    }
    words.join("; ")
}

/// Who holds the port, in a word that is the same for every host in the same state.
fn holder(gateway: &Gateway, findings: &[&Finding]) -> String {
    let Observed::Known(listeners) = &gateway.listeners else {
        return "not seen".to_owned();
    };
    if listeners.is_empty() {
        return "nobody".to_owned();
    }
    let about = |class: Class| {
        findings
            .iter()
            .find(|finding| finding.class == class)
            .and_then(|finding| process_name(finding))
    };
    for (class, word) in [
        (Class::OrphanHoldsPort, "orphan"),
        (Class::LeftoverProcess, "leftover"),
        (Class::ForeignProcessOnPort, "foreign"),
    ] {
        if let Some(name) = about(class) {
            return format!("{word} {name}");
        }
    }
    if listeners
        .iter()
        .all(|listener| listener.pids.known().is_none())
    {
        return "hidden".to_owned();
    }
    let owner = gateway.units.iter().find(|unit| {
        listeners
            .iter()
            .filter_map(|listener| listener.pids.known())
            .flatten()
            .any(|pid| *pid == unit.main_pid)
    });
    match owner {
        Some(unit) => format!("{} unit", words::scope(&unit.scope)),
        None if gateway.units.iter().any(|unit| unit.main_pid != 0) => "unit's child".to_owned(),
        None if gateway.units.is_empty() => "no unit".to_owned(),
        None => "other service".to_owned(),
    }
}

fn process_name(finding: &Finding) -> Option<String> {
    finding.evidence.iter().find_map(|evidence| match evidence {
        Evidence::PortHolder { process, .. } => {
            Some(shorten(&super::sanitize(&process.comm), 20).into_owned())
        }
        _ => None,
    })
}

/// What the port answered; with all that it said of itself where every host has its own row.
fn http(gateway: &Gateway, each: bool) -> String {
    let facts = &gateway.http;
    let mut words = vec![match &facts.health {
        Some(Ok(answer)) if facts.is_gateway() => format!("{} live", answer.status),
        Some(Ok(answer)) => answer.status.to_string(),
        Some(Err(HttpError::Refused)) => "refused".to_owned(),
        Some(Err(HttpError::NoAnswer { .. })) => "no answer".to_owned(),
        Some(Err(HttpError::Broken(_))) => "broken".to_owned(),
        Some(Err(HttpError::NotAsked(_))) | None => "not asked".to_owned(),
    }];
    if !each {
        return words.concat();
    }
    if facts.tls {
        words.push("TLS".to_owned());
    }
    if let Some(ready) = &facts.ready {
        words.push(match (ready.ready, ready.failing.first()) {
            (true, _) => "ready".to_owned(),
            (false, None) => "not ready".to_owned(),
            (false, Some(what)) => format!("not ready: {}", shorten(&super::sanitize(what), 30)),
        });
    }
    match &facts.models {
        Some(ModelsAnswer::Listed(count)) => words.push(format!("models: {count}")),
        Some(ModelsAnswer::Refused { .. }) => words.push("token refused".to_owned()),
        Some(ModelsAnswer::NotAsked(_)) => words.push("token not used".to_owned()),
        Some(ModelsAnswer::NotServed { .. } | ModelsAnswer::Odd { .. }) | None => {}
    }
    if let Some(Ok(websocket)) = &facts.websocket {
        match &websocket.hello {
            Some(Ok(())) => words.push("token accepted".to_owned()),
            Some(Err(_)) => words.push("no hello".to_owned()),
            None => {}
        }
    }
    words.join("\n")
}

/// The node set of some hosts of the report.
pub(super) fn names(hosts: &[HostReport], of: &[usize]) -> String {
    fold(
        of.iter()
            .filter_map(|index| hosts.get(*index))
            .map(|host| host.name.as_str()),
    )
}

/// The same for a page or a message, in at most about so many characters.
pub(super) fn some_names(hosts: &[HostReport], of: &[usize], longest: usize) -> String {
    let names = names(hosts, of);
    match super::table::cut(&names, longest) {
        Some(shown) => format!("{shown} ({} in all)", of.len()),
        None => names,
    }
}

/// Groups items by a key, keeping the order in which keys were first seen.
pub(super) fn group_by<K: Eq + Hash + Clone, T>(
    items: impl IntoIterator<Item = (K, T)>,
) -> Vec<(K, Vec<T>)> {
    let mut places = std::collections::HashMap::new();
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for (key, item) in items {
        let place = *places.entry(key.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, members)) => members.push(item),
            None => groups.push((key, vec![item])),
        }
    }
    groups
}
