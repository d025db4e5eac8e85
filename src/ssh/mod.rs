//! L2: sessions on hosts. The only importer of russh.
//!
//! A transport turns a host into a session; a session runs a command with its input and opens
//! connections from the host. Failures are outcomes of the host, named by stage.

mod auth;
mod clock;
mod connect;
mod dial;
mod exec;
mod gate;
mod handler;
mod handshake;
mod host_keys;
mod jump;
mod live;
mod local;
mod negotiate;
mod patience;
mod proxy;
mod scan;
mod session;
mod sshfp;
mod tunnel;
mod wire;
mod words;

use std::future::Future;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use auth::{AgentSockets, KeyFault, Keyring, LoginPassword, PassphrasePrompt, Passwords, Turn};
pub use clock::StageClock;
pub use connect::SshTransport;
pub use exec::{Command, Dialogue, ExecEnd, ExecOutput};
pub use host_keys::{
    CertificateFault, EnrolError, Enrolled, HostKeyStore, KeyVerdict, KnownAlgorithms, KnownHosts,
    NewEntry, Place, RevokedBy, RevokedKeys, RevokedThing, ServerName, VoucherFault, Vouchers,
    enrol,
};
pub use live::{Follower, LiveCommand, LiveTimes, Next, Pipe};
pub use local::LocalTransport;
pub use proxy::ProxyShell;
pub use scan::{Scan, ScannedKey};
pub use session::SshSession;
pub use sshfp::{Resolver, SshfpAnswer, read_answer};

use crate::model::{Host, HostOutcome};

/// A connection from the host to somewhere, or to the host's own loopback.
pub type Stream = Box<dyn ByteStream>;

/// Bytes in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// Why a connection from the host did not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardError {
    /// Nobody listens there.
    Refused,
    /// The server forwards nothing for this login.
    Forbidden(String),
    /// The connection to the host is gone.
    Lost(String),
}

/// Makes sessions.
pub trait Transport: Send + Sync {
    /// What it makes.
    type Session: Session;
    /// An open way to a host, and a place on it.
    type Admission: Send;

    /// Opens the way to a host and waits for a place on it. The host's own time does not run yet:
    /// others may stand before it.
    fn admit(
        &self,
        host: &Host,
    ) -> impl Future<Output = Result<Self::Admission, HostOutcome>> + Send;

    /// Connects and logs in. Each stage has its deadline; the clock knows which one runs.
    fn connect(
        &self,
        host: &Host,
        clock: Arc<StageClock>,
        admission: Self::Admission,
    ) -> impl Future<Output = Result<Self::Session, HostOutcome>> + Send;
}

/// A jump host that was lost while hosts behind it were asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostJump {
    /// Its name.
    pub name: String,
    /// What happened, as a sentence.
    pub words: String,
}

/// One logged-in connection.
pub trait Session: Send + Sync {
    /// Runs a command to its end, to the deadline or to its output cap, whichever comes first.
    /// What was printed until then is always returned.
    fn exec(
        &self,
        command: Command<'_>,
        deadline: Instant,
    ) -> impl Future<Output = ExecOutput> + Send;

    /// Runs a command that somebody follows, until it is over, given up, or stopped. The output has the
    /// beginning of its standard error and how it ended; all else was the follower's.
    fn follow<F: Follower>(
        &self,
        command: LiveCommand<'_>,
        times: LiveTimes,
        stop: &CancellationToken,
        follower: &mut F,
    ) -> impl Future<Output = ExecOutput> + Send;

    /// Connects from the host to an address.
    fn forward(
        &self,
        address: &str,
        port: u16,
    ) -> impl Future<Output = Result<Stream, ForwardError>> + Send;

    /// Returns the jump host whose loss ended this session, with words for it, if that is why.
    fn lost_jump(&self) -> Option<LostJump> {
        None
    }

    /// Says good-bye. Dropping a session without it is safe, only less polite.
    fn close(self) -> impl Future<Output = ()> + Send;
}
