//! L3: many hosts at once. Knows transports, probes and events; knows nothing of how results are shown.

mod cancel;
pub mod command;
mod dispatcher;
mod http;
mod limits;
mod privilege;
mod remote;
pub mod rollout;
mod worker;

pub use cancel::{Cancel, CancelLevel};
pub use dispatcher::run;
pub use limits::{Limits, raise_file_limit};
pub use worker::{AnyTransport, RunSecrets};
