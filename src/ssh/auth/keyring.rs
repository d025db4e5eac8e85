//! All the keys of a run, and which of them a host is offered.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use russh::keys::{Certificate, HashAlg, PrivateKey, PublicKey};

use super::agent::{AgentKeys, AgentSigner};
use super::keys::{KeyFault, KeyFile, PassphrasePrompt, read_certificate, rsa_bits, same_key};
use super::passwords::Passwords;
use crate::model::{Agent, AuthMethod, SshSettings};

/// Tries that one server gets at most, as many as ssh makes of sshd's default MaxAuthTries. Newer
/// ones penalise the address that fails too often.
const MAX_TRIES: usize = 6;

/// Where the environment says that an agent listens.
#[derive(Debug, Clone, Default)]
pub struct AgentSockets {
    /// `SSH_AUTH_SOCK`.
    pub environment: Option<PathBuf>,
}

/// All the keys of a run.
pub struct Keyring {
    files: BTreeMap<PathBuf, KeyFile>,
    certificates: BTreeMap<PathBuf, Result<Certificate, KeyFault>>,
    agents: HashMap<PathBuf, AgentKeys>,
    sockets: AgentSockets,
    /// What logged in to each server last: before the run as it is remembered, and as it goes on.
    remembered: BTreeMap<String, String>,
    worked: Mutex<BTreeMap<String, String>>,
    pub(super) passwords: Arc<Passwords>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("files", &self.files.keys())
            .finish_non_exhaustive()
    }
}

/// Who signs.
pub(super) enum Holder {
    File(Arc<PrivateKey>),
    Agent(AgentSigner),
}

/// One key on offer.
pub(super) struct Offer {
    /// For people.
    pub(super) name: String,
    pub(super) key: PublicKey,
    /// Offered in place of the plain key.
    pub(super) certificate: Option<Certificate>,
    pub(super) holder: Holder,
}

impl Offer {
    /// What is remembered of it: a plain key and its certificate are two ways to log in.
    pub(super) fn fingerprint(&self) -> String {
        let kind = match self.certificate {
            Some(_) => "certificate ",
            None => "",
        };
        format!("{kind}{}", self.key.fingerprint(HashAlg::Sha256))
    }

    /// The name under which the server is asked to accept it.
    fn algorithm(&self) -> String {
        let plain = self.key.algorithm();
        match self.certificate {
            Some(_) => plain.to_certificate_type(),
            None => plain.as_str().to_owned(),
        }
    }
}

/// What can be offered to a host, likeliest first.
#[derive(Default)]
pub(super) struct Offers {
    pub(super) keys: Vec<Offer>,
    /// What cannot be, and why.
    pub(super) unusable: Vec<String>,
    /// How many more there are than a server listens to.
    pub(super) left_out: usize,
}

impl Keyring {
    /// Reads every key file that the hosts and their jumps name, and the agents' lists. A missing
    /// agent is normal.
    pub async fn load(
        settings: &[&SshSettings],
        sockets: AgentSockets,
        passwords: Arc<Passwords>,
        remembered: BTreeMap<String, String>,
        prompt: PassphrasePrompt<'_>,
    ) -> Self {
        let mut keyring = Self {
            files: BTreeMap::new(),
            certificates: BTreeMap::new(),
            agents: HashMap::new(),
            sockets,
            remembered,
            worked: Mutex::default(),
            passwords,
        };
        for one in settings {
            if let Some(socket) = keyring.socket(one)
                && !keyring.agents.contains_key(&socket)
            {
                let held = AgentKeys::list(&socket).await;
                keyring.agents.insert(socket, held);
            }
        }
        for one in settings {
            keyring.read_files(one, prompt);
        }
        keyring
    }

    fn read_files(&mut self, settings: &SshSettings, prompt: PassphrasePrompt<'_>) {
        let agent = self.agent(settings);
        for path in &settings.identities.files {
            let file = self
                .files
                .entry(path.clone())
                .or_insert_with(|| KeyFile::read(path));
            // Whoever has the key in an agent needs no passphrase; the next one may.
            let held = file.public.as_ref().and_then(|key| agent.find(key));
            if held.is_none() {
                file.unlock(path, &mut *prompt);
            }
        }
        for path in &settings.identities.certificates {
            self.certificates
                .entry(path.clone())
                .or_insert_with(|| read_certificate(path));
        }
    }

    fn socket(&self, settings: &SshSettings) -> Option<PathBuf> {
        match &settings.identities.agent {
            Agent::FromEnvironment => self.sockets.environment.clone(),
            Agent::None => None,
            Agent::At(path) => Some(path.clone()),
        }
    }

    fn agent(&self, settings: &SshSettings) -> AgentKeys {
        self.socket(settings)
            .and_then(|socket| self.agents.get(&socket).cloned())
            .unwrap_or_default()
    }

    /// What can be offered to a host, likeliest first, and what cannot, with the reason.
    pub(super) fn offers(&self, settings: &SshSettings) -> Offers {
        let mut offers = Offers::default();
        if !settings.methods.contains(&AuthMethod::PublicKey) {
            return offers;
        }
        let identities = &settings.identities;
        let agent = self.agent(settings);
        let mut given: Vec<&Certificate> = Vec::new();
        for path in &identities.certificates {
            match self.certificates.get(path) {
                Some(Ok(certificate)) => given.push(certificate),
                Some(Err(fault)) => offers.unusable.push(format!("{}: {fault}", path.display())),
                None => {}
            }
        }
        given.extend(&agent.certificates);
        let mut files = Offers::default();
        for path in &identities.files {
            self.offer_file(path, identities.named, &agent, &given, &mut files);
        }
        let mut others = Vec::new();
        if !identities.only {
            let offered =
                |key: &PublicKey| files.keys.iter().any(|offer| same_key(&offer.key, key));
            for held in agent.keys.iter().filter(|held| !offered(&held.key)) {
                with_certificates(
                    &mut others,
                    &held.key,
                    &held.name(),
                    &given,
                    |certificate| agent.signer(&held.key, certificate).map(Holder::Agent),
                );
            }
            // Some agents list a certificate and not its key.
            for certificate in &agent.certificates {
                let key = PublicKey::from(certificate.public_key().clone());
                if !offered(&key) && agent.find(&key).is_none() {
                    let name = format!("agent certificate {}", shown(certificate.key_id()));
                    let signer = agent.signer(&key, Some(certificate));
                    others.extend(signer.map(|signer| Offer {
                        name,
                        key,
                        certificate: Some(certificate.clone()),
                        holder: Holder::Agent(signer),
                    }));
                }
            }
        }
        offers.unusable.extend(files.unusable);
        // As ssh does: what somebody named comes first, and what is in an agent before files that
        // only have a usual name.
        if identities.named {
            offers.keys.extend(files.keys);
            offers.keys.extend(others);
        } else {
            let (held, plain): (Vec<_>, Vec<_>) = files
                .keys
                .into_iter()
                .partition(|offer| matches!(offer.holder, Holder::Agent(_)));
            offers.keys.extend(held);
            offers.keys.extend(others);
            offers.keys.extend(plain);
        }
        let accepted = &settings.algorithms.login_keys;
        offers.keys.retain(|offer| {
            let fits = accepted.is_empty() || is_accepted(offer, accepted);
            if !fits {
                let (name, kind) = (&offer.name, offer.algorithm());
                offers.unusable.push(format!(
                    "{name}: PubkeyAcceptedAlgorithms leaves out {kind}"
                ));
            }
            fits
        });
        // A server would take such a key no more than we take such a host key.
        offers.keys.retain(|offer| {
            let bits = rsa_bits(offer.key.key_data());
            let large = bits.is_none_or(|bits| bits >= settings.min_rsa_bits);
            if !large {
                let name = &offer.name;
                let least = settings.min_rsa_bits;
                offers
                    .unusable
                    .push(format!("{name}: is smaller than RequiredRSASize {least}"));
            }
            large
        });
        // Keys that somebody named keep their order: a new one before an old one is meant so.
        let last = self.remembered.get(&server(settings));
        if let Some(last) = last.filter(|_| !identities.named) {
            // Stable: the order of the others is kept.
            offers
                .keys
                .sort_by_key(|offer| offer.fingerprint() != *last);
        }
        // A password may want to be tried after them.
        let password = self.passwords.for_login(settings).is_some();
        let most = MAX_TRIES - usize::from(password);
        offers.left_out = offers.keys.len().saturating_sub(most);
        offers.keys.truncate(most);
        offers
    }

    fn offer_file(
        &self,
        path: &Path,
        named: bool,
        agent: &AgentKeys,
        given: &[&Certificate],
        offers: &mut Offers,
    ) {
        let Some(file) = self.files.get(path) else {
            return;
        };
        let held = file.public.as_ref().and_then(|key| agent.find(key));
        let certificates: Vec<&Certificate> = file
            .certificate
            .iter()
            .chain(given.iter().copied())
            .collect();
        let name = path.display().to_string();
        match (held, &file.key) {
            (Some(held), _) => {
                let signer =
                    |certificate: Option<&Certificate>| agent.signer(&held.key, certificate);
                with_certificates(
                    &mut offers.keys,
                    &held.key,
                    &held.name(),
                    &certificates,
                    |certificate| signer(certificate).map(Holder::Agent),
                );
            }
            (None, Ok(key)) => {
                with_certificates(
                    &mut offers.keys,
                    key.public_key(),
                    &name,
                    &certificates,
                    |_| Some(Holder::File(Arc::clone(key))),
                );
            }
            (None, Err(fault)) if named || *fault != KeyFault::Missing => {
                offers.unusable.push(format!("{name}: {fault}"));
            }
            (None, Err(_)) => {}
        }
    }

    /// Says why no login to this host can succeed, before any connection is made; `None` where
    /// there is something to offer.
    pub(in crate::ssh) fn hopeless(&self, settings: &SshSettings) -> Option<String> {
        let offers = self.offers(settings);
        let password = self.passwords.for_login(settings).is_some();
        if !offers.keys.is_empty() || password {
            return None;
        }
        Some(match offers.unusable.as_slice() {
            [] if !settings.methods.contains(&AuthMethod::PublicKey) => "keys are switched off (PubkeyAuthentication or PreferredAuthentications), and there is no password; give one with --ask-pass or `password`".to_owned(),
            [] => "there is no key to log in with: neither the inventory nor ssh_config names one, ~/.ssh has none, and no agent holds one".to_owned(),
            faults => format!("no key to log in with: {}", faults.join("; ")),
        })
    }

    /// Notes what logged in.
    pub(super) fn worked(&self, settings: &SshSettings, fingerprint: String) {
        if let Ok(mut worked) = self.worked.lock() {
            worked.insert(server(settings), fingerprint);
        }
    }

    /// Returns what logged in to which server, for the next run to offer it first.
    pub fn what_worked(&self) -> BTreeMap<String, String> {
        self.worked
            .lock()
            .map(|worked| worked.clone())
            .unwrap_or_default()
    }
}

/// A server as it is remembered.
fn server(settings: &SshSettings) -> String {
    format!("{}@{}:{}", settings.user, settings.host_name, settings.port)
}

/// A key's comment is written by whoever made the key.
fn shown(comment: impl AsRef<str>) -> String {
    comment.as_ref().chars().take(80).collect()
}

/// Adds a key: its certificates first, as ssh does, then the key itself.
fn with_certificates(
    offers: &mut Vec<Offer>,
    key: &PublicKey,
    name: &str,
    certificates: &[&Certificate],
    holder: impl Fn(Option<&Certificate>) -> Option<Holder>,
) {
    let mut add = |certificate: Option<&Certificate>, name: String| {
        let known = offers
            .iter()
            .any(|offer| same_key(&offer.key, key) && offer.certificate.as_ref() == certificate);
        if let Some(holder) = holder(certificate).filter(|_| !known) {
            offers.push(Offer {
                name,
                key: key.clone(),
                certificate: certificate.cloned(),
                holder,
            });
        }
    };
    for certificate in certificates {
        if certificate.public_key() == key.key_data() {
            let id = shown(certificate.key_id());
            add(Some(certificate), format!("{name} with certificate {id}"));
        }
    }
    add(None, name.to_owned());
}

/// Whether PubkeyAcceptedAlgorithms names a key's kind. An RSA key counts by any of its hashes.
fn is_accepted(offer: &Offer, accepted: &[String]) -> bool {
    let algorithm = offer.algorithm();
    let names: &[&str] = match algorithm.as_str() {
        "ssh-rsa" => &["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"],
        "ssh-rsa-cert-v01@openssh.com" => &[
            "rsa-sha2-512-cert-v01@openssh.com",
            "rsa-sha2-256-cert-v01@openssh.com",
            "ssh-rsa-cert-v01@openssh.com",
        ],
        other => return accepted.iter().any(|name| name == other),
    };
    accepted.iter().any(|name| names.contains(&name.as_str()))
}
