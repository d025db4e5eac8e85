//! L0: plain data that every layer shares. No I/O, no async, no colour, no sentences.

mod check;
mod event;
mod expect;
mod facts;
mod finding;
mod host;
pub mod nodeset;
mod observed;
mod outcome;
mod report;

pub use check::{CheckRead, CheckSpec, CodeMeaning, Comparison, Condition, Pattern, number};
pub use event::{FleetEvent, HostPhase};
pub use expect::{Expect, compare_versions};
pub use facts::{
    CheckEnd, CheckRun, Disk, Facts, FileMode, Gateway, GatewayConfig, HttpAnswer, HttpError,
    HttpFacts, HttpRoute, JournalSignature, Listener, Login, Package, Process, Seen, SystemFacts,
    Unit, UnitFile, UnitJournal, UnitScope,
};
pub use finding::{CheckFailure, Class, Confidence, Evidence, Finding, Severity, Subject};
pub use host::{
    Become, Host, HostKeyFiles, Role, ScopeWanted, ServiceSpec, Thresholds, Timeouts, TransportKind,
};
pub use nodeset::{NodeSetError, natural_cmp};
pub use observed::Observed;
pub use outcome::{HostError, HostObservation, HostOutcome, Stage, StageTimes};
pub use report::{FleetFinding, HostReport, Report, Summary, Verdict};
