//! Passwords, and the care that a wrong one locks no account on three hundred hosts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::model::{Secret, SecretSource, Secrets, SshSettings};

/// How many more hosts may refuse a password than took it. Directories lock an account after three
/// to five failures in all, on however many hosts they happen.
const REFUSALS: u32 = 2;

/// How long a host may keep the others waiting for its answer. A wrong password is answered late on
/// purpose, after two to three seconds.
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
    accepted: u32,
    refused: u32,
    /// Hosts that have the password and did not answer yet.
    unanswered: u32,
    /// Who tries it now, before any host took it, and since when.
    trying: Option<(u64, Instant)>,
    turns: u64,
}

/// The right to try a password on one host. What is sent and not answered counts as refused: the
/// host may be noting a failure all the same.
#[derive(Debug)]
pub struct Turn<'a> {
    password: &'a LoginPassword,
    number: u64,
    sent: bool,
}

impl Turn<'_> {
    /// Returns the password, which is about to be sent.
    pub fn send(&mut self) -> &Secret {
        if !std::mem::replace(&mut self.sent, true) {
            self.password.change(|trials| trials.unanswered += 1);
        }
        &self.password.secret
    }

    /// The host took it.
    pub fn accepted(mut self) {
        self.answer(true);
    }

    /// The host refused it.
    pub fn refused(mut self) {
        self.answer(false);
    }

    fn answer(&mut self, accepted: bool) {
        if !std::mem::replace(&mut self.sent, false) {
            return;
        }
        self.password.change(|trials| {
            trials.unanswered = trials.unanswered.saturating_sub(1);
            if accepted {
                trials.accepted += 1;
            } else {
                trials.refused += 1;
            }
        });
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.answer(false);
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

    /// Waits for the right to try it; `None` once too many hosts refused it. Until a host took it,
    /// one tries at a time.
    pub async fn turn(&self) -> Option<Turn<'_>> {
        loop {
            // Before the look, so that no change between the two is missed.
            let changed = self.changed.notified();
            let wait = {
                let mut trials = self.lock();
                if trials.refused >= trials.accepted + REFUSALS {
                    return None;
                }
                let untried = trials.accepted == 0;
                // Whoever has it and is silent may refuse it yet.
                let risked = untried && trials.refused + trials.unanswered >= REFUSALS;
                match trials.trying {
                    Some((_, since)) if untried && since.elapsed() < LEASE => since + LEASE,
                    _ if risked => Instant::now() + LEASE,
                    _ => {
                        trials.turns += 1;
                        let number = trials.turns;
                        if untried {
                            trials.trying = Some((number, Instant::now()));
                        }
                        return Some(Turn {
                            password: self,
                            number,
                            sent: false,
                        });
                    }
                }
            };
            let _ = timeout_at(wait, changed).await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut Trials)) {
        change(&mut self.lock());
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Trials> {
        self.trials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The passwords of a run, each shared by all that name the same source.
#[derive(Debug, Default)]
pub struct Passwords(HashMap<SecretSource, Arc<LoginPassword>>);

impl Passwords {
    /// Keeps the secrets of a run.
    pub fn new(secrets: &Secrets) -> Self {
        let passwords = secrets.iter().map(|(source, secret)| {
            let password = LoginPassword::new(secret.clone());
            (source.clone(), Arc::new(password))
        });
        Self(passwords.collect())
    }

    /// Returns the password of a source.
    pub fn of(&self, source: &SecretSource) -> Option<&Arc<LoginPassword>> {
        self.0.get(source)
    }

    /// Returns the password that logs in by these settings. They carry its source themselves, so
    /// that no host, and no jump of the same name, is given another's.
    pub(super) fn for_login(&self, settings: &SshSettings) -> Option<&Arc<LoginPassword>> {
        self.of(settings.password.as_ref()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password() -> LoginPassword {
        LoginPassword::new(Secret::new("x".to_owned()))
    }

    #[tokio::test]
    async fn a_wrong_password_is_tried_on_two_hosts_and_on_no_more() {
        let password = password();
        for _ in 0..REFUSALS {
            let mut turn = password.turn().await.unwrap();
            turn.send();
            turn.refused();
        }
        assert!(password.turn().await.is_none());
    }

    #[tokio::test]
    async fn a_password_that_was_never_asked_for_is_no_try() {
        let password = password();
        for _ in 0..10 {
            drop(password.turn().await.unwrap());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_never_answers_may_have_refused() {
        let password = password();
        let mut first = password.turn().await.unwrap();
        first.send();
        // The next is let in after a moment, and nobody after that one.
        let mut second = password.turn().await.unwrap();
        second.send();
        let third = timeout_at(Instant::now() + 10 * LEASE, password.turn()).await;
        assert!(third.is_err(), "two hosts have it and are silent");
        drop((first, second));
        assert!(password.turn().await.is_none());
    }

    #[tokio::test]
    async fn a_password_that_hosts_take_is_given_up_when_more_refuse_it() {
        let password = password();
        let mut turn = password.turn().await.unwrap();
        turn.send();
        turn.accepted();
        for _ in 0..3 {
            let mut turn = password.turn().await.unwrap();
            turn.send();
            turn.refused();
        }
        assert!(password.turn().await.is_none());
    }
}
