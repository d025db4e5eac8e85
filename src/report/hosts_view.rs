//! What `hosts trust` shows: keys with who vouches for them, question by question.

use comfy_table::{ColumnConstraint, Width};

use super::View;
use super::inventory_view::{bare_table, finish, shown};
use super::text::count;
use crate::model::nodeset::fold;
use crate::model::{HostError, KeyGroup, KeyStanding, OldKey, Says, ShownKey, Voice};

/// Below this width who vouches stands under a fingerprint, not beside it.
const BESIDE: u16 = 110;
/// The width of a fingerprint with the table's blanks: half of one on the next line is compared by
/// nobody.
const FINGERPRINT: u16 = 52;

/// Shows the keys of one question, hosts with the same keys in one row.
pub fn shown_keys(group: KeyGroup, keys: &[ShownKey], view: View) -> String {
    let mut table = bare_table(view);
    let beside = view.width >= BESIDE;
    let last = match group {
        KeyGroup::Refused => "WHY",
        _ => "VOUCHED BY",
    };
    let heads = ["HOST", "KIND"].into_iter().map(str::to_owned);
    let said = cells("FINGERPRINT", last, beside);
    table.set_header(heads.chain(said).map(|name| view.style.head_cell(&name)));
    for row in folded(keys)
        .iter()
        .flat_map(|(hosts, key)| key_rows(hosts, key))
    {
        let [host, kind, fingerprint, last] = row.map(|text| shown(&text));
        table.add_row(
            [host, kind]
                .into_iter()
                .chain(cells(&fingerprint, &last, beside)),
        );
    }
    if let Some(column) = table.column_mut(2) {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(FINGERPRINT)));
    }
    format!(
        "\n{}\n{}{}",
        view.style.strong(title(group)),
        finish(&table),
        advice(group)
    )
}

/// A fingerprint and what is said of it, in two cells or in one.
fn cells(fingerprint: &str, said: &str, beside: bool) -> Vec<String> {
    if beside {
        vec![fingerprint.to_owned(), said.to_owned()]
    } else {
        vec![format!("{fingerprint}\n{said}")]
    }
}

/// Keys that many hosts share: their places are one row.
fn folded(keys: &[ShownKey]) -> Vec<(String, &ShownKey)> {
    let mut rows: Vec<(Vec<&str>, &ShownKey)> = Vec::new();
    for key in keys {
        let same = |row: &&mut (Vec<&str>, &ShownKey)| {
            (row.1.fingerprint == key.fingerprint)
                && row.1.standing == key.standing
                && row.1.voices == key.voices
        };
        match rows.iter_mut().find(same) {
            Some((hosts, _)) => hosts.push(&key.host),
            None => rows.push((vec![&key.host], key)),
        }
    }
    rows.into_iter()
        .map(|(hosts, key)| (fold(hosts), key))
        .collect()
}

/// The rows of a key: those that were known until now, then its own.
fn key_rows(hosts: &str, key: &ShownKey) -> Vec<[String; 4]> {
    let old: &[OldKey] = match &key.standing {
        KeyStanding::Changed(old) => old,
        _ => &[],
    };
    let mut rows: Vec<[String; 4]> = old
        .iter()
        .map(|one| {
            let kind = format!("old {}", one.kind.id());
            let at = format!("known at {}", one.at);
            [hosts.to_owned(), kind, one.fingerprint.clone(), at]
        })
        .collect();
    let kind = match key.standing {
        KeyStanding::Changed(_) => format!("new {}", key.kind.id()),
        _ => key.kind.id().to_owned(),
    };
    let last = match &key.standing {
        KeyStanding::Refused(why) => why.clone(),
        _ => voices(&key.voices),
    };
    rows.push([hosts.to_owned(), kind, key.fingerprint.clone(), last]);
    rows
}

fn voices(voices: &[Voice]) -> String {
    if voices.is_empty() {
        return "nobody".to_owned();
    }
    let each = voices.iter().map(|voice| {
        let source = &voice.source;
        match &voice.says {
            Says::Vouches => source.clone(),
            Says::Unproven(why) => format!("nobody ({source} says the same, {why})"),
            Says::Contradicts(others) => format!("{source} SAYS {}", others.join(", ")),
        }
    });
    each.collect::<Vec<_>>().join("; ")
}

fn title(group: KeyGroup) -> &'static str {
    match group {
        KeyGroup::Contradicted => "CONTRADICTED: a source says that these hosts have other keys",
        KeyGroup::Refused => "REFUSED: these keys cannot be enrolled",
        KeyGroup::Changed => "CHANGED: other keys are known for these hosts",
        KeyGroup::VouchedReplacement => "Changed keys that a source vouches for",
        KeyGroup::UnvouchedReplacement => "CHANGED keys that NOBODY vouches for",
        KeyGroup::VouchedNew => "New keys that a source vouches for",
        KeyGroup::UnvouchedNew => "New keys that nobody vouches for",
        KeyGroup::UnvouchedKind => {
            "More kinds of key of hosts that are known; nobody vouches for them"
        }
    }
}

fn advice(group: KeyGroup) -> &'static str {
    match group {
        KeyGroup::Contradicted => {
            "  Nothing of these hosts is enrolled.\n  Either the source is out of date, or somebody is in between.\n"
        }
        KeyGroup::Refused => "  Nothing of these hosts is enrolled.\n",
        KeyGroup::Changed => {
            "  Nothing of these hosts is enrolled.\n  If they were re-installed: the same command with --replace.\n  If not, somebody may be in between.\n"
        }
        _ => "",
    }
}

/// Asks about the keys of a group, in one sentence.
pub fn question(group: KeyGroup, keys: &[ShownKey]) -> String {
    let verb = if group.replaces() {
        "Replace the old keys by these"
    } else {
        "Enrol these"
    };
    let mut hosts: Vec<&str> = keys.iter().map(|key| key.host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    format!(
        "{verb} ({} of {})?",
        count(keys.len(), "key"),
        count(hosts.len(), "host")
    )
}

/// Shows hosts that were not seen, those with the same trouble in one row.
pub fn unseen_hosts(unseen: &[(String, HostError)], view: View) -> String {
    let mut rows: Vec<(Vec<&str>, &HostError)> = Vec::new();
    for (host, error) in unseen {
        let same = |row: &&mut (Vec<&str>, &HostError)| {
            row.1.stage == error.stage && row.1.message == error.message
        };
        match rows.iter_mut().find(same) {
            Some((hosts, _)) => hosts.push(host),
            None => rows.push((vec![host], error)),
        }
    }
    let mut table = bare_table(view);
    table.set_header(["HOST", "STAGE", "ERROR"].map(|name| view.style.head_cell(name)));
    for (hosts, error) in rows {
        let hint = error.hint.as_ref().map(|hint| format!(" ({hint})"));
        let text = error.message.clone() + &hint.unwrap_or_default();
        table.add_row([fold(hosts), error.stage.id().to_owned(), text].map(|text| shown(&text)));
    }
    let title = format!("{} not seen", count(unseen.len(), "host"));
    format!("\n{}\n{}", view.style.strong(&title), finish(&table))
}

/// Says what was written.
pub fn enrolled(keys: usize, hosts: usize, file: &str) -> String {
    format!(
        "enrolled {} of {} in {}\n",
        count(keys, "key"),
        count(hosts, "host"),
        shown(file)
    )
}

/// Says which lines went.
pub fn removed(lines: &[usize], file: &str) -> String {
    let numbers: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let noun = if lines.len() == 1 { "line" } else { "lines" };
    format!(
        "removed old keys from {}: {noun} {}\n",
        shown(file),
        numbers.join(", ")
    )
}

/// Says that there was nothing to do for some hosts.
pub fn known(hosts: usize) -> String {
    format!("{}: all keys are known\n", count(hosts, "host"))
}
