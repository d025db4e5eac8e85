//! Hosts before and after a fix, one above the other.

use std::fmt::Write as _;

use super::View;
use super::fold::{Row, rows};
use super::inventory_view::{bare_table, finish, shown};
use crate::model::HostReport;

/// Renders what each host was like and what it is like now.
pub fn render_before_after(before: &[HostReport], after: &[HostReport], view: View) -> String {
    let mut table = bare_table(view);
    let heads = [
        "HOST",
        "",
        "STATE",
        "FINDING",
        "PORT HELD BY",
        "RESTARTS/24H",
        "HTTP",
    ];
    table.set_header(heads.map(|name| view.style.head_cell(name)));
    let sides = [("before", before), ("after", after)];
    for host in before {
        for (place, (side, reports)) in sides.iter().enumerate() {
            let found = reports.iter().find(|report| report.name == host.name);
            let lines = found.map(|report| rows(std::slice::from_ref(report), true));
            for row in lines.into_iter().flatten() {
                let name = if place == 0 { host.name.as_str() } else { "" };
                table.add_row(cells(name, side, &row).map(|text| shown(&text)));
            }
        }
    }
    let mut out = String::new();
    let _ = write!(out, "\n{}", finish(&table));
    out
}

fn cells(name: &str, side: &str, row: &Row) -> [String; 7] {
    let or_dash = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.replace('\n', ", ")
        }
    };
    [
        name.to_owned(),
        side.to_owned(),
        row.verdict.id().to_owned(),
        or_dash(&row.finding),
        or_dash(&row.holder),
        row.restarts
            .map_or_else(|| "-".into(), |(_, most)| most.to_string()),
        or_dash(&row.http),
    ]
}
