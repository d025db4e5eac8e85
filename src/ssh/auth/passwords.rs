//! Passwords, and the care that a wrong one locks no account on three hundred hosts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::model::{Host, Secret, SecretSource, Secrets};

/// How many hosts may refuse a password before any took it. Directories lock an account after
/// three to five failures in all, on however many hosts they happen.
const REFUSALS: u32 = 2;

/// How long a host may keep the others waiting for its answer. A wrong password is answered late on
/// purpose, after two to three seconds; a host that hangs is not waited for.
const LEASE: Duration = Duration::from_secs(5);

/// One password of a run, and how hosts took it.
#[derive(Debug)]
pub struct LoginPassword {
    secret: Secret,
    trials: Mutex<Trials>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Trials {
    proven: bool,
    refused: u32,
    /// Who tries it now, before any host took it, and since when.
    trying: Option<(u64, Instant)>,
    tries: u64,
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

/// A try before which no host took the password. Dropped without an answer it is no try.
pub struct FirstAttempt<'a> {
    password: &'a LoginPassword,
    number: u64,
}

impl Drop for FirstAttempt<'_> {
    fn drop(&mut self) {
        self.password.change(|trials| {
            if trials
                .trying
                .is_some_and(|(number, _)| number == self.number)
            {
                trials.trying = None;
            }
        });
    }
}

impl LoginPassword {
    /// Keeps a password.
    pub fn new(secret: Secret) -> Self {
        Self {
            secret,
            trials: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Returns it, for the one place that sends it.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Waits for the right to try it.
    pub async fn attempt(&self) -> Attempt<'_> {
        loop {
            // Before the look, so that no change between the two is missed.
            let changed = self.changed.notified();
            let wait = {
                let mut trials = self.lock();
                if trials.proven {
                    return Attempt::Proven;
                }
                if trials.refused >= REFUSALS {
                    return Attempt::GivenUp;
                }
                match trials.trying {
                    Some((_, since)) if since.elapsed() < LEASE => since + LEASE,
                    _ => {
                        trials.tries += 1;
                        let number = trials.tries;
                        trials.trying = Some((number, Instant::now()));
                        return Attempt::First(FirstAttempt {
                            password: self,
                            number,
                        });
                    }
                }
            };
            let _ = timeout_at(wait, changed).await;
        }
    }

    /// Notes how a host took it. What was never asked for is no answer and is not noted.
    pub fn answered(&self, attempt: Attempt<'_>, accepted: bool) {
        self.change(|trials| {
            if accepted {
                trials.proven = true;
            } else if matches!(attempt, Attempt::First(_)) {
                trials.refused += 1;
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Trials)) {
        change(&mut self.lock());
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Trials> {
        self.trials.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[tokio::test(start_paused = true)]
    async fn a_host_that_never_answers_keeps_the_others_waiting_for_a_moment_only() {
        let password = LoginPassword::new(Secret::new("x".to_owned()));
        let hangs = password.attempt().await;
        let begin = Instant::now();
        let next = password.attempt().await;
        assert!(matches!(next, Attempt::First(_)));
        assert!(begin.elapsed() >= LEASE && begin.elapsed() < 2 * LEASE);
        // The late end of the first is not the end of the second's turn.
        drop(hangs);
        assert!(password.lock().trying.is_some());
        password.answered(next, true);
        assert!(matches!(password.attempt().await, Attempt::Proven));
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
