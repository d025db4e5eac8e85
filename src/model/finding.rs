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
    /// The host did not answer.
    NotObserved = "not-observed", Unknown;
    /// The probe could not see something that it needs.
    NotPermitted = "not-permitted", Warning;
    /// A configured model that this version does not use.
    ModelSkipped = "model-skipped", Warning;
    /// Restarts rose by more than the limit in 24 h.
    RestartGrowth = "restart-growth", Warning;
    /// The journal fills with start failures.
    JournalNoise = "journal-noise", Warning;
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
    /// Nobody listens on the port.
    NobodyListens {
        /// The port.
        port: u16,
    },
    /// What the port answered.
    HttpAnswered(HttpAnswer),
    /// The port did not answer in time.
    HttpSilent {
        /// How long was waited, in ms.
        waited_ms: u32,
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
        /// How many like it in the last hour.
        count: u32,
    },
    /// A model's provider is in no catalogue.
    UnknownProvider {
        /// The reference in the configuration.
        model: String,
        /// The configuration file.
        path: String,
    },
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
}

impl Finding {
    /// Makes a finding of the class's own severity, sure and without a cause.
    pub fn new(class: Class, subject: Subject, evidence: Vec<Evidence>) -> Self {
        Self {
            class,
            severity: class.severity(),
            subject,
            confidence: Confidence::High,
            evidence,
            cause: None,
        }
    }
}
