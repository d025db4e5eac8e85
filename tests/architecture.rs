//! The house: which layer may import which, held by reading the sources.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and what it may import; the picture in ARCHITECTURE.md says the same.
fn allowed() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let edges: [(&str, &[&str]); 15] = [
        ("model", &[]),
        ("inventory", &["model"]),
        ("ssh_config", &["model"]),
        ("probe", &["model"]),
        ("unit", &["model"]),
        ("diagnose", &["model", "probe", "unit"]),
        ("planner", &["model", "unit", "diagnose", "rollout"]),
        ("rollout", &["model", "probe"]),
        ("command", &["model", "probe"]),
        ("ssh", &["model"]),
        ("store", &["model"]),
        ("fleet", &["model", "probe", "rollout", "command", "ssh"]),
        (
            "report",
            &["model", "inventory", "unit", "diagnose", "command"],
        ),
        ("notify", &["model"]),
        (
            "cli",
            &[
                "model",
                "inventory",
                "ssh_config",
                "probe",
                "unit",
                "diagnose",
                "planner",
                "rollout",
                "command",
                "ssh",
                "store",
                "fleet",
                "report",
                "notify",
            ],
        ),
    ];
    edges
        .into_iter()
        .map(|(room, others)| (room, others.iter().copied().collect()))
        .collect()
}

/// Crates that only some rooms may name. HTTP and TLS have two: `fleet` asks gateways on their hosts
/// and takes any certificate there, `notify` sends from the controller and takes only good ones.
const OWNED: [(&str, &[&str]); 11] = [
    ("russh", &["ssh"]),
    ("indicatif", &["report"]),
    ("comfy_table", &["report"]),
    ("clap", &["cli"]),
    ("serde_yaml", &["inventory"]),
    ("minijinja", &["unit"]),
    ("rusqlite", &["store"]),
    ("hyper", &["fleet", "notify"]),
    ("tokio_tungstenite", &["fleet"]),
    ("tokio_rustls", &["fleet", "notify"]),
    ("rustls_native_certs", &["notify"]),
];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut found,
    );
    assert!(found.len() > 30, "the sources are not where they were");
    found
}

fn room(path: &Path) -> Option<String> {
    let below = path
        .strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
        .unwrap();
    let first = below.components().next()?.as_os_str().to_str()?.to_owned();
    (!first.ends_with(".rs")).then_some(first)
}

/// Code lines, without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
}

#[test]
fn arrows_point_downwards() {
    let allowed = allowed();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(room) = room(&path) else { continue };
        let may = allowed
            .get(room.as_str())
            .unwrap_or_else(|| panic!("the room `{room}` has no place in the house"));
        for line in code(&text) {
            for (at, _) in line.match_indices("crate::") {
                let target: String = line[at + 7..]
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if target != room && !target.is_empty() && !may.contains(target.as_str()) {
                    wrong.push(format!("{}: {room} imports {target}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crates_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let room = room(&path).unwrap_or_default();
        for (name, owners) in OWNED {
            let used = code(&text).any(|line| {
                line.contains(&format!("{name}::")) || line.contains(&format!("use {name}"))
            });
            if used && !owners.contains(&room.as_str()) {
                wrong.push(format!(
                    "{}: only {} may name {name}",
                    path.display(),
                    owners.join(" and ")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_pure_layers_do_no_input_or_output() {
    const IMPURE: [&str; 8] = [
        "async fn",
        ".await",
        "std::fs",
        "std::net::Tcp",
        "std::process",
        "std::env",
        "tokio::",
        "Instant::now",
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let pure = [
            "model",
            "inventory",
            "ssh_config",
            "probe",
            "unit",
            "diagnose",
            "command",
        ];
        // Of the room that sends, what says what is sent and when.
        let parts = [
            "notify/formats",
            "notify/words.rs",
            "notify/outbox.rs",
            "notify/sign.rs",
        ];
        let below = path
            .strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
            .unwrap();
        let is_pure = room(&path).is_some_and(|room| pure.contains(&room.as_str()))
            || parts.iter().any(|part| below.starts_with(part));
        if !is_pure {
            continue;
        }
        for line in code(&text) {
            for word in IMPURE {
                if line.contains(word) {
                    wrong.push(format!("{}: `{word}` in {line}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_command_line_reads_the_environment() {
    for (path, text) in sources() {
        let room = room(&path).unwrap_or_default();
        let reads = code(&text).any(|line| line.contains("env::var"));
        assert!(!reads || room == "cli", "{}", path.display());
    }
}

#[test]
fn files_are_short_enough_to_read() {
    for (path, text) in sources() {
        let lines = text
            .lines()
            .take_while(|line| line.trim() != "#[cfg(test)]")
            .count();
        assert!(lines <= 620, "{} has {lines} lines", path.display());
    }
}
