//! A probe's output, as hostile as it likes: read, judged and shown, nothing panics, and no control
//! character reaches a terminal.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use clawfleet::diagnose::judge;
use clawfleet::model::{Host, HostObservation, HostOutcome, Report, StageTimes};
use clawfleet::probe::{Nonce, parse, split};
use clawfleet::report::{Style, View, render_json, render_table};
use libfuzzer_sys::fuzz_target;

static HOST: LazyLock<Host> = LazyLock::new(|| {
    let text = "hosts: {VM151: {address: 10.0.0.151}}";
    let inventory = clawfleet::inventory::parse(text, "fuzz", "/root");
    inventory.expect("a valid inventory").hosts.remove(0)
});

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let host = &*HOST;
    let services: Vec<_> = host.services().collect();
    let facts = parse(&split(&text, &Nonce::new(1)), &services);
    let observation = HostObservation {
        outcome: HostOutcome::Observed(Box::new(facts)),
        stages: StageTimes::default(),
        elapsed: Duration::from_millis(1),
    };
    let report = Report {
        started_at: jiff::Timestamp::UNIX_EPOCH,
        elapsed_ms: 1,
        hosts: vec![judge(host, observation)],
        fleet_findings: Vec::new(),
        interrupted: false,
    };
    for verbose in [false, true] {
        let view = View {
            style: Style::Plain,
            width: 100,
            verbose,
            quiet: false,
        };
        let table = render_table(&report, view);
        assert!(!table.chars().any(|c| c.is_control() && c != '\n'));
    }
    render_json(&report).expect("facts are JSON");
});
