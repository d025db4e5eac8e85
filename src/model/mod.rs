//! L0: plain data that every layer shares. No I/O, no async, no colour, no sentences.

mod alert;
mod channel;
mod check;
mod chronicle;
mod command;
mod event;
mod expect;
mod facts;
mod finding;
mod heartbeat;
mod host;
mod http;
mod memory;
pub mod nodeset;
mod observed;
mod outbox;
mod outcome;
mod remedy;
mod report;
mod rollout;
mod run;
mod schedule;
mod ssh;
mod text;
mod trend;
mod trust;
mod web;
mod wildcard;

pub use alert::{Alert, AlertCounts, AlertKind, Incident, MAX_COMMAND, MAX_EVIDENCE, MAX_LINE};
pub use channel::{Address, AlertFilter, ChannelSpec, MailSpec, MailTls, Target};
pub use check::{CheckRead, CheckSpec, CodeMeaning, Comparison, Condition, Pattern, number};
pub use chronicle::{
    Chronicle, HostPast, KeptAnswer, KeptFinding, KeptNumber, KeptPrint, KeptRollout, KeptRun,
};
pub use command::{CommandEnd, CommandEvent, CommandReport, CommandResult, Kept, Output};
pub use event::{FleetEvent, HostPhase};
pub use expect::{Expect, compare_versions};
pub use facts::{
    CheckEnd, CheckRun, Disk, Facts, FileMode, Gateway, GatewayConfig, JournalSignature, Listener,
    Login, Package, Process, Seen, SystemFacts, Unit, UnitFile, UnitJournal, UnitScope,
};
pub use finding::{CheckFailure, Class, Confidence, Evidence, Finding, Severity, Subject};
pub use heartbeat::{HeartbeatEnd, HeartbeatFailOn, HeartbeatSpec};
pub use host::{
    Become, BecomeHow, Harden, Host, PROFILES, Role, ScopeWanted, Secret, SecretSource, Secrets,
    ServiceSpec, Shape, Thresholds, Timeouts, TlsWanted, TransportKind,
};
pub use http::{
    HttpAnswer, HttpError, HttpFacts, HttpRoute, ModelsAnswer, Readiness, WebSocketAnswer,
};
pub use memory::{
    Change, ChangeKind, Fingerprint, Looked, Memory, Reading, ReadingKind, Sighting, Sightings,
    Silence, Told, Trouble, TroubleKey,
};
pub use nodeset::{NodeSetError, natural_cmp};
pub use observed::Observed;
pub use outbox::OutboxEntry;
pub use outcome::{HostError, HostObservation, HostOutcome, Stage, StageTimes};
pub use remedy::{Act, EndedProcess, Remedy, Splice};
pub use report::{FleetFinding, HostReport, Report, Summary, Verdict};
pub use rollout::{
    DiffLine, Exposure, FileChange, FileContent, Plan, Planned, Purpose, Refusal, RestartWhen,
    RolloutEnd, RolloutEvent, RolloutStep, RunId, SettingChange, Standing, UnitOwner, UnitPlan,
    UnitResult, count_ends,
};
pub use run::RunSummary;
pub use schedule::{
    InstalledSchedule, Schedule, ScheduleDiff, ScheduleFit, SchedulePlace, ScheduledRun,
};
pub use ssh::{
    AddressFamily, Agent, Algorithms, AuthMethod, HostKeyPolicy, Identities, RekeyLimit, Route,
    SshFiles, SshOption, SshRequest, SshSettings, UnknownKey,
};
pub use text::{escape_json, is_unsafe, sanitize, shorten};
pub use trend::{HostTrend, SeenPoint, TrendPoint, Trends};
pub use trust::{
    Agreement, Claim, KeyGroup, KeyKind, KeyStanding, OldKey, Says, ShownKey, Voice,
    compare_claims, group_keys,
};
pub use web::{WebAddress, is_loopback};
pub use wildcard::{ListMatch, matches_list, matches_pattern};
