//! Units: what their manager says, what stands in their files, what the journal tells.

use super::super::frame::Frame;
use crate::model::{JournalSignature, Observed, Seen, Unit, UnitFile, UnitJournal, UnitScope};

/// How many lines of a unit are kept.
const MAX_LINES: usize = 400;

/// Reads whose manager a frame is about.
pub(super) fn scope(frame: &Frame<'_>) -> Option<UnitScope> {
    match frame.arg(0) {
        "system" => Some(UnitScope::System),
        "user" => Some(UnitScope::User {
            user: frame.arg(1).to_owned(),
            uid: frame.arg(2).parse().ok()?,
        }),
        _ => None,
    }
}

/// A unit's name, if it is one: it ends up in commands that an operator is shown.
pub(super) fn name(text: &str) -> Option<String> {
    let fine = text.ends_with(".service")
        && text.len() < 256
        && !text.starts_with(['-', '.'])
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c));
    fine.then(|| text.to_owned())
}

/// Reads a `unit` frame (from a manager) or a `unitfile` frame (its manager does not run).
pub(super) fn unit(frame: &Frame<'_>, uptime_s: Option<u64>) -> Option<Unit> {
    let seen = if frame.name == "unitfile" {
        Seen::FileOnly
    } else {
        Seen::Manager
    };
    let text = |key: &str| frame.get(key).unwrap_or_default().to_owned();
    let state = |key: &str, of_a_file: &str| match seen {
        Seen::Manager => text(key),
        Seen::FileOnly => of_a_file.to_owned(),
    };
    let number = |key: &str| frame.get(key).and_then(|text| text.parse().ok());
    let span = |key: &str| frame.get(key).and_then(span_us);
    let changed_us: Option<u64> = frame
        .get("StateChangeTimestampMonotonic")
        .and_then(|text| text.parse().ok());
    Some(Unit {
        name: name(match seen {
            Seen::Manager => frame.get("Id")?,
            Seen::FileOnly => frame.arg(3),
        })?,
        scope: scope(frame)?,
        seen,
        load_state: state("LoadState", "loaded"),
        active_state: state("ActiveState", "inactive"),
        sub_state: state("SubState", "dead"),
        result: text("Result"),
        unit_file_state: text("UnitFileState"),
        main_pid: number("MainPID").unwrap_or(0),
        n_restarts: number("NRestarts"),
        exec_main_status: frame
            .get("ExecMainStatus")
            .and_then(|text| text.parse().ok()),
        exec_main_code: frame.get("ExecMainCode").and_then(|text| text.parse().ok()),
        control_group: text("ControlGroup"),
        fragment_path: text("FragmentPath"),
        kill_mode: text("KillMode"),
        restart: text("Restart"),
        restart_us: span("RestartUSec"),
        start_limit_burst: number("StartLimitBurst"),
        start_limit_interval_us: span("StartLimitIntervalUSec"),
        timeout_stop_us: span("TimeoutStopUSec"),
        restart_prevent: frame.get("RestartPreventExitStatus").map(str::to_owned),
        needs_reload: frame.get("NeedDaemonReload").map(|word| word == "yes"),
        in_state_s: uptime_s
            .zip(changed_us)
            .map(|(up, at)| up.saturating_sub(at / 1_000_000)),
        port: None,
        file: None,
        linger: Observed::NotCollected,
        journal: Observed::NotCollected,
    })
}

/// Reads a `file` frame.
pub(super) fn file(frame: &Frame<'_>) -> UnitFile {
    let text = |key: &str| frame.get(key).unwrap_or_default().to_owned();
    let list = |key: &str| {
        frame
            .all(key)
            .take(MAX_LINES)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    UnitFile {
        path: text("path"),
        dropins: list("dropin"),
        parts: parts(frame),
        port: frame.get("port").and_then(|port| port.parse().ok()),
        linger: frame.get("linger").map(|word| word == "yes"),
        config_path: text("config"),
        state_dir: text("state"),
        missing: list("missing"),
        secret_inside: frame.get("token_inside").is_some(),
        denied: frame.get("denied").map(str::to_owned),
    }
}

/// The lines of each file, in the order they were read.
fn parts(frame: &Frame<'_>) -> Vec<(String, Vec<String>)> {
    let mut parts: Vec<(String, Vec<String>)> = Vec::new();
    for line in frame.lines.iter().take(2 * MAX_LINES) {
        match line.split_once('=') {
            Some(("from", path)) => parts.push((path.to_owned(), Vec::new())),
            Some(("l", line)) => {
                if let Some((_, lines)) = parts.last_mut() {
                    lines.push(line.to_owned());
                }
            }
            _ => {}
        }
    }
    parts
}

/// Takes over what only the file tells.
pub(super) fn fill_from_file(unit: &mut Unit) {
    unit.linger = match &unit.scope {
        UnitScope::System => Observed::Absent,
        UnitScope::User { .. } => unit
            .file
            .as_ref()
            .and_then(|file| file.linger)
            .map_or(Observed::NotCollected, Observed::Known),
    };
    if let Some(file) = &unit.file {
        unit.port = file.port;
        if unit.fragment_path.is_empty() {
            unit.fragment_path.clone_from(&file.path);
        }
    }
}

/// Reads a `journal` frame.
pub(super) fn journal(frame: &Frame<'_>) -> Observed<UnitJournal> {
    const KINDS: [(&str, JournalSignature); 11] = [
        ("taken", JournalSignature::PortTaken),
        ("stale", JournalSignature::StaleKilled),
        ("config", JournalSignature::ConfigRefused),
        ("model", JournalSignature::ModelFallback),
        ("exited", JournalSignature::MainExited),
        ("oom", JournalSignature::OutOfMemory),
        ("sigterm", JournalSignature::Terminated),
        ("inside", JournalSignature::AskedFromInside),
        ("remains", JournalSignature::Remained),
        ("suppressed", JournalSignature::ChannelsSuppressed),
        ("unusable", JournalSignature::ConfigUnusable),
    ];
    if let Some(why) = frame.get("denied") {
        return Observed::Denied(why.into());
    }
    if let Some(why) = frame.get("failed") {
        return Observed::Failed(why.into());
    }
    let number = |key: &str| frame.get(key).and_then(|text| text.parse::<u32>().ok());
    let count = |key: &str| number(key).unwrap_or(0);
    let writers = [
        ("suppressed_by", JournalSignature::ChannelsSuppressed),
        ("unusable_by", JournalSignature::ConfigUnusable),
    ];
    Observed::Known(UnitJournal {
        restarts_10m: count("restarts_10m"),
        restarts_1h: count("restarts_1h"),
        restarts_24h: count("restarts_24h"),
        failed_1h: count("failed_1h"),
        capped: frame.get("capped") == Some("yes"),
        signatures: KINDS
            .iter()
            .filter_map(|(key, kind)| {
                let (count, line) = frame.get(key)?.split_once(' ')?;
                Some((*kind, count.parse().ok()?, line.to_owned()))
            })
            .collect(),
        written_by: writers
            .into_iter()
            .filter_map(|(key, kind)| Some((kind, number(key)?)))
            .collect(),
        unusable_at_s: frame.get("unusable_at").and_then(|text| text.parse().ok()),
    })
}

/// A span as systemd prints it (`1min 30s`, `100ms`, `infinity`), in µs. Units as in systemd.time(7).
fn span_us(text: &str) -> Option<u64> {
    if text == "infinity" {
        return Some(u64::MAX);
    }
    if text == "0" {
        return Some(0);
    }
    let mut total: u64 = 0;
    for word in text.split_whitespace() {
        let split = word.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = word.split_at(split);
        let scale: u64 = match unit {
            "us" | "µs" | "μs" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "min" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            "w" => 604_800_000_000,
            "month" => 2_629_800_000_000,
            "y" => 31_557_600_000_000,
            _ => return None,
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        total = total.checked_add(whole.parse::<u64>().ok()?.checked_mul(scale)?)?;
        if !part.is_empty() {
            let digits = u32::try_from(part.len()).ok()?;
            let part: u64 = part.parse().ok()?;
            total = total.checked_add(part.checked_mul(scale)? / 10_u64.checked_pow(digits)?)?;
        }
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_as_systemd_prints_them() {
        let cases = [
            ("100ms", Some(100_000)),
            ("5s", Some(5_000_000)),
            ("1min 30s", Some(90_000_000)),
            ("5min 30s", Some(330_000_000)),
            ("1h", Some(3_600_000_000)),
            ("0", Some(0)),
            ("infinity", Some(u64::MAX)),
            ("1.5s", Some(1_500_000)),
            ("", None),
            ("soon", None),
            ("5", None),
            ("99999999999999999999s", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(span_us(text), wanted, "{text}");
        }
    }

    #[test]
    fn only_what_can_stand_in_a_command_is_a_unit_name() {
        for fine in ["openclaw-gateway.service", "a@b.service", "x\\x2dy.service"] {
            assert_eq!(name(fine).as_deref(), Some(fine));
        }
        for wrong in [
            "",
            "a",
            "-x.service",
            "a b.service",
            "a;b.service",
            "../x.service",
            "$(x).service",
        ] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_span_panics(text in "[0-9a-zµ. ]{0,40}") {
            let _ = span_us(&text);
        }
    }
}
