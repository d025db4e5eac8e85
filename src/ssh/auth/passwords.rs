//! Passwords, and the care that a wrong one locks no account on three hundred hosts.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use crate::model::{Host, Secret, SecretSource, Secrets};

/// How many hosts may refuse a password before any took it. Directories lock an account after
/// three to five failures in all, on however many hosts they happen.
const REFUSALS: u32 = 2;

/// One password of a run, and how hosts took it.
#[derive(Debug)]
pub struct LoginPassword {
    secret: Secret,
    trials: Mutex<Trials>,
    proven: std::sync::atomic::AtomicBool,
}

#[derive(Debug, Default)]
struct Trials {
    refused: u32,
}

/// The right to try a password.
pub enum Attempt<'a> {
    /// Some host took it already.
    Proven,
    /// Nobody did: others wait until this one has an answer.
    First(FirstAttempt<'a>),
    /// Too many refused it.
    GivenUp,
}

/// A try before which no host took the password.
pub struct FirstAttempt<'a>(MutexGuard<'a, Trials>);

impl LoginPassword {
    /// Keeps a password.
    pub fn new(secret: Secret) -> Self {
        Self {
            secret,
            trials: Mutex::default(),
            proven: false.into(),
        }
    }

    /// Returns it, for the one place that sends it.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Waits for the right to try it.
    pub async fn attempt(&self) -> Attempt<'_> {
        use std::sync::atomic::Ordering::Relaxed;
        if self.proven.load(Relaxed) {
            return Attempt::Proven;
        }
        let trials = self.trials.lock().await;
        if self.proven.load(Relaxed) {
            Attempt::Proven
        } else if trials.refused >= REFUSALS {
            Attempt::GivenUp
        } else {
            Attempt::First(FirstAttempt(trials))
        }
    }

    /// Notes how a host took it. What was never asked for is no answer and is not noted.
    pub fn answered(&self, attempt: Attempt<'_>, accepted: bool) {
        if accepted {
            self.proven
                .store(true, std::sync::atomic::Ordering::Relaxed);
        } else if let Attempt::First(mut first) = attempt {
            first.0.refused += 1;
        }
    }
}

/// The passwords of a run, each shared by all hosts that name the same source.
#[derive(Debug, Default)]
pub struct Passwords {
    by_source: HashMap<SecretSource, Arc<LoginPassword>>,
    /// Sources by the names that hosts have in the inventory and that OpenSSH's files may use for a
    /// jump. A jump is never given the password of a host behind it.
    by_host: HashMap<String, SecretSource>,
}

impl Passwords {
    /// Sorts out which host logs in with which of the secrets.
    pub fn new<'a>(hosts: impl IntoIterator<Item = &'a Host>, secrets: &Secrets) -> Self {
        let mut passwords = Self::default();
        for host in hosts {
            let sources = [host.password.as_ref(), host.privilege.password.as_ref()];
            for source in sources.into_iter().flatten() {
                if let Some(secret) = secrets.get(source) {
                    passwords
                        .by_source
                        .entry(source.clone())
                        .or_insert_with(|| Arc::new(LoginPassword::new(secret.clone())));
                }
            }
            if let Some(source) = &host.password {
                passwords.by_host.insert(host.name.clone(), source.clone());
                passwords
                    .by_host
                    .insert(host.ssh.name.clone(), source.clone());
            }
        }
        passwords
    }

    /// Returns the password of a source.
    pub fn of(&self, source: &SecretSource) -> Option<&Arc<LoginPassword>> {
        self.by_source.get(source)
    }

    /// Returns the password that logs in to the host of that name.
    pub(super) fn for_login(&self, name: &str) -> Option<&Arc<LoginPassword>> {
        self.by_source.get(self.by_host.get(name)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wrong_password_is_tried_on_two_hosts_and_on_no_more() {
        let password = LoginPassword::new(Secret::new("x".to_owned()));
        for _ in 0..REFUSALS {
            let attempt = password.attempt().await;
            assert!(matches!(attempt, Attempt::First(_)));
            password.answered(attempt, false);
        }
        assert!(matches!(password.attempt().await, Attempt::GivenUp));
    }

    #[tokio::test]
    async fn a_password_that_one_host_took_is_tried_on_all() {
        let password = LoginPassword::new(Secret::new("x".to_owned()));
        let attempt = password.attempt().await;
        password.answered(attempt, true);
        for _ in 0..10 {
            let attempt = password.attempt().await;
            assert!(matches!(attempt, Attempt::Proven));
            password.answered(attempt, false);
        }
        assert!(matches!(password.attempt().await, Attempt::Proven));
    }
}
