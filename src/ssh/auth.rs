//! Which keys are offered to a host, in which order.
//!
//! Every key file of a run is read, and its passphrase asked for, once and before the first
//! connection. A key that cannot be used is no error by itself: it is named if the login fails.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::Handle;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::{AgentClient, AgentStream};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use tokio::sync::Mutex;

use super::handler::Handler;
use crate::model::Host;

/// Keys offered to one server at most. sshd ends the connection at MaxAuthTries, 6 by default, and
/// newer ones penalise the address that fails too often.
const MAX_OFFERS: usize = 5;

/// OpenSSH's own names, tried where the inventory names no identity.
const DEFAULT_NAMES: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// The largest private key file that is read, in bytes.
const MAX_KEY_BYTES: u64 = 64 << 10;

/// Asks the operator for a key's passphrase; `None` where nobody can be asked.
pub type PassphrasePrompt<'a> = &'a mut dyn FnMut(&Path) -> Option<String>;

/// Why a key file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFault {
    /// There is no such file.
    Missing,
    /// It cannot be read.
    Unreadable(String),
    /// Others than its owner may read it, in octal.
    Exposed(u32),
    /// It is encrypted and nobody gave a passphrase.
    Encrypted,
    /// The passphrase did not open it.
    WrongPassphrase,
    /// It is no private key that we read.
    NotAKey(String),
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such file"),
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Self::Exposed(mode) => write!(
                f,
                "others may read it (mode {mode:04o}), so it is not used; `chmod 600` it"
            ),
            Self::Encrypted => f.write_str(
                "is encrypted, and there is no terminal to ask for its passphrase; add it to ssh-agent with `ssh-add`",
            ),
            Self::WrongPassphrase => f.write_str("the passphrase does not open it"),
            Self::NotAKey(why) => write!(f, "is not a private key that can be read: {why}"),
        }
    }
}

type Agent = AgentClient<Box<dyn AgentStream + Send + Unpin>>;

/// All the keys of a run.
pub struct Keyring {
    files: BTreeMap<PathBuf, Result<Arc<PrivateKey>, KeyFault>>,
    defaults: Vec<PathBuf>,
    agent: Option<Arc<Mutex<Agent>>>,
    agent_keys: Vec<PublicKey>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("files", &self.files.keys())
            .field("agent_keys", &self.agent_keys.len())
            .finish_non_exhaustive()
    }
}

/// One key on offer.
enum Offer {
    File(PathBuf, Arc<PrivateKey>),
    Agent(PublicKey),
}

impl Offer {
    fn name(&self) -> String {
        match self {
            Self::File(path, _) => path.display().to_string(),
            Self::Agent(key) => format!("agent key {}", key.comment()),
        }
    }
}

impl Keyring {
    /// Reads every key file that the hosts name, and the agent's list. A missing agent is normal.
    pub async fn load(hosts: &[&Host], home: &Path, prompt: PassphrasePrompt<'_>) -> Self {
        let (agent, agent_keys) = match connect_agent().await {
            Some((agent, keys)) => (Some(Arc::new(Mutex::new(agent))), keys),
            None => (None, Vec::new()),
        };
        let defaults: Vec<PathBuf> = DEFAULT_NAMES
            .iter()
            .map(|name| home.join(".ssh").join(name))
            .collect();
        let mut wanted: Vec<PathBuf> = Vec::new();
        let mut seen = HashSet::new();
        for host in hosts {
            let paths = match host.identity.as_slice() {
                [] => &defaults,
                _ => &host.identity,
            };
            wanted.extend(
                paths
                    .iter()
                    .filter(|path| seen.insert((*path).clone()))
                    .cloned(),
            );
        }
        let mut files = BTreeMap::new();
        for path in wanted {
            let in_agent = public_half(&path)
                .is_some_and(|key| agent_keys.iter().any(|held| same_key(held, &key)));
            let loaded = if in_agent {
                Err(KeyFault::Encrypted)
            } else {
                load_key(&path, prompt)
            };
            files.insert(path, loaded);
        }
        Self {
            files,
            defaults,
            agent,
            agent_keys,
        }
    }

    /// What can be offered to a host, likeliest first, and what cannot, with the reason.
    fn offers(&self, host: &Host) -> (Vec<Offer>, Vec<String>) {
        let mut offers = Vec::new();
        let mut unusable = Vec::new();
        let named = !host.identity.is_empty();
        let paths = if named {
            &host.identity
        } else {
            &self.defaults
        };
        for path in paths {
            let held = public_half(path)
                .and_then(|key| self.agent_keys.iter().find(|held| same_key(held, &key)));
            match (held, self.files.get(path)) {
                (Some(key), _) => offers.push(Offer::Agent(key.clone())),
                (None, Some(Ok(key))) => offers.push(Offer::File(path.clone(), Arc::clone(key))),
                (None, Some(Err(fault))) if named || *fault != KeyFault::Missing => {
                    unusable.push(format!("{}: {fault}", path.display()));
                }
                (None, _) => {}
            }
        }
        for key in &self.agent_keys {
            let offered = offers.iter().any(|offer| match offer {
                Offer::Agent(other) => same_key(other, key),
                Offer::File(_, other) => same_key(other.public_key(), key),
            });
            if !offered {
                offers.push(Offer::Agent(key.clone()));
            }
        }
        offers.truncate(MAX_OFFERS);
        (offers, unusable)
    }

    /// Says why no login to this host can succeed, before any connection is made; `None` where
    /// there is something to offer.
    pub(super) fn hopeless(&self, host: &Host) -> Option<String> {
        let (offers, unusable) = self.offers(host);
        if !offers.is_empty() {
            return None;
        }
        Some(match unusable.as_slice() {
            [] => "there is no key to log in with: the inventory names no identity, ~/.ssh has none, and no agent holds one".to_owned(),
            faults => format!("no key to log in with: {}", faults.join("; ")),
        })
    }

    /// Logs in.
    pub(super) async fn log_in(
        &self,
        session: &mut Handle<Handler>,
        host: &Host,
    ) -> Result<(), LogInError> {
        let (offers, unusable) = self.offers(host);
        let mut refused = Vec::new();
        let mut methods = String::new();
        for offer in offers {
            let name = offer.name();
            let result = self.offer(session, &host.user, offer).await?;
            match result {
                Answer::Welcome => return Ok(()),
                Answer::Refused { remaining, partial } => {
                    refused.push(if partial {
                        format!("{name} (accepted, and the server wants a second factor)")
                    } else {
                        name
                    });
                    methods = remaining;
                    // An empty list is russh's way to tell that the connection is gone.
                    if methods.is_empty() {
                        break;
                    }
                }
                Answer::CannotSign(why) => refused.push(format!("{name} ({why})")),
            }
        }
        Err(LogInError::Refused {
            offered: refused,
            unusable,
            methods,
        })
    }

    async fn offer(
        &self,
        session: &mut Handle<Handler>,
        user: &str,
        offer: Offer,
    ) -> Result<Answer, LogInError> {
        let lost = |error: russh::Error| LogInError::Lost(error.to_string());
        let result = match offer {
            Offer::File(_, key) => {
                let hash = rsa_hash(session, key.algorithm().is_rsa())
                    .await
                    .map_err(lost)?;
                let key = PrivateKeyWithHashAlg::new(key, hash);
                session
                    .authenticate_publickey(user, key)
                    .await
                    .map_err(lost)?
            }
            Offer::Agent(key) => {
                let Some(agent) = &self.agent else {
                    return Ok(Answer::CannotSign("the agent is gone".into()));
                };
                let hash = rsa_hash(session, key.algorithm().is_rsa())
                    .await
                    .map_err(lost)?;
                let mut signer = AgentSigner(Arc::clone(agent));
                match session
                    .authenticate_publickey_with(user, key, hash, &mut signer)
                    .await
                {
                    Ok(result) => result,
                    Err(error) => return Ok(Answer::CannotSign(error.to_string())),
                }
            }
        };
        Ok(match result {
            russh::client::AuthResult::Success => Answer::Welcome,
            russh::client::AuthResult::Failure {
                remaining_methods,
                partial_success,
            } => Answer::Refused {
                remaining: remaining_methods
                    .iter()
                    .map(String::from)
                    .collect::<Vec<_>>()
                    .join(","),
                partial: partial_success,
            },
        })
    }
}

enum Answer {
    Welcome,
    Refused { remaining: String, partial: bool },
    CannotSign(String),
}

/// Why a login failed.
#[derive(Debug)]
pub(super) enum LogInError {
    /// The server accepted none of the keys.
    Refused {
        offered: Vec<String>,
        unusable: Vec<String>,
        methods: String,
    },
    /// The connection ended.
    Lost(String),
}

/// RSA keys must say which hash they sign with; without one they would sign with SHA-1, which
/// servers refuse at the price of one try. Asking the server costs up to a second where it does
/// not tell, so only RSA keys ask.
async fn rsa_hash(
    session: &Handle<Handler>,
    is_rsa: bool,
) -> Result<Option<HashAlg>, russh::Error> {
    if !is_rsa {
        return Ok(None);
    }
    let best = session.best_supported_rsa_hash().await?;
    Ok(best.flatten().or(Some(HashAlg::Sha512)))
}

/// Signs with the agent, which is held only for the signature and never across a round trip to a
/// host, so that a slow host does not keep others waiting.
struct AgentSigner(Arc<Mutex<Agent>>);

#[derive(Debug, thiserror::Error)]
enum AgentSignError {
    #[error("the connection is gone")]
    Send(#[from] russh::SendError),
    #[error("the agent would not sign: {0}")]
    Agent(#[from] russh::keys::Error),
}

impl russh::Signer for AgentSigner {
    type Error = AgentSignError;

    async fn auth_sign(
        &mut self,
        key: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        Ok(self.0.lock().await.sign_request(key, hash, data).await?)
    }
}

async fn connect_agent() -> Option<(Agent, Vec<PublicKey>)> {
    // An agent that hangs must not hang the run.
    let limit = std::time::Duration::from_secs(3);
    tokio::time::timeout(limit, async {
        let mut agent = AgentClient::connect_env().await.ok()?.dynamic();
        let keys = agent.request_identities().await.ok()?;
        let keys = keys
            .into_iter()
            .filter_map(|identity| match identity {
                AgentIdentity::PublicKey { key, .. } => Some(key),
                AgentIdentity::Certificate { .. } => None,
            })
            .collect();
        Some((agent, keys))
    })
    .await
    .ok()
    .flatten()
}

fn same_key(a: &PublicKey, b: &PublicKey) -> bool {
    a.key_data() == b.key_data()
}

/// The public key beside a private one, by which it is found in the agent.
fn public_half(path: &Path) -> Option<PublicKey> {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    russh::keys::load_public_key(PathBuf::from(name)).ok()
}

fn load_key(path: &Path, prompt: PassphrasePrompt<'_>) -> Result<Arc<PrivateKey>, KeyFault> {
    use std::os::unix::fs::PermissionsExt as _;
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => KeyFault::Missing,
        _ => KeyFault::Unreadable(error.to_string()),
    };
    let data = std::fs::metadata(path).map_err(unreadable)?;
    if !data.is_file() {
        return Err(KeyFault::NotAKey("it is not a file".into()));
    }
    // ssh refuses such a key, and whoever can read it has the hosts.
    let mode = data.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFault::Exposed(mode));
    }
    if data.len() > MAX_KEY_BYTES {
        return Err(KeyFault::NotAKey("it is larger than 64 KiB".into()));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    match russh::keys::decode_secret_key(&text, None) {
        Ok(key) => Ok(Arc::new(key)),
        Err(russh::keys::Error::KeyIsEncrypted) => {
            let passphrase = prompt(path).ok_or(KeyFault::Encrypted)?;
            russh::keys::decode_secret_key(&text, Some(&passphrase))
                .map(Arc::new)
                .map_err(|_| KeyFault::WrongPassphrase)
        }
        Err(error) => Err(KeyFault::NotAKey(error.to_string())),
    }
}
