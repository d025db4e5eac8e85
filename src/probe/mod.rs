//! L1: the probe as text: the script that is sent, the frames that come back, and their meaning.

mod frame;
mod http;
mod parse;
mod script;
mod websocket;

pub use frame::{Frame, Frames, split};
pub use http::{
    is_gateway_body, may_name_version, models, page_version, parse_on_host, readiness, wants_tls,
};
pub use parse::{is_gateway_like, parse};
pub use script::{
    Header, Nonce, ProbeRequest, ProbeScript, Questions, http_script, probe_script, shell,
};
pub use websocket::{connect_request, greeting, is_challenge};

/// What the probe may print in all, in bytes; a healthy host's probe prints 5 to 20 KB.
pub const OUTPUT_CAP: usize = 1 << 20;

/// What is kept of the error stream, in bytes: enough for the reason of a failure.
pub const STDERR_CAP: usize = 16 << 10;
