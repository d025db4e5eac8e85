//! The service and the timer that run the checks of a bastion.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::quote;
use crate::model::{Schedule, SchedulePlace};

/// How every file of a schedule begins; what does not begin so is somebody else's.
pub const SCHEDULE_MARK: &str = "# clawfleet schedule: ";

/// What the first line says after its mark; the command that wrote the file is in the second one.
const MARKED: &str =
    "written by the command below; `clawfleet schedule remove` takes it away, and edits are lost.";

/// Returns the command that wrote a file, if it is a schedule's.
pub fn written_by(text: &str) -> Option<&str> {
    let mut lines = text.lines();
    let is_ours = lines.next()?.starts_with(SCHEDULE_MARK);
    is_ours.then(|| lines.next()?.strip_prefix("# ")).flatten()
}

/// Returns the line of a service that says what is run.
pub fn runs(service: &str) -> Option<&str> {
    let mut lines = service.lines();
    lines.find_map(|line| line.strip_prefix("ExecStart="))
}

fn head(schedule: &Schedule) -> String {
    format!("{SCHEDULE_MARK}{MARKED}\n# {}\n", schedule.installed_by)
}

/// Renders the service.
pub fn schedule_service(schedule: &Schedule) -> String {
    let is_system = schedule.place == SchedulePlace::System;
    let mut out = head(schedule);
    out += "\n[Unit]\nDescription=clawfleet looks at its fleet (";
    out += &schedule.name.replace('%', "%%");
    out += ")\n";
    if is_system {
        out += "Wants=network-online.target\nAfter=network-online.target\n";
    }
    out += "\n[Service]\nType=oneshot\n";
    if is_system {
        out += "# Named, so that HOME is set.\nUser=root\n";
    }
    for (name, value) in &schedule.environment {
        let _ = writeln!(
            out,
            "Environment={}",
            quote::path(&format!("{name}={value}"))
        );
    }
    if let Some(file) = &schedule.environment_file {
        let file = file.display().to_string().replace('%', "%%");
        let _ = writeln!(out, "EnvironmentFile={file}");
    }
    let _ = writeln!(out, "ExecStart={}", command(&schedule.command));
    out += "\
# 1, 2 and 3 are findings: the check did its work, and a unit in `failed` would say that it did not. With 75 another
# run was at work, with 130 somebody stopped it. What is left is a failure: 64, 70, 78, a signal, a timeout.
SuccessExitStatus=1 2 3 75 130
# The check ends by itself, at its --deadline. What lasts longer hangs, and the timer would wait for it for ever.
";
    let _ = writeln!(out, "TimeoutStartSec={}", seconds(schedule.hangs_after));
    out += "TimeoutStopSec=30\nUMask=0077\n";
    out += &match is_system {
        true => hardening(schedule),
        false => "\
# No ProtectSystem=, ProtectHome=, PrivateTmp= or NoNewPrivileges= here: for a user's unit they need a user namespace, in
# which files of root (/etc/ssh) seem to be nobody's and sudo does not work, so that keys and proxy commands would fail.
"
        .to_owned(),
    };
    out
}

/// What a check by root does not need. It keeps its capabilities, for a host that is this machine.
fn hardening(schedule: &Schedule) -> String {
    let mut out = String::from(
        "\
# Root has no privileges to gain, so that this costs nothing: sudo and su still work for root.
NoNewPrivileges=yes
# All is read-only, keys and agents in home directories are there to be used. Written to are the history and the lock,
# the directories of --output, and those of known_hosts where hosts are enrolled by themselves (accept-new).
ProtectSystem=strict
ProtectHome=read-only
",
    );
    for path in &schedule.writable {
        let path = quote::path(&format!("-{}", path.display()));
        let _ = writeln!(out, "ReadWritePaths={path}");
    }
    match schedule.private_tmp {
        true => out += "PrivateTmp=yes\n",
        false => {
            out += "# No PrivateTmp=: something that the check uses is in /tmp, or this machine is one of its hosts.\n";
            out += "ReadWritePaths=-/tmp -/var/tmp\n";
        }
    }
    out += "\
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_VSOCK
";
    out
}

/// Renders the timer.
pub fn schedule_timer(schedule: &Schedule) -> String {
    let mut out = head(schedule);
    let _ = write!(
        out,
        "\n[Unit]\nDescription=clawfleet looks at its fleet every {} ({})\n\n[Timer]\n",
        span(schedule.every),
        schedule.name.replace('%', "%%")
    );
    match calendar(schedule.every) {
        Some(calendar) => {
            let _ = write!(
                out,
                "OnCalendar={calendar}\n# What was missed while the machine was off is made up for by one run.\nPersistent=true\n"
            );
        }
        None => {
            let _ = write!(
                out,
                "# {} does not divide a day: counted from run to run.\nOnActiveSec=10s\nOnUnitActiveSec={}\n",
                span(schedule.every),
                seconds(schedule.every)
            );
        }
    }
    out += "# Without it systemd may be late by a minute.\nAccuracySec=1s\n";
    if !schedule.jitter.is_zero() {
        let _ = write!(
            out,
            "# Many bastions do not ask at once, and each keeps its own distance from run to run.\nRandomizedDelaySec={}\nFixedRandomDelay=true\n",
            seconds(schedule.jitter)
        );
    }
    out += "\n[Install]\nWantedBy=timers.target\n";
    out
}

/// When a run begins, as systemd.time(7) writes it, where the interval divides the hour or the day.
fn calendar(every: Duration) -> Option<String> {
    let minutes = whole_minutes(every)?;
    match minutes {
        1 => Some("*:*:00".to_owned()),
        60 => Some("*:00:00".to_owned()),
        1440 => Some("00:00:00".to_owned()),
        m if m < 60 && 60 % m == 0 => Some(format!("*:0/{m}:00")),
        m if m % 60 == 0 && 1440 % m == 0 => Some(format!("0/{}:00:00", m / 60)),
        _ => None,
    }
}

/// The minutes of an interval that is made of whole ones.
pub(super) fn whole_minutes(every: Duration) -> Option<u64> {
    let is_whole = every.subsec_nanos() == 0 && every.as_secs().is_multiple_of(60);
    is_whole.then_some(every.as_secs() / 60).filter(|m| *m > 0)
}

/// A span of time for people: `5m`, `90s`, `2h`.
pub fn span(time: Duration) -> String {
    let ms = time.as_millis();
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
    ];
    let fits = units
        .iter()
        .find(|(unit, _)| ms > 0 && ms.is_multiple_of(*unit));
    match fits {
        Some((unit, word)) => format!("{}{word}", ms / unit),
        None => format!("{ms}ms"),
    }
}

fn seconds(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    }
}

/// A command line as a service has it: words that say what they say stay as they are.
fn command(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:=,~".contains(c);
    let word = |(at, word): (usize, &String)| match at {
        0 => quote::path(word),
        _ if !word.is_empty() && word.chars().all(plain) => word.clone(),
        _ => quote::argument(word),
    };
    let words: Vec<String> = words.iter().enumerate().map(word).collect();
    words.join(" ")
}

/// Whether a path is below a directory for temporary files.
pub fn is_temporary(path: &Path) -> bool {
    ["/tmp", "/var/tmp", "/dev/shm"]
        .iter()
        .any(|dir| path.starts_with(dir))
}
