//! Our own JSON, `clawfleet.alert/1`: for webhooks and for commands.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::words;
use crate::model::{Alert, AlertCounts, Incident, escape_json};

/// A message, in bytes. Receivers take a megabyte as a rule.
const MAX_BODY: usize = 512 << 10;

/// A node set, in characters: some thousand hosts with regular names are a few of them.
const MAX_HOSTS: usize = 8192;

const SCHEMA: &str = "clawfleet.alert/1";

/// An alert as it is sent: `clawfleet.alert/1`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "clawfleet.alert/1")]
pub(in crate::notify) struct WireAlert<'a> {
    /// `clawfleet.alert/1`.
    schema: &'static str,
    /// Names the message. One that comes twice has the same id: take it once.
    id: &'a str,
    /// What the operator calls the fleet.
    fleet: &'a str,
    /// The machine that clawfleet runs on.
    bastion: &'a str,
    /// The run that told it.
    run: &'a str,
    /// When, RFC 3339 in UTC.
    at: String,
    /// The alert in one line.
    headline: String,
    /// What happened, root causes first.
    incidents: Vec<WireIncident<'a>>,
    /// How many incidents are left out, for the message would be too large.
    incidents_omitted: usize,
    /// How the fleet stands.
    summary: WireCounts,
}

/// One trouble, on all hosts that have it.
#[derive(Debug, Serialize, JsonSchema)]
struct WireIncident<'a> {
    /// Of one class in one fleet always the same.
    id: &'a str,
    /// `new`, `worsened`, `flapping`, `not-observed`, `reminder`, `recovered` or `test`.
    kind: &'static str,
    /// The class's id, or `custom/NAME`.
    class: &'a str,
    /// `info`, `warning`, `unknown` or `critical`.
    severity: &'static str,
    /// What it was before, where it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<&'static str>,
    /// The hosts, as a node set: `VM[151-153]`.
    hosts: String,
    /// How many hosts there are.
    host_count: usize,
    /// How many of them `hosts` leaves out, for it would be too long.
    hosts_omitted: usize,
    /// Other hosts that have it still, as a node set; may be empty.
    remaining: String,
    /// What it is about; may be empty.
    subject: &'a str,
    /// What it is, in one line.
    title: &'a str,
    /// What shows it.
    evidence: &'a [String],
    /// Classes that follow from it.
    therefore: &'a [String],
    /// What mends it: a command, or a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
    /// A command to look further.
    #[serde(skip_serializing_if = "Option::is_none")]
    look: Option<&'a str>,
    /// When it was first seen, RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// When it was first seen to be over, RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

/// Hosts by verdict.
#[derive(Debug, Serialize, JsonSchema)]
struct WireCounts {
    /// All that were checked.
    hosts: usize,
    /// Fine.
    ok: usize,
    /// Warnings only.
    warning: usize,
    /// Broken.
    critical: usize,
    /// Not seen, or not seen whole.
    not_observed: usize,
}

impl From<AlertCounts> for WireCounts {
    fn from(counts: AlertCounts) -> Self {
        Self {
            hosts: counts.hosts,
            ok: counts.ok,
            warning: counts.warning,
            critical: counts.critical,
            not_observed: counts.not_observed,
        }
    }
}

impl<'a> WireIncident<'a> {
    fn of(incident: &'a Incident) -> Self {
        let (hosts, hosts_omitted) = words::hosts_text(&incident.hosts, MAX_HOSTS);
        Self {
            id: &incident.id,
            kind: incident.kind.id(),
            class: &incident.class,
            severity: incident.severity.id(),
            was: incident.was.map(crate::model::Severity::id),
            hosts,
            host_count: incident.hosts.len(),
            hosts_omitted,
            remaining: words::hosts_text(&incident.remaining, MAX_HOSTS).0,
            subject: &incident.subject,
            title: &incident.title,
            evidence: &incident.evidence,
            therefore: &incident.therefore,
            remedy: incident.remedy.as_deref(),
            look: incident.look.as_deref(),
            since: incident.since.map(words::timestamp),
            until: incident.until.map(words::timestamp),
        }
    }
}

pub(super) fn render(alert: &Alert, id: &str) -> String {
    let mut wire = WireAlert {
        schema: SCHEMA,
        id,
        fleet: &alert.fleet,
        bastion: &alert.bastion,
        run: &alert.run,
        at: words::timestamp(alert.at),
        headline: words::headline(alert),
        incidents: Vec::new(),
        incidents_omitted: alert.incidents.len(),
        summary: alert.counts.into(),
    };
    let mut used = text(&wire).len();
    for incident in &alert.incidents {
        let incident = WireIncident::of(incident);
        used += text(&incident).len() + 1;
        if used > MAX_BODY {
            break;
        }
        wire.incidents.push(incident);
        wire.incidents_omitted -= 1;
    }
    text(&wire)
}

/// As JSON in one line, with what a terminal could obey escaped.
fn text(value: &impl Serialize) -> String {
    // Structs of texts and numbers.
    escape_json(&serde_json::to_string(value).unwrap_or_default())
}

/// Returns the JSON Schema of what webhooks and commands are sent, as it is checked in under
/// `docs/schema/`.
///
/// # Errors
/// None that is known.
pub fn alert_schema() -> Result<String, serde_json::Error> {
    let schema = schemars::schema_for!(WireAlert<'_>);
    let mut text = serde_json::to_string_pretty(&schema.to_value())?;
    text.push('\n');
    Ok(text)
}
