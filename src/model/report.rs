//! The result of a run, from which every output is made.

use std::sync::Arc;

use super::{CheckSpec, Class, Finding, HostObservation, Severity};

/// The judgement on a host or on the fleet, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Nothing to do.
    Ok,
    /// Look at it soon.
    Warning,
    /// It could not be seen.
    Unknown,
    /// It is broken.
    Critical,
}

impl Verdict {
    /// Returns the contract's word for it.
    pub fn id(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Critical => "critical",
        }
    }

    /// Returns the verdict of that id.
    pub fn from_id(id: &str) -> Option<Self> {
        let all = [Self::Ok, Self::Warning, Self::Unknown, Self::Critical];
        all.into_iter().find(|verdict| verdict.id() == id)
    }

    /// Returns the verdict that a finding of this severity asks for.
    pub fn of(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Ok,
            Severity::Warning => Self::Warning,
            Severity::Unknown => Self::Unknown,
            Severity::Critical => Self::Critical,
        }
    }
}

/// One host in the report.
#[derive(Debug, Clone, PartialEq)]
pub struct HostReport {
    /// Name in the inventory.
    pub name: String,
    /// Where it was looked for.
    pub address: String,
    /// The command that logs in there by hand.
    pub login_command: String,
    /// Whether that login still needs `sudo` to be root.
    pub needs_sudo: bool,
    /// The unit that was asked for.
    pub unit: String,
    /// Whether the inventory says that it is in maintenance.
    pub maintenance: bool,
    /// The operator's own checks that were to run on it.
    pub checks: Vec<Arc<CheckSpec>>,
    /// What came of it.
    pub observation: HostObservation,
    /// The judgement.
    pub verdict: Verdict,
    /// What was found, worst first, causes before consequences.
    pub findings: Vec<Finding>,
}

impl HostReport {
    /// Returns the operator's own check that a finding comes from.
    pub fn check_of(&self, finding: &Finding) -> Option<&CheckSpec> {
        let super::Subject::Check(name) = &finding.subject else {
            return None;
        };
        let spec = self.checks.iter().find(|spec| spec.name == *name);
        spec.map(AsRef::as_ref)
    }
}

/// A finding about several hosts together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetFinding {
    /// Which class.
    pub class: Class,
    /// How bad.
    pub severity: Severity,
    /// The hosts it is about.
    pub hosts: Vec<String>,
    /// What shows it.
    pub evidence: Vec<super::Evidence>,
}

/// Counts of hosts by verdict; they add up to `hosts`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// All.
    pub hosts: usize,
    /// Fine.
    pub ok: usize,
    /// Warnings only.
    pub warning: usize,
    /// Broken.
    pub critical: usize,
    /// Not seen, or not seen whole.
    pub not_observed: usize,
}

/// The result of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// When it began.
    pub started_at: jiff::Timestamp,
    /// How long it took, in ms.
    pub elapsed_ms: u64,
    /// Hosts in the inventory's order.
    pub hosts: Vec<HostReport>,
    /// Findings about several hosts together.
    pub fleet_findings: Vec<FleetFinding>,
    /// Whether the operator stopped it early.
    pub interrupted: bool,
}

impl Report {
    /// Counts hosts by verdict.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary {
            hosts: self.hosts.len(),
            ..Summary::default()
        };
        for host in &self.hosts {
            match host.verdict {
                Verdict::Ok => summary.ok += 1,
                Verdict::Warning => summary.warning += 1,
                Verdict::Critical => summary.critical += 1,
                Verdict::Unknown => summary.not_observed += 1,
            }
        }
        summary
    }

    /// Returns the worst verdict of any host or fleet finding.
    pub fn verdict(&self) -> Verdict {
        let hosts = self.hosts.iter().map(|host| host.verdict);
        let fleet = self
            .fleet_findings
            .iter()
            .map(|finding| Verdict::of(finding.severity));
        hosts.chain(fleet).max().unwrap_or(Verdict::Ok)
    }
}
