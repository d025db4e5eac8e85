//! What one probe saw on one host, before anybody judges it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{HttpFacts, Observed};

/// Everything that was seen on a host in one probe.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The machine and the login.
    pub system: SystemFacts,
    /// The gateways of the host: those that the inventory names first, then those that were found.
    pub gateways: Vec<Gateway>,
    /// Every listening socket on a gateway's port, and every one that a gateway's process holds.
    pub sockets: Observed<Vec<Listener>>,
    /// Listeners, their ancestors, units' main processes and everything that looks like a gateway.
    pub processes: Vec<Process>,
    /// Whether every manager that could be asked was asked. Until then nothing is known of who
    /// manages a process.
    pub units_complete: bool,
    /// Whether the system manager did not answer.
    pub system_manager_unseen: bool,
    /// Ids of the users whose manager could not be asked.
    pub users_unseen: Vec<u32>,
    /// Users whose manager or unit could not be asked, and why.
    pub units_unseen: Vec<(String, String)>,
    /// Packages that the gateways run from.
    pub packages: Vec<Package>,
    /// Files that hold secrets, and the directories above them.
    pub modes: Vec<FileMode>,
    /// File systems that a gateway writes to.
    pub disks: Vec<Disk>,
    /// What became of the operator's own checks; one that is missing never ran.
    pub checks: Observed<Vec<CheckRun>>,
    /// Lines of the probe's output that made no sense, capped.
    pub parse_issues: Vec<String>,
}

impl Facts {
    /// Whether enough was seen of the units to say which of them manages a process.
    pub fn ownership_is_known(&self) -> bool {
        self.units_complete && !self.system_manager_unseen
    }

    /// Returns the process with that id, if the probe saw it.
    pub fn process(&self, pid: u32) -> Option<&Process> {
        self.processes.iter().find(|process| process.pid == pid)
    }

    /// Returns the file or directory with that path, if its mode was read.
    pub fn mode(&self, path: &str) -> Option<&FileMode> {
        self.modes.iter().find(|mode| mode.path == path)
    }

    /// Returns every unit of every gateway.
    pub fn units(&self) -> impl Iterator<Item = &Unit> {
        self.gateways.iter().flat_map(|gateway| &gateway.units)
    }
}

/// One gateway service of a host: a port, and all that has to do with it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gateway {
    /// Its port.
    pub port: u16,
    /// The unit that the inventory names for it; `None` for a gateway that was found.
    pub named: Option<String>,
    /// Sockets that listen on that port; `Known` and empty means that nobody listens.
    pub listeners: Observed<Vec<Listener>>,
    /// The units that start a gateway on that port; empty where none exists.
    pub units: Vec<Unit>,
    /// What the port answered.
    pub http: HttpFacts,
    /// The settings of its `openclaw.json` that checks need; never a secret.
    pub config: Observed<GatewayConfig>,
}

impl Gateway {
    /// Returns the visible processes that hold its port; one that holds several sockets comes again.
    pub fn holders<'a>(&'a self, facts: &'a Facts) -> impl Iterator<Item = &'a Process> {
        self.listeners
            .known()
            .into_iter()
            .flatten()
            .filter_map(|listener| listener.pids.known())
            .flatten()
            .filter_map(|pid| facts.process(*pid))
    }

    /// Returns what the processes that hold its port have in memory, in KiB; none where that is not known of each.
    pub fn memory_kib(&self, facts: &Facts) -> Option<u64> {
        let holders: BTreeMap<u32, &Process> = self
            .holders(facts)
            .map(|process| (process.pid, process))
            .collect();
        let known: Option<Vec<u64>> = holders.values().map(|process| process.memory_kib).collect();
        Some(known.filter(|all| !all.is_empty())?.iter().sum())
    }

    /// Returns what an operator calls it: its unit's name.
    pub fn name(&self) -> &str {
        let first = self.units.first().map(|unit| unit.name.as_str());
        self.named.as_deref().or(first).unwrap_or("no unit")
    }
}

/// An installed package of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its directory.
    pub root: String,
    /// Its version.
    pub version: String,
    /// When its description was written, seconds since the epoch.
    pub changed_s: u64,
}

/// The mode of a file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMode {
    /// Its path, links followed.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When it was written, seconds since the epoch.
    pub changed_s: u64,
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Where it is mounted.
    pub mount: String,
    /// Its size, KiB.
    pub size_kib: u64,
    /// What is left for other users than root, KiB.
    pub free_kib: u64,
}

/// The machine, its clock and the login's rights.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SystemFacts {
    /// `PRETTY_NAME` of os-release.
    pub os: Option<String>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// systemd's major version.
    pub systemd: Option<u32>,
    /// The host's own name.
    pub hostname: Option<String>,
    /// Seconds since boot.
    pub uptime_s: Option<u64>,
    /// The host's clock, seconds since the epoch.
    pub clock_s: Option<u64>,
    /// How far the host's clock is ahead of the controller's (behind: negative), in seconds, with
    /// the time that the answer travelled taken in its favour.
    pub clock_ahead_s: Option<i64>,
    /// Who the probe ran as.
    pub login: Login,
}

/// Who the probe ran as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// User name, if it has one.
    pub user: String,
    /// Effective user id.
    pub uid: Option<u32>,
    /// Whether it may read the system journal.
    pub journal: bool,
    /// Whether it can see other users' processes (`hidepid`).
    pub sees_processes: Option<bool>,
}

impl Login {
    /// Whether the probe ran as root.
    pub fn is_root(&self) -> bool {
        self.uid == Some(0)
    }
}

/// One socket in LISTEN state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Bound address.
    pub address: IpAddr,
    /// Bound port.
    pub port: u16,
    /// Owner of the socket.
    pub uid: u32,
    /// Socket inode.
    pub inode: u64,
    /// Processes that hold the socket.
    pub pids: Observed<Vec<u32>>,
    /// Connections that wait to be accepted.
    pub waiting: Option<u32>,
    /// How many may wait.
    pub backlog: Option<u32>,
}

/// One process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Parent's id.
    pub ppid: u32,
    /// Real user id.
    pub uid: Option<u32>,
    /// Kernel's short name, at most 15 bytes.
    pub comm: String,
    /// Arguments; a program that sets its title shows that title here.
    pub argv: Vec<String>,
    /// Start time in clock ticks since boot: with the pid it names a process for ever.
    pub start_ticks: u64,
    /// Seconds since its start.
    pub age_s: Option<u64>,
    /// What it has in memory (resident set), in KiB.
    pub memory_kib: Option<u64>,
    /// Its cgroup in systemd's hierarchy.
    pub cgroup: String,
    /// Single letter of `/proc/PID/stat`: `T` is stopped, `D` waits in the kernel.
    pub state: Option<char>,
}

/// Whose manager a unit belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnitScope {
    /// PID 1.
    System,
    /// A user's manager.
    User {
        /// The user's name.
        user: String,
        /// The user's id.
        uid: u32,
    },
}

/// How a unit's properties are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Its manager told.
    Manager,
    /// Its manager does not run; only files were read.
    FileOnly,
}

/// One gateway unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Name with suffix.
    pub name: String,
    /// Whose it is.
    pub scope: UnitScope,
    /// How its properties are known.
    pub seen: Seen,
    /// `LoadState`: `loaded`, `not-found`, `masked`…
    pub load_state: String,
    /// `ActiveState`: `active`, `activating`, `failed`, `inactive`…
    pub active_state: String,
    /// `SubState`: `running`, `auto-restart`…
    pub sub_state: String,
    /// `Result`: `success`, `exit-code`, `signal`…
    pub result: String,
    /// `UnitFileState`: `enabled`, `disabled`, `static`, `masked`…
    pub unit_file_state: String,
    /// `MainPID`, 0 for none.
    pub main_pid: u32,
    /// `NRestarts`, where this systemd has it.
    pub n_restarts: Option<u32>,
    /// `ExecMainStatus` of the current or last main process.
    pub exec_main_status: Option<i32>,
    /// `ExecMainCode`: 1 exited, 2 killed, 3 dumped.
    pub exec_main_code: Option<i32>,
    /// `ControlGroup`.
    pub control_group: String,
    /// `FragmentPath`.
    pub fragment_path: String,
    /// `KillMode`.
    pub kill_mode: String,
    /// `Restart`.
    pub restart: String,
    /// `RestartUSec`, µs.
    pub restart_us: Option<u64>,
    /// `StartLimitBurst`.
    pub start_limit_burst: Option<u32>,
    /// `StartLimitIntervalUSec`, µs; 0 is no limit.
    pub start_limit_interval_us: Option<u64>,
    /// `TimeoutStopUSec`, µs; `u64::MAX` is for ever.
    pub timeout_stop_us: Option<u64>,
    /// `RestartPreventExitStatus`.
    pub restart_prevent: Option<String>,
    /// `NeedDaemonReload`.
    pub needs_reload: Option<bool>,
    /// Seconds since its last change of state.
    pub in_state_s: Option<u64>,
    /// The gateway port that its command line or environment names.
    pub port: Option<u16>,
    /// What stands in its files.
    pub file: Option<UnitFile>,
    /// Whether its user lingers; `Absent` for a system unit.
    pub linger: Observed<bool>,
    /// What the journal says of it.
    pub journal: Observed<UnitJournal>,
}

/// What stands in a unit's file and drop-ins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitFile {
    /// The unit's file.
    pub path: String,
    /// Its drop-ins, in the order they were read.
    pub dropins: Vec<String>,
    /// The settings of each file, `KEY=VALUE`; what may be a secret is `*` and a digest.
    pub parts: Vec<(String, Vec<String>)>,
    /// The gateway port that its command line or environment names.
    pub port: Option<u16>,
    /// Whether its user lingers; `None` for a system unit.
    pub linger: Option<bool>,
    /// The configuration that its gateway reads.
    pub config_path: String,
    /// The state directory of its gateway.
    pub state_dir: String,
    /// Programs of `ExecStart` that are not there.
    pub missing: Vec<String>,
    /// Whether a token or password of the gateway stands in it.
    pub secret_inside: bool,
    /// Why it could not be read.
    pub denied: Option<String>,
}

impl Unit {
    /// Whether there is such a unit at all.
    pub fn exists(&self) -> bool {
        self.load_state != "not-found"
    }

    /// Whether its manager starts it by itself.
    pub fn is_enabled(&self) -> bool {
        matches!(
            self.unit_file_state.as_str(),
            "enabled" | "enabled-runtime" | "linked" | "alias"
        )
    }

    /// Whether it runs, starts, or waits for its next restart.
    pub fn is_up_or_trying(&self) -> bool {
        matches!(
            self.active_state.as_str(),
            "active" | "activating" | "reloading" | "deactivating"
        )
    }

    /// Whether its manager would start it, now or at the next boot.
    pub fn claims_port(&self) -> bool {
        self.exists()
            && self.load_state != "masked"
            && (self.is_enabled() || self.is_up_or_trying())
    }
}

impl UnitFile {
    /// Whether the unit runs something of its own before the gateway. What clawfleet wrote is not its own.
    pub fn starts_with_more(&self) -> bool {
        let ours = |lines: &[String]| lines.iter().any(|line| line.starts_with("Templates="));
        let own = self.parts.iter().filter(|(_, lines)| !ours(lines));
        own.flat_map(|(_, lines)| lines)
            .filter_map(|line| line.strip_prefix("ExecStartPre="))
            .any(|command| !command.is_empty())
    }

    /// Returns the settings of all its files, in the order they count.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.parts
            .iter()
            .flat_map(|(_, lines)| lines.iter().map(String::as_str))
    }
}

/// A line that names a cause, as the gateway or systemd writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JournalSignature {
    /// The port or the state directory belongs to another gateway.
    PortTaken,
    /// The gateway ended another one as stale before its own start.
    StaleKilled,
    /// The gateway refuses its configuration.
    ConfigRefused,
    /// A model was unknown or a fallback was used.
    ModelFallback,
    /// The main process ended, as systemd tells it.
    MainExited,
    /// The kernel or systemd-oomd ended a process for want of memory.
    OutOfMemory,
    /// The gateway was asked to end.
    Terminated,
    /// A restart or stop was asked for by a process of the unit itself.
    AskedFromInside,
    /// A process of the unit outlived the stop or start of the unit.
    Remained,
    /// Channels were left out after too many unclean starts.
    ChannelsSuppressed,
    /// A changed configuration could not be used.
    ConfigUnusable,
}

/// What the journal says of one unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitJournal {
    /// Restarts that systemd scheduled in the last 10 minutes.
    pub restarts_10m: u32,
    /// The same in the last hour.
    pub restarts_1h: u32,
    /// The same in the last 24 hours.
    pub restarts_24h: u32,
    /// "Failed to start" and "Failed with result" lines of the last hour.
    pub failed_1h: u32,
    /// Whether the reading stopped at its line cap, so that counts are lower bounds.
    pub capped: bool,
    /// Telling lines: kind, how many, the newest one. Of the last hour, and of the last day for those
    /// that stand for a lasting state.
    pub signatures: Vec<(JournalSignature, u32, String)>,
    /// The process that wrote the newest line of a lasting state.
    pub written_by: Vec<(JournalSignature, u32)>,
    /// When the newest `ConfigUnusable` line was written, seconds since the epoch.
    pub unusable_at_s: Option<u64>,
}

impl UnitJournal {
    /// Returns how often a signature was seen, and its newest line.
    pub fn signature(&self, wanted: JournalSignature) -> Option<(u32, &str)> {
        self.signatures
            .iter()
            .find(|(kind, _, _)| *kind == wanted)
            .map(|(_, count, line)| (*count, line.as_str()))
    }

    /// Returns which process wrote the newest line of a lasting state.
    pub fn writer(&self, wanted: JournalSignature) -> Option<u32> {
        self.written_by
            .iter()
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, pid)| *pid)
    }
}

/// The settings of `openclaw.json` that checks need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Where it was read.
    pub path: String,
    /// Whose it is.
    pub uid: u32,
    /// `agents.defaults.model.primary`, or the plain string.
    pub primary: Option<String>,
    /// `agents.defaults.model.fallbacks`.
    pub fallbacks: Vec<String>,
    /// Keys of `agents.defaults.models`.
    pub listed: Vec<String>,
    /// Keys of `models.providers`.
    pub providers: Vec<String>,
    /// Providers among those named by `primary` and `fallbacks` that the installed version knows;
    /// `NotCollected` where its catalogue was not found.
    pub known_providers: Observed<Vec<String>>,
    /// `gateway.mode`.
    pub mode: Option<String>,
    /// `gateway.bind`.
    pub bind: Option<String>,
    /// `gateway.port`.
    pub port: Option<String>,
    /// `gateway.auth.mode`.
    pub auth_mode: Option<String>,
    /// Whether `gateway.auth.token` is set.
    pub has_token: bool,
    /// Whether `gateway.auth.password` is set.
    pub has_password: bool,
    /// Whether `gateway.tls.enabled` is true.
    pub tls: bool,
    /// `agents.defaults.workspace`.
    pub workspace: Option<String>,
    /// Keys of `channels` that are not disabled.
    pub channels: Vec<String>,
    /// Whether other files are included: what is absent here may stand there.
    pub includes: bool,
    /// Why it is no JSON5.
    pub broken: Option<String>,
    /// Settings that hold no secret: path and value.
    pub leaves: Vec<(String, String)>,
    /// Sections that may hold secrets: path and digest of the run.
    pub hidden: Vec<(String, String)>,
}

/// How one of the operator's own checks ended on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckEnd {
    /// By itself, with that code; 128 and more stand for a signal.
    Exited(u8),
    /// It took too long.
    TimedOut,
    /// The host's shell did not understand it, and ran nothing of it.
    NotUnderstood,
    /// It printed far more than is read, and was cut off.
    Flooded,
    /// The probe ended before it did.
    Unknown,
}

/// What one of the operator's own checks did on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRun {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub end: CheckEnd,
    /// What it printed, without empty lines.
    pub output: Vec<String>,
    /// Whether it printed more than is kept.
    pub cut: bool,
    /// The first lines of its error output.
    pub errors: Vec<String>,
}
