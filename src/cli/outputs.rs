//! The files of `--output`: looked at before any host is asked, written after the last one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::args::CheckArgs;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::format::{OutputArg, ReportFormat};
use crate::model::{Report, Trends};
use crate::report::{
    NagiosState, View, render_csv, render_html, render_json, render_junit, render_markdown,
    render_nagios, render_ndjson, render_prometheus, render_table,
};
use crate::store;

/// Looks whether each file can be written, so that no run ends without its result.
pub(super) fn look_at(outputs: &[OutputArg]) -> Result<(), CliError> {
    let mut seen = BTreeSet::new();
    for output in outputs {
        let told = |why: String, hint: &str| CliError::Usage {
            message: format!(
                "--output {}={}: {why}",
                output.format.id(),
                output.path.display()
            ),
            hint: Some(hint.into()),
        };
        store::can_publish(&output.path).map_err(|why| {
            told(
                why,
                "name a file in a directory that is there and that this user may write to; no host was asked",
            )
        })?;
        if !seen.insert(place(&output.path)) {
            return Err(told(
                "another --output has the same file".into(),
                "give each format a file of its own",
            ));
        }
    }
    Ok(())
}

/// A file as it is called from everywhere.
fn place(path: &Path) -> PathBuf {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or(Path::new(".")).canonicalize();
    match (dir, path.file_name()) {
        (Ok(dir), Some(name)) => dir.join(name),
        _ => path.to_owned(),
    }
}

/// Writes every file, and tells of each that could not be written. Returns the exit code: what was
/// found goes before a file that is missing, and that before a clean run or warnings, so that a timer's
/// owner hears of it. A plugin's code stays the plugin's.
pub(super) fn write(
    context: &Context,
    report: &Report,
    args: &CheckArgs,
    trends: Option<&Trends>,
    exit: Exit,
) -> Exit {
    let mut all_written = true;
    for output in &args.outputs {
        let written = render(report, output.format, args, trends, View::plain()).and_then(|text| {
            store::publish(&output.path, text.as_bytes()).map_err(CliError::Machine)
        });
        if let Err(error) = written {
            all_written = false;
            context.complain(&CliError::Plan {
                message: format!(
                    "--output {}={}: {error}",
                    output.format.id(),
                    output.path.display()
                ),
                hint: Some("what was there before is as it was".into()),
            });
        }
    }
    match exit {
        Exit::Clean | Exit::Warnings if !all_written => Exit::Config,
        exit => exit,
    }
}

/// Whether anything that is written shows what earlier runs saw.
pub(super) fn wants_trends(format: ReportFormat, args: &CheckArgs) -> bool {
    let mut outputs = args.outputs.iter().map(|output| output.format);
    format == ReportFormat::Html || outputs.any(|format| format == ReportFormat::Html)
}

/// Renders a report in any format.
pub(super) fn render(
    report: &Report,
    format: ReportFormat,
    args: &CheckArgs,
    trends: Option<&Trends>,
    view: View,
) -> Result<String, CliError> {
    let json = |error| CliError::Machine(format!("the report as JSON: {error}"));
    Ok(match format {
        ReportFormat::Table => render_table(report, view),
        ReportFormat::Json => render_json(report).map_err(json)?,
        ReportFormat::Ndjson => render_ndjson(report).map_err(json)?,
        ReportFormat::Csv => render_csv(report),
        ReportFormat::Markdown => render_markdown(report),
        ReportFormat::Junit => render_junit(report),
        ReportFormat::Prometheus => render_prometheus(report),
        ReportFormat::Nagios => {
            render_nagios(report, NagiosState::of(report, args.fail_on.least()))
        }
        ReportFormat::Html => render_html(report, trends),
    })
}
