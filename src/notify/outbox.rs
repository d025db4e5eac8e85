//! What is still to be delivered, and when it is tried again. Pure: the caller brings the time and
//! the chance, and keeps the entries where they survive a crash.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::OutboxEntry;

/// The pause after the first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause of our own. A receiver may ask for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// How old a message may become. After three days its news is none, and the history has it.
pub const MAX_AGE: Duration = Duration::from_secs(3 * 24 * 3600);

/// The longest error that is kept, in characters.
const LONGEST_ERROR: usize = 300;

/// What one try came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it. A note tells of what was odd.
    Delivered {
        /// E.g. that one of several recipients was refused.
        note: Option<String>,
    },
    /// It may work later.
    Later {
        /// Why it did not work now.
        why: String,
        /// How long the receiver asks to wait.
        wait: Option<Duration>,
    },
    /// It will not work until somebody changes something.
    Refused {
        /// Why.
        why: String,
        /// What to do.
        helps: String,
    },
}

impl Outcome {
    /// A failure that passes.
    pub(super) fn later(why: impl Into<String>) -> Self {
        Self::Later {
            why: why.into(),
            wait: None,
        }
    }

    /// A failure that stays.
    pub(super) fn refused(why: impl Into<String>, helps: impl Into<String>) -> Self {
        Self::Refused {
            why: why.into(),
            helps: helps.into(),
        }
    }
}

/// What becomes of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It is delivered: forget it.
    Done,
    /// Keep it, and try it then.
    RetryAt(Timestamp),
    /// Forget it; the sentence says why and what to do.
    GiveUp(String),
}

/// Says what follows from a try, and notes it in the entry. `chance` is a number from 0 to 1 that nobody
/// foresees, so that many bastions do not come back in the same second.
pub(super) fn after(
    entry: &mut OutboxEntry,
    outcome: &Outcome,
    now: Timestamp,
    chance: f64,
) -> Next {
    entry.attempts = entry.attempts.saturating_add(1);
    let (why, wait) = match outcome {
        Outcome::Delivered { .. } => return Next::Done,
        Outcome::Refused { why, helps } => return Next::GiveUp(format!("{why}; {helps}")),
        Outcome::Later { why, wait } => (why, *wait),
    };
    entry.last_error = Some(crate::model::shorten(why, LONGEST_ERROR).into_owned());
    let ours = pause(entry.attempts, chance);
    entry.asked = wait.is_some_and(|wait| wait > ours);
    let next = later(now, wait.unwrap_or_default().max(ours));
    if next > later(entry.first_at, MAX_AGE) {
        return Next::GiveUp(format!(
            "{why}; it is {} h old and was tried {} times: look at the receiver",
            hours(entry.first_at, now),
            entry.attempts
        ));
    }
    entry.next_at = next;
    Next::RetryAt(next)
}

/// The pause after so many tries: it doubles, and half of it is by chance.
fn pause(attempts: u32, chance: f64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let whole = FIRST_PAUSE
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE);
    let chance = if chance.is_finite() {
        chance.clamp(0.0, 1.0)
    } else {
        1.0
    };
    whole.mul_f64(0.5 + chance / 2.0)
}

/// A moment, so much later; the last there is where there is none.
pub(super) fn later(moment: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| moment.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

/// How long it is from one moment to another; zero where the clock went back.
pub(super) fn until(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

fn hours(from: Timestamp, to: Timestamp) -> u64 {
    until(from, to).as_secs() / 3600
}

/// How many messages a channel may get in a minute.
#[derive(Debug, Clone)]
pub struct Rate {
    per_minute: usize,
    sent: VecDeque<Timestamp>,
}

impl Rate {
    /// Begins with nothing sent.
    pub fn new(per_minute: u32) -> Self {
        Self {
            per_minute: usize::try_from(per_minute.max(1)).unwrap_or(usize::MAX),
            sent: VecDeque::new(),
        }
    }

    /// Returns when the next message may go.
    pub fn next(&self, now: Timestamp) -> Timestamp {
        let minute = Duration::from_secs(60);
        match self.sent.len().checked_sub(self.per_minute) {
            None => now,
            Some(place) => self
                .sent
                .get(place)
                .map_or(now, |oldest| later(*oldest, minute).max(now)),
        }
    }

    /// Notes that one went.
    pub fn sent(&mut self, now: Timestamp) {
        self.sent.push_back(now);
        while self.sent.len() > self.per_minute {
            self.sent.pop_front();
        }
    }
}

/// Where entries are kept between runs. Every call has to be on disk when it returns.
pub trait Outbox {
    /// Returns what waits, the oldest first.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn waiting(&mut self) -> Result<Vec<OutboxEntry>, String>;

    /// Keeps an entry, in the place of the one with its id and channel.
    ///
    /// # Errors
    /// Why it cannot be kept.
    fn keep(&mut self, entry: &OutboxEntry) -> Result<(), String>;

    /// Forgets an entry.
    ///
    /// # Errors
    /// Why it cannot be forgotten.
    fn forget(&mut self, entry: &OutboxEntry) -> Result<(), String>;
}

/// An outbox in memory: what is not delivered when it is dropped is lost.
impl Outbox for Vec<OutboxEntry> {
    fn waiting(&mut self) -> Result<Vec<OutboxEntry>, String> {
        let mut entries = self.clone();
        entries.sort_by_key(|entry| entry.first_at);
        Ok(entries)
    }

    fn keep(&mut self, entry: &OutboxEntry) -> Result<(), String> {
        self.forget(entry)?;
        self.push(entry.clone());
        Ok(())
    }

    fn forget(&mut self, entry: &OutboxEntry) -> Result<(), String> {
        self.retain(|kept| (&kept.id, &kept.channel) != (&entry.id, &entry.channel));
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn entry() -> OutboxEntry {
        OutboxEntry {
            id: "m1".into(),
            channel: "ops".into(),
            format: "slack".into(),
            payload: "{}".into(),
            attempts: 0,
            next_at: at(0),
            asked: false,
            first_at: at(0),
            last_error: None,
        }
    }

    #[test]
    fn pauses_double_up_to_a_quarter_of_an_hour() {
        let table = [
            (1, 5),
            (2, 10),
            (3, 20),
            (4, 40),
            (5, 80),
            (6, 160),
            (7, 320),
            (8, 640),
            (9, 900),
            (100, 900),
            (u32::MAX, 900),
        ];
        for (attempts, seconds) in table {
            assert_eq!(pause(attempts, 1.0), Duration::from_secs(seconds));
            assert_eq!(pause(attempts, 0.0), Duration::from_secs(seconds) / 2);
        }
    }

    #[test]
    fn what_follows_from_a_try() {
        let wait = |seconds| Outcome::Later {
            why: "429".into(),
            wait: Some(Duration::from_secs(seconds)),
        };
        let table = [
            (Outcome::Delivered { note: None }, Next::Done),
            (Outcome::later("down"), Next::RetryAt(at(5))),
            // The receiver's word counts where it is longer than ours, and ours where it is not.
            (wait(120), Next::RetryAt(at(120))),
            (wait(1), Next::RetryAt(at(5))),
            (wait(0), Next::RetryAt(at(5))),
            (
                Outcome::refused("no such chat", "set `chat`"),
                Next::GiveUp("no such chat; set `chat`".into()),
            ),
        ];
        for (outcome, wanted) in table {
            let mut entry = entry();
            assert_eq!(after(&mut entry, &outcome, at(0), 1.0), wanted);
            assert_eq!(entry.attempts, 1);
        }
        let mut entry = entry();
        let next = after(&mut entry, &wait(4 * 24 * 3600), at(0), 1.0);
        assert!(matches!(next, Next::GiveUp(why) if why.contains("look at the receiver")));
    }

    #[test]
    fn a_receiver_that_stays_down_is_given_up_after_three_days() {
        let mut entry = entry();
        let (mut now, mut tries) = (at(0), 0);
        while let Next::RetryAt(next) = after(&mut entry, &Outcome::later("refused"), now, 0.5) {
            assert!(next > now);
            now = next;
            tries += 1;
        }
        assert!(until(at(0), now) <= MAX_AGE && until(at(0), now) > MAX_AGE * 9 / 10);
        assert!((300..900).contains(&tries), "{tries}");
    }

    #[test]
    fn a_rate_lets_so_many_through_in_a_minute() {
        let mut rate = Rate::new(2);
        assert_eq!(rate.next(at(0)), at(0));
        rate.sent(at(0));
        rate.sent(at(10));
        assert_eq!(rate.next(at(10)), at(60));
        rate.sent(at(60));
        assert_eq!(rate.next(at(61)), at(70));
        // The clock went back: nothing is sent faster for it, and nothing waits for ever.
        assert!(until(at(0), rate.next(at(0))) <= Duration::from_secs(70));
    }

    proptest! {
        #[test]
        fn a_retry_is_later_and_bounded(
            attempts in 0u32..1000, wait in proptest::option::of(0u64..10_000_000),
            chance in -1.0f64..2.0, age in 0i64..400_000,
        ) {
            let mut entry = OutboxEntry { attempts, ..entry() };
            let outcome = Outcome::Later { why: "x".into(), wait: wait.map(Duration::from_secs) };
            match after(&mut entry, &outcome, at(age), chance) {
                Next::RetryAt(next) => {
                    prop_assert!(next > at(age));
                    prop_assert!(next <= later(entry.first_at, MAX_AGE));
                    prop_assert!(wait.is_none_or(|wait| next >= later(at(age), Duration::from_secs(wait))));
                }
                Next::GiveUp(_) => prop_assert!(
                    later(at(age), Duration::from_secs(wait.unwrap_or(0).max(900))) > later(at(0), MAX_AGE)
                ),
                Next::Done => prop_assert!(false),
            }
        }

        #[test]
        fn no_minute_gets_more_than_the_rate(per_minute in 1u32..20, steps in proptest::collection::vec(0i64..30, 1..80)) {
            let mut rate = Rate::new(per_minute);
            let (mut now, mut sent) = (0, Vec::new());
            for step in steps {
                now += step;
                let next = rate.next(at(now)).as_second() - at(0).as_second();
                now = now.max(next);
                rate.sent(at(now));
                sent.push(now);
            }
            for begin in &sent {
                let within = sent.iter().filter(|it| (*begin..begin + 60).contains(*it)).count();
                prop_assert!(within <= per_minute as usize);
            }
        }
    }
}
