//! What `check --list` and `explain custom/NAME` print.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::View;
use super::inventory_view::{bare_table, finish, shown};
use super::text::span;
use crate::diagnose::explain;
use crate::inventory::Inventory;
use crate::model::{CheckRead, CheckSpec, Class, CodeMeaning};

/// Lists every built-in class, then the checks of an inventory.
pub fn checks_table(inventory: Option<&Inventory>, view: View) -> String {
    let mut out = super::explain_all(view);
    let checks = inventory.map_or(&[][..], |inventory| &inventory.checks);
    if checks.is_empty() {
        return out;
    }
    out.push('\n');
    let mut table = bare_table(view);
    table.set_header(
        [
            "CHECK",
            "HOSTS",
            "READ",
            "WARNING",
            "CRITICAL",
            "LIMIT",
            "IN ONE LINE",
        ]
        .map(|name| view.style.head_cell(name)),
    );
    for (spec, hosts) in checks {
        let line = spec.explain.as_deref().unwrap_or_default();
        let (warning, critical) = thresholds(spec);
        table.add_row(
            [
                spec.id(),
                format!("{} ({})", spec.hosts, hosts.len()),
                how(spec),
                warning,
                critical,
                span(spec.timeout),
                line.trim().lines().next().unwrap_or_default().to_owned(),
            ]
            .map(|text| shown(if text.is_empty() { "-" } else { &text })),
        );
    }
    out + &finish(&table)
}

/// The same list for programs.
///
/// # Errors
/// None that is known.
pub fn checks_json(inventory: Option<&Inventory>) -> Result<String, serde_json::Error> {
    let classes: Vec<_> = Class::ALL
        .iter()
        .map(|class| {
            let text = explain(*class);
            serde_json::json!({
                "class": class.id(),
                "severity": class.severity().id(),
                "since": text.since,
                "title": text.title,
            })
        })
        .collect();
    let checks = inventory.map_or(&[][..], |inventory| &inventory.checks);
    let checks: Vec<_> = checks
        .iter()
        .map(|(spec, hosts)| {
            let (warning, critical) = thresholds(spec);
            let names = inventory.map_or(&[][..], |inventory| &inventory.hosts);
            let names: Vec<_> = hosts
                .iter()
                .filter_map(|index| names.get(*index))
                .map(|host| &host.name)
                .collect();
            serde_json::json!({
                "class": spec.id(),
                "hosts": names,
                "read": how(spec),
                "warning": warning,
                "critical": critical,
                "timeout_s": spec.limit_s(),
                "explain": spec.explain,
                "origin": spec.origin,
            })
        })
        .collect();
    super::json::pretty(&serde_json::json!({
        "schema": "clawfleet.checks/1",
        "classes": classes,
        "checks": checks,
    }))
}

/// Explains one of the operator's own checks; `None` where there is none of that id.
pub fn explain_check(inventory: &Inventory, id: &str, view: View) -> Option<String> {
    let (spec, hosts) = inventory.checks.iter().find(|(spec, _)| spec.id() == id)?;
    let names = hosts.iter().filter_map(|index| inventory.hosts.get(*index));
    let names = crate::model::nodeset::fold(names.map(|host| host.name.as_str()));
    let (warning, critical) = thresholds(spec);
    let mut out = format!("{}: {}\n", view.style.strong(id), shown(&spec.origin));
    let parts = [
        ("What it means", spec.explain.clone().unwrap_or_default()),
        ("What is read", how(spec)),
        ("Warning", warning),
        ("Critical", critical),
        ("Hosts", format!("{}: {names}", spec.hosts)),
        ("Time limit", span(spec.timeout)),
        ("What runs", spec.script.clone()),
    ];
    for (head, text) in parts {
        if text.is_empty() {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(out, "\n{}", view.style.strong(head));
        for line in text.trim_end().lines() {
            let _ = writeln!(out, "  {}", shown(line));
        }
    }
    Some(out)
}

fn how(spec: &CheckSpec) -> String {
    match &spec.read {
        CheckRead::Exit(_) => "exit".to_owned(),
        CheckRead::Number => "number".to_owned(),
        CheckRead::Regex(pattern) => format!("regex {pattern}"),
        CheckRead::Json(path) => format!("json {}", path.join(".")),
    }
}

/// What is a warning and what is critical, in words.
fn thresholds(spec: &CheckSpec) -> (String, String) {
    let CheckRead::Exit(codes) = &spec.read else {
        let text = |condition: &Option<crate::model::Condition>| {
            condition
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        return (text(&spec.warning), text(&spec.critical));
    };
    let mut by_word: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (code, meaning) in codes {
        if let CodeMeaning::Finding(_) = meaning {
            by_word
                .entry(meaning.word())
                .or_default()
                .push(code.to_string());
        }
    }
    let mut take = |word: &str| by_word.remove(word).unwrap_or_default().join(", ");
    (take("warning"), take("critical"))
}
