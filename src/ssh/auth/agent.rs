//! Agents: one connection each, which all hosts of a run share.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::{AgentClient, AgentStream};
use russh::keys::{Certificate, HashAlg, PublicKey};
use tokio::sync::Mutex;

use super::keys::same_key;

/// An agent that hangs must not hang the run.
const PATIENCE: Duration = Duration::from_secs(3);

type Connection = AgentClient<Box<dyn AgentStream + Send + Unpin>>;

/// An agent and what it holds.
#[derive(Clone, Default)]
pub(super) struct AgentKeys {
    connection: Option<Arc<Mutex<Connection>>>,
    /// Its keys, each with the comment that the agent has of it.
    pub(super) keys: Vec<AgentKey>,
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
                AgentIdentity::PublicKey { key, comment } => {
                    held.keys.push(AgentKey { key, comment });
                }
                AgentIdentity::Certificate { certificate, .. } => {
                    held.certificates.push(certificate);
                }
            }
        }
        held
    }

    /// Returns the agent's own copy of a key.
    pub(super) fn find(&self, key: &PublicKey) -> Option<&AgentKey> {
        self.keys.iter().find(|held| same_key(&held.key, key))
    }

    /// Returns who signs with a key. The agent is asked by the certificate only where it listed that
    /// certificate itself: of others it holds the key alone.
    pub(super) fn signer(
        &self,
        key: &PublicKey,
        certificate: Option<&Certificate>,
    ) -> Option<AgentSigner> {
        let listed = certificate.is_some_and(|one| self.certificates.contains(one));
        let plain = AgentIdentity::PublicKey {
            key: key.clone(),
            comment: String::new(),
        };
        Some(AgentSigner {
            connection: self.connection.clone()?,
            instead: (!listed).then(|| Box::new(plain)),
        })
    }
}

/// A key that an agent holds.
#[derive(Debug, Clone)]
pub(super) struct AgentKey {
    pub(super) key: PublicKey,
    comment: String,
}

impl AgentKey {
    /// Names the key for people. Its comment is written by whoever made it, and may be missing.
    pub(super) fn name(&self) -> String {
        if self.comment.trim().is_empty() {
            return format!("agent key {}", self.key.fingerprint(HashAlg::Sha256));
        }
        let comment: String = self.comment.chars().take(80).collect();
        format!("agent key {comment}")
    }
}

/// Signs with an agent, which is held only for the signature and never across a round trip to a
/// host, so that a slow host does not keep others waiting.
pub(super) struct AgentSigner {
    connection: Arc<Mutex<Connection>>,
    /// The key to ask for, where it is not what the server is shown.
    instead: Option<Box<AgentIdentity>>,
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignError {
    /// The connection to the host ended meanwhile.
    #[error("the connection is gone")]
    Send(#[from] russh::SendError),
    /// The task that asks the agent ended.
    #[error("the agent could not be asked")]
    Gone,
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
        let key = self.instead.as_deref().unwrap_or(key).clone();
        let connection = Arc::clone(&self.connection);
        // In a task of its own: a login that is given up must not leave the agent's answer behind
        // for the next one to read.
        let signing = tokio::spawn(async move {
            let mut agent = connection.lock().await;
            agent.sign_request(&key, hash, data).await
        });
        match signing.await {
            Ok(signed) => Ok(signed?),
            Err(_) => Err(SignError::Gone),
        }
    }
}
