//! Programs of the operator's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use clawfleet::model::OutboxEntry;
use clawfleet::model::{ChannelSpec, Target};
use clawfleet::notify::{Bearings, Channel, Proxies, deliver};

use crate::{Sent, alert, send, spec};

fn shell(script: &str) -> ChannelSpec {
    spec(Target::Command {
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
    })
}

async fn ran(script: &str) -> Sent {
    send(&shell(script), &BTreeMap::new()).await
}

#[tokio::test]
async fn a_program_reads_the_alert_and_is_not_a_shell() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("got");
    ran(&format!(
        "cat > {0}; printf %s \"$CLAWFLEET_MESSAGE_ID\" > {0}.id",
        path.display()
    ))
    .await
    .arrived();
    let got: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(got["schema"], "clawfleet.alert/1");
    let id = std::fs::read_to_string(dir.path().join("got.id")).unwrap();
    assert_eq!(got["id"], id);
    // Words are words: nothing expands them.
    let odd = dir.path().join("$(id) *");
    let argv = ["touch".to_owned(), odd.display().to_string()].to_vec();
    send(&spec(Target::Command { argv }), &BTreeMap::new())
        .await
        .arrived();
    assert!(odd.exists());
    // One that reads nothing and is content.
    ran("exec true").await.arrived();
}

#[tokio::test]
async fn how_it_ends_tells_what_becomes_of_the_message() {
    ran("echo no route >&2; exit 1")
        .await
        .waits(&["exit status: 1", "no route"]);
    ran("exit 75").await.waits(&["75"]);
    ran("kill -9 $$").await.waits(&["signal: 9"]);
    ran("echo bad config >&2; exit 78")
        .await
        .given_up(&["bad config", "`command`"]);
    let argv = vec!["/no/such/program".to_owned()];
    let sent = send(&spec(Target::Command { argv }), &BTreeMap::new()).await;
    sent.given_up(&["/no/such/program does not start"]);
}

#[tokio::test]
async fn one_that_hangs_is_ended_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let mut channel = shell(&format!("sleep 300 & echo $! > {}; wait", pid.display()));
    channel.timeout = Duration::from_millis(700);
    let begin = Instant::now();
    let sent = send(&channel, &BTreeMap::new()).await;
    sent.waits(&["did not end within 0.7 s"]);
    assert!(begin.elapsed() < Duration::from_secs(3));
    let pid = std::fs::read_to_string(&pid).unwrap();
    let state = || {
        let status = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
        status.ok().filter(|text| !text.contains(") Z "))
    };
    let gone = Instant::now() + Duration::from_secs(3);
    while state().is_some() && Instant::now() < gone {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(state(), None);
}

#[tokio::test]
async fn one_that_leaves_a_child_or_talks_without_end_holds_nobody_up() {
    let begin = Instant::now();
    ran("sleep 5 & exit 0").await.arrived();
    ran("yes >&2 & sleep 0.2; kill $!; exit 0").await.arrived();
    assert!(begin.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn it_does_not_get_the_secrets_of_others() {
    // HOME stands for a variable that holds a secret: it is in every environment.
    let channel = shell("[ \"${HOME+set}\" != set ]");
    let channels = [Channel::new(&channel, &BTreeMap::new()).unwrap()];
    let mut outbox: Vec<OutboxEntry> = Vec::new();
    let without = BTreeSet::from(["HOME".to_owned()]);
    let bearings = Bearings {
        bastion: "b",
        proxies: &Proxies::default(),
        secret_variables: &without,
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
    let deliveries = deliver(Some(&alert()), &channels, &mut outbox, bearings, deadline).await;
    assert_eq!(deliveries[0].delivered, 1, "{deliveries:?}");
}
