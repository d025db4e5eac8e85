//! Messages on their way.

use super::*;
use crate::model::OutboxEntry;

fn message(id: &str, first: i64) -> OutboxEntry {
    let at = Timestamp::from_second(1_800_000_000 + first).unwrap();
    OutboxEntry {
        id: id.to_owned(),
        channel: "ops".to_owned(),
        format: "slack".to_owned(),
        payload: "{\"text\": \"it's\"}".to_owned(),
        attempts: 0,
        next_at: at,
        asked: false,
        first_at: at,
        last_error: None,
    }
}

fn ids(history: &History) -> Vec<(String, u32)> {
    let waiting = history.waiting(Path::new("/etc/inventory.yaml")).unwrap();
    let of = |entry: OutboxEntry| (entry.id, entry.attempts);
    waiting.into_iter().map(of).collect()
}

fn keep(history: &mut History, run: &Run, ids: &[(&str, i64)]) -> Result<Recorded, HistoryFault> {
    history.record(&RunRecord {
        inventory: Path::new("/etc/inventory.yaml"),
        report: &run.report,
        sightings: &run.sightings,
        readings: &run.readings,
        fingerprints: &run.fingerprints,
        memory: None,
        messages: &|number| {
            let of = |(id, first): &(&str, i64)| message(&format!("{id}{number}"), *first);
            ids.iter().map(of).collect()
        },
    })
}

#[test]
fn a_message_waits_until_it_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let inventory = Path::new("/etc/inventory.yaml");
    let mut history = History::open(dir.path()).unwrap();
    assert_eq!(history.waiting(inventory).unwrap(), []);
    keep(&mut history, &Run::of(1, 0), &[("b", 9), ("a", 3)]).unwrap();
    keep(&mut history, &Run::of(1, 60), &[("c", 5)]).unwrap();
    let whole = history.waiting(inventory).unwrap();
    assert_eq!(whole.first(), Some(&message("a1", 3)), "as it was");
    assert_eq!(
        ids(&history),
        [("a1".into(), 0), ("c2".into(), 0), ("b1".into(), 0)]
    );
    let mut tried = message("c2", 5);
    tried.attempts = 4;
    history.keep_message(inventory, &tried).unwrap();
    history
        .forget_message(inventory, &message("a1", 3))
        .unwrap();
    // It is another channel's, or another inventory's.
    let mut other = message("b1", 9);
    other.channel = "else".into();
    history.forget_message(inventory, &other).unwrap();
    history
        .forget_message(Path::new("/else"), &message("b1", 9))
        .unwrap();
    assert_eq!(history.waiting(Path::new("/else")).unwrap(), []);
    drop(history);
    let history = History::open(dir.path()).unwrap();
    assert_eq!(ids(&history), [("c2".into(), 4), ("b1".into(), 0)]);
}

#[test]
fn what_a_rollout_did_is_kept_once_and_by_host() {
    use crate::model::{RolloutEnd, UnitOwner, UnitResult};
    let dir = tempfile::tempdir().unwrap();
    let inventory = Path::new("/etc/inventory.yaml");
    let mut history = History::open(dir.path()).unwrap();
    let wrong = Run::of(2, 0).wrong("VM0", Class::GatewayDown);
    wrong.keep(&mut history).unwrap();
    let result = |host: &str, end| UnitResult {
        host: host.to_owned(),
        unit: "openclaw-gateway.service".to_owned(),
        owner: UnitOwner::System,
        end,
        elapsed_ms: 1,
        commands: 1,
    };
    let results = [
        result("VM0", RolloutEnd::Applied),
        result("VM1", RolloutEnd::NotAttempted("stopped".into())),
    ];
    for _ in 0..2 {
        let record = RolloutRecord {
            inventory,
            rollout: "20270115-080030-abcdef",
            purpose: "fix",
            at: at(30),
            results: &results,
        };
        history.record_rollout(&record).unwrap();
    }
    Run::of(2, 60).keep(&mut history).unwrap();
    let names = ["VM0".to_owned(), "VM1".to_owned()];
    let kept = |since: i64| {
        let span = crate::store::Span::Since(at(since));
        let chronicle = history.chronicle(inventory, span, &names).unwrap();
        let of = |host: &crate::model::HostPast| {
            let rollouts = host.rollouts.iter();
            rollouts
                .map(|it| (it.run, it.at, format!("{} {}", it.purpose, it.outcome)))
                .collect::<Vec<_>>()
        };
        chronicle.hosts.iter().map(of).collect::<Vec<_>>()
    };
    let fixed = vec![(2, at(30), "fix applied".to_owned())];
    assert_eq!(kept(-1), [fixed.clone(), Vec::new()]);
    // The second check is the first that can have seen it.
    assert_eq!(kept(50), [fixed, Vec::new()]);
}
