//! One login: keys, the server's questions, a password, in the order that the settings say and as
//! far as the server goes along.

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, signature};
use russh::{MethodKind, MethodSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::agent::SignError;
use super::keyring::{Holder, Keyring, Offer};
use super::passwords::{LoginPassword, Turn};
use crate::model::{AuthMethod, SshSettings};
use crate::ssh::handler::Handler;

/// Rounds of questions that a server may put. PAM's longest chains have two or three.
const MAX_ROUNDS: usize = 8;

/// Questions in one round.
const MAX_QUESTIONS: usize = 16;

/// Steps of a login that takes several factors.
const MAX_STEPS: usize = 6;

/// Words by which a question asks for a password. What asks for anything else gets no password:
/// a second factor is not guessed.
const PASSWORD_WORDS: [&str; 8] = [
    "password",
    "passwort",
    "mot de passe",
    "contraseña",
    "senha",
    "пароль",
    "密码",
    "密碼",
];

/// Words by which a question asks for another password than the account's: one that is good once,
/// or a new one.
const OTHER_WORDS: [&str; 9] = [
    "one-time", "one time", "otp", "token", "code", "new ", "retype", "current", "expired",
];

/// Why a login failed.
#[derive(Debug)]
pub(in crate::ssh) enum LogInError {
    /// The server accepted nothing that was offered.
    Refused(Refusal),
    /// The connection ended.
    Lost(String),
    /// The server did not answer in time.
    TimedOut,
}

/// What was offered in vain.
#[derive(Debug, Default)]
pub(in crate::ssh) struct Refusal {
    /// What was offered, for people.
    pub(in crate::ssh) offered: Vec<String>,
    /// What was not, and why.
    pub(in crate::ssh) unusable: Vec<String>,
    /// The ways in that the server still names.
    pub(in crate::ssh) methods: String,
    /// Whether the server ended the connection.
    pub(in crate::ssh) hung_up: bool,
    /// Whether a key was offered.
    pub(in crate::ssh) keys: bool,
}

enum Answer {
    Welcome,
    Refused {
        remaining: MethodSet,
        partial: bool,
    },
    /// Not tried, or not to its end; the ways in that the server named after it, if it did.
    NotTried(String, Option<MethodSet>),
}

/// A login in progress.
pub(in crate::ssh) struct LogIn<'a> {
    keyring: &'a Keyring,
    settings: &'a SshSettings,
    session: &'a mut Handle<Handler>,
    refusal: Refusal,
    keys: std::vec::IntoIter<Offer>,
    remaining: Option<MethodSet>,
    password: Option<Arc<LoginPassword>>,
    deadline: Instant,
}

impl<'a> LogIn<'a> {
    pub(in crate::ssh) fn new(
        keyring: &'a Keyring,
        settings: &'a SshSettings,
        session: &'a mut Handle<Handler>,
        limit: Duration,
    ) -> Self {
        let offers = keyring.offers(settings);
        let mut refusal = Refusal {
            unusable: offers.unusable,
            ..Refusal::default()
        };
        if offers.left_out > 0 {
            refusal.unusable.push(format!(
                "{} more: servers end a login after six tries; name the right key with `identity`, or set IdentitiesOnly",
                offers.left_out
            ));
        }
        Self {
            keyring,
            settings,
            session,
            refusal,
            keys: offers.keys.into_iter(),
            remaining: None,
            password: keyring.passwords.for_login(settings).cloned(),
            deadline: Instant::now() + limit,
        }
    }

    /// Logs in.
    pub(in crate::ssh) async fn run(mut self) -> Result<(), LogInError> {
        for _ in 0..MAX_STEPS {
            let mut stepped = false;
            for method in &self.settings.methods {
                if !self.takes(*method) {
                    continue;
                }
                match self.method(*method).await? {
                    Step::In => return Ok(()),
                    // One factor of several: the ways in are looked at from the start.
                    Step::Further => {
                        stepped = true;
                        break;
                    }
                    Step::No => {}
                }
            }
            if !stepped {
                break;
            }
        }
        if let Some(remaining) = &self.remaining {
            let names: Vec<String> = remaining.iter().map(String::from).collect();
            self.refusal.methods = names.join(",");
            self.refusal.hung_up = names.is_empty();
        }
        Err(LogInError::Refused(self.refusal))
    }

    /// Whether the server still takes a method. Before the first answer any is worth a try.
    fn takes(&self, method: AuthMethod) -> bool {
        let kind = match method {
            AuthMethod::PublicKey => MethodKind::PublicKey,
            AuthMethod::KeyboardInteractive => MethodKind::KeyboardInteractive,
            AuthMethod::Password => MethodKind::Password,
        };
        self.remaining
            .as_ref()
            .is_none_or(|remaining| remaining.contains(&kind))
    }

    async fn method(&mut self, method: AuthMethod) -> Result<Step, LogInError> {
        match method {
            AuthMethod::PublicKey => self.by_keys().await,
            AuthMethod::KeyboardInteractive | AuthMethod::Password => {
                self.by_password(method).await
            }
        }
    }

    async fn by_keys(&mut self) -> Result<Step, LogInError> {
        while let Some(offer) = self.keys.next() {
            let (name, fingerprint) = (offer.name.clone(), offer.fingerprint());
            self.refusal.keys = true;
            let answer = timeout_at(self.deadline, self.offer(offer))
                .await
                .map_err(|_| LogInError::TimedOut)??;
            if matches!(answer, Answer::Welcome) {
                self.keyring.worked(self.settings, fingerprint);
            }
            match self.note(name, answer) {
                Step::No if self.hung_up() || !self.takes(AuthMethod::PublicKey) => {
                    return Ok(Step::No);
                }
                Step::No => {}
                step => return Ok(step),
            }
        }
        Ok(Step::No)
    }

    async fn by_password(&mut self, method: AuthMethod) -> Result<Step, LogInError> {
        let Some(password) = self.password.clone() else {
            return Ok(Step::No);
        };
        // Waiting for other hosts is none of this server's time.
        let begin = Instant::now();
        let turn = password.turn().await;
        self.deadline += begin.elapsed();
        let Some(mut turn) = turn else {
            self.refusal.unusable.push(
                "the password: other hosts refused it, and one more failure may lock the account"
                    .to_owned(),
            );
            self.password = None;
            return Ok(Step::No);
        };
        let deadline = self.deadline;
        let late = |_| LogInError::TimedOut;
        let (answer, said) = match method {
            AuthMethod::KeyboardInteractive => {
                let questions = self.questions(&mut turn);
                timeout_at(deadline, questions).await.map_err(late)??
            }
            _ => {
                let user = self.settings.user.clone();
                let secret = turn.send().expose();
                let sent = self.session.authenticate_password(user, secret);
                let sent = timeout_at(deadline, sent).await.map_err(late)?;
                (answer_of(sent.map_err(lost)?), Said::Yes)
            }
        };
        let accepted = match (&answer, said) {
            (_, Said::InVain) => false,
            (Answer::Welcome, _) => true,
            (Answer::Refused { partial, .. }, _) => *partial,
            // Whoever asks for something else after the password took it.
            (Answer::NotTried(..), _) => true,
        };
        if said != Said::No {
            if accepted {
                turn.accepted();
            } else {
                turn.refused();
            }
            // Once is enough: the same word would be as wrong a second time.
            self.password = None;
        }
        let name = match said {
            Said::No => format!("{}, before any question", method.id()),
            Said::Yes | Said::InVain => format!("the password ({})", method.id()),
        };
        Ok(self.note(name, answer))
    }

    /// Notes an answer for the error that may follow.
    fn note(&mut self, name: String, answer: Answer) -> Step {
        match answer {
            Answer::Welcome => Step::In,
            Answer::NotTried(why, remaining) => {
                self.refusal.offered.push(format!("{name} ({why})"));
                self.remaining = remaining.or(self.remaining.take());
                Step::No
            }
            Answer::Refused { remaining, partial } => {
                self.remaining = Some(remaining);
                self.refusal.offered.push(if partial {
                    format!("{name} (accepted, and the server wants a second factor)")
                } else {
                    name
                });
                if partial { Step::Further } else { Step::No }
            }
        }
    }

    /// An empty list is russh's way to tell that the connection is gone.
    fn hung_up(&self) -> bool {
        self.remaining
            .as_ref()
            .is_some_and(|remaining| remaining.is_empty())
    }

    async fn offer(&mut self, offer: Offer) -> Result<Answer, LogInError> {
        let user = self.settings.user.clone();
        let accepted = &self.settings.algorithms.login_keys;
        let hash = rsa_hash(self.session, offer.key.algorithm().is_rsa(), accepted)
            .await
            .map_err(lost)?;
        let signed = match (offer.holder, offer.certificate) {
            (Holder::File(key), None) => {
                let key = PrivateKeyWithHashAlg::new(key, hash);
                let sent = self.session.authenticate_publickey(user, key);
                return Ok(answer_of(sent.await.map_err(lost)?));
            }
            (Holder::File(key), Some(certificate)) => {
                let mut signer = FileSigner(key);
                self.session
                    .authenticate_certificate_with(user, certificate, hash, &mut signer)
                    .await
            }
            (Holder::Agent(mut signer), None) => {
                self.session
                    .authenticate_publickey_with(user, offer.key, hash, &mut signer)
                    .await
            }
            (Holder::Agent(mut signer), Some(certificate)) => {
                self.session
                    .authenticate_certificate_with(user, certificate, hash, &mut signer)
                    .await
            }
        };
        Ok(match signed {
            Ok(result) => answer_of(result),
            Err(error) => Answer::NotTried(error.to_string(), None),
        })
    }

    /// Answers what the server asks, if it asks for a password. What asks for anything else is
    /// answered with nothing: russh waits for an answer before it sends anything more.
    async fn questions(&mut self, turn: &mut Turn<'_>) -> Result<(Answer, Said), LogInError> {
        let user = self.settings.user.clone();
        let mut said = Said::No;
        let mut unanswered = None;
        let mut reply = self
            .session
            .authenticate_keyboard_interactive_start(user, None)
            .await
            .map_err(lost)?;
        for _ in 0..MAX_ROUNDS {
            let prompts = match reply {
                KeyboardInteractiveAuthResponse::Success => return Ok((Answer::Welcome, said)),
                KeyboardInteractiveAuthResponse::Failure {
                    remaining_methods,
                    partial_success,
                } => {
                    let answer = match unanswered {
                        Some(why) => Answer::NotTried(why, Some(remaining_methods)),
                        None => Answer::Refused {
                            remaining: remaining_methods,
                            partial: partial_success,
                        },
                    };
                    return Ok((answer, said));
                }
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
            };
            if prompts.len() > MAX_QUESTIONS {
                break;
            }
            let answers = match prompts.as_slice() {
                [one] if said == Said::No && !one.echo && asks_password(&one.prompt) => {
                    said = Said::Yes;
                    vec![turn.send().expose().to_owned()]
                }
                [] => Vec::new(),
                [first, ..] => {
                    // The same question again: the answer was wrong.
                    if said == Said::Yes && asks_password(&first.prompt) {
                        said = Said::InVain;
                    }
                    unanswered.get_or_insert_with(|| match said {
                        Said::InVain => "the server asks for it again".to_owned(),
                        Said::No | Said::Yes => unanswerable(&first.prompt),
                    });
                    prompts.iter().map(|_| String::new()).collect()
                }
            };
            reply = self
                .session
                .authenticate_keyboard_interactive_respond(answers)
                .await
                .map_err(lost)?;
        }
        // The question stands, and nothing else would reach the server.
        Err(LogInError::Lost(unanswered.unwrap_or_else(|| {
            "the server never ends its questions".to_owned()
        })))
    }
}

/// What became of the password among the server's questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// It was not asked for.
    No,
    /// It was said once.
    Yes,
    /// It was said, and asked for again.
    InVain,
}

enum Step {
    In,
    Further,
    No,
}

/// Whether a question is one for a password.
pub(in crate::ssh) fn asks_password(prompt: &str) -> bool {
    let prompt = prompt.to_lowercase();
    PASSWORD_WORDS.iter().any(|word| prompt.contains(word))
        && !OTHER_WORDS.iter().any(|word| prompt.contains(word))
}

/// Says why a question has no answer. PAM puts its notices in front of it.
fn unanswerable(prompt: &str) -> String {
    let lower = prompt.to_lowercase();
    if lower.contains("change your password") || lower.contains("expired") {
        return "the password has expired and must be changed at a login by hand".to_owned();
    }
    let question = prompt.lines().map(str::trim).rfind(|line| !line.is_empty());
    let question: String = question.unwrap_or_default().chars().take(80).collect();
    format!("the server asks `{question}`, which nobody can answer for a whole fleet")
}

fn lost(error: russh::Error) -> LogInError {
    LogInError::Lost(error.to_string())
}

fn answer_of(result: AuthResult) -> Answer {
    match result {
        AuthResult::Success => Answer::Welcome,
        AuthResult::Failure {
            remaining_methods,
            partial_success,
        } => Answer::Refused {
            remaining: remaining_methods,
            partial: partial_success,
        },
    }
}

/// RSA keys must say which hash they sign with. It is the best that the server takes of those that
/// PubkeyAcceptedAlgorithms names; SHA-1 is none unless it is named there. As ssh does, SHA-1 is
/// then used for a server that does not tell what it takes. Asking costs up to a second where it
/// does not tell, so only RSA keys ask.
async fn rsa_hash(
    session: &Handle<Handler>,
    is_rsa: bool,
    accepted: &[String],
) -> Result<Option<HashAlg>, russh::Error> {
    if !is_rsa {
        return Ok(None);
    }
    let named = |name: &str| {
        let certificate = format!("{name}-cert-v01@openssh.com");
        accepted
            .iter()
            .any(|one| one == name || *one == certificate)
    };
    let allowed = |hash: Option<HashAlg>| match hash {
        Some(HashAlg::Sha512) => accepted.is_empty() || named("rsa-sha2-512"),
        Some(_) => accepted.is_empty() || named("rsa-sha2-256"),
        None => named("ssh-rsa"),
    };
    let best = session.best_supported_rsa_hash().await?;
    let order = match best {
        Some(best) => [best, Some(HashAlg::Sha256), Some(HashAlg::Sha512)],
        None => [None, Some(HashAlg::Sha512), Some(HashAlg::Sha256)],
    };
    let chosen = order.into_iter().find(|hash| allowed(*hash));
    Ok(chosen.unwrap_or(Some(HashAlg::Sha512)))
}

/// Signs with a key file for a certificate. russh's own way for files announces RSA certificates
/// by their SHA-1 name, which servers refuse.
struct FileSigner(Arc<PrivateKey>);

impl russh::Signer for FileSigner {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        use russh::keys::ssh_key::{Error, Signature};
        use signature::Signer as _;
        let signed: Result<Signature, _> = match self.0.key_data() {
            KeypairData::Rsa(pair) => (pair, hash).try_sign(&data),
            other => other.try_sign(&data),
        };
        let signature = signed.map_err(|_| Error::Crypto)?;
        let mut encoded = Vec::new();
        signature.encode(&mut encoded).map_err(Error::from)?;
        encoded.encode(&mut data).map_err(Error::from)?;
        Ok(data)
    }
}
