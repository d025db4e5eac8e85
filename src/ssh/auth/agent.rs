//! Agents: one connection each, which all hosts of a run share.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::{AgentClient, AgentStream};
use russh::keys::{Certificate, HashAlg, PublicKey};
use tokio::sync::Mutex;

/// An agent that hangs must not hang the run.
const PATIENCE: Duration = Duration::from_secs(3);

type Connection = AgentClient<Box<dyn AgentStream + Send + Unpin>>;

/// An agent and what it holds.
#[derive(Clone, Default)]
pub(super) struct AgentKeys {
    connection: Option<Arc<Mutex<Connection>>>,
    pub(super) keys: Vec<PublicKey>,
    pub(super) certificates: Vec<Certificate>,
}

impl AgentKeys {
    /// Asks the agent at a socket what it holds. No agent is an agent that holds nothing.
    pub(super) async fn list(socket: &Path) -> Self {
        let listed = tokio::time::timeout(PATIENCE, async {
            let mut agent = AgentClient::connect_uds(socket).await.ok()?.dynamic();
            let identities = agent.request_identities().await.ok()?;
            Some((agent, identities))
        });
        let Some((agent, identities)) = listed.await.ok().flatten() else {
            tracing::debug!(socket = %socket.display(), "no agent answers");
            return Self::default();
        };
        let mut held = Self {
            connection: Some(Arc::new(Mutex::new(agent))),
            ..Self::default()
        };
        for identity in identities {
            match identity {
                AgentIdentity::PublicKey { key, .. } => held.keys.push(key),
                AgentIdentity::Certificate { certificate, .. } => {
                    held.certificates.push(certificate);
                }
            }
        }
        held
    }

    pub(super) fn signer(&self) -> Option<AgentSigner> {
        self.connection.clone().map(AgentSigner)
    }
}

/// Signs with an agent, which is held only for the signature and never across a round trip to a
/// host, so that a slow host does not keep others waiting.
pub(super) struct AgentSigner(Arc<Mutex<Connection>>);

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignError {
    /// The connection to the host ended meanwhile.
    #[error("the connection is gone")]
    Send(#[from] russh::SendError),
    /// The agent refused.
    #[error("the agent would not sign: {0}")]
    Agent(#[from] russh::keys::Error),
    /// The key refused.
    #[error("the key does not sign: {0}")]
    Key(#[from] russh::keys::ssh_key::Error),
}

impl russh::Signer for AgentSigner {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        key: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        Ok(self.0.lock().await.sign_request(key, hash, data).await?)
    }
}
