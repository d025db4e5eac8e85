//! The tables of docs/ssh.md are those of the code. `UPDATE_DOCS=1 cargo test --test ssh_config` writes them.

use std::fmt::Write as _;
use std::fs;

use clawfleet::ssh_config::{FAMILIES, KEYWORDS, Standing};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ssh.md");

fn keywords() -> String {
    let mut table = "| keyword | | what it does here, or why not |\n|---|---|---|\n".to_owned();
    for row in &KEYWORDS {
        let standing = match row.standing {
            Standing::Supported => "supported",
            Standing::Refused => "refused",
            Standing::Ignored => "ignored",
        };
        let names: Vec<String> = std::iter::once(&row.name)
            .chain(row.aliases)
            .map(|name| format!("`{name}`"))
            .collect();
        writeln!(
            table,
            "| {} | {standing} | {} |",
            names.join(", "),
            row.what
        )
        .unwrap();
    }
    table
}

fn algorithms() -> String {
    let list = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        if names.is_empty() {
            "-".to_owned()
        } else {
            names.join(" ")
        }
    };
    let mut table =
        "| keyword | offered | only if named | of OpenSSH, not here |\n|---|---|---|---|\n"
            .to_owned();
    for family in &FAMILIES {
        let cells = [family.default, family.by_name, family.foreign]
            .map(list)
            .join(" | ");
        writeln!(table, "| `{}` | {cells} |", family.keyword).unwrap();
    }
    table
}

#[test]
fn the_document_has_the_tables_of_the_code() {
    let text = fs::read_to_string(DOCUMENT).unwrap();
    let mut wanted = text.clone();
    for (name, table) in [("keywords", keywords()), ("algorithms", algorithms())] {
        let (start, end) = (
            format!("<!-- {name} -->\n"),
            format!("<!-- end of {name} -->"),
        );
        let (before, rest) = wanted.split_once(&start).expect("the marker is there");
        let (_, after) = rest.split_once(&end).expect("the other marker is there");
        wanted = format!("{before}{start}{table}{end}{after}");
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(DOCUMENT, &wanted).unwrap();
    } else {
        assert!(
            text == wanted,
            "docs/ssh.md is old: UPDATE_DOCS=1 cargo test --test ssh_config"
        );
    }
}
