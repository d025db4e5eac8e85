//! Units as they are rendered.

use std::time::Duration;

use clawfleet::model::{Schedule, SchedulePlace};
use clawfleet::unit::{cron_fields, schedule_service, schedule_timer, short_span};

fn schedule(place: SchedulePlace, every: u64) -> Schedule {
    Schedule {
        name: "clawfleet-check".into(),
        place,
        command: [
            "/usr/local/bin/clawfleet",
            "-i",
            "/etc/clawfleet/inventory.yaml",
            "check",
            "VM15*",
            "--on-change",
        ]
        .map(str::to_owned)
        .to_vec(),
        installed_by: "clawfleet -i /etc/clawfleet/inventory.yaml schedule install 'VM15*'".into(),
        every: Duration::from_secs(every),
        jitter: Duration::from_secs(30),
        hangs_after: Duration::from_secs(540),
        environment: vec![("XDG_STATE_HOME".into(), "/var/lib/a b".into())],
        environment_file: Some("/etc/clawfleet/env".into()),
        writable: vec![
            "/root/.local/state/clawfleet".into(),
            "/var/lib/node exporter".into(),
        ],
        private_tmp: true,
    }
}

#[test]
fn the_system_has_a_hardened_service_and_a_timer() {
    let system = schedule(SchedulePlace::System, 300);
    insta::assert_snapshot!("a_service_of_the_system", schedule_service(&system));
    insta::assert_snapshot!("a_timer_of_five_minutes", schedule_timer(&system));
    let open = Schedule {
        private_tmp: false,
        ..system
    };
    let text = schedule_service(&open);
    assert!(text.contains("ReadWritePaths=-/tmp") && !text.contains("PrivateTmp=yes"));
}

#[test]
fn a_user_has_a_service_that_needs_no_namespace() {
    let user = schedule(SchedulePlace::User, 300);
    insta::assert_snapshot!("a_service_of_a_user", schedule_service(&user));
}

#[test]
fn intervals_of_timers_and_of_cron() {
    // What divides the hour or the day is a calendar's, the rest is counted from run to run.
    let table = [
        (60, "OnCalendar=*:*:00", Some("* * * * *")),
        (300, "OnCalendar=*:0/5:00", Some("*/5 * * * *")),
        (420, "OnUnitActiveSec=420s", None),
        (90, "OnUnitActiveSec=90s", None),
        (1800, "OnCalendar=*:0/30:00", Some("*/30 * * * *")),
        (2700, "OnUnitActiveSec=2700s", None),
        (3600, "OnCalendar=*:00:00", Some("0 * * * *")),
        (7200, "OnCalendar=0/2:00:00", Some("0 */2 * * *")),
        (5400, "OnUnitActiveSec=5400s", None),
        (18_000, "OnUnitActiveSec=18000s", None),
        (43_200, "OnCalendar=0/12:00:00", Some("0 */12 * * *")),
        (86_400, "OnCalendar=00:00:00", Some("0 0 * * *")),
    ];
    for (seconds, when, cron) in table {
        let timer = schedule_timer(&schedule(SchedulePlace::System, seconds));
        assert!(timer.lines().any(|line| line == when), "{seconds}: {timer}");
        let persistent = timer.contains("Persistent=true");
        assert_eq!(persistent, when.starts_with("OnCalendar"), "{seconds}");
        let fields = cron_fields(Duration::from_secs(seconds));
        assert_eq!(fields.ok().as_deref(), cron, "{seconds}");
    }
}

#[test]
fn spans_are_short() {
    for (ms, wanted) in [
        (300_000, "5m"),
        (90_000, "90s"),
        (7_200_000, "2h"),
        (86_400_000, "1d"),
        (1500, "1500ms"),
        (0, "0ms"),
    ] {
        assert_eq!(short_span(Duration::from_millis(ms)), wanted);
    }
}
