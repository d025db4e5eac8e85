//! `history`, `history diff` and `report` on a real database that runs were written to. No host is
//! asked, so there are none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "what is shared has more than is used here")]

#[path = "../support/program.rs"]
mod program;
mod runs;
mod speed;

use program::Finished;
use runs::Past;
use serde_json::Value;

fn json(finished: &Finished) -> Value {
    serde_json::from_str(finished.exits(0).out()).unwrap()
}

/// Three hosts for a day: one is broken from run 20 on, one was cut off from run 5 to run 8.
fn a_day() -> Past {
    let mut past = Past::new(&["VM1", "VM2", "VM3"]);
    for run in 1..=24 {
        past.keep(run, 24, |now| {
            if run >= 20 {
                now.wrong("VM1", "orphan-holds-port");
            }
            if (5..8).contains(&run) {
                now.down("VM2");
            }
            now.print("VM3", "config", u8::from(run >= 12));
        });
    }
    past
}

#[test]
fn it_tells_what_happened_and_when() {
    let past = a_day();
    let told = past.run(&["history", "--since", "2d"]);
    let text = told.exits(0).out();
    assert!(
        text.starts_with("3 hosts: 1 critical, 2 ok\nas of run 24, "),
        "{text}"
    );
    assert!(text.contains("the history begins "), "{text}");
    assert!(text.contains("a column is a run: . ok"), "{text}");
    assert!(text.contains(&format!("{}XXXXX", ".".repeat(19))), "{text}");
    assert!(text.contains("....???................."), "{text}");
    for words in [
        "orphan-holds-port",
        "unreachable (tcp)",
        "config changed",
        "STILL",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(told.stderr, "");
    let one = past.run(&["history", "VM2", "--since", "2d", "--format", "json"]);
    let one = json(&one);
    assert_eq!(one["schema"], "clawfleet.history/1");
    let [host] = one["hosts"].as_array().unwrap().as_slice() else {
        panic!("{one}");
    };
    assert_eq!(
        (&host["asked"], &host["observed"]),
        (&24.into(), &21.into())
    );
    assert_eq!(host["availability"], 0.875);
    let [event] = one["events"].as_array().unwrap().as_slice() else {
        panic!("{one}");
    };
    assert_eq!(
        (&event["kind"], &event["run"]),
        (&"not-observed".into(), &5.into())
    );
    assert_eq!(
        (&event["until_run"], &event["still"]),
        (&8.into(), &false.into())
    );
    assert_eq!(event["lasted_ms"], 3 * 3_600_000);
}

#[test]
fn one_class_of_it() {
    let past = a_day();
    let text = past.run(&["history", "--class", "orphan-holds-port"]);
    let text = text.exits(0).out();
    assert!(text.contains("only orphan-holds-port"), "{text}");
    assert!(
        !text.contains("config changed") && !text.contains("unreachable"),
        "{text}"
    );
    let near = past.run(&["history", "--class", "orphan-hold-port"]);
    near.exits(64).complains(&[
        "no class is called `orphan-hold-port`",
        "did you mean `orphan-holds-port`?",
    ]);
    let far = past.run(&["history", "--class", "disk-low,whatever-else"]);
    far.exits(64)
        .complains(&["`whatever-else`", "clawfleet explain"]);
    past.run(&["history", "--class", "custom/queue"]).exits(0);
}

#[test]
fn where_nothing_is_kept_it_says_so() {
    let mut past = Past::new(&["VM1"]);
    let never = past.run(&["history"]);
    assert!(
        never
            .exits(0)
            .out()
            .contains("is kept yet; `clawfleet check` begins"),
        "{}",
        never.out()
    );
    assert!(
        past.run(&["history", "runs"])
            .exits(0)
            .out()
            .contains("is kept yet")
    );
    let none = json(&past.run(&["history", "--format", "json"]));
    assert_eq!((&none["runs"], &none["begins"]), (&0.into(), &Value::Null));
    past.run(&["history", "diff", "last~1"])
        .exits(64)
        .complains(&["is kept yet"]);
    past.run(&["report"]).exits(64).complains(&["is kept yet"]);
    past.keep_elsewhere();
    let elsewhere = past.run(&["history"]);
    assert!(
        elsewhere
            .exits(0)
            .out()
            .contains("(1 runs of other inventories are kept; -i names one)")
    );
    past.keep(1, 1, |_| {});
    let before = past.run(&["history", "--since", "10m"]);
    let text = before.exits(0).out();
    assert!(
        text.starts_with("1 host: no run was kept in the last 10 min; the last is run 2, "),
        "{text}"
    );
    past.run(&["report", "--since", "10m"])
        .exits(64)
        .complains(&["no run was kept since", "the last is run 2"]);
    for bad in ["yesterday", "7", ""] {
        past.run(&["history", "--since", bad])
            .exits(64)
            .complains(&["a time is written like"]);
    }
}

#[test]
fn hosts_that_left_the_inventory_are_found_by_name() {
    let past = a_day();
    past.inventory(&["VM1", "VM4"]);
    let all = past.run(&["history", "--format", "json"]);
    assert_eq!(json(&all)["hosts"].as_array().unwrap().len(), 2);
    assert!(
        all.stderr
            .contains("left out, for the inventory does not have them any more: VM[2-3]"),
        "{}",
        all.stderr
    );
    let gone = past.run(&["history", "VM[2-3]"]);
    assert!(gone.exits(0).out().contains("unreachable (tcp)"));
    assert!(
        gone.stderr
            .contains("the inventory does not have VM[2-3] any more"),
        "{}",
        gone.stderr
    );
    past.run(&["history", "VM[1-3]!VM1"]).exits(0);
    let never = past.run(&["history", "VM4"]);
    assert!(
        never.exits(0).out().contains("not asked"),
        "{}",
        never.out()
    );
    assert_eq!(never.stderr, "");
    past.run(&["history", "VM5"])
        .exits(64)
        .complains(&["no host is called `VM5`"]);
    past.run(&["history", "@nobody"]).exits(64);
}

#[test]
fn runs_are_listed_and_compared() {
    let past = a_day();
    let runs = past.run(&["history", "runs"]);
    let text = runs.exits(0).out();
    assert!(
        text.contains("1-4 (4)") && text.contains("5-7 (3)") && text.contains("20-24 (5)"),
        "{text}"
    );
    let runs = json(&past.run(&["history", "runs", "--format", "json"]));
    assert_eq!(runs["runs"].as_array().unwrap().len(), 24);
    let diff = past.run(&["history", "diff", "6", "last"]);
    let text = diff.exits(0).out();
    assert!(text.contains("3 hosts in both"), "{text}");
    for words in [
        "NEW",
        "orphan-holds-port",
        "unreachable (tcp) -> observed",
        "CHANGED",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let same = past.run(&["history", "diff", "last~1"]);
    assert!(
        same.exits(0)
            .out()
            .ends_with("nothing that is kept differs\n"),
        "{}",
        same.out()
    );
    // Runs are an hour apart, the last of them an hour ago.
    let by_time = json(&past.run(&["history", "diff", "150m", "10m", "--format", "json"]));
    assert_eq!(
        (&by_time["from"]["run"], &by_time["to"]["run"]),
        (&22.into(), &24.into())
    );
    let unknown = past.run(&["history", "diff", "99"]);
    unknown.exits(64).complains(&[
        "no run 99 of this inventory is kept",
        "the first is 1 (",
        "the last 24 (",
    ]);
    past.run(&["history", "diff", "9d"])
        .exits(64)
        .complains(&["no run began before 2"]);
    past.run(&["history", "diff", "last~24"])
        .exits(64)
        .complains(&["24 are kept"]);
    past.run(&["history", "diff", "first"])
        .exits(64)
        .complains(&["a run is its number"]);
}

#[test]
fn a_page_is_made_without_asking_any_host() {
    let past = a_day();
    past.run(&["report", "--output", "page.html"])
        .exits(0)
        .prints_nothing();
    let page = std::fs::read_to_string(past.path("page.html")).unwrap();
    assert!(page.contains("the state is that of run 24, ") && page.contains("id=\"trends\""));
    let printed = past.run(&["report", "VM1", "-o", "-", "--format", "html"]);
    let text = printed.exits(0).out();
    assert!(text.starts_with("<!doctype html>") && !text.contains("VM2"));
    past.run(&["report", "--output", "nowhere/page.html"])
        .exits(64)
        .complains(&["nowhere/page.html"]);
    past.run(&["report", "--format", "json"])
        .exits(64)
        .complains(&["`report` is a page"]);
    past.run(&["report", "VM7"])
        .exits(64)
        .complains(&["no host is called `VM7`"]);
}

#[test]
fn rollouts_are_where_they_were() {
    let past = a_day();
    assert_eq!(
        past.run(&["history", "--rollouts"]).exits(0).out(),
        "no run is kept yet\n"
    );
    past.run(&["history", "--rollouts", "last"]).exits(78);
    past.run(&["history", "--rollouts", "a", "b"])
        .exits(64)
        .complains(&["name one run, or none"]);
    past.run(&["history", "--rollouts", "--since", "2d"])
        .exits(64);
    past.run(&["history", "VM1", "prune"]).exits(64);
}
