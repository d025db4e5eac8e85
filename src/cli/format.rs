//! What is printed: the formats, which command has which, and where they go.

use std::path::PathBuf;

use clap::ValueEnum;

use super::args::{Args, Command};
use super::error::CliError;

/// What may be asked for. `check` has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// For people
    Table,
    /// One JSON object, e.g. clawfleet.report/1
    Json,
    /// One JSON object in each line, as they come (`check`, `run` and `copy`)
    Ndjson,
    /// A row per finding, for spreadsheets (this and all that follow: `check` only)
    Csv,
    /// For an issue or a chat
    Markdown,
    /// Test results, for CI servers
    Junit,
    /// Metrics, for node_exporter's textfile collector
    Prometheus,
    /// A plugin's output; the exit code is 0, 1, 2 or 3, as plugins have it
    Nagios,
    /// One page that needs no network
    Html,
}

/// What all commands may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Table,
    Json,
    Ndjson,
}

impl ReportFormat {
    /// Returns its word.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Markdown => "markdown",
            Self::Junit => "junit",
            Self::Prometheus => "prometheus",
            Self::Nagios => "nagios",
            Self::Html => "html",
        }
    }

    /// Returns what commands look at that know three. The others were refused before.
    pub(super) fn common(self) -> Format {
        match self {
            Self::Json => Format::Json,
            Self::Ndjson => Format::Ndjson,
            _ => Format::Table,
        }
    }
}

/// Says why a command has no such format, before anything is done.
pub(super) fn refusal(args: &Args) -> Option<CliError> {
    use ReportFormat::{Html, Json, Ndjson, Table};
    let (has, whose): (&[ReportFormat], &str) = match &args.command {
        Command::Check(check) if check.list => (&[Table, Json], "`check --list` has"),
        Command::Check(check) if check.watch.on_change => {
            (&[Table, Json], "`check --on-change` has")
        }
        Command::Check(_) => return None,
        Command::Run(_) | Command::Copy(_) => (&[Table, Json, Ndjson], "`run` and `copy` have"),
        Command::Report(_) => (&[Table, Html], "`report` is a page:"),
        Command::Silence(_) => (&[Table], "`silence` has"),
        _ => (&[Table, Json], "this command has"),
    };
    if has.contains(&args.format) {
        return None;
    }
    let names: Vec<&str> = has.iter().map(|format| format.id()).collect();
    let of = match args.format {
        Ndjson => "`check`, `run` and `copy`",
        _ => "the report of `check`",
    };
    Some(CliError::Usage {
        message: format!("--format {} is for {of}", args.format.id()),
        hint: Some(format!("{whose} {}", names.join(", "))),
    })
}

/// A format and the file that it goes to, as `--output` takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutputArg {
    pub(super) format: ReportFormat,
    pub(super) path: PathBuf,
}

impl OutputArg {
    /// Reads `FORMAT=PATH`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (format, path) = text
            .split_once('=')
            .ok_or("it is written FORMAT=PATH, like junit=check.xml")?;
        let format = ReportFormat::from_str(format, false).map_err(|_| {
            let names: Vec<&str> = ReportFormat::value_variants()
                .iter()
                .map(|format| format.id())
                .collect();
            format!("`{format}` is no format; there are {}", names.join(", "))
        })?;
        match path {
            "" => Err("a path stands behind the `=`".into()),
            "-" => Err("--format is what goes to stdout; --output names files".into()),
            path => Ok(Self {
                format,
                path: path.into(),
            }),
        }
    }
}
