//! Delivery: from the outbox to the channels, until a deadline.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::channel::Channel;
use super::outbox::{MAX_AGE, Next, Outbox, Outcome, Rate, after, until};
use super::{Proxies, formats, sign};
use crate::model::{Alert, ChannelSpec, OutboxEntry};

/// With less time than this left nothing is begun: what cannot end in time would only look like a
/// receiver that fails.
const LEAST: Duration = Duration::from_millis(500);

/// How many messages may wait for a channel.
const MAX_WAITING: usize = 50;

/// What sending needs to know of this machine.
#[derive(Clone, Copy)]
pub struct Bearings<'a> {
    /// This machine's name.
    pub bastion: &'a str,
    /// The proxies of the environment.
    pub proxies: &'a Proxies,
    /// Names of environment variables that hold secrets: no program gets them.
    pub secret_variables: &'a BTreeSet<String>,
}

/// What came of one channel's messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The channel's name.
    pub channel: String,
    /// How many messages arrived.
    pub delivered: usize,
    /// How many wait for the next run.
    pub waiting: usize,
    /// Messages that were given up, each with why and what to do.
    pub given_up: Vec<String>,
    /// Why the last try failed, where one did and messages wait.
    pub last_error: Option<String>,
    /// What else is worth knowing, e.g. that the outbox could not be written.
    pub notes: Vec<String>,
}

/// Renders an alert for every channel that wants it, as it is kept in the outbox. Whoever keeps what
/// the alert was made of can keep these in the same transaction, and then deliver what waits: so a
/// crash in between neither loses an alert nor tells it anew.
pub fn entries<'a>(
    alert: &Alert,
    channels: impl IntoIterator<Item = &'a ChannelSpec>,
    now: Timestamp,
) -> Vec<OutboxEntry> {
    // Whoever made it: what is sent is printable and bounded.
    let alert = alert.clone().arranged();
    let channels = channels.into_iter();
    channels
        .filter_map(|spec| Some(entry(spec, &spec.filter.pass(&alert)?, now)))
        .collect()
}

/// Delivers an alert, and what waits from earlier runs, to all channels at once, each in the order
/// of time. What cannot be delivered until the deadline stays in the outbox. Each message is kept
/// there before it is sent, so that a crash loses none; it may send one twice, under the same id.
///
/// Where the outbox fails the messages are sent nevertheless, and the notes say so. Two runs must
/// not deliver from one outbox at once: the run's lock sees to it.
pub async fn deliver(
    alert: Option<&Alert>,
    channels: &[Channel],
    outbox: &mut dyn Outbox,
    bearings: Bearings<'_>,
    deadline: Instant,
) -> Vec<Delivery> {
    let now = Timestamp::now();
    let waiting = outbox.waiting();
    let unread = waiting.as_ref().err().cloned();
    let mut waiting = waiting.unwrap_or_default();
    let mut unkept = BTreeMap::new();
    let specs = || channels.iter().map(Channel::spec);
    for entry in alert.map_or_else(Vec::new, |alert| entries(alert, specs(), now)) {
        // A run that is repeated tells the same once.
        let same = |kept: &OutboxEntry| (&kept.id, &kept.channel) == (&entry.id, &entry.channel);
        if waiting.iter().any(same) {
            continue;
        }
        if let Err(why) = outbox.keep(&entry) {
            unkept.insert(entry.channel.clone(), why);
        }
        waiting.push(entry);
    }
    let outbox = RefCell::new(outbox);
    let work = channels.iter().map(|channel| {
        let spec = channel.spec();
        let mine = |entry: &OutboxEntry| is_for(entry, spec);
        let (entries, others) = std::mem::take(&mut waiting).into_iter().partition(mine);
        waiting = others;
        let mut courier = Courier {
            channel,
            outbox: &outbox,
            bearings,
            deadline,
            delivery: Delivery {
                channel: spec.name.clone(),
                ..Delivery::default()
            },
        };
        let notes = &mut courier.delivery.notes;
        if let Some(why) = &unread {
            notes.push(format!("what waited cannot be read: {why}"));
        }
        if let Some(why) = unkept.get(&spec.name) {
            notes.push(format!("a crash would lose the message: {why}"));
        }
        courier.run(entries)
    });
    let work: Vec<_> = work.collect();
    let mut deliveries = join_all(work).await;
    deliveries.extend(orphans(waiting, &outbox, now));
    deliveries
}

/// Whether a message is for a channel as it is now.
fn is_for(entry: &OutboxEntry, spec: &ChannelSpec) -> bool {
    spec.name == entry.channel && spec.target.id() == entry.format
}

/// Messages of channels that are not there, or are of another kind now. They wait, for an inventory may
/// be half edited, and are dropped when they are old.
fn orphans(
    entries: Vec<OutboxEntry>,
    outbox: &RefCell<&mut dyn Outbox>,
    now: Timestamp,
) -> Vec<Delivery> {
    let mut deliveries: BTreeMap<String, Delivery> = BTreeMap::new();
    for entry in entries {
        let delivery = deliveries
            .entry(entry.channel.clone())
            .or_insert_with(|| Delivery {
                channel: entry.channel.clone(),
                ..Delivery::default()
            });
        let why = format!(
            "there is no channel `{}` of type {} any more",
            entry.channel, entry.format
        );
        if until(entry.first_at, now) <= MAX_AGE {
            delivery.waiting += 1;
            delivery.last_error = Some(why);
            continue;
        }
        delivery.given_up.push(why);
        if let Err(why) = outbox.borrow_mut().forget(&entry) {
            delivery.notes.push(why);
        }
    }
    deliveries.into_values().collect()
}

/// Renders an alert for a channel. The id is made of what is told and to whom: the same again is the
/// same message.
fn entry(spec: &ChannelSpec, alert: &Alert, now: Timestamp) -> OutboxEntry {
    // An alert is texts and numbers.
    let told = serde_json::to_string(alert).unwrap_or_default();
    let named = format!("{}\0{}\0{told}", spec.name, spec.target.id());
    let id: String = sign::hex(&sign::sha256(named.as_bytes()))
        .chars()
        .take(32)
        .collect();
    OutboxEntry {
        payload: formats::render(&spec.target, alert, &id),
        id,
        channel: spec.name.clone(),
        format: spec.target.id().to_owned(),
        attempts: 0,
        next_at: now,
        asked: false,
        first_at: now,
        last_error: None,
    }
}

/// Delivers the messages of one channel, one after the other.
struct Courier<'a, 'o> {
    channel: &'a Channel,
    outbox: &'a RefCell<&'o mut dyn Outbox>,
    bearings: Bearings<'a>,
    deadline: Instant,
    delivery: Delivery,
}

impl Courier<'_, '_> {
    async fn run(mut self, entries: Vec<OutboxEntry>) -> Delivery {
        let entries = self.without_the_oldest(entries);
        let mut rate = Rate::new(self.channel.spec().rate);
        let mut left = entries.len();
        let now = Timestamp::now();
        // News does not wait for the pause of what failed before it: what failed goes first, at
        // once, and shows whether the receiver is back. A wait that the receiver asked for holds.
        let has_news = entries.iter().any(|entry| entry.attempts == 0);
        for mut entry in entries {
            if has_news && !entry.asked {
                entry.next_at = now;
            }
            if !self.settle(&mut entry, &mut rate).await {
                self.delivery.last_error.clone_from(&entry.last_error);
                break;
            }
            left -= 1;
        }
        self.delivery.waiting = left;
        self.delivery
    }

    /// Drops what is too old, and what is too much: who gets fifty messages at once reads none.
    fn without_the_oldest(&mut self, mut entries: Vec<OutboxEntry>) -> Vec<OutboxEntry> {
        let now = Timestamp::now();
        entries.sort_by_key(|entry| entry.first_at);
        let many = entries.len().saturating_sub(MAX_WAITING);
        let mut kept = Vec::new();
        let mut dropped = 0;
        for (place, entry) in entries.into_iter().enumerate() {
            if place >= many && until(entry.first_at, now) <= MAX_AGE {
                kept.push(entry);
                continue;
            }
            dropped += 1;
            self.delivery.last_error.clone_from(&entry.last_error);
            self.forget(&entry);
        }
        if dropped > 0 {
            let why = self.delivery.last_error.take();
            self.delivery.given_up.push(format!(
                "{dropped} of the oldest messages, for they are three days old or more than \
                 {MAX_WAITING} wait ({}): look at the receiver",
                why.as_deref().unwrap_or("never tried")
            ));
        }
        kept
    }

    /// Tries until a message is delivered or given up; says whether it came to that.
    async fn settle(&mut self, entry: &mut OutboxEntry, rate: &mut Rate) -> bool {
        loop {
            let now = Timestamp::now();
            // A message from the future was made before the clock went back.
            let due = if entry.first_at > now {
                now
            } else {
                entry.next_at
            };
            let wait = until(now, due.max(rate.next(now)));
            if self.left() < wait.saturating_add(LEAST) {
                return false;
            }
            sleep(wait).await;
            let limit = self.channel.spec().timeout.min(self.left());
            let outcome = self.channel.send(entry, &self.bearings, limit).await;
            let now = Timestamp::now();
            rate.sent(now);
            tracing::debug!(
                channel = self.channel.spec().name,
                message = entry.id,
                attempt = entry.attempts + 1,
                ?outcome,
                "an alert was sent"
            );
            match after(entry, &outcome, now, chance()) {
                Next::Done => {
                    self.delivery.delivered += 1;
                    if let Outcome::Delivered { note: Some(note) } = outcome {
                        self.delivery.notes.push(note);
                    }
                    self.forget(entry);
                    return true;
                }
                Next::GiveUp(why) => {
                    self.delivery.given_up.push(why);
                    self.forget(entry);
                    return true;
                }
                Next::RetryAt(_) => {
                    if let Err(why) = self.outbox.borrow_mut().keep(entry) {
                        self.delivery
                            .notes
                            .push(format!("that it failed is not kept: {why}"));
                    }
                }
            }
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn forget(&mut self, entry: &OutboxEntry) {
        if let Err(why) = self.outbox.borrow_mut().forget(entry) {
            self.delivery
                .notes
                .push(format!("the message may be sent again: {why}"));
        }
    }
}

/// A number from 0 to 1. Without chance the longest pause is taken.
fn chance() -> f64 {
    getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX))
}
