//! The JSON of commands on a fleet. It is written as it is made: an output may be larger than what memory
//! should hold.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::{WireError, error as wire_error};
use crate::command::{Tally, Verdict, groups};
use crate::model::nodeset::fold;
use crate::model::{CommandEnd, CommandReport, CommandResult, Output};

// Keys stand in the order of their names: nothing sorts them afterwards.

/// `clawfleet.run/1`: what came of a command on a fleet.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::report) struct WireCommand<'a> {
    /// From the first connection to the last result.
    elapsed_ms: u64,
    /// Results that agree in outcome, exit code and both outputs, which stand here.
    groups: Vec<WireGroup<'a>>,
    /// One for each host, in the inventory's order.
    hosts: Vec<WireCommandHost<'a>>,
    /// Whether the operator stopped it.
    interrupted: bool,
    /// `clawfleet.run/1`.
    schema: &'static str,
    /// RFC 3339, UTC.
    started_at: String,
    /// Why no further host was begun, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<&'a str>,
    summary: WireTally,
    /// The worst that applies: `ok`, `not-reached`, `failed`, `unknown`.
    verdict: &'static str,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireGroup<'a> {
    /// The exit code, where the command ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u32>,
    /// The hosts as a node set.
    hosts: String,
    /// As with hosts.
    outcome: &'static str,
    stderr: WireOutput<'a>,
    stderr_bytes: u64,
    stdout: WireOutput<'a>,
    stdout_bytes: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireCommandHost<'a> {
    elapsed_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<WireError>,
    /// The exit code, where the command ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u32>,
    /// Its place in `groups`.
    group: usize,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    /// `exited`, `ended-by-timeout`, `interrupted`, `output-limit`, `lost`, `not-tried`; where the host was not
    /// reached, the outcomes of a check: `unreachable`, `auth-failed`, `host-key-rejected`, `timed-out`, `failed`.
    outcome: &'static str,
    /// Why it was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// Whether the host may still run what the command started, as far as anybody knows.
    still_running: bool,
    /// How often it was tried.
    tries: u32,
}

/// Hosts by how it ended; they add up to `hosts`.
#[derive(Debug, Serialize, JsonSchema)]
struct WireTally {
    /// The command was ended: its time was over, it printed too much, or it was interrupted.
    ended: usize,
    /// It ended with another status than 0.
    failed: usize,
    hosts: usize,
    not_reached: usize,
    not_tried: usize,
    /// It ended with 0.
    ok: usize,
    /// Nobody knows what became of it.
    unknown: usize,
}

/// `clawfleet.run-host/1`: one host of a run, as a line of NDJSON.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::report) struct WireLine<'a> {
    elapsed_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<WireError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u32>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    outcome: &'static str,
    /// Why it was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    schema: &'static str,
    stderr: WireOutput<'a>,
    stdout: WireOutput<'a>,
    still_running: bool,
    tries: u32,
}

/// `clawfleet.run-summary/1`: the last line of NDJSON.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::report) struct WireLastLine<'a> {
    elapsed_ms: u64,
    interrupted: bool,
    schema: &'static str,
    /// Why no further host was begun, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<&'a str>,
    summary: WireTally,
    verdict: &'static str,
}

impl<'a> WireCommand<'a> {
    pub(in crate::report) fn of(report: &'a CommandReport) -> Self {
        let tally = Tally::of(&report.results);
        let groups = groups(&report.results);
        let mut places = vec![0; report.results.len()];
        for (place, group) in groups.iter().enumerate() {
            for member in &group.members {
                if let Some(of) = places.get_mut(*member) {
                    *of = place;
                }
            }
        }
        let hosts = report.results.iter().zip(places).map(|(result, group)| {
            let line = WireLine::of(result);
            WireCommandHost {
                elapsed_ms: line.elapsed_ms,
                error: line.error,
                exit_code: line.exit_code,
                group,
                name: line.name,
                note: line.note,
                outcome: line.outcome,
                reason: line.reason,
                still_running: line.still_running,
                tries: line.tries,
            }
        });
        let groups = groups.iter().filter_map(|group| {
            let first = group.first(&report.results)?;
            let names = group
                .members
                .iter()
                .filter_map(|member| report.results.get(*member))
                .map(|result| result.host.as_str());
            Some(WireGroup {
                exit_code: exit_code(first),
                hosts: fold(names),
                outcome: first.end.id(),
                stderr: WireOutput(&first.stderr),
                stderr_bytes: first.stderr.length,
                stdout: WireOutput(&first.stdout),
                stdout_bytes: first.stdout.length,
            })
        });
        Self {
            elapsed_ms: report.elapsed_ms,
            groups: groups.collect(),
            hosts: hosts.collect(),
            interrupted: report.interrupted,
            schema: "clawfleet.run/1",
            started_at: report.started_at.to_string(),
            stopped: report.stopped.as_deref(),
            summary: WireTally::of(&tally),
            verdict: verdict(&tally),
        }
    }
}

impl<'a> WireLine<'a> {
    pub(in crate::report) fn of(result: &'a CommandResult) -> Self {
        Self {
            elapsed_ms: result.elapsed_ms,
            error: result.end.error().map(wire_error),
            exit_code: exit_code(result),
            name: &result.host,
            note: result.note.as_deref(),
            outcome: result.end.id(),
            reason: match &result.end {
                CommandEnd::NotTried(why) => Some(why),
                _ => None,
            },
            schema: "clawfleet.run-host/1",
            stderr: WireOutput(&result.stderr),
            stdout: WireOutput(&result.stdout),
            still_running: !result.end.is_known(),
            tries: result.tries,
        }
    }
}

impl<'a> WireLastLine<'a> {
    pub(in crate::report) fn of(report: &'a CommandReport) -> Self {
        let tally = Tally::of(&report.results);
        Self {
            elapsed_ms: report.elapsed_ms,
            interrupted: report.interrupted,
            schema: "clawfleet.run-summary/1",
            stopped: report.stopped.as_deref(),
            summary: WireTally::of(&tally),
            verdict: verdict(&tally),
        }
    }
}

impl WireTally {
    fn of(tally: &Tally) -> Self {
        Self {
            ended: tally.ended,
            failed: tally.failed,
            hosts: tally.hosts,
            not_reached: tally.not_reached,
            not_tried: tally.not_tried,
            ok: tally.well,
            unknown: tally.unknown,
        }
    }
}

fn exit_code(result: &CommandResult) -> Option<u32> {
    match result.end {
        CommandEnd::Exited(code) => Some(code),
        _ => None,
    }
}

fn verdict(tally: &Tally) -> &'static str {
    match tally.verdict() {
        Verdict::Well => "ok",
        Verdict::NotReached => "not-reached",
        Verdict::Failed => "failed",
        Verdict::Unknown => "unknown",
    }
}

/// What a command printed, as text: what is no UTF-8 is replaced (--out-dir has the bytes).
#[derive(Debug)]
struct WireOutput<'a>(&'a Output);

impl fmt::Display for WireOutput<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut torn: Vec<u8> = Vec::new();
        let mut text = |data: &[u8]| -> std::io::Result<()> {
            torn.extend_from_slice(data);
            // A character may come in two pieces.
            let whole = match torn.utf8_chunks().last() {
                Some(last) if last.invalid().len() < 4 && is_begun(last.invalid()) => {
                    torn.len() - last.invalid().len()
                }
                _ => torn.len(),
            };
            let rest = torn.split_off(whole);
            let text = std::mem::replace(&mut torn, rest);
            f.write_str(&String::from_utf8_lossy(&text))
                .map_err(std::io::Error::other)
        };
        self.0.kept.give(&mut text).map_err(|_| fmt::Error)?;
        f.write_str(&String::from_utf8_lossy(&torn))
    }
}

/// Whether bytes may be the beginning of a character.
fn is_begun(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(error) if error.error_len().is_none())
}

impl Serialize for WireOutput<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for WireOutput<'_> {
    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}
