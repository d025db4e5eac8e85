//! Plans and rollouts as people and programs read them, as snapshots.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use clawfleet::model::{
    Exposure, FileChange, FileContent, HostError, Planned, Purpose, Refusal, RolloutEnd,
    RolloutEvent, RolloutStep, RunSummary, SettingChange, Stage, Standing, UnitOwner, UnitPlan,
    UnitResult,
};
use clawfleet::report::{
    PlanReport, RolloutLines, RolloutReport, Style, View, plan_groups as groups,
    render_group_details, render_plan, render_plan_json, render_rollout, render_rollout_json,
    render_runs, render_runs_json,
};
use clawfleet::rollout::validate::digest;

const RUN: &str = "20261121-120301-5f3a9c";
const UNIT: &str = "openclaw-gateway.service";

const OLD: &str = "[Unit]
Description=OpenClaw Gateway
After=network-online.target

[Service]
ExecStart=/usr/bin/node /usr/lib/node_modules/openclaw/dist/index.js gateway --port 18789
Restart=always
KillMode=process
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

[Install]
WantedBy=multi-user.target
";

const DROP_IN: &str = "# Written by clawfleet.
[Unit]
StartLimitIntervalSec=300

[Service]
KillMode=control-group
TimeoutStopSec=330
";

fn harden() -> Purpose {
    Purpose::Harden {
        profile: "baseline".to_owned(),
    }
}

fn content(text: &str) -> FileContent {
    FileContent {
        digest: digest(text),
        text: text.to_owned(),
        mode: 0o644,
        uid: 0,
        gid: 0,
    }
}

fn setting(name: &str, now: &str, then: &str, by_restart: bool) -> SettingChange {
    SettingChange {
        name: name.to_owned(),
        now: now.to_owned(),
        then: then.to_owned(),
        by_restart,
    }
}

/// A drop-in beside the unit's file.
fn drop_in(host: &str) -> UnitPlan {
    UnitPlan {
        host: host.to_owned(),
        unit: UNIT.to_owned(),
        owner: UnitOwner::System,
        port: 18789,
        files: vec![FileChange {
            path: format!("/etc/systemd/system/{UNIT}.d/50-clawfleet.conf"),
            before: None,
            after: Some(content(DROP_IN)),
        }],
        settings: vec![
            setting("KillMode", "process", "control-group", false),
            setting("TimeoutStopSec", "1min 30s", "5min 30s", false),
            setting("NoNewPrivileges", "", "yes", true),
        ],
        exposure: Some(Exposure {
            before: 96,
            after: Some(21),
        }),
        enable: false,
        restart: false,
        before: Standing::Well,
        notes: Vec::new(),
        remedy: None,
    }
}

/// A user's unit whose file is changed.
fn user_unit(host: &str) -> UnitPlan {
    let new = OLD.replace("KillMode=process", "KillMode=control-group");
    UnitPlan {
        owner: UnitOwner::User {
            name: "claw".to_owned(),
            uid: 1000 + u32::try_from(host.len()).unwrap(),
        },
        files: vec![FileChange {
            path: format!("/home/claw/.config/systemd/user/{UNIT}"),
            before: Some(FileContent {
                mode: 0o600,
                ..content(OLD)
            }),
            after: Some(content(&new)),
        }],
        settings: vec![setting("KillMode", "process", "control-group", false)],
        exposure: Some(Exposure {
            before: 96,
            after: None,
        }),
        enable: true,
        restart: true,
        before: Standing::Ill,
        notes: vec!["the gateway is not well now; it need not be afterwards".to_owned()],
        remedy: None,
        ..drop_in(host)
    }
}

fn change(unit: UnitPlan) -> (String, Planned) {
    (unit.host.clone(), Planned::Change(Box::new(unit)))
}

fn as_wanted(host: &str) -> (String, Planned) {
    let planned = Planned::Nothing {
        unit: format!("{UNIT} (system)"),
        why: "it is as the profile wants it".to_owned(),
    };
    (host.to_owned(), planned)
}

fn refused(host: &str) -> (String, Planned) {
    let planned = Planned::Refused(Refusal {
        unit: Some(UNIT.to_owned()),
        why: "an orphan holds its port, and a restart would only add to the loop".to_owned(),
        hint: Some(format!(
            "clawfleet explain orphan-holds-port, then clawfleet fix {host}"
        )),
    });
    (host.to_owned(), planned)
}

fn not_observed(host: &str) -> (String, Planned) {
    let error = HostError::new(Stage::Tcp, "no answer to the TCP connect within 5 s");
    (host.to_owned(), Planned::NotObserved(error))
}

fn three() -> Vec<(String, Planned)> {
    vec![
        change(drop_in("VM151")),
        change(drop_in("VM152")),
        change(user_unit("VM153")),
    ]
}

/// 300 hosts: most get the drop-in, some have a user's unit, the rest is left alone.
fn three_hundred() -> Vec<(String, Planned)> {
    (100..400)
        .map(|number| {
            let host = format!("VM{number}");
            match number {
                130..=141 => not_observed(&host),
                155 => refused(&host),
                number if number % 7 == 0 => change(user_unit(&host)),
                number if number % 9 == 0 => as_wanted(&host),
                _ => change(drop_in(&host)),
            }
        })
        .collect()
}

fn report<'a>(entries: &'a [(String, Planned)], purpose: &'a Purpose) -> PlanReport<'a> {
    PlanReport {
        run: RUN,
        purpose,
        entries,
        check_only: false,
    }
}

const fn view(width: u16) -> View {
    View {
        style: Style::Plain,
        width,
        verbose: false,
        quiet: false,
    }
}

fn coloured(width: u16) -> View {
    View {
        style: Style::Colour,
        ..view(width)
    }
}

/// Colours as words, so that a snapshot shows them.
fn told(text: &str) -> String {
    text.replace('\u{1b}', "␛")
}

fn without_colour(text: &str) -> String {
    let mut plain = String::new();
    let mut escape = false;
    for c in text.chars() {
        match (c, escape) {
            ('\u{1b}', _) => escape = true,
            ('m', true) => escape = false,
            (_, true) => {}
            (c, false) => plain.push(c),
        }
    }
    plain
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

fn trimmed(text: &str) -> String {
    text.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

#[test]
fn a_plan_for_three_hosts_at_80_columns() {
    insta::assert_snapshot!(render_plan(&report(&three(), &harden()), view(80)));
}

#[test]
fn a_plan_for_three_hosts_at_200_columns_in_colour() {
    insta::assert_snapshot!(told(&render_plan(
        &report(&three(), &harden()),
        coloured(200)
    )));
}

#[test]
fn a_plan_for_three_hundred_hosts_at_80_columns() {
    insta::assert_snapshot!(render_plan(&report(&three_hundred(), &harden()), view(80)));
}

#[test]
fn a_plan_for_three_hundred_hosts_at_200_columns() {
    insta::assert_snapshot!(render_plan(&report(&three_hundred(), &harden()), view(200)));
}

#[test]
fn a_plan_that_changes_nothing() {
    let entries = ["VM151", "VM152"].map(as_wanted);
    let verdict = render_plan(&report(&entries, &harden()), view(80));
    assert!(
        verdict.starts_with("2 hosts: all already as wanted\n"),
        "{verdict}"
    );
    let one = [change(drop_in("VM151"))];
    let purpose = harden();
    let looked = PlanReport {
        check_only: true,
        ..report(&one, &purpose)
    };
    let quiet = View {
        quiet: true,
        ..view(80)
    };
    assert_eq!(
        render_plan(&looked, quiet),
        "1 host: 1 to change (no restart); only looked (--check), nothing is changed\n"
    );
    let none = render_plan(&report(&[], &harden()), quiet);
    assert_eq!(none, "0 hosts: nothing to do\n");
}

/// A refusal is never hidden behind what is done to another unit of the same host.
#[test]
fn a_host_with_two_units_counts_under_both() {
    let entries = [
        change(drop_in("VM151")),
        refused("VM151"),
        as_wanted("VM152"),
    ];
    let verdict = render_plan(&report(&entries, &harden()), view(80));
    assert!(
        verdict.starts_with("2 hosts: 1 to change (no restart), 1 already as wanted, 1 refused\n"),
        "{verdict}"
    );
}

#[test]
fn the_details_of_a_group_name_each_host() {
    let entries = three();
    let purpose = harden();
    let report = report(&entries, &purpose);
    let details: Vec<String> = groups(&report)
        .iter()
        .map(|group| render_group_details(&report, group, view(160)))
        .collect();
    insta::assert_snapshot!(details.join("\n"));
}

#[test]
fn groups_are_what_is_the_same_to_a_reader() {
    let keys = |entries: &[(String, Planned)]| {
        let purpose = harden();
        let groups = groups(&report(entries, &purpose));
        groups
            .into_iter()
            .map(|group| (group.key, group.entries))
            .collect::<Vec<_>>()
    };
    // A user's id may differ from host to host.
    let same = keys(&[
        change(user_unit("a")),
        change(user_unit("ab")),
        change(drop_in("c")),
    ]);
    assert_eq!(same.len(), 2);
    assert_eq!(same[0].1, [0, 1]);
    assert_eq!(same[0].0, keys(&[change(user_unit("z"))])[0].0);
    let base = drop_in("b");
    let mut others = vec![base.clone(); 8];
    others[0].unit = "other.service".to_owned();
    others[1].files[0].path.push('x');
    others[2].files[0].after.as_mut().unwrap().mode = 0o600;
    others[3].files[0].before = Some(content("x"));
    others[4].settings[0].now = "mixed".to_owned();
    others[5].exposure = None;
    others[6].restart = true;
    others[7].notes = vec!["a note".to_owned()];
    for other in others {
        assert_eq!(
            keys(&[change(base.clone()), change(other.clone())]).len(),
            2,
            "{other:?}"
        );
    }
}

#[test]
fn the_json_of_a_plan() {
    let mut entries = three();
    entries.extend([as_wanted("VM154"), refused("VM155"), not_observed("VM156")]);
    insta::assert_snapshot!(render_plan_json(&report(&entries, &harden())).unwrap());
}

const EVIL: &str = "\u{1b}[2J\u{7}\u{9b}31m\u{202e}evil\r";

/// Hosts choose what stands in their units; a terminal must not obey it, nor be led to show it as a
/// line of ours.
#[test]
fn nothing_that_a_host_sends_reaches_the_terminal_raw() {
    let mut unit = user_unit("VM151");
    let text = format!("[Service]\n{EVIL}={}\n", "x".repeat(500));
    unit.files[0].before = Some(content(&text));
    unit.settings[0].now = EVIL.to_owned();
    unit.notes.push(EVIL.to_owned());
    unit.owner = UnitOwner::User {
        name: EVIL.to_owned(),
        uid: 1,
    };
    let mut refusal = refused("VM152");
    if let Planned::Refused(refusal) = &mut refusal.1 {
        refusal.why = EVIL.to_owned();
        refusal.hint = Some(EVIL.to_owned());
    }
    let entries = [change(unit), refusal];
    let purpose = harden();
    let report = report(&entries, &purpose);
    let why = RolloutEnd::Unknown(EVIL.to_owned());
    let results = [result("VM151", why, 5)];
    let ended = RolloutReport {
        stopped: Some(EVIL),
        ..ended(&results, &purpose)
    };
    let mut lines = RolloutLines::new(&[], view(80));
    let texts = [
        render_plan(&report, view(80)),
        render_group_details(&report, &groups(&report)[0], view(80)),
        render_plan_json(&report).unwrap(),
        render_rollout(&ended, view(80)),
        render_rollout_json(&ended).unwrap(),
        lines.on_event(&RolloutEvent::UnitFinished {
            unit: 0,
            result: &results[0],
        }),
    ];
    for (place, text) in texts.iter().enumerate() {
        let raw = text
            .chars()
            .find(|c| *c != '\n' && (c.is_control() || *c == '\u{202e}'));
        assert_eq!(raw, None, "{text}");
        // JSON and commands are not broken into lines.
        if place == 0 {
            let long = text.lines().find(|line| line.chars().count() > 80);
            assert_eq!(long, None);
        }
    }
}

#[test]
fn colour_only_repeats_what_the_words_say() {
    let purpose = harden();
    for entries in [three(), three_hundred()] {
        let report = report(&entries, &purpose);
        for width in [80, 200] {
            let plain = trimmed(&render_plan(&report, view(width)));
            assert_eq!(
                without_colour(&render_plan(&report, coloured(width))),
                plain
            );
        }
    }
    let results = many();
    let ended = ended(&results, &purpose);
    for width in [80, 200] {
        let plain = trimmed(&render_rollout(&ended, view(width)));
        assert_eq!(
            without_colour(&render_rollout(&ended, coloured(width))),
            plain
        );
        assert_eq!(
            without_colour(&lines_of(coloured(width))),
            trimmed(&lines_of(view(width)))
        );
    }
}

fn result(host: &str, end: RolloutEnd, seconds: u64) -> UnitResult {
    UnitResult {
        host: host.to_owned(),
        unit: UNIT.to_owned(),
        owner: UnitOwner::System,
        end,
        elapsed_ms: seconds * 1000 + 300,
        commands: 7,
    }
}

fn ended<'a>(results: &'a [UnitResult], purpose: &'a Purpose) -> RolloutReport<'a> {
    RolloutReport {
        run: RUN,
        purpose,
        results,
        stopped: None,
        elapsed_ms: 252_000,
    }
}

/// One of each end.
fn each_end() -> Vec<UnitResult> {
    let why = |text: &str| text.to_owned();
    let ends = [
        RolloutEnd::Applied,
        RolloutEnd::Drifted(why(
            "the unit file is another one than when the plan was made",
        )),
        RolloutEnd::Locked(why("run 20261121-110000-aaaaaa of jo@bastion holds it")),
        RolloutEnd::NotReached(why("tcp: no answer to the TCP connect within 5 s")),
        RolloutEnd::NotAttempted(why("3 of 9 hosts failed, 2 are allowed (--max-fail 2)")),
        RolloutEnd::Failed(why("systemd-analyze verify refused the staged unit")),
        RolloutEnd::RolledBack(why("the gateway did not answer within 90 s")),
        RolloutEnd::RollbackFailed(why(
            "the old file could not be put back: no space left on device",
        )),
        RolloutEnd::Unknown(why("the connection was lost and the host does not answer")),
    ];
    let hosts = (151..).map(|number| format!("VM{number}"));
    hosts
        .zip(ends)
        .map(|(host, end)| result(&host, end, 12))
        .collect()
}

/// 300 hosts: most went well.
fn many() -> Vec<UnitResult> {
    (100..400)
        .map(|number| {
            let end = match number {
                150..=152 => {
                    RolloutEnd::RolledBack("the gateway did not answer within 90 s".to_owned())
                }
                170 => RolloutEnd::Unknown("the connection was lost".to_owned()),
                300.. => RolloutEnd::NotAttempted(
                    "4 of 300 hosts failed, 3 are allowed (--max-fail 1%)".to_owned(),
                ),
                _ => RolloutEnd::Applied,
            };
            result(&format!("VM{number}"), end, number % 20)
        })
        .collect()
}

#[test]
fn each_end_of_a_rollout_at_80_columns() {
    insta::assert_snapshot!(render_rollout(&ended(&each_end(), &harden()), view(80)));
}

#[test]
fn each_end_of_a_rollback_at_200_columns_in_colour() {
    let purpose = Purpose::Rollback {
        run: "20261120-090000-000001".to_owned(),
    };
    let text = render_rollout(&ended(&each_end(), &purpose), coloured(200));
    insta::assert_snapshot!(told(&text));
}

#[test]
fn three_hundred_ends_at_80_columns() {
    let results = many();
    let purpose = harden();
    let report = RolloutReport {
        stopped: Some("4 of 300 hosts failed, 3 are allowed (--max-fail 1%)"),
        ..ended(&results, &purpose)
    };
    insta::assert_snapshot!(render_rollout(&report, view(80)));
}

#[test]
fn a_rollout_that_went_well_says_so_first() {
    let results = [result("VM151", RolloutEnd::Applied, 3)];
    let text = render_rollout(&ended(&results, &harden()), view(80));
    assert!(
        text.starts_with("1 applied, in 4 min (run 20261121-120301-5f3a9c)\n"),
        "{text}"
    );
    let none = render_rollout(&ended(&[], &harden()), view(80));
    assert!(none.starts_with("nothing was done"), "{none}");
}

#[test]
fn the_json_of_a_rollout() {
    insta::assert_snapshot!(render_rollout_json(&ended(&each_end(), &harden())).unwrap());
}

/// The lines of the rollout of [`many`], in batches of 1, 30 and 150.
fn lines_of(view: View) -> String {
    let results = many();
    let hosts: Vec<String> = results.iter().map(|result| result.host.clone()).collect();
    let mut lines = RolloutLines::new(&[], view);
    let mut text = String::new();
    let (mut from, sizes) = (0, [1, 30, 169]);
    for (batch, size) in (1..).zip(sizes) {
        text += &lines.on_event(&RolloutEvent::BatchStarted {
            batch,
            of: 4,
            hosts: &hosts[from..from + size],
        });
        for (unit, result) in results.iter().enumerate().skip(from).take(size) {
            text += &lines.on_event(&RolloutEvent::UnitFinished { unit, result });
        }
        let closed = (batch == 3).then_some("4 of 300 hosts failed, 3 are allowed (--max-fail 1%)");
        text += &lines.on_event(&RolloutEvent::BatchFinished { batch, closed });
        from += size;
    }
    for (unit, result) in results.iter().enumerate().skip(from) {
        text += &lines.on_event(&RolloutEvent::UnitFinished { unit, result });
    }
    text + &lines.finish()
}

#[test]
fn the_lines_of_a_rollout_of_three_hundred_hosts() {
    insta::assert_snapshot!(lines_of(view(120)));
}

#[test]
fn the_lines_of_a_small_batch_come_at_once() {
    let verbose = View {
        verbose: true,
        ..view(80)
    };
    let units = [drop_in("VM151"), user_unit("VM152")];
    let mut lines = RolloutLines::new(&units, verbose);
    let hosts = ["VM151", "VM152"].map(str::to_owned);
    let results = [
        result("VM151", RolloutEnd::Applied, 12),
        UnitResult {
            owner: units[1].owner.clone(),
            ..result(
                "VM152",
                RolloutEnd::RolledBack("the gateway did not answer within 90 s".to_owned()),
                101,
            )
        },
    ];
    let mut text = String::new();
    for event in [
        RolloutEvent::BatchStarted {
            batch: 1,
            of: 1,
            hosts: &hosts,
        },
        RolloutEvent::Step {
            unit: 0,
            step: RolloutStep::Prepare,
        },
        RolloutEvent::UnitFinished {
            unit: 0,
            result: &results[0],
        },
        RolloutEvent::Step {
            unit: 1,
            step: RolloutStep::VerifyUndo,
        },
        RolloutEvent::Draining,
        RolloutEvent::UnitFinished {
            unit: 1,
            result: &results[1],
        },
        RolloutEvent::BatchFinished {
            batch: 1,
            closed: None,
        },
    ] {
        text += &lines.on_event(&event);
    }
    assert_eq!(lines.finish(), "");
    insta::assert_snapshot!(text);
}

#[test]
fn the_runs_that_are_kept() {
    let run = |run: &str, purpose: Purpose, ends: &[(&'static str, usize)], finished| RunSummary {
        run: run.to_owned(),
        made_at: "2026-11-21T12:03:01Z".to_owned(),
        made_by: "ops@bastion".to_owned(),
        inventory: "/etc/clawfleet/inventory.yaml".to_owned(),
        purpose,
        hosts: 30,
        units: 31,
        ends: ends.iter().copied().collect::<BTreeMap<_, _>>(),
        finished,
    };
    let back = Purpose::Rollback {
        run: RUN.to_owned(),
    };
    let runs = [
        run("20261121-130000-aaaaaa", back, &[("applied", 2)], false),
        run(RUN, harden(), &[("applied", 28), ("rolled-back", 3)], true),
        run(
            "20261121-110000-bbbbbb",
            harden(),
            &[("applied", 1), ("not-attempted", 30)],
            false,
        ),
    ];
    insta::assert_snapshot!(render_runs(&runs, view(140)));
    insta::assert_snapshot!("the_runs_as_json", render_runs_json(&runs).unwrap());
    assert_eq!(render_runs(&[], view(80)), "no run is kept yet\n");
}
