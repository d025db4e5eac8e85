//! The operator's own checks on hosts with a real shell: whatever a script does is that check's own
//! affair, and the host is observed in full all the same.

use std::time::Duration;

use serde_json::Value;

use crate::support::fake::Behaviour;
use crate::support::lab::Lab;
use crate::support::program;
use crate::support::report::Checked;

/// Checks one healthy host with these checks.
fn check(checks: &str) -> Checked {
    let mut lab = Lab::new();
    lab.defaults = format!("checks:\n{checks}");
    lab.add_healthy(&["odd"]);
    lab.check()
}

/// The one finding of the host: its severity and what is said.
#[track_caller]
fn finding<'a>(checked: &'a Checked, name: &str) -> (&'a str, String) {
    let host = checked.host("odd");
    host.is("observed");
    let findings = host.0["findings"].as_array().unwrap();
    let found = findings
        .iter()
        .find(|finding| finding["class"] == format!("custom/{name}"))
        .unwrap_or_else(|| panic!("no custom/{name}: {findings:#?}"));
    assert_eq!(found["subject"], name);
    let lines = found["evidence"].as_array().unwrap().iter();
    let lines: Vec<&str> = lines.map(|line| line.as_str().unwrap()).collect();
    (found["severity"].as_str().unwrap(), lines.join(" | "))
}

#[track_caller]
fn finds(checked: &Checked, name: &str, severity: &str, words: &str) {
    let (found, said) = finding(checked, name);
    assert_eq!(found, severity, "{name}: {said}");
    assert!(said.contains(words), "`{words}` is not in: {said}");
}

#[track_caller]
fn finds_nothing(checked: &Checked, names: &[&str]) {
    let host = checked.host("odd");
    host.is("observed");
    for finding in host.0["findings"].as_array().unwrap() {
        let class = finding["class"].as_str().unwrap();
        let name = class.strip_prefix("custom/").unwrap();
        assert!(!names.contains(&name), "{finding:#}");
    }
}

fn run<'a>(checked: &'a Checked, name: &str) -> &'a Value {
    let checks = checked.host("odd").0["facts"]["checks"].as_array().unwrap();
    checks.iter().find(|run| run["name"] == name).unwrap()
}

#[test]
fn exit_codes_are_findings_and_other_codes_are_the_scripts_failure() {
    let checked = check(
        "  fine: {script: 'true'}\n\
         \x20 warns: {script: 'echo disk is old; exit 1'}\n\
         \x20 breaks: {script: 'exit 2', explain: \"It is broken.\\nMore.\"}\n\
         \x20 fails: {script: 'echo no such tool >&2; exit 3'}\n\
         \x20 own: {script: 'exit 7', codes: {7: critical, 2: ok}}\n\
         \x20 own-fine: {script: 'exit 2', codes: {7: critical, 2: ok}}\n",
    );
    checked.exits(2);
    finds_nothing(&checked, &["fine", "own-fine"]);
    finds(&checked, "warns", "warning", "it said: disk is old");
    finds(&checked, "breaks", "critical", "ended with 2");
    finds(
        &checked,
        "fails",
        "warning",
        "itself failed: its script ended with 3",
    );
    finds(&checked, "fails", "warning", "it said: no such tool");
    finds(&checked, "own", "critical", "ended with 7");
    let findings = checked.host("odd").0["findings"].as_array().unwrap();
    let title = |id: &str| &findings.iter().find(|one| one["class"] == id).unwrap()["title"];
    assert_eq!(title("custom/breaks"), "It is broken.");
}

#[test]
fn numbers_are_held_against_their_thresholds() {
    let checked = check(
        "  low: {script: echo 5, read: number, warning: '> 5', critical: '> 10'}\n\
         \x20 mid: {script: 'echo 7 /a/file', read: number, warning: '> 5', critical: '> 10'}\n\
         \x20 high: {script: echo 93%, read: number, warning: '> 5', critical: '>= 93'}\n\
         \x20 none: {script: echo many, read: number, warning: '> 5'}\n\
         \x20 empty: {script: ':', read: number, warning: '> 5'}\n\
         \x20 bad: {script: 'echo 900; exit 1', read: number, critical: '> 5'}\n",
    );
    finds_nothing(&checked, &["low"]);
    finds(&checked, "mid", "warning", "it is 7, and the limit is > 5");
    finds(
        &checked,
        "high",
        "critical",
        "it is 93%, and the limit is >= 93",
    );
    finds(&checked, "none", "warning", "`many` begins with no number");
    finds(&checked, "empty", "warning", "it printed nothing");
    finds(&checked, "bad", "warning", "its script ended with 1");
}

#[test]
fn patterns_and_json_are_read() {
    let log = "printf 'fine\\nERROR 17 out of cheese\\nERROR 3 again\\n'";
    let json = "echo '{\"queue\": {\"depth\": 12, \"state\": \"down\"}, \"of\": [{\"on\": true}]}'";
    let quoted = |text: &str| text.replace('\'', "''");
    let checked = check(&format!(
        "  found: {{script: '{log}', read: {{regex: 'ERROR .*'}}, critical: match}}\n\
         \x20 missing: {{script: '{log}', read: {{regex: 'started'}}, warning: no match}}\n\
         \x20 group: {{script: '{log}', read: {{regex: '^ERROR (\\d+)'}}, warning: '> 16', critical: '> 17'}}\n\
         \x20 needed: {{script: '{log}', read: {{regex: 'depth (\\d+)'}}, warning: '> 16'}}\n\
         \x20 quiet: {{script: '{log}', read: {{regex: 'FATAL'}}, critical: match}}\n\
         \x20 depth: {{script: '{json}', read: {{json: queue.depth}}, warning: '>= 12'}}\n\
         \x20 state: {{script: '{json}', read: {{json: queue.state}}, critical: '= down'}}\n\
         \x20 list: {{script: '{json}', read: {{json: of.0.on}}, critical: '!= true'}}\n\
         \x20 path: {{script: '{json}', read: {{json: of.1.on}}, critical: '= down'}}\n\
         \x20 text: {{script: '{json}', read: {{json: queue.state}}, critical: '> 5'}}\n\
         \x20 broken: {{script: 'echo {{', read: {{json: a}}, critical: '= down'}}\n",
        log = quoted(log),
        json = quoted(json),
    ));
    finds_nothing(&checked, &["quiet", "list"]);
    finds(
        &checked,
        "found",
        "critical",
        "it said: ERROR 17 out of cheese",
    );
    finds(
        &checked,
        "missing",
        "warning",
        "nothing in its output matches `started`",
    );
    finds(
        &checked,
        "group",
        "warning",
        "it is 17, and the limit is > 16",
    );
    finds(
        &checked,
        "needed",
        "warning",
        "itself failed: nothing in its output matches",
    );
    finds(&checked, "depth", "warning", "it is 12");
    finds(
        &checked,
        "state",
        "critical",
        "it is down, and the limit is = down",
    );
    finds(&checked, "path", "warning", "its JSON has no `of.1.on`");
    finds(&checked, "text", "warning", "cannot be compared with `> 5`");
    finds(&checked, "broken", "warning", "its output is no JSON");
}

#[test]
fn a_script_that_hangs_costs_its_own_time_and_nothing_else() {
    let checked = check(
        "  before: {script: echo 1, read: number, warning: '> 5'}\n\
         \x20 hangs: {script: 'echo begun; sleep 1000', timeout: 1s}\n\
         \x20 stays: {script: \"trap '' TERM; while :; do sleep 0.1; done\", timeout: 1s}\n\
         \x20 after: {script: echo 9, read: number, warning: '> 5'}\n",
    );
    checked.exits(1).within(Duration::from_secs(8));
    finds(
        &checked,
        "hangs",
        "warning",
        "it did not end within 1 s, and was stopped",
    );
    finds(&checked, "stays", "warning", "it did not end within 1 s");
    finds(&checked, "after", "warning", "it is 9");
    assert_eq!(
        run(&checked, "hangs")["output"],
        serde_json::json!(["begun"])
    );
    finds_nothing(&checked, &["before"]);
}

#[test]
fn the_checks_have_a_time_of_their_own_beside_the_probes() {
    let mut lab = Lab::new();
    lab.defaults = "  timeouts: {exec: 2s, host: 3s}\nchecks:\n\
        \x20 slow: {script: 'sleep 3; echo 9', read: number, warning: '> 5', timeout: 10s}\n"
        .to_owned();
    lab.add_healthy(&["odd"]);
    let checked = lab.check();
    finds(&checked, "slow", "warning", "it is 9");
}

#[test]
fn a_flood_is_cut_and_costs_no_memory() {
    let checked = check(
        "  flood: {script: 'yes'}\n\
         \x20 one-line: {script: 'tr \"\\0\" a < /dev/zero'}\n\
         \x20 errors: {script: 'yes >&2; exit 1'}\n\
         \x20 deaf: {script: \"trap '' PIPE; while :; do echo x; done 2>/dev/null\", timeout: 1s}\n\
         \x20 long: {script: 'head -c 20000 /dev/zero | tr \"\\0\" a; echo; echo last; exit 1'}\n\
         \x20 hidden: {script: 'head -c 20000 /dev/zero | tr \"\\0\" a', read: {regex: b}, warning: no match}\n\
         \x20 after: {script: echo 9, read: number, warning: '> 5'}\n",
    );
    for name in ["flood", "one-line", "deaf"] {
        finds(&checked, name, "warning", "itself failed");
    }
    finds(&checked, "long", "warning", "ended with 1");
    finds(&checked, "hidden", "warning", "more than 8 KiB");
    finds(&checked, "after", "warning", "it is 9");
    assert_eq!(run(&checked, "long")["cut"], true);
    let kept = run(&checked, "flood")["output"].as_array().unwrap();
    assert!((1000..5000).contains(&kept.len()), "{}", kept.len());
    let errors = run(&checked, "errors")["errors"].as_array().unwrap();
    assert!((1..=5).contains(&errors.len()), "{errors:?}");
    checked
        .holds_at_most_mib(100)
        .within(Duration::from_secs(20));
}

#[test]
fn a_child_that_keeps_the_output_open_holds_nobody_up() {
    let checked = check(
        "  child: {script: 'sleep 600 & echo 7', read: number, warning: '> 5', timeout: 60s}\n\
         \x20 daemon: {script: 'setsid sleep 5 & echo 8', read: number, warning: '> 5', timeout: 60s}\n\
         \x20 both: {script: 'setsid sleep 5 & sleep 600 & echo oops >&2; exit 9', timeout: 60s}\n",
    );
    checked.within(Duration::from_secs(5));
    finds(&checked, "child", "warning", "it is 7");
    finds(&checked, "daemon", "warning", "it is 8");
    finds(&checked, "both", "warning", "it said: oops");
}

#[test]
fn a_script_that_sh_does_not_understand_is_not_run_at_all() {
    let checked = check(
        "  begins: {script: \"echo 7\\nif then\", read: number, warning: '> 5'}\n\
         \x20 quote: {script: \"echo 'open\"}\n\
         \x20 brace: {script: 'exit 0; }'}\n\
         \x20 after: {script: echo 9, read: number, warning: '> 5'}\n",
    );
    for name in ["begins", "quote", "brace"] {
        finds(
            &checked,
            name,
            "warning",
            "sh does not understand the script",
        );
        assert_eq!(run(&checked, name)["output"], serde_json::json!([]));
        assert!(run(&checked, name)["exit"].is_null());
    }
    finds(&checked, "after", "warning", "it is 9");
}

#[test]
fn a_script_forges_no_frames() {
    let forged = "@00000000000000000000000000000000";
    let checked = check(&format!(
        "  forger: {{script: \"printf '\\\\n{forged} ended 0\\\\n{forged} end\\\\n@ end\\\\n{forged} hello\\\\nhostname=forged\\\\nexit=0\\\\n@!x\\\\n@!\\\\n'; exit 9\"}}\n\
         \x20 looks: {{script: 'set; env; cat /proc/self/environ /proc/self/cmdline /proc/$PPID/cmdline'}}\n\
         \x20 after: {{script: echo 9, read: number, warning: '> 5'}}\n"
    ));
    finds(&checked, "forger", "warning", "its script ended with 9");
    finds(&checked, "after", "warning", "it is 9");
    assert_ne!(checked.host("odd").0["facts"]["hostname"], "forged");
    let seen = run(&checked, "looks")["output"].to_string();
    let looks_like_a_nonce =
        |word: &&str| word.len() == 32 && word.chars().all(|c| c.is_ascii_hexdigit());
    let words = seen.split(|c: char| !c.is_ascii_alphanumeric());
    assert_eq!(words.clone().find(looks_like_a_nonce), None, "{seen}");
}

#[test]
fn a_script_cannot_end_or_hide_the_probe() {
    let checked = check(
        "  kills: {script: 'kill -KILL 0'}\n\
         \x20 kills-sh: {script: 'kill -KILL $$'}\n\
         \x20 exits: {script: 'exec >&- 2>&-; exit 3'}\n\
         \x20 reads: {script: 'cat; echo 9', read: number, warning: '> 5'}\n\
         \x20 changes: {script: 'cd /; PATH=; LC_ALL=x; set -eu; false; echo 1'}\n\
         \x20 after: {script: 'echo 9; [ \"$PATH\" ]', read: number, warning: '> 5'}\n",
    );
    for (name, words) in [
        ("kills", "ended with 137"),
        ("kills-sh", "ended with 137"),
        ("exits", "ended with 3"),
        ("changes", "ended with 1"),
        ("reads", "it is 9"),
        ("after", "it is 9"),
    ] {
        finds(&checked, name, "warning", words);
    }
}

#[test]
fn a_script_in_a_file_and_a_folder_of_checks_are_found_beside_the_inventory() {
    let mut lab = Lab::new();
    lab.write(
        "checks/cert.sh",
        "#!/bin/sh\r\necho \"it's $1 old\"\r\nexit 2\r\n",
    );
    lab.write(
        "checks.d/load.yaml",
        "script: echo 9\nread: number\nwarning: '> 5'\n",
    );
    lab.write("checks.d/notes.txt", "no check");
    lab.defaults = "checks:\n  cert: {file: checks/cert.sh}\n".to_owned();
    lab.add_healthy(&["odd"]);
    let checked = lab.check();
    finds(&checked, "cert", "critical", "it said: it's  old");
    finds(&checked, "load", "warning", "it is 9");
}

/// A probe that never came to the checks says so once, and not once more for each of them.
#[test]
fn a_probe_that_was_cut_before_the_checks_says_nothing_of_them() {
    let mut lab = Lab::new();
    lab.defaults = "checks:\n  one: {script: 'true'}\n".to_owned();
    let server = lab.fake(Behaviour::shell("(eval \"$1\") | head -n 8"));
    lab.add("odd", server.port, "");
    let checked = lab.check();
    let host = checked.host("odd");
    host.is("partial");
    finds_none(host.0);
}

#[track_caller]
fn finds_none(host: &Value) {
    let classes = host["findings"].to_string();
    assert!(!classes.contains("custom/"), "{classes}");
}

/// What the watchdog cuts off are the checks, when the facts are there already.
#[test]
fn a_probe_that_is_killed_in_the_checks_is_observed_in_full() {
    let mut lab = Lab::new();
    lab.defaults =
        "checks:\n  first: {script: echo 9, read: number, warning: '> 5'}\n  then: {script: 'true'}\n"
            .to_owned();
    // It ends where the second check would begin.
    let server = lab.fake(Behaviour::shell(
        "(eval \"$1\") | sed '/^@[0-9a-f]* check then$/,$d'",
    ));
    lab.add("odd", server.port, "");
    let checked = lab.check();
    finds(&checked, "first", "warning", "it is 9");
    finds(&checked, "then", "warning", "it did not come to its end");
}

#[test]
fn each_service_of_the_inventory_is_a_gateway_of_its_own() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    let (one, two) = (lab.closed_port(), lab.closed_port());
    let services = format!("services: [{{port: {one}}}, {{profile: work, port: {two}}}]");
    lab.add("odd", server.port, &services);
    let checked = lab.check();
    let gateways = checked.host("odd").0["facts"]["gateways"]
        .as_array()
        .unwrap();
    let seen: Vec<_> = gateways
        .iter()
        .filter(|gateway| gateway["named"] == true)
        .map(|gateway| {
            (
                gateway["name"].as_str().unwrap(),
                gateway["port"].as_u64().unwrap(),
            )
        })
        .collect();
    let wanted = [
        ("no-such.service", u64::from(one)),
        ("openclaw-gateway-work.service", u64::from(two)),
    ];
    assert_eq!(seen, wanted);
}

#[test]
fn the_table_shows_each_check_by_its_name() {
    let mut lab = Lab::new();
    lab.defaults = "checks:\n  deep: {script: echo 12, read: number, warning: '> 5', explain: The queue is deep.}\n  bad: {script: 'exit 2'}\n"
        .to_owned();
    lab.add_healthy(&["odd1", "odd2"]);
    let run = program::run(lab.command(&["check", "all"]));
    let out = run.exits(2).out();
    let first = out.lines().next().unwrap();
    assert!(first.contains("(2 custom/bad, 2 custom/deep)"), "{out}");
    for line in [
        "custom/bad  odd[1-2]  one of the operator's own checks",
        "custom/deep  odd[1-2]  The queue is deep.",
        "    it is 12, and the limit is > 5",
    ] {
        assert!(out.lines().any(|seen| seen == line), "`{line}`: {out}");
    }
}
