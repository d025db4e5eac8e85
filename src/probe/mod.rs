//! L1: the probe as text: the script that is sent, the frames that come back, and their meaning.

mod frame;
mod http;
mod parse;
mod script;

pub use frame::{Frame, Frames, split};
pub use http::{is_gateway_body, parse_on_host};
pub use parse::{is_gateway_like, parse};
pub use script::{Nonce, ProbeRequest, ProbeScript, http_script, probe_script};

/// What the probe may print in all, in bytes; a healthy host's probe prints 5 to 20 KB.
pub const OUTPUT_CAP: usize = 1 << 20;

/// What is kept of the error stream, in bytes: enough for the reason of a failure.
pub const STDERR_CAP: usize = 16 << 10;
