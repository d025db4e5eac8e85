//! Alerts on their way: each channel against a receiver that checks what the real service checks and
//! answers as it does, and through everything that a receiver can do wrong. All on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod cli;
mod failures;
mod formats;
mod heartbeat;
mod mail;
mod outbox;
mod program;
mod proxies;
mod receiver;
mod services;
mod tls;

#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use clawfleet::model::OutboxEntry;
use clawfleet::model::{
    Address, Alert, AlertCounts, AlertFilter, AlertKind, ChannelSpec, Class, Incident, Secret,
    SecretSource, Secrets, Severity, Target,
};
use clawfleet::notify::{Bearings, Channel, Delivery, Proxies, deliver};
use tokio::time::Instant;

/// Where a test's secrets come from.
fn from(name: &str) -> SecretSource {
    SecretSource::Env(name.to_owned())
}

fn secrets(pairs: &[(&str, &str)]) -> Secrets {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (from(name), Secret::new((*value).to_owned())))
        .collect()
}

fn spec(target: Target) -> ChannelSpec {
    ChannelSpec {
        name: "ops".into(),
        line: 1,
        target,
        filter: AlertFilter::default(),
        rate: 60,
        timeout: Duration::from_secs(5),
        ca_file: None,
        proxy: true,
        plaintext: false,
    }
}

fn webhook(url: &str) -> Target {
    Target::Webhook {
        url: Address::Plain(url.to_owned()),
        secret: None,
    }
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/notify/tls")).join(name)
}

/// An alert of two incidents.
fn alert() -> Alert {
    let hosts = |hosts: &[&str]| hosts.iter().map(ToString::to_string).collect();
    let mut orphan = Incident::new(
        AlertKind::New,
        Class::OrphanHoldsPort.id(),
        Severity::Critical,
        hosts(&["VM151", "VM152", "VM153"]),
    );
    orphan.id = "i-1".into();
    orphan.title = "a gateway that no unit manages holds the port".into();
    orphan.subject = "openclaw-gateway.service (system)".into();
    orphan.evidence = vec![
        "port 18789 is held by pid 162 `openclaw`, uid 1501".into(),
        "system unit: active (running), restart counter 609".into(),
    ];
    orphan.therefore = vec!["restart-loop".into()];
    orphan.remedy = Some("clawfleet fix 'VM[151-153]'".into());
    orphan.look = Some("clawfleet check 'VM[151-153]' -v".into());
    orphan.since = Some("2026-11-21T07:44:06Z".parse().unwrap());
    let mut hung = Incident::new(
        AlertKind::Recovered,
        Class::GatewayHung.id(),
        Severity::Critical,
        hosts(&["VM9"]),
    );
    hung.title = "the gateway does not answer".into();
    hung.since = Some("2026-11-21T05:00:00Z".parse().unwrap());
    hung.until = Some("2026-11-21T07:00:00Z".parse().unwrap());
    Alert {
        fleet: "claws".into(),
        bastion: "bastion1".into(),
        run: "r-20261121-1".into(),
        at: "2026-11-21T07:50:00Z".parse().unwrap(),
        incidents: vec![orphan, hung],
        counts: AlertCounts {
            hosts: 40,
            ok: 36,
            warning: 0,
            critical: 3,
            not_observed: 1,
        },
    }
    .arranged()
}

/// What was delivered, and what stayed.
struct Sent {
    delivery: Delivery,
    outbox: Vec<OutboxEntry>,
}

impl Sent {
    #[track_caller]
    fn arrived(&self) {
        assert_eq!(self.delivery.delivered, 1, "{:?}", self.delivery);
        assert_eq!(self.outbox, []);
    }

    /// It stays in the outbox, and the error has these words.
    #[track_caller]
    fn waits(&self, words: &[&str]) {
        let why = self.delivery.last_error.as_deref().unwrap_or_default();
        assert_eq!(self.delivery.waiting, 1, "{:?}", self.delivery);
        assert_eq!(self.outbox.len(), 1);
        for word in words {
            assert!(why.contains(word), "no `{word}` in {why}");
        }
    }

    /// It was given up, with these words.
    #[track_caller]
    fn given_up(&self, words: &[&str]) {
        assert_eq!(self.delivery.given_up.len(), 1, "{:?}", self.delivery);
        assert_eq!(self.outbox, []);
        for word in words {
            let why = &self.delivery.given_up[0];
            assert!(why.contains(word), "no `{word}` in {why}");
        }
    }
}

/// Sends the alert to a channel, within so many milliseconds.
async fn send_within(spec: &ChannelSpec, secrets: &Secrets, proxies: &Proxies, ms: u64) -> Sent {
    let channel = Channel::new(spec, secrets).unwrap();
    let mut outbox: Vec<OutboxEntry> = Vec::new();
    let none = BTreeSet::new();
    let bearings = Bearings {
        bastion: "bastion1.example",
        proxies,
        secret_variables: &none,
    };
    let deadline = Instant::now() + Duration::from_millis(ms);
    let channels = [channel];
    let mut deliveries = deliver(Some(&alert()), &channels, &mut outbox, bearings, deadline).await;
    Sent {
        delivery: deliveries.remove(0),
        outbox,
    }
}

/// Sends the alert once: the first pause is longer than there is time.
async fn send(spec: &ChannelSpec, secrets: &Secrets) -> Sent {
    send_within(spec, secrets, &Proxies::default(), 2400).await
}

async fn send_to(target: Target) -> Sent {
    send(&spec(target), &BTreeMap::new()).await
}
