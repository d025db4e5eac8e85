//! What is wrong, as data: a class, whose it is, and the evidence. Sentences are made where they are shown.

use std::fmt;

use super::{HostError, HttpAnswer, Process, UnitScope};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Look at it soon.
    Warning,
    /// Nothing is known.
    Unknown,
    /// It is broken.
    Critical,
}

impl Severity {
    /// Returns the contract's word for it.
    pub fn id(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Critical => "critical",
        }
    }

    /// Returns the severity of that word.
    pub fn from_id(id: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Unknown, Self::Critical]
            .into_iter()
            .find(|severity| severity.id() == id)
    }
}

macro_rules! classes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $id:literal, $severity:ident;)+) => {
        /// A kind of fault. Its id never changes meaning.
        ///
        /// Declared from the most to the least telling: where two findings explain the same
        /// trouble, the earlier one leads.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Class { $($(#[doc = $doc])+ $variant,)+ }

        impl Class {
            /// Every class, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the contract's id.
            pub fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)+ }
            }

            /// Returns the severity that the contract gives it.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }
        }
    };
}

classes! {
    /// A gateway that no unit manages holds the port.
    OrphanHoldsPort = "orphan-holds-port", Critical;
    /// Two units claim the same gateway port.
    DuplicateUnit = "duplicate-unit", Critical;
    /// An earlier gateway's process is left in the unit's own cgroup.
    LeftoverProcess = "leftover-process", Critical;
    /// Something that is not a gateway holds the port.
    ForeignProcessOnPort = "foreign-process-on-port", Critical;
    /// The gateway refuses its configuration.
    ConfigError = "config-error", Critical;
    /// The gateway dies by itself.
    TrueCrash = "true-crash", Critical;
    /// The unit restarts again and again.
    RestartLoop = "restart-loop", Critical;
    /// The port is open and HTTP does not answer.
    GatewayHung = "gateway-hung", Critical;
    /// No unit runs and nobody listens.
    GatewayDown = "gateway-down", Critical;
    /// The Node inspector is open on the gateway.
    DebugPortOpen = "debug-port-open", Critical;
    /// Reachable from outside loopback, and no authentication.
    BindWithoutAuth = "bind-without-auth", Critical;
    /// The host did not answer.
    NotObserved = "not-observed", Unknown;
    /// The probe could not see something that it needs.
    NotPermitted = "not-permitted", Warning;
    /// A gateway where the inventory expects none, or the other way round.
    RoleMismatch = "role-mismatch", Warning;
    /// The gateway serves, and would not start again.
    NextStartFails = "next-start-fails", Warning;
    /// A restart was asked for from within the gateway's own cgroup.
    RestartedFromInside = "restarted-from-inside", Warning;
    /// The gateway runs without its channels.
    ChannelsSuppressed = "channels-suppressed", Warning;
    /// Two gateways of a host share what each should have for itself.
    GatewayOverlap = "gateway-overlap", Warning;
    /// A configured model that this version does not use.
    ModelSkipped = "model-skipped", Warning;
    /// An expectation of the inventory does not hold.
    ExpectationUnmet = "expectation-unmet", Warning;
    /// Restarts rose by more than the limit in 24 h.
    RestartGrowth = "restart-growth", Warning;
    /// The journal fills with start failures.
    JournalNoise = "journal-noise", Warning;
    /// Settings that let a loop run for ever.
    UnitWeak = "unit-weak", Warning;
    /// The start limit can never be reached.
    StartLimitUnreachable = "start-limit-unreachable", Warning;
    /// The unit on disk differs from what `harden` would render.
    UnitDrift = "unit-drift", Warning;
    /// Files on disk are newer than what systemd loaded.
    DaemonReloadNeeded = "daemon-reload-needed", Warning;
    /// A user unit whose user does not linger.
    NoLinger = "no-linger", Warning;
    /// Secrets can be read by others.
    SecretsReadable = "secrets-readable", Warning;
    /// The running gateway is older than what is installed.
    VersionMismatch = "version-mismatch", Warning;
    /// The host's clock is wrong.
    ClockSkew = "clock-skew", Warning;
    /// A file system that the gateway writes to is almost full.
    DiskLow = "disk-low", Warning;
    /// The gateway takes more and more memory.
    MemoryGrowth = "memory-growth", Warning;
    /// One of the operator's own checks.
    Custom = "custom", Warning;
    /// The host's configuration differs from its peers'.
    ConfigDrift = "config-drift", Warning;
    /// The host's version differs from its peers'.
    VersionDrift = "version-drift", Warning;
    /// The host's unit differs from its peers'.
    UnitDiffers = "unit-differs", Warning;
    /// The unit is young and does not listen yet.
    GatewayStarting = "gateway-starting", Info;
}

impl Class {
    /// Returns the class with that id.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|class| class.id() == id)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// How sure a finding is, where a sign can mislead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// A hint: look before acting.
    Low,
    /// Likely.
    Medium,
    /// Seen directly.
    High,
}

impl Confidence {
    /// Returns its word.
    pub fn id(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The host as a whole.
    Host,
    /// A TCP port.
    Port(u16),
    /// One unit.
    Unit {
        /// Its name.
        name: String,
        /// Whose it is.
        scope: UnitScope,
    },
    /// A configured model.
    Model(String),
    /// A file or directory.
    Path(String),
    /// One of the operator's own checks.
    Check(String),
}

/// One thing that was seen and that a finding rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// This process listens on the port.
    PortHolder {
        /// The port.
        port: u16,
        /// The process.
        process: Process,
    },
    /// That process is no unit's main process and descends from none.
    Unmanaged {
        /// The process.
        pid: u32,
        /// The units that were compared.
        units: Vec<UnitScope>,
    },
    /// That process sits in the unit's cgroup and does not descend from its main process.
    InOwnCgroup {
        /// The process.
        pid: u32,
        /// The unit's main process, 0 for none.
        main_pid: u32,
        /// The cgroup.
        cgroup: String,
    },
    /// That process belongs to this unit.
    ManagedBy {
        /// The process.
        pid: u32,
        /// The unit's owner.
        scope: UnitScope,
    },
    /// That process runs in another unit's or a container's cgroup.
    OtherCgroup {
        /// The process.
        pid: u32,
        /// The cgroup.
        cgroup: String,
    },
    /// A unit's state.
    UnitState {
        /// Its name.
        name: String,
        /// Whose unit.
        scope: UnitScope,
        /// `ActiveState`.
        active: String,
        /// `SubState`.
        sub: String,
        /// `Result`.
        result: String,
        /// `UnitFileState`.
        file_state: String,
        /// `ExecMainStatus`.
        status: Option<i32>,
        /// `NRestarts`.
        n_restarts: Option<u32>,
    },
    /// Restarts that systemd scheduled, from the journal.
    Restarts {
        /// Whose unit.
        scope: UnitScope,
        /// In the last 10 minutes.
        last_10m: u32,
        /// In the last hour.
        last_1h: u32,
        /// In the last 24 hours.
        last_24h: u32,
        /// Whether the counts are lower bounds.
        capped: bool,
    },
    /// More than this many are too many.
    Limit {
        /// What is counted.
        what: &'static str,
        /// How many there were.
        count: u32,
        /// How many may be.
        limit: u32,
    },
    /// A process took more and more memory, and gave none of it back.
    Memory {
        /// What it had at the beginning at most, in MiB.
        from_mib: u32,
        /// What it had at the end at least, in MiB.
        to_mib: u32,
        /// From when to when, in seconds.
        within_s: u64,
        /// How much more is still normal, in percent.
        limit_percent: u32,
    },
    /// Nothing of it changed for longer than the inventory expects.
    Still {
        /// Since when.
        since: jiff::Timestamp,
        /// For how long, in seconds.
        still_s: u64,
        /// Within what time something is to change, in seconds.
        limit_s: u64,
    },
    /// Nobody listens on the port.
    NobodyListens {
        /// The port.
        port: u16,
    },
    /// What the port answered.
    HttpAnswered(HttpAnswer),
    /// The gateway says that it is not ready.
    NotReady {
        /// What it waits for.
        failing: Vec<String>,
    },
    /// The port did not answer in time.
    HttpSilent {
        /// How long was waited, in ms.
        waited_ms: u32,
    },
    /// Connections wait, and no more fit.
    Queue {
        /// How many wait.
        waiting: u32,
        /// How many may.
        backlog: u32,
    },
    /// What the port did instead of answering.
    HttpBroken(String),
    /// The process is in that state (`T` stopped, `D` waiting in the kernel).
    ProcessState {
        /// The process.
        pid: u32,
        /// The letter.
        state: char,
    },
    /// The unit's main process is that young.
    UnitAge {
        /// Whose unit.
        scope: UnitScope,
        /// Seconds.
        age_s: u64,
    },
    /// A line of the journal or the gateway's log, with how often its like was seen.
    LogLine {
        /// The line.
        text: String,
        /// How many like it.
        count: u32,
        /// Within so many hours.
        hours: u32,
    },
    /// A model's provider is in no catalogue.
    UnknownProvider {
        /// The reference in the configuration.
        model: String,
        /// The configuration file.
        path: String,
    },
    /// A setting of a unit, and what is wrong with it.
    Setting {
        /// Whose unit.
        scope: UnitScope,
        /// The setting as systemd knows it, `KEY=VALUE`.
        setting: String,
        /// What it does.
        effect: &'static str,
    },
    /// A start limit that is never reached: so many starts take longer than the interval.
    StartLimit {
        /// Starts that are allowed.
        burst: u32,
        /// Delay before each, in µs.
        delay_us: u64,
        /// Within this time, in µs.
        interval_us: u64,
    },
    /// A line of a unit differs from what was expected.
    LineDiffers {
        /// The file.
        path: String,
        /// What is there, if anything.
        found: Option<String>,
        /// What should be, if anything.
        wanted: Option<String>,
    },
    /// A file can be read or written by others.
    Mode {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
        /// Its owner.
        uid: u32,
    },
    /// A program is not there.
    Missing {
        /// Its path.
        path: String,
    },
    /// A file is no valid configuration.
    BrokenFile {
        /// Its path.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A process listens at this address.
    ListensAt {
        /// The process, 0 where it is not known.
        pid: u32,
        /// The address.
        address: std::net::IpAddr,
        /// The port.
        port: u16,
    },
    /// A setting of the gateway's configuration.
    ConfigSays {
        /// The file.
        path: String,
        /// The setting.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// Gateways share something.
    Shared {
        /// What.
        what: &'static str,
        /// Its path or value.
        value: String,
        /// Who shares it.
        between: Vec<String>,
    },
    /// What runs is not what is installed.
    Versions {
        /// The running version, where it is known.
        running: Option<String>,
        /// The installed one.
        installed: String,
        /// How long after the start of the process the package was written, in seconds.
        written_after_s: Option<u64>,
    },
    /// The host's clock is ahead of the controller's by so much (behind: negative).
    Clock {
        /// Seconds.
        ahead_s: i64,
        /// How much is allowed.
        limit_s: u64,
    },
    /// A file system is almost full.
    DiskFree {
        /// Where it is mounted.
        mount: String,
        /// What is left, KiB.
        free_kib: u64,
        /// Its size, KiB.
        size_kib: u64,
        /// What is to be left, percent.
        limit_percent: u32,
    },
    /// The inventory expects something else.
    Expected {
        /// Of what.
        what: String,
        /// What is expected.
        wanted: String,
        /// What was found.
        found: String,
    },
    /// What one host has and what its peers have.
    Deviates {
        /// The key or line.
        what: String,
        /// Its value on this host.
        here: String,
        /// Its value on most.
        peers: String,
        /// How many peers have that.
        agree: usize,
        /// Of how many.
        of: usize,
    },
    /// A configured model is not in the list of models.
    NotListed {
        /// The reference in the configuration.
        model: String,
        /// The configuration file.
        path: String,
    },
    /// What one of the operator's own checks read.
    CheckRead {
        /// The value, or the line that was found.
        value: String,
        /// What it was held against, as the inventory says it.
        condition: String,
    },
    /// The pattern of one of the operator's own checks is not in its output.
    CheckNoMatch {
        /// The pattern.
        pattern: String,
    },
    /// One of the operator's own checks ended with a code that means this.
    CheckExit {
        /// The code.
        code: u8,
        /// What it means.
        severity: Severity,
    },
    /// A line that one of the operator's own checks printed.
    CheckPrinted(String),
    /// One of the operator's own checks failed, which says nothing about the host.
    CheckFailed(CheckFailure),
    /// The probe could not see this.
    Unseen {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
    /// This privilege would show it.
    WouldHelp(String),
    /// The host was not reached.
    Stage(HostError),
}

/// Why one of the operator's own checks could tell nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckFailure {
    /// It did not run, or the probe ended before it.
    NotRun,
    /// It took longer than so many seconds.
    TimedOut(u64),
    /// The host's sh did not understand it.
    NotUnderstood,
    /// It printed without end.
    Flooded,
    /// It ended with a code that means nothing, or with one other than 0 where its output counts.
    Exited(u8),
    /// There is no number where one was to be read.
    NoNumber(String),
    /// The pattern was not found, and something was to be compared with what it finds.
    NoMatch(String),
    /// What was printed is no JSON.
    NoJson(String),
    /// The JSON has nothing at that path.
    NoPath(String),
    /// What was read cannot be compared with that.
    NotComparable {
        /// What was read.
        value: String,
        /// The condition.
        condition: String,
    },
    /// It printed more than is kept, and the answer may be in the rest.
    Cut,
}

/// One finding about one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which class.
    pub class: Class,
    /// How bad.
    pub severity: Severity,
    /// About what.
    pub subject: Subject,
    /// How sure.
    pub confidence: Confidence,
    /// What shows it.
    pub evidence: Vec<Evidence>,
    /// The finding on the same host that explains this one.
    pub cause: Option<Class>,
    /// The port of the gateway that it is about; `None` for the host as a whole.
    pub gateway: Option<u16>,
    /// When it was first seen, of the time that it is there now; `None` where nobody remembers.
    pub since: Option<jiff::Timestamp>,
}

impl Finding {
    /// Returns the contract's id: the class's, or `custom/NAME`.
    pub fn id(&self) -> std::borrow::Cow<'static, str> {
        match (&self.class, &self.subject) {
            (Class::Custom, Subject::Check(name)) => format!("custom/{name}").into(),
            _ => self.class.id().into(),
        }
    }

    /// Makes a finding of the class's own severity, sure and without a cause.
    pub fn new(class: Class, subject: Subject, evidence: Vec<Evidence>) -> Self {
        Self {
            class,
            severity: class.severity(),
            subject,
            confidence: Confidence::High,
            evidence,
            cause: None,
            gateway: None,
            since: None,
        }
    }
}
