use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::Class;

const MINUTE: i64 = 60;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn key(host: &str, class: Class) -> TroubleKey {
    TroubleKey {
        host: host.into(),
        gateway: None,
        class: class.id().into(),
        subject: String::new(),
    }
}

/// What a look at a host was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Nothing was wrong.
    Fine,
    /// That was wrong.
    Wrong(Severity),
    /// It was a consequence of something else.
    Follows,
    /// The host was seen in part, without it.
    Part,
    /// The host did not answer.
    Unseen,
    /// The host was not asked for.
    Left,
}

use Look::{Fine, Follows, Left, Part, Unseen, Wrong};

const BAD: Look = Wrong(Severity::Critical);
const WARN: Look = Wrong(Severity::Warning);
const INFO: Look = Wrong(Severity::Info);

fn seen(look: Look, seconds: i64) -> Sightings {
    let mut hosts = BTreeMap::new();
    let mut found = BTreeMap::new();
    let looked = match look {
        Fine | Wrong(_) | Follows => Some(Looked::Whole),
        Part => Some(Looked::Part),
        Unseen => Some(Looked::Not),
        Left => None,
    };
    hosts.extend(looked.map(|looked| ("VM1".to_owned(), looked)));
    let mut add = |class: Class, severity, follows| {
        let key = key("VM1", class);
        let sighting = Sighting {
            key: key.clone(),
            severity,
            follows,
        };
        found.insert(key, sighting);
    };
    match look {
        Wrong(severity) => add(Class::GatewayDown, severity, false),
        Follows => add(Class::GatewayDown, Severity::Critical, true),
        Unseen | Part => add(Class::NotObserved, Severity::Unknown, false),
        Fine | Left => {}
    }
    Sightings {
        at: at(seconds),
        hosts,
        found,
    }
}

fn patience(confirm: u32) -> Patience {
    Patience {
        confirm,
        remind: Some(Duration::from_secs(24 * 3600)),
        least: Severity::Warning,
    }
}

/// The changes of the gateway's trouble, run by run, every `every` seconds.
fn told(looks: &[Look], every: i64, patience: &Patience) -> Vec<String> {
    let mut memory = Memory::default();
    let mut all = Vec::new();
    for (run, look) in (0..).zip(looks) {
        let seen = seen(*look, run * every);
        let (next, changes) = step(&memory, &seen, patience, &[]);
        memory = next;
        let ours = changes
            .iter()
            .filter(|change| change.key.class == "gateway-down");
        all.extend(ours.map(|change| format!("{run} {}", change.kind.id())));
    }
    all
}

#[test]
fn the_end_is_as_bad_as_what_was_told() {
    let mut memory = Memory::default();
    for (run, look) in [(0, BAD), (1, WARN), (2, INFO)] {
        let seen = seen(look, run * MINUTE);
        memory = step(&memory, &seen, &patience(1), &[]).0;
    }
    let (_, changes) = step(&memory, &seen(Fine, 3 * MINUTE), &patience(1), &[]);
    let [over] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    let told = (over.kind, over.severity, over.was);
    assert_eq!(told, (ChangeKind::Recovered, Severity::Critical, None));
}

#[test]
fn what_is_told_when() {
    let cases: [(&str, &[Look], u32, &[&str]); 14] = [
        ("nothing is wrong", &[Fine, Fine, Fine], 1, &[]),
        ("at once", &[BAD, BAD, BAD], 1, &["0 new"]),
        ("confirmed", &[BAD, BAD, BAD, BAD], 2, &["1 new"]),
        ("over", &[BAD, Fine, Fine], 1, &["0 new", "1 recovered"]),
        (
            "over, confirmed",
            &[BAD, BAD, Fine, Fine, Fine],
            2,
            &["1 new", "3 recovered"],
        ),
        ("one run alone", &[BAD, Fine, Fine, Fine], 2, &[]),
        (
            "one miss is no recovery",
            &[BAD, BAD, Fine, BAD, BAD],
            2,
            &["1 new"],
        ),
        (
            "who is not seen has not recovered",
            &[BAD, Unseen, Unseen, Unseen, BAD, BAD],
            1,
            &["0 new"],
        ),
        (
            "nor who is seen in part, nor who is not asked for",
            &[BAD, Part, Left, Part, Left],
            1,
            &["0 new"],
        ),
        (
            "nor do they interrupt a confirmation",
            &[BAD, Unseen, BAD],
            2,
            &["2 new"],
        ),
        (
            "worse, and never better",
            &[WARN, BAD, WARN, BAD],
            1,
            &["0 new", "1 worsened"],
        ),
        (
            "worse, confirmed",
            &[WARN, WARN, BAD, WARN, BAD, BAD],
            2,
            &["1 new", "5 worsened"],
        ),
        ("information is not told", &[INFO, INFO, Fine], 1, &[]),
        (
            "a consequence is told with its cause, and by itself when that is gone",
            &[Follows, Follows, BAD, BAD, Follows, Fine],
            2,
            &["3 new"],
        ),
    ];
    for (name, looks, confirm, wanted) in cases {
        assert_eq!(
            told(looks, 5 * MINUTE, &patience(confirm)),
            wanted,
            "{name}"
        );
    }
}

#[test]
fn what_stays_is_told_again_once_a_day() {
    let looks = [BAD; 60];
    let wanted = ["0 new", "24 reminder", "48 reminder"];
    assert_eq!(told(&looks, 60 * MINUTE, &patience(1)), wanted);
    let never = Patience {
        remind: None,
        ..patience(1)
    };
    assert_eq!(told(&looks, 60 * MINUTE, &never), ["0 new"]);
}

#[test]
fn what_comes_and_goes_is_told_once() {
    // The fourth time within twelve hours.
    let mut looks = [BAD, Fine].repeat(20);
    let wanted = [
        "0 new",
        "1 recovered",
        "2 new",
        "3 recovered",
        "4 new",
        "5 recovered",
        "6 flapping",
    ];
    assert_eq!(told(&looks, 5 * MINUTE, &patience(1)), wanted);
    // With two runs to confirm, none of it would ever be told.
    assert_eq!(told(&looks, 5 * MINUTE, &patience(2)), ["6 flapping"]);
    // It ends when it has been gone for three hours.
    looks.extend([Fine; 50]);
    let told_in_all = told(&looks, 5 * MINUTE, &patience(2));
    assert_eq!(told_in_all, ["6 flapping", "75 recovered"]);
    // Or is there to stay, and ends in the usual way.
    let mut looks = [BAD, Fine].repeat(4);
    looks.extend([BAD; 50]);
    looks.extend([Fine; 2]);
    let told_in_all = told(&looks, 5 * MINUTE, &patience(2));
    assert_eq!(told_in_all, ["6 flapping", "59 recovered"]);
}

#[test]
fn a_clock_that_was_set_back_makes_no_time_negative() {
    let (memory, changes) = step(&Memory::default(), &seen(BAD, 9_000_000), &patience(1), &[]);
    assert_eq!(changes.len(), 1);
    let (memory, changes) = step(&memory, &seen(BAD, 0), &patience(1), &[]);
    assert_eq!(changes, []);
    let trouble = memory.troubles.values().next().unwrap();
    assert_eq!(trouble.first_seen, at(0));
    let (_, changes) = step(&memory, &seen(BAD, 24 * 3600), &patience(1), &[]);
    assert_eq!(changes.first().unwrap().kind, ChangeKind::Reminder);
    let (_, changes) = step(&memory, &seen(Fine, -10), &patience(1), &[]);
    let over = changes.first().unwrap();
    assert_eq!((over.since, over.until), (at(-10), Some(at(-10))));
}

#[test]
fn a_silence_hides_what_it_names_and_nothing_else() {
    let silence = Silence {
        hosts: ["VM1".to_owned()].into(),
        classes: ["gateway-down".to_owned()].into(),
        until: at(100),
    };
    let silences = [silence];
    let patience = patience(1);
    let (memory, changes) = step(&Memory::default(), &seen(BAD, 0), &patience, &silences);
    assert_eq!(changes, []);
    let mut other = seen(BAD, 50);
    other.found.extend(seen(Unseen, 50).found);
    let (memory, changes) = step(&memory, &other, &patience, &silences);
    assert_eq!(changes.first().unwrap().key.class, "not-observed");
    assert_eq!(changes.len(), 1);
    let (_, changes) = step(&memory, &seen(BAD, 100), &patience, &silences);
    let new = changes
        .iter()
        .find(|change| change.kind == ChangeKind::New)
        .unwrap();
    assert_eq!((new.key.class.as_str(), new.since), ("gateway-down", at(0)));
}

#[test]
fn a_difference_is_over_only_when_as_many_hosts_were_compared() {
    let drift = key("VM1", Class::ConfigDrift);
    let fleet = |hosts: u32, differs: bool| {
        let mut seen = seen(Fine, i64::from(hosts));
        for host in 1..=hosts {
            seen.hosts.insert(format!("VM{host}"), Looked::Whole);
        }
        if differs {
            let sighting = Sighting {
                key: drift.clone(),
                severity: Severity::Warning,
                follows: false,
            };
            seen.found.insert(drift.clone(), sighting);
        }
        seen
    };
    let (memory, _) = step(&Memory::default(), &fleet(5, true), &patience(1), &[]);
    let (memory, changes) = step(&memory, &fleet(1, false), &patience(1), &[]);
    assert_eq!(changes, []);
    let (_, changes) = step(&memory, &fleet(5, false), &patience(1), &[]);
    assert_eq!(changes.first().unwrap().kind, ChangeKind::Recovered);
}

#[test]
fn what_was_never_told_is_forgotten() {
    let mut memory = Memory::default();
    for (run, look) in (0..).zip([BAD, Fine]) {
        memory = step(&memory, &seen(look, run), &patience(2), &[]).0;
    }
    assert_eq!(memory.troubles.len(), 1);
    memory = step(&memory, &seen(Fine, 13 * 3600), &patience(2), &[]).0;
    assert_eq!(memory.troubles.len(), 0);
}

fn looks() -> impl Strategy<Value = Vec<(Look, i64)>> {
    let look = prop_oneof![
        4 => Just(Fine),
        4 => Just(BAD),
        2 => Just(WARN),
        1 => Just(INFO),
        1 => Just(Follows),
        1 => Just(Part),
        2 => Just(Unseen),
        1 => Just(Left),
    ];
    // Mostly forward, now and then far, now and then back.
    let pause = prop_oneof![8 => 1..900_i64, 1 => 3600..90_000_i64, 1 => -90_000..0_i64];
    proptest::collection::vec((look, pause), 0..120)
}

proptest! {
    #[test]
    fn each_alert_ends_once_and_none_begins_twice(looks in looks(), confirm in 0_u32..4) {
        let mut memory = Memory::default();
        let mut now = 0;
        let mut open: BTreeMap<String, bool> = BTreeMap::new();
        for (look, pause) in looks {
            now += pause;
            let (next, changes) = step(&memory, &seen(look, now), &patience(confirm), &[]);
            memory = next;
            for change in &changes {
                let is_open = open.entry(change.key.class.clone()).or_default();
                match change.kind {
                    ChangeKind::New => prop_assert!(!std::mem::replace(is_open, true)),
                    ChangeKind::Flapping => *is_open = true,
                    ChangeKind::Worsened | ChangeKind::Reminder => prop_assert!(*is_open),
                    ChangeKind::Recovered => {
                        prop_assert!(std::mem::replace(is_open, false));
                        prop_assert_eq!(look, look_that_tells(look, &change.key.class));
                    }
                }
                prop_assert!(change.since <= at(now));
                prop_assert!(change.until.is_none_or(|until| change.since <= until));
            }
            // What the memory holds for told is what was told.
            for (class, is_open) in &open {
                let known = memory.troubles.get(&TroubleKey {
                    host: "VM1".into(), gateway: None, class: class.clone(), subject: String::new(),
                });
                prop_assert_eq!(known.is_some_and(|it| it.told.is_some()), *is_open);
            }
        }
        // Whatever it was: seen to be fine for long enough, all of it is over, once.
        for _ in 0..4 {
            now += 4 * 3600;
            for _ in 0..confirm.max(1) {
                now += 1;
                let (next, changes) = step(&memory, &seen(Fine, now), &patience(confirm), &[]);
                memory = next;
                for change in &changes {
                    prop_assert_eq!(change.kind, ChangeKind::Recovered);
                    prop_assert!(std::mem::replace(open.get_mut(&change.key.class).unwrap(), false));
                }
            }
        }
        prop_assert!(open.values().all(|is_open| !is_open));
    }

    #[test]
    fn where_nothing_changes_nothing_is_told(looks in looks(), confirm in 1_u32..4) {
        let patience = Patience { remind: None, ..patience(confirm) };
        let mut memory = Memory::default();
        let mut now = 0;
        let mut last = Fine;
        for (look, pause) in looks {
            now += pause;
            last = look;
            memory = step(&memory, &seen(look, now), &patience, &[]).0;
        }
        // Long enough for what was coming and going to be believed.
        for _ in 0..8 {
            now += 3600;
            memory = step(&memory, &seen(last, now), &patience, &[]).0;
        }
        for _ in 0..50 {
            now += 300;
            let (next, changes) = step(&memory, &seen(last, now), &patience, &[]);
            prop_assert_eq!(changes, vec![]);
            memory = next;
        }
    }
}

/// Only a host that was seen whole tells that something is over.
fn look_that_tells(look: Look, class: &str) -> Look {
    match look {
        Fine => Fine,
        // The gateway's trouble stands for itself; that the host is seen again is told by it, too.
        Wrong(_) | Follows if class == "not-observed" => look,
        _ => panic!("{look:?} ended {class}"),
    }
}
