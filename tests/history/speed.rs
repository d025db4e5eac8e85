//! How long it takes to tell a month of a large fleet:
//! `cargo test --release --test history a_month -- --ignored --nocapture`.

use std::time::Instant;

use clawfleet::model::ReadingKind;
use jiff::{SignedDuration, Timestamp};

use crate::runs::Past;

/// Runs of every five minutes; of each hundred hosts one is down in each run, others have a trouble that comes and
/// goes with the days, each answers slowly now and then, a tenth has a lasting warning.
#[test]
#[ignore = "takes minutes; prints figures"]
fn a_month_of_a_thousand_hosts() {
    const RUNS: i64 = 30 * 288;
    let names: Vec<String> = (0..1000).map(|host| format!("VM{host}")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut past = Past::new(&hosts);
    let begin = Instant::now();
    for run in 0..RUNS {
        let at = Timestamp::now() - SignedDuration::from_mins(5 * (RUNS - run));
        past.keep_at(at, |now| {
            for (place, name) in (0_i64..).zip(&names) {
                let turn = place * 37 + run;
                // An hour long, every four days.
                if turn % 1200 < 12 {
                    now.down(name);
                    continue;
                }
                if turn % 2900 < 40 {
                    now.wrong(name, "gateway-down");
                }
                if place % 10 == 0 {
                    now.wrong(name, "unit-weak");
                }
                // A slow answer in ten is two rows each.
                let slow = if turn * 7919 % 10 == 0 { 60 } else { 0 };
                now.read(name, ReadingKind::LatencyMs, 20 + slow);
                now.read(name, ReadingKind::Restarts, turn / 300);
                now.read(name, ReadingKind::Restarts24h, i64::from(turn % 300 < 288));
                now.read(name, ReadingKind::DiskFreePercent, 50 - run / 2880);
                now.print(name, "config", u8::try_from(turn / 3000 % 200).unwrap());
            }
        });
    }
    println!("{RUNS} runs written in {:?}", begin.elapsed());
    let size = past
        .path("state/clawfleet/history.db")
        .metadata()
        .unwrap()
        .len();
    println!("the database has {} MB", size / 1_000_000);
    for args in [
        &["history", "--since", "30d"] as &[&str],
        &["history", "--since", "7d"],
        &["history", "--since", "30d", "VM17"],
        &["history", "--since", "30d", "--format", "json"],
        &["history", "--since", "30d", "--class", "gateway-down"],
        &["history", "runs", "--since", "30d"],
        &["history", "diff", "30d", "last"],
        &["history", "diff", "1h", "last"],
        &["report", "--since", "30d", "--output", "-"],
        &["report", "--since", "7d", "--output", "-"],
    ] {
        // The processor's time: the machine may have others.
        let run = past.run(args);
        run.exits(0);
        println!(
            "{}: {:?} ({:?} of the processor), {} MB, {} kB printed",
            args.join(" "),
            run.elapsed,
            run.cpu,
            run.peak_kib / 1000,
            run.stdout.len() / 1000
        );
    }
}
