//! Reading a run's JSON, and asserting what it says of each host.

use std::time::Duration;

use serde_json::Value;

use super::program::Finished;

/// A run of `check --format json`: how the program ended, and its one object.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) run: Finished,
    pub(crate) json: Value,
}

/// One host of a report.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostSeen<'a>(pub(crate) &'a Value);

impl Checked {
    /// Asserts what holds of every run: one JSON object of the contract on stdout and nothing else,
    /// every host of the inventory once and in order, counts that add up.
    #[track_caller]
    pub(crate) fn of(run: Finished, names: &[String]) -> Self {
        let json: Value = match serde_json::from_slice(&run.stdout) {
            Ok(json) => json,
            Err(error) => panic!(
                "stdout is not one JSON value: {error}\n{}\nstderr: {}",
                String::from_utf8_lossy(&run.stdout),
                run.stderr
            ),
        };
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        assert_eq!(json["schema"], "clawfleet.report/1");
        let seen: Vec<&str> = json["hosts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|host| host["name"].as_str().unwrap())
            .collect();
        assert_eq!(seen, names);
        let count = |key: &str| json["summary"][key].as_u64().unwrap();
        let parts = ["ok", "warning", "critical", "not_observed"].map(count);
        assert_eq!(count("hosts"), names.len() as u64);
        assert_eq!(
            parts.iter().sum::<u64>(),
            count("hosts"),
            "{}",
            json["summary"]
        );
        Self { run, json }
    }

    /// Returns a host.
    #[track_caller]
    pub(crate) fn host(&self, name: &str) -> HostSeen<'_> {
        let hosts = self.json["hosts"].as_array().unwrap();
        HostSeen(hosts.iter().find(|host| host["name"] == name).unwrap())
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(
            self.run.code,
            Some(code),
            "{:#}\n{}",
            self.json,
            self.run.stderr
        );
        self
    }

    /// Asserts that the whole run took less than that.
    #[track_caller]
    pub(crate) fn within(&self, limit: Duration) -> &Self {
        let took = self.run.elapsed;
        assert!(took < limit, "it took {took:?}\n{:#}", self.json);
        self
    }

    /// Asserts that the program never held more than that.
    #[track_caller]
    pub(crate) fn holds_at_most_mib(&self, limit: u64) -> &Self {
        let peak = self.run.peak_kib / 1024;
        assert!(self.run.peak_kib > 0, "its memory was never seen");
        assert!(peak < limit, "it held {peak} MiB");
        self
    }
}

impl<'a> HostSeen<'a> {
    /// Asserts how far it was reached.
    #[track_caller]
    pub(crate) fn is(&self, outcome: &str) -> &Self {
        assert_eq!(self.0["outcome"], outcome, "{:#}", self.0);
        let nothing_seen = !matches!(outcome, "observed" | "partial");
        assert_eq!(self.0["facts"].is_null(), nothing_seen, "{:#}", self.0);
        self
    }

    /// Asserts the stage that it failed in.
    #[track_caller]
    pub(crate) fn at(&self, stage: &str) -> &Self {
        assert_eq!(self.0["error"]["stage"], stage, "{:#}", self.0);
        self
    }

    /// Asserts that the error's message holds all of these words.
    #[track_caller]
    pub(crate) fn says(&self, words: &[&str]) -> &Self {
        self.text_holds(self.message(), words)
    }

    /// Asserts that the error's hint holds all of these words.
    #[track_caller]
    pub(crate) fn hints(&self, words: &[&str]) -> &Self {
        self.text_holds(self.hint(), words)
    }

    /// Asserts that the error's message holds none of these words.
    #[track_caller]
    pub(crate) fn does_not_say(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(
                !self.message().contains(word),
                "`{word}` is in: {}",
                self.message()
            );
        }
        self
    }

    /// Asserts that its own time is at most that.
    #[track_caller]
    pub(crate) fn took_at_most(&self, limit: Duration) -> &Self {
        let took = Duration::from_millis(self.0["elapsed_ms"].as_u64().unwrap());
        assert!(took <= limit, "it took {took:?}: {:#}", self.0);
        self
    }

    /// Asserts that its own time is at least that: it was given its whole deadline.
    #[track_caller]
    pub(crate) fn took_at_least(&self, limit: Duration) -> &Self {
        let took = Duration::from_millis(self.0["elapsed_ms"].as_u64().unwrap());
        assert!(took >= limit, "it took {took:?}: {:#}", self.0);
        self
    }

    /// Asserts that its verdict is that it is not known.
    #[track_caller]
    pub(crate) fn is_unknown(&self) -> &Self {
        assert_eq!(self.0["verdict"], "unknown", "{:#}", self.0);
        let classes: Vec<&Value> = self.0["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| &finding["class"])
            .collect();
        assert!(
            classes.iter().any(|class| **class == "not-observed"),
            "{classes:?}"
        );
        self
    }

    pub(crate) fn message(&self) -> &'a str {
        self.0["error"]["message"].as_str().unwrap_or_default()
    }

    pub(crate) fn hint(&self) -> &'a str {
        self.0["error"]["hint"].as_str().unwrap_or_default()
    }

    #[track_caller]
    fn text_holds(&self, text: &str, words: &[&str]) -> &Self {
        for word in words {
            assert!(
                text.contains(word),
                "`{word}` is not in `{text}`: {:#}",
                self.0
            );
        }
        self
    }

    /// Asserts that the real probe came back whole from the machine that the test runs on.
    #[track_caller]
    pub(crate) fn is_observed_in_full(&self) -> &Self {
        self.is("observed");
        let facts = &self.0["facts"];
        let proc = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap();
            text.trim().to_owned()
        };
        assert!(self.0["error"].is_null(), "{:#}", self.0);
        assert_eq!(facts["hostname"], proc("hostname"));
        assert_eq!(facts["kernel"], proc("osrelease"));
        assert_eq!(facts["login"]["uid"], rustix::process::getuid().as_raw());
        assert!(facts["uptime_s"].as_u64().unwrap() > 0);
        // The lab's gateway port is held by a socket that does not listen.
        assert_eq!(facts["gateways"][0]["listeners"], serde_json::json!([]));
        assert_eq!(facts["parse_issues"], serde_json::json!([]));
        for stage in ["tcp", "kex", "auth", "exec"] {
            assert!(
                self.0["stages_ms"][stage].is_u64(),
                "{:#}",
                self.0["stages_ms"]
            );
        }
        assert_eq!(self.0["verdict"], "ok", "{:#}", self.0["findings"]);
        let unseen: Vec<&Value> = facts["unseen"].as_array().unwrap().iter().collect();
        // Whose configuration counts is told by a unit or a listener, and here is neither.
        let missed = unseen.iter().find(|unseen| unseen["what"] != "config");
        assert_eq!(missed, None);
        self
    }
}
