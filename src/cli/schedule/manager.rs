//! A systemd: the system's, or the user's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::tools::{self, Fault};
use crate::cli::error::CliError;
use crate::model::ScheduledRun;
use crate::unit;

/// A systemd that can be asked.
pub(super) struct Manager {
    is_user: bool,
    /// Where the user's manager listens, where the environment does not say it (`su`, some cron set-ups).
    runtime_dir: Option<PathBuf>,
}

/// How a timer stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TimerState {
    pub(super) is_enabled: bool,
    pub(super) is_active: bool,
    pub(super) next: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Manager {
    /// Looks whether there is one.
    ///
    /// # Errors
    /// Usage: there is none; with what helps.
    pub(super) fn find(is_user: bool) -> Result<Self, CliError> {
        let manager = Self {
            is_user,
            runtime_dir: is_user.then(runtime_dir).flatten(),
        };
        let none = |why: String| {
            CliError::Usage {
            message: match is_user {
                true => format!("this user's systemd cannot be asked: {why}"),
                false => format!("systemd cannot be asked: {why}"),
            },
            hint: Some(match is_user {
                true => "log in as that user (ssh, `machinectl shell`), or `loginctl enable-linger` and try again; --cron does without systemd".into(),
                false => "--cron writes a line of the crontab instead".into(),
            }),
        }
        };
        match manager.run("systemctl", &["show", "--property=Version"]) {
            // In a chroot systemctl does nothing, and succeeds.
            Ok(text) if !text.contains("Version=") => Err(none("it is not at work".to_owned())),
            Ok(_) => Ok(manager),
            Err(why) => Err(none(why)),
        }
    }

    /// Runs systemctl, which must succeed.
    ///
    /// # Errors
    /// What it said.
    pub(super) fn call(&self, words: &[&str]) -> Result<(), String> {
        self.run("systemctl", words).map(|_| ())
    }

    fn run(&self, program: &str, words: &[&str]) -> Result<String, String> {
        let mut args: Vec<&str> = Vec::new();
        args.extend(self.is_user.then_some("--user"));
        args.extend(words);
        match tools::run(program, &args, None, self.runtime_dir.as_deref()) {
            Ok(done) if done.is_well => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
            Ok(done) => Err(format!("`{program} {}`: {}", args.join(" "), done.words())),
            Err(Fault::Missing) => Err(format!("there is no program {program}")),
            Err(Fault::Failed(why)) => Err(why),
        }
    }

    /// Lets systemd read files before they take their places. Returns what it says of them and does not refuse them for.
    ///
    /// # Errors
    /// It refuses them.
    pub(super) fn verify(&self, files: &[&Path]) -> Result<Option<String>, String> {
        let paths: Vec<String> = files
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let scope = if self.is_user { "--user" } else { "--system" };
        let mut args = vec![scope, "verify"];
        args.extend(paths.iter().map(String::as_str));
        let dir = self.runtime_dir.as_deref();
        let Ok(done) = tools::run("systemd-analyze", &args, None, dir) else {
            return Ok(None);
        };
        // Other units of the machine are read along, and what is wrong with them is not ours.
        let names: Vec<String> = files
            .iter()
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect();
        let ours: Vec<&str> = done
            .stderr
            .lines()
            .filter(|line| names.iter().any(|name| line.contains(name)))
            .collect();
        match (ours.as_slice(), done.is_well) {
            ([], _) => Ok(None),
            (_, true) => Ok(Some(done.words())),
            (lines, false) => Err(lines.join("; ")),
        }
    }

    /// Says how a timer stands.
    ///
    /// # Errors
    /// Nobody can say it.
    pub(super) fn timer(&self, name: &str) -> Result<TimerState, String> {
        let shown = self.shown(
            &format!("{name}.timer"),
            "ActiveState,UnitFileState,NextElapseUSecRealtime,NextElapseUSecMonotonic,LastTriggerUSec",
        )?;
        let get = |key: &str| shown.get(key).map_or("", String::as_str);
        Ok(TimerState {
            is_enabled: get("UnitFileState").starts_with("enabled"),
            is_active: get("ActiveState") == "active",
            next: moment(get("NextElapseUSecRealtime"))
                .or_else(|| since_boot(get("NextElapseUSecMonotonic"))),
            last: moment(get("LastTriggerUSec")),
        })
    }

    /// Says how the last run ended, if there was one.
    ///
    /// # Errors
    /// Nobody can say it.
    pub(super) fn last_run(
        &self,
        name: &str,
        timer: &TimerState,
    ) -> Result<Option<ScheduledRun>, String> {
        let shown = self.shown(
            &format!("{name}.service"),
            "ActiveState,Result,ExecMainCode,ExecMainStatus,ExecMainStartTimestamp",
        )?;
        let get = |key: &str| shown.get(key).map_or("", String::as_str);
        let began = moment(get("ExecMainStartTimestamp")).or(timer.last);
        let is_running = matches!(get("ActiveState"), "activating" | "deactivating");
        if began.is_none() && !is_running {
            return Ok(None);
        }
        // CLD_EXITED of waitid(2): it ended by itself, and did at all.
        let has_ended = get("ExecMainCode") == "1" && !is_running;
        Ok(Some(ScheduledRun {
            began,
            result: get("Result").to_owned(),
            exit_code: get("ExecMainStatus").parse().ok().filter(|_| has_ended),
            is_running,
        }))
    }

    fn shown(&self, unit: &str, properties: &str) -> Result<BTreeMap<String, String>, String> {
        let property = format!("--property={properties}");
        let text = self.run("systemctl", &["show", unit, &property])?;
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Ok(pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect())
    }
}

/// Where a user's manager listens, if that is there and the environment does not say it.
fn runtime_dir() -> Option<PathBuf> {
    if std::env::var_os("XDG_RUNTIME_DIR").is_some() {
        return None;
    }
    let dir = PathBuf::from(format!("/run/user/{}", rustix::process::getuid().as_raw()));
    dir.is_dir().then_some(dir)
}

/// A moment as systemctl writes it in UTC: `Sat 2026-11-21 12:05:00 UTC`.
fn moment(text: &str) -> Option<Timestamp> {
    let mut words = text.split_whitespace();
    let (_day, date, time) = (words.next()?, words.next()?, words.next()?);
    (words.next() == Some("UTC")).then_some(())?;
    format!("{date}T{time}Z").parse().ok()
}

/// A moment as a span since the machine started: of timers that count from run to run.
fn since_boot(text: &str) -> Option<Timestamp> {
    let span = unit::span(text).filter(|span| !span.is_zero())?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let uptime = std::time::Duration::try_from_secs_f64(uptime).ok()?;
    let ahead = span.checked_sub(uptime)?;
    let at = Timestamp::now().checked_add(ahead).ok()?;
    // Two clocks were read: what is finer than a second is made up.
    Timestamp::from_second(at.as_second()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn moments_of_systemctl() {
        let at = moment("Sat 2026-11-21 12:05:00 UTC").unwrap();
        assert_eq!(at.to_string(), "2026-11-21T12:05:00Z");
        for none in ["", "n/a", "0", "Sat 2026-11-21 12:05:00 CET", "infinity"] {
            assert_eq!(moment(none), None, "{none}");
        }
        assert_eq!(since_boot("0"), None);
        assert_eq!(since_boot("infinity"), None);
        assert!(since_boot("900000h").unwrap() > Timestamp::now());
    }
}
