//! A host as the inventory describes it, with every default filled in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{CheckSpec, Expect};

/// How commands reach a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportKind {
    /// Over SSH.
    Ssh,
    /// On the machine that clawfleet itself runs on.
    Local,
}

/// How the login gains root on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Become {
    /// It does not.
    None,
    /// `sudo -n`.
    Sudo,
    /// `doas -n`.
    Doas,
}

/// What the inventory says the host is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It runs a gateway; one that does not is at fault.
    Gateway,
    /// It runs none.
    None,
}

/// Which systemd manager owns the gateway's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeWanted {
    /// Whichever has it.
    Auto,
    /// The system manager.
    System,
    /// A user's manager.
    User,
}

/// The gateway service that a host is expected to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Unit name with its suffix, e.g. `openclaw-gateway.service`.
    pub unit: String,
    /// Which manager is expected to own it.
    pub scope: ScopeWanted,
    /// The user whose manager owns a user unit, and whose configuration counts.
    pub owner: Option<String>,
    /// TCP port of the gateway.
    pub port: u16,
    /// Path that answers when the gateway lives.
    pub health_path: String,
    /// Whether its port speaks TLS.
    pub tls: TlsWanted,
    /// Where the gateway's token is to be had on the controller; without it nothing is asked that
    /// needs one.
    pub token: Option<TokenSource>,
}

/// Whether a gateway's port is asked over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsWanted {
    /// Only where it does not answer without.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Where a gateway's token comes from. Never the token itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenSource {
    /// An environment variable of the controller.
    Env(String),
    /// A shell command on the controller, whose output is the token.
    Command(String),
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env {name}"),
            Self::Command(command) => write!(f, "command {command}"),
        }
    }
}

/// A token. It has no `Display`, and its `Debug` does not tell it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a secret.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// Returns it, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The tokens of a run by where they came from.
pub type Tokens = BTreeMap<TokenSource, Secret>;

/// Limits above which something becomes a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thresholds {
    /// Restarts in 24 h that are still normal (field notes: 50).
    pub restarts_per_day: u32,
    /// "Failed to start" journal lines in one hour that are still normal (field notes: 5).
    pub failed_starts_per_hour: u32,
    /// How long the gateway's HTTP answer may take.
    pub http_timeout: Duration,
    /// How long a unit may be active without listening; slow starts of minutes were seen.
    pub startup_grace: Duration,
    /// How far a host's clock may be off.
    pub clock_skew: Duration,
    /// How much of a file system is to be free, in percent.
    pub disk_free_percent: u32,
}

/// Deadlines, one for each stage and one for the whole host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Name resolution.
    pub dns: Duration,
    /// TCP connect.
    pub tcp: Duration,
    /// From the connect to the end of the key exchange, banner included.
    pub kex: Duration,
    /// Authentication.
    pub auth: Duration,
    /// Opening a channel and starting a command on it.
    pub channel: Duration,
    /// The probe on the host; its watchdog there uses the same limit.
    pub exec: Duration,
    /// All of it.
    pub host: Duration,
}

/// Where host keys are looked up; empty means OpenSSH's default files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostKeyFiles(pub Vec<PathBuf>);

/// One host, ready to be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Name in the inventory, e.g. `VM151`.
    pub name: String,
    /// Name or address to connect to.
    pub address: String,
    /// SSH port.
    pub port: u16,
    /// Login.
    pub user: String,
    /// Private key files to offer, in order; empty means OpenSSH's default names.
    pub identity: Vec<PathBuf>,
    /// Files that vouch for the host's key.
    pub known_hosts: HostKeyFiles,
    /// How to become root.
    pub become_root: Become,
    /// How to reach it.
    pub transport: TransportKind,
    /// Free labels for selectors.
    pub labels: BTreeMap<String, String>,
    /// Free variables for templates.
    pub vars: BTreeMap<String, serde_json::Value>,
    /// Groups it belongs to, in the inventory's order.
    pub groups: Vec<String>,
    /// What it is for.
    pub role: Role,
    /// The gateway service that is checked.
    pub service: ServiceSpec,
    /// More gateway services of the same host.
    pub more_services: Vec<ServiceSpec>,
    /// What its gateways are expected to be.
    pub expect: Expect,
    /// The operator's own checks that run on it.
    pub checks: Vec<Arc<CheckSpec>>,
    /// Limits for findings.
    pub thresholds: Thresholds,
    /// Deadlines.
    pub timeouts: Timeouts,
}

impl Host {
    /// Whether the inventory labels the host as being in maintenance: what is wrong there is known.
    pub fn in_maintenance(&self) -> bool {
        let off = ["", "false", "no", "off", "0"];
        self.labels
            .get("maintenance")
            .is_some_and(|value| !off.contains(&value.to_ascii_lowercase().as_str()))
    }

    /// Returns every gateway service that the inventory names for the host.
    pub fn services(&self) -> impl Iterator<Item = &ServiceSpec> {
        std::iter::once(&self.service).chain(&self.more_services)
    }

    /// Returns how long the operator's own checks may take together.
    pub fn checks_limit(&self) -> Duration {
        let seconds = self.checks.iter().map(|check| check.limit_s()).sum();
        Duration::from_secs(seconds)
    }
}
