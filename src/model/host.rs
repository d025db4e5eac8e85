//! A host as the inventory describes it, with every default filled in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{CheckSpec, Expect, SshRequest, SshSettings};

/// How commands reach a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportKind {
    /// Over SSH.
    Ssh,
    /// On the machine that clawfleet itself runs on.
    Local,
}

/// How the login becomes another user on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BecomeHow {
    /// It does not.
    None,
    /// By sudo.
    Sudo,
    /// By doas.
    Doas,
    /// By su.
    Su,
}

/// What the commands run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Become {
    /// How the login becomes that user.
    pub how: BecomeHow,
    /// The user: letters, digits and `._-`, so that it is one word in every shell.
    pub user: String,
    /// Where the password is to be had that sudo or su may ask for.
    pub password: Option<SecretSource>,
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
    pub token: Option<SecretSource>,
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

/// Where a token or a password comes from. Never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecretSource {
    /// An environment variable of the controller.
    Env(String),
    /// A file of the controller that holds the secret and nothing else. An absolute path, or one
    /// that begins with `~/`.
    File(String),
    /// A shell command on the controller, whose output is the secret.
    Command(String),
    /// The operator, who is asked once before the run; the text says for what.
    Asked(&'static str),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env {name}"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Command(command) => write!(f, "command {command}"),
            Self::Asked(what) => write!(f, "asked for: {what}"),
        }
    }
}

/// A token or a password. It has no `Display`, and its `Debug` does not tell it.
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

/// The secrets of a run by where they came from.
pub type Secrets = BTreeMap<SecretSource, Secret>;

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
    /// How much more memory a gateway may take within a day, in percent; 0 where it may take any.
    pub memory_growth_percent: u32,
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

/// The profiles that `harden` knows, the weaker one first.
pub const PROFILES: [&str; 2] = ["baseline", "strict"];

/// What `harden` writes for a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// A drop-in beside the unit's own file.
    DropIn,
    /// The unit's own file.
    Full,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 2] = [Self::DropIn, Self::Full];

    /// Returns its id.
    pub fn id(self) -> &'static str {
        match self {
            Self::DropIn => "drop-in",
            Self::Full => "unit",
        }
    }

    /// Returns the shape with that id.
    pub fn parse(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.id() == id)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// How the units of a host are hardened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Harden {
    /// One of [`PROFILES`].
    pub profile: String,
    /// What is written.
    pub shape: Shape,
    /// A directory of templates that take the places of the built-in ones of the same names. A
    /// relative one begins at the inventory's directory.
    pub template_dir: Option<PathBuf>,
}

/// One host, ready to be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Name in the inventory, e.g. `VM151`.
    pub name: String,
    /// What the inventory says of the connection.
    pub ssh_request: SshRequest,
    /// The connection, with what OpenSSH's files say. Until they are read it is what the inventory
    /// says alone.
    pub ssh: Arc<SshSettings>,
    /// What commands run as.
    pub privilege: Become,
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
    /// How its units are hardened.
    pub harden: Harden,
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
