//! The outbox between runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use clawfleet::model::OutboxEntry;
use clawfleet::model::{Alert, AlertFilter, ChannelSpec, Severity, Target};
use clawfleet::notify::{Bearings, Channel, Delivery, Outbox, Proxies, deliver};
use tokio::time::Instant;

use crate::receiver::{Receiver, answer};
use crate::{alert, from, secrets, spec, webhook};

async fn run(
    alert: Option<&Alert>,
    specs: &[ChannelSpec],
    outbox: &mut dyn Outbox,
    ms: u64,
) -> Vec<Delivery> {
    let all = secrets(&[
        ("URL", "http://127.0.0.1:1/s3cr3tw0rd"),
        ("KEY", "signing-key"),
    ]);
    let channels: Vec<Channel> = specs
        .iter()
        .map(|spec| Channel::new(spec, &all).unwrap())
        .collect();
    let bearings = Bearings {
        bastion: "b",
        proxies: &Proxies::default(),
        secret_variables: &BTreeSet::new(),
    };
    let deadline = Instant::now() + Duration::from_millis(ms);
    deliver(alert, &channels, outbox, bearings, deadline).await
}

#[tokio::test]
async fn an_alert_outlives_an_outage_and_arrives_in_order() {
    let status = Arc::new(AtomicU16::new(503));
    let now = Arc::clone(&status);
    let receiver = Receiver::start(move |_| answer(now.load(Ordering::SeqCst), "", "")).await;
    let specs = [spec(webhook(&receiver.url("/")))];
    let mut outbox: Vec<OutboxEntry> = Vec::new();
    let first = alert();
    let mut second = alert();
    second.run = "r-2".into();
    let said = run(Some(&first), &specs, &mut outbox, 1500).await;
    assert_eq!((said[0].delivered, said[0].waiting), (0, 1));
    // The same run again tells nothing twice.
    run(Some(&first), &specs, &mut outbox, 1500).await;
    assert_eq!(outbox.len(), 1);
    // Through JSON, as a database would keep it.
    let text = serde_json::to_string(&outbox).unwrap();
    let mut outbox: Vec<OutboxEntry> = serde_json::from_str(&text).unwrap();
    status.store(200, Ordering::SeqCst);
    let begin = receiver.requests().len();
    // News does not wait for the pause of what failed.
    let said = run(Some(&second), &specs, &mut outbox, 3000).await;
    assert_eq!((said[0].delivered, said[0].waiting), (2, 0), "{said:?}");
    let runs: Vec<String> = receiver.requests()[begin..]
        .iter()
        .map(|request| request.json()["run"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(runs, ["r-20261121-1", "r-2"]);
    assert_eq!(outbox, []);
}

#[tokio::test]
async fn a_crash_between_sending_and_bookkeeping_sends_the_same_message_again() {
    let receiver = Receiver::always(answer(200, "", "")).await;
    let specs = [spec(webhook(&receiver.url("/")))];
    /// Keeps everything, and forgets nothing: as if the run had ended before it did.
    struct Crashing(Vec<OutboxEntry>);
    impl Outbox for Crashing {
        fn waiting(&mut self) -> Result<Vec<OutboxEntry>, String> {
            self.0.waiting()
        }
        fn keep(&mut self, entry: &OutboxEntry) -> Result<(), String> {
            self.0.keep(entry)
        }
        fn forget(&mut self, _: &OutboxEntry) -> Result<(), String> {
            Err("the disk is full".into())
        }
    }
    let mut outbox = Crashing(Vec::new());
    let said = run(Some(&alert()), &specs, &mut outbox, 2000).await;
    assert_eq!(said[0].delivered, 1);
    assert!(said[0].notes[0].contains("may be sent again: the disk is full"));
    run(None, &specs, &mut outbox, 2000).await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(
        requests[0].header("idempotency-key"),
        requests[1].header("idempotency-key")
    );
    assert_eq!(requests[0].body, requests[1].body);
}

#[tokio::test]
async fn an_outbox_that_fails_stops_no_alert() {
    struct Broken;
    impl Outbox for Broken {
        fn waiting(&mut self) -> Result<Vec<OutboxEntry>, String> {
            Err("the database is corrupt".into())
        }
        fn keep(&mut self, _: &OutboxEntry) -> Result<(), String> {
            Err("the disk is full".into())
        }
        fn forget(&mut self, _: &OutboxEntry) -> Result<(), String> {
            Err("the disk is full".into())
        }
    }
    let receiver = Receiver::always(answer(200, "", "")).await;
    let specs = [spec(webhook(&receiver.url("/")))];
    let said = run(Some(&alert()), &specs, &mut Broken, 2000).await;
    assert_eq!(said[0].delivered, 1);
    let notes = said[0].notes.join("\n");
    assert!(notes.contains("corrupt") && notes.contains("a crash would lose the message"));
}

#[tokio::test]
async fn the_outbox_holds_no_secret() {
    let specs: Vec<ChannelSpec> = [
        Target::Slack { url: from("URL") },
        Target::Feishu {
            url: from("URL"),
            secret: Some(from("KEY")),
        },
        Target::DingTalk {
            url: from("URL"),
            secret: Some(from("KEY")),
        },
        Target::WeCom { url: from("URL") },
    ]
    .into_iter()
    .enumerate()
    .map(|(place, target)| ChannelSpec {
        name: format!("c{place}"),
        ..spec(target)
    })
    .collect();
    let mut outbox: Vec<OutboxEntry> = Vec::new();
    let said = run(Some(&alert()), &specs, &mut outbox, 1500).await;
    assert_eq!(outbox.len(), 4, "{said:?}");
    let kept = serde_json::to_string(&outbox).unwrap();
    for secret in ["s3cr3tw0rd", "signing-key", "\"sign\"", "timestamp"] {
        assert!(
            !kept.contains(secret) && !format!("{said:?}").contains(secret),
            "{secret}"
        );
    }
}

#[tokio::test]
async fn a_rate_holds_back_what_the_next_run_sends() {
    let receiver = Receiver::always(answer(200, "", "")).await;
    let mut channel = spec(webhook(&receiver.url("/")));
    channel.rate = 2;
    let mut outbox: Vec<OutboxEntry> = Vec::new();
    let down = spec(webhook("http://127.0.0.1:1/"));
    for run_number in 0..4 {
        let mut told = alert();
        told.run = format!("r-{run_number}");
        run(Some(&told), std::slice::from_ref(&down), &mut outbox, 900).await;
    }
    assert_eq!(outbox.len(), 4);
    for entry in &mut outbox {
        entry.next_at = jiff::Timestamp::now();
    }
    let said = run(None, &[channel], &mut outbox, 2000).await;
    assert_eq!((said[0].delivered, said[0].waiting), (2, 2), "{said:?}");
    assert_eq!(outbox.len(), 2);
}

#[tokio::test]
async fn one_channel_that_hangs_does_not_hold_up_another() {
    let well = Receiver::always(answer(200, "", "")).await;
    let hanging = Receiver::always(crate::receiver::Answer::Hang).await;
    let specs = [
        spec(webhook(&hanging.url("/"))),
        ChannelSpec {
            name: "well".into(),
            ..spec(webhook(&well.url("/")))
        },
        ChannelSpec {
            name: "quiet".into(),
            filter: AlertFilter {
                min_severity: Severity::Critical,
                classes: Some(vec!["disk-low".into()]),
                ..AlertFilter::default()
            },
            ..spec(webhook(&well.url("/quiet")))
        },
    ];
    let mut outbox: Vec<OutboxEntry> = Vec::new();
    let begin = Instant::now();
    let said = run(Some(&alert()), &specs, &mut outbox, 1500).await;
    assert!(begin.elapsed() < Duration::from_secs(3));
    let counts: Vec<(usize, usize)> = said.iter().map(|it| (it.delivered, it.waiting)).collect();
    assert_eq!(counts, [(0, 1), (1, 0), (0, 0)]);
    assert_eq!(well.requests().len(), 1);
    assert_eq!(outbox.len(), 1);
}

#[tokio::test]
async fn what_was_for_a_channel_that_is_gone_waits_until_it_is_old() {
    let mut outbox: Vec<OutboxEntry> = Vec::new();
    let gone = spec(webhook("http://127.0.0.1:1/"));
    run(Some(&alert()), &[gone], &mut outbox, 900).await;
    assert_eq!(outbox.len(), 1);
    // The inventory may be half edited, or the channel be of another type for a moment.
    let other = spec(Target::WeCom { url: from("URL") });
    for specs in [&[][..], &[other]] {
        let said = run(None, specs, &mut outbox, 900).await;
        let said = said.last().unwrap();
        assert_eq!((said.waiting, outbox.len()), (1, 1));
        let why = said.last_error.as_deref().unwrap();
        assert!(why.contains("no channel `ops` of type webhook"), "{why}");
    }
    outbox[0].first_at = "2020-01-01T00:00:00Z".parse().unwrap();
    let said = run(None, &[], &mut outbox, 900).await;
    assert!(said[0].given_up[0].contains("no channel"));
    assert_eq!(outbox, []);
}

#[tokio::test]
async fn too_many_messages_and_old_ones_are_dropped_with_a_word() {
    let receiver = Receiver::always(answer(200, "", "")).await;
    let mut channel = spec(webhook(&receiver.url("/")));
    channel.rate = 600;
    let now = jiff::Timestamp::now();
    let mut outbox: Vec<OutboxEntry> = Vec::new();
    for number in 0..80_i64 {
        let mut told = alert();
        told.run = format!("r-{number:02}");
        let at = now
            .checked_sub(jiff::SignedDuration::from_mins(80 - number))
            .unwrap();
        outbox.extend(clawfleet::notify::entries(&told, [&channel], at));
    }
    // The newest of all is from before the Flood: by the clock of somebody who set it wrong.
    outbox[79].first_at = "2020-01-01T00:00:00Z".parse().unwrap();
    let said = run(None, &[channel], &mut outbox, 5000).await;
    assert_eq!((said[0].delivered, said[0].waiting), (50, 0), "{said:?}");
    assert!(said[0].given_up[0].starts_with("30 of the oldest messages"));
    let runs: Vec<String> = receiver
        .requests()
        .iter()
        .map(|request| request.json()["run"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!((runs[0].as_str(), runs[49].as_str()), ("r-29", "r-78"));
    assert_eq!(outbox, []);
}
