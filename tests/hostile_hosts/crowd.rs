//! Many hostile hosts at once, and one after the other.

use std::time::Duration;

use crate::attack::{Attack, Cost, healthy};
use crate::harmless;
use crate::support::lab::Lab;

/// What one hostile host may add among many, in KiB.
pub(crate) const EACH_KIB: u64 = 2 << 10;
/// What the healthy hosts of a fleet may take in which every other host does its worst.
const HEALTHY: Duration = Duration::from_secs(15);

#[test]
fn every_attack_at_once_harms_no_other_host() {
    let mut lab = Lab::new();
    let attacks = crate::all();
    lab.add_healthy(&["good1"]);
    for (number, attack) in attacks.iter().enumerate() {
        attack.add(&mut lab, &format!("bad{number}"));
    }
    lab.add_healthy(&["good2"]);
    let checked = lab.check_with(&["--forks", "256"]);
    for name in ["good1", "good2"] {
        checked
            .host(name)
            .is_observed_in_full()
            .took_at_most(HEALTHY);
    }
    harmless::assert_output("stdout", &checked.run.stdout);
    let more = checked.run.peak_kib.saturating_sub(healthy().peak_kib);
    let limit = EACH_KIB * u64::try_from(attacks.len()).unwrap();
    assert!(more < limit, "{more} KiB more, and {limit} are allowed");
}

/// As many as a fleet's sessions, all of them busy to the last.
#[test]
fn thirty_floods_starve_nobody() {
    let mut lab = Lab::new();
    let attacks = crate::channels::attacks();
    let busy: Vec<&Attack> = attacks
        .iter()
        .filter(|attack| attack.cost == Cost::Busy)
        .collect();
    lab.add_healthy(&["good1", "good2"]);
    for (number, attack) in busy.iter().cycle().take(30).enumerate() {
        attack.add(&mut lab, &format!("bad{number}"));
    }
    let checked = lab.check();
    for name in ["good1", "good2"] {
        checked
            .host(name)
            .is_observed_in_full()
            .took_at_most(HEALTHY);
    }
    let more = checked.run.peak_kib.saturating_sub(healthy().peak_kib);
    assert!(more < EACH_KIB * 30, "{more} KiB more");
}

/// Connections that were given up leave no socket and no task behind.
#[test]
fn one_after_the_other_they_leave_nothing_open() {
    const FORKS: usize = 8;
    let mut lab = Lab::new();
    let attacks = crate::all();
    let quick = attacks.iter().filter(|attack| attack.cost == Cost::AtOnce);
    for (number, attack) in quick.enumerate() {
        attack.add(&mut lab, &format!("bad{number}"));
    }
    lab.add_healthy(&["good"]);
    let checked = lab.check_with(&["--forks", &FORKS.to_string()]);
    checked.host("good").is_observed_in_full();
    let open = checked.run.open_files;
    // Three standard streams, those of the runtime and of the one that hears signals, the history's, and one socket for
    // each session.
    assert!(open <= FORKS + 24, "{open} files were open at once");
}

/// What a host may send bounds what it costs, however long its deadline is.
#[test]
fn a_flood_of_small_packets_ends_before_its_deadline() {
    let mut lab = Lab::new();
    let attacks = crate::channels::attacks();
    let flood = attacks
        .iter()
        .find(|attack| attack.name == "flood of IGNORE in a session")
        .unwrap();
    let server = flood.start(&lab);
    lab.add("bad", server.port, "timeouts: {exec: 35s, host: 35s}");
    lab.add_healthy(&["good"]);
    let checked = lab.check();
    checked.host("good").is_observed_in_full();
    checked
        .bad()
        .is("failed")
        .at("exec")
        .says(&["more packets than any probe takes"])
        .took_at_most(Duration::from_secs(20));
    let more = checked.run.cpu.saturating_sub(healthy().cpu);
    assert!(more < Duration::from_secs(6), "{more:?} of the processor");
}
