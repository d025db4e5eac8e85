//! `clawfleet report`: a page of what was kept.

use std::io::IsTerminal as _;
use std::path::Path;

use jiff::Timestamp;

use super::args_history::ReportArgs;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::history::Kept;
use crate::diagnose;
use crate::report::{HistoryReport, render_history_html};
use crate::store;

pub(super) fn run(context: &Context, args: &ReportArgs) -> Result<Exit, CliError> {
    let file = match args.output.as_deref() {
        Some(path) if path != Path::new("-") => Some(path),
        None if std::io::stdout().is_terminal() => {
            return Err(CliError::Usage {
                message: "a page is not for a terminal".into(),
                hint: Some("--output report.html writes it to a file; --output - insists".into()),
            });
        }
        _ => None,
    };
    if let Some(path) = file {
        store::can_publish(path).map_err(|why| CliError::Usage {
            message: format!("--output {}: {why}", path.display()),
            hint: Some("name a file in a directory that is there and may be written to".into()),
        })?;
    }
    let mut kept = Kept::open(context)?;
    if let Some(nothing) = kept.nothing() {
        return Err(CliError::Usage {
            message: nothing.trim_end().to_owned(),
            hint: None,
        });
    }
    let now = Timestamp::now();
    let since = args.since.at(now);
    let chronicle = kept.chronicle(context, &args.selectors, since)?;
    let classes = std::collections::BTreeSet::new();
    let report = HistoryReport {
        chronicle: &chronicle,
        classes: &classes,
        since,
        begins: kept.extent.first.map(|(_, at)| at),
        last: kept.extent.last,
        now,
    };
    if let (true, Some((id, at))) = (chronicle.runs.is_empty(), kept.extent.last) {
        return Err(CliError::Usage {
            message: format!(
                "no run was kept since {}",
                since.strftime("%Y-%m-%d %H:%M UTC")
            ),
            hint: Some(format!(
                "the last is run {id}, {}: a longer --since takes it in",
                at.strftime("%Y-%m-%d %H:%M UTC")
            )),
        });
    }
    let page = render_history_html(&report, &diagnose::trends(&chronicle));
    match file {
        Some(path) => store::publish(path, page.as_bytes()).map_err(CliError::Machine)?,
        None => context.print(&page)?,
    }
    Ok(Exit::Clean)
}
