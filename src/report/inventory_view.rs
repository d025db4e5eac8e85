//! What `inventory list`, `inventory show` and `explain` print.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table};

use super::{View, style};
use crate::diagnose::{Explanation, explain};
use crate::inventory::{Origin, SettingValue};
use crate::model::{Class, Host};

/// Lists hosts.
pub fn hosts_table<'a>(hosts: impl Iterator<Item = &'a Host>, view: View) -> String {
    let mut table = bare_table(view);
    table.set_header(
        ["HOST", "ADDRESS", "LOGIN", "GROUPS", "LABELS"].map(|name| view.style.head_cell(name)),
    );
    for host in hosts {
        let labels: Vec<String> = host
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        table.add_row(
            [
                host.name.clone(),
                format!("{}:{}", host.ssh.host_name, host.ssh.port),
                host.ssh.user.clone(),
                host.groups.join(" "),
                labels.join(" "),
            ]
            .map(|text| shown(&text)),
        );
    }
    finish(&table)
}

/// Lists a host's settings with their origins.
pub fn settings_table<'a>(
    settings: impl Iterator<Item = (&'a String, &'a (SettingValue, Origin))>,
    view: View,
) -> String {
    let mut table = bare_table(view);
    table.set_header(["SETTING", "VALUE", "FROM"].map(|name| view.style.head_cell(name)));
    for (key, (value, origin)) in settings {
        let value = match value.to_string() {
            empty if empty.is_empty() => "-".to_owned(),
            value => value,
        };
        table.add_row([key.clone(), value, origin.to_string()].map(|text| shown(&text)));
    }
    finish(&table)
}

/// Lists a connection's keywords: each with its value and its origin.
pub fn connection_table(
    entries: impl Iterator<Item = (&'static str, String, String)>,
    view: View,
) -> String {
    let mut table = bare_table(view);
    table.set_header(["KEYWORD", "VALUE", "FROM"].map(|name| view.style.head_cell(name)));
    for (keyword, value, origin) in entries {
        let value = if value.is_empty() { "-" } else { &value };
        table.add_row([keyword, value, &origin].map(shown));
    }
    finish(&table)
}

/// Lists every class.
pub fn explain_all(view: View) -> String {
    let mut table = bare_table(view);
    table.set_header(
        ["CLASS", "SEVERITY", "SINCE", "IN ONE LINE"].map(|name| view.style.head_cell(name)),
    );
    for class in Class::ALL {
        let text = explain(*class);
        table.add_row([class.id(), class.severity().id(), text.since, text.title]);
    }
    finish(&table)
}

/// Explains one class.
pub fn explain_one(class: Class, view: View) -> String {
    let Explanation {
        title,
        meaning,
        told_apart,
        mend,
        mistakes,
        since,
    } = explain(class);
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{}: {title}\nseverity {}, since {since}",
        view.style.severity(class.severity(), class.id()),
        class.severity().id()
    );
    let parts = [
        ("What it means", meaning),
        ("How it is told apart", told_apart),
        ("How to mend it", mend),
        ("What is often got wrong", mistakes),
    ];
    for (head, text) in parts {
        if text.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{}", view.style.strong(head));
        for line in super::table::wrap(text, usize::from(view.width).min(100).saturating_sub(2)) {
            let _ = writeln!(out, "  {line}");
        }
    }
    out
}

pub(super) fn shown(text: &str) -> String {
    super::sanitize(text).into_owned()
}

pub(super) fn bare_table(view: View) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    style::apply(&mut table, view.style);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(view.width);
    table
}

pub(super) fn finish(table: &Table) -> String {
    table.lines().fold(String::new(), |mut text, line| {
        text.push_str(without_first_blank(&line).trim_end());
        text.push('\n');
        text
    })
}

/// The blank on the left is the table's own; those of a cell that goes on below are not. In a
/// coloured cell it comes after the colour.
fn without_first_blank(line: &str) -> std::borrow::Cow<'_, str> {
    let colour = match line.split_once('m') {
        Some((colour, _)) if line.starts_with('\u{1b}') => colour.len() + 1,
        _ => 0,
    };
    match line.split_at_checked(colour) {
        Some((colour, rest)) if !colour.is_empty() => {
            format!("{colour}{}", rest.strip_prefix(' ').unwrap_or(rest)).into()
        }
        _ => line.strip_prefix(' ').unwrap_or(line).into(),
    }
}
