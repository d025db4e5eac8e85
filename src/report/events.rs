//! The report as it comes: a line of JSON for each thing that happens (`clawfleet.event/1`).

use super::wire::WireEvent;
use crate::model::{HostReport, Report, escape_json};

/// Makes the lines of one run, in their order.
#[derive(Debug)]
pub struct EventLines {
    /// Which hosts had their line.
    told: Vec<bool>,
}

impl EventLines {
    /// For a run of that many hosts.
    pub fn new(hosts: usize) -> Self {
        Self {
            told: vec![false; hosts],
        }
    }

    /// Returns the first line, with its newline.
    ///
    /// # Errors
    /// None that is known, here and below.
    pub fn started(&self, at: jiff::Timestamp) -> Result<String, serde_json::Error> {
        line(&WireEvent::started(at, self.told.len()))
    }

    /// Returns a host's line; `index` is its place in the run.
    ///
    /// # Errors
    /// None that is known.
    pub fn host(&mut self, index: usize, host: &HostReport) -> Result<String, serde_json::Error> {
        if let Some(told) = self.told.get_mut(index) {
            *told = true;
        }
        line(&WireEvent::host(host))
    }

    /// Returns the rest: the hosts that had no line, because the run ended before they were begun or
    /// done, and the last line.
    ///
    /// # Errors
    /// None that is known.
    pub fn finished(&mut self, report: &Report) -> Result<String, serde_json::Error> {
        let mut text = String::new();
        for (index, host) in report.hosts.iter().enumerate() {
            if self.told.get(index) != Some(&true) {
                text += &self.host(index, host)?;
            }
        }
        text += &line(&WireEvent::finished(report))?;
        Ok(text)
    }
}

/// Renders a report that is there already as the lines of its run, hosts in the inventory's order.
///
/// # Errors
/// None that is known: every key is a text and every number finite.
pub fn render_ndjson(report: &Report) -> Result<String, serde_json::Error> {
    let mut lines = EventLines::new(report.hosts.len());
    let mut text = lines.started(report.started_at)?;
    text += &lines.finished(report)?;
    Ok(text)
}

/// Keys sorted, as in every other JSON of ours, and nothing raw that a terminal could obey.
fn line(event: &WireEvent) -> Result<String, serde_json::Error> {
    let mut text = escape_json(&serde_json::to_value(event)?.to_string());
    text.push('\n');
    Ok(text)
}
