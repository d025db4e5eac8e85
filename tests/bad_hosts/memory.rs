//! Hosts that send more than anybody asked for: the program's memory stays what it was.

use crate::support::fake::Behaviour;
use crate::support::lab::Lab;

/// One flood takes the program from 14 MiB to about 30; what is let through would take it far beyond.
const MIB: u64 = 64;
/// Thirty at once may each fill their cap.
const MANY_MIB: u64 = 150;
const NONCE: &str = "IFS= read -r n; n=${n#N=?}; n=${n%?}; ";

#[test]
fn a_flood_on_stdout_is_cut_off() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::shell("exec yes"));
    let checked = lab.check_bad(server.port, "");
    checked
        .bad()
        .is("failed")
        .at("exec")
        .says(&["1024 KiB", "none of it was the probe's"]);
    checked.holds_at_most_mib(MIB);
}

#[test]
fn a_flood_in_one_line_is_cut_off() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::shell("exec cat /dev/zero"));
    let checked = lab.check_bad(server.port, "");
    checked
        .bad()
        .is("failed")
        .at("exec")
        .says(&["none of it was the probe's"]);
    let told = checked.bad().0.to_string();
    assert!(told.len() < 4096, "{} bytes of JSON", told.len());
    checked.holds_at_most_mib(MIB);
}

#[test]
fn a_flood_after_the_first_frame_keeps_the_frame() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::shell(format!(
        "{NONCE}printf '@%s hello\\nuid=0\\nhostname=flood\\n' \"$n\"; exec yes"
    )));
    let checked = lab.check_bad(server.port, "");
    checked
        .bad()
        .is("partial")
        .at("exec")
        .says(&["more than 1024 KiB"]);
    assert_eq!(checked.bad().0["facts"]["hostname"], "flood");
    checked.holds_at_most_mib(MIB);
}

#[test]
fn a_flood_on_stderr_is_cut_off() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::shell("exec yes stop it >&2"));
    let checked = lab.check_beside_healthy(server.port, "timeouts: {host: 30s}");
    checked
        .bad()
        .is("failed")
        .at("exec")
        .says(&["more than 128 MiB", "stop it"]);
    checked.holds_at_most_mib(MIB);
}

#[test]
fn much_on_stderr_before_the_probe_is_no_obstacle() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::shell("yes | head -c 80000000 >&2; eval \"$1\""));
    let checked = lab.check_odd(server.port, "");
    checked.holds_at_most_mib(MIB);
}

#[test]
fn thousands_of_frames_and_long_lines_are_read_and_bounded() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::shell(format!(
        "{NONCE}cat >/dev/null; awk -v n=\"$n\" 'BEGIN {{ \
           print \"@\" n \" hello\\nuid=0\\nhostname=wordy\"; \
           for (i = 0; i < 2000; i++) {{ \
             print \"@\" n \" process \" i \"\\nppid=\" i \"\\nstart=1\"; \
             print \"@\" n \" denied user u\" i \" \" i \"\\ndenied=no\"; \
             print \"@\" n \" strange\" i }} \
           printf \"%s\", \"@\" n \" sockets\\nx=\"; \
           for (i = 0; i < 3000; i++) printf \"%s\", \"0123456789012345678901234567890123456789012345678901234567890123456789\"; \
           print \"\\n@\" n \" end\" }}'"
    )));
    let checked = lab.check_beside_healthy(server.port, "");
    checked.bad().is("observed");
    let facts = &checked.bad().0["facts"];
    assert_eq!(facts["hostname"], "wordy");
    assert!(facts["parse_issues"].as_array().unwrap().len() <= 16);
    assert!(facts["unseen"].as_array().unwrap().len() <= 20);
    checked.holds_at_most_mib(MIB);
}

#[test]
fn thirty_floods_at_once_stay_within_the_same_memory() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::shell("exec yes"));
    lab.add_healthy(&["good"]);
    for number in 0..30 {
        lab.add(&format!("flood{number}"), server.port, "");
    }
    let checked = lab.check();
    checked.exits(3).host("good").is_observed_in_full();
    for number in 0..30 {
        checked
            .host(&format!("flood{number}"))
            .is("failed")
            .at("exec");
    }
    checked.holds_at_most_mib(MANY_MIB);
}
