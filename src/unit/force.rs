//! Whether what stands in a unit file is what its manager has in force, as `systemctl show` tells it.
//!
//! Both sides are brought to one form before they are compared: systemd.time(7) for spans,
//! systemd.syntax(7) for booleans and lists. The forms that `show` prints were read from systemd 247, 252
//! and 257. What cannot be compared for certain is `Unknown`, never `Yes`.

use std::collections::{BTreeMap, BTreeSet};

use super::parse::{UnitSetting, is_words};
use super::quote;

/// Whether a setting is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InForce {
    /// It is.
    Yes,
    /// It is not.
    No {
        /// What is, as systemd says it.
        now: String,
        /// What the setting says, in the same form.
        then: String,
    },
    /// That cannot be told: this systemd does not know the property, or shows it in another form.
    Unknown,
}

/// What the manager reads when it acts, so that it needs no restart of the service.
const READ_WHEN_NEEDED: [&str; 38] = [
    "After",
    "Alias",
    "Also",
    "Before",
    "BindsTo",
    "Conflicts",
    "DefaultInstance",
    "Description",
    "Documentation",
    "ExecReload",
    "ExecStop",
    "ExecStopPost",
    "FailureAction",
    "FinalKillSignal",
    "KillMode",
    "KillSignal",
    "OnFailure",
    "OnSuccess",
    "OOMPolicy",
    "PartOf",
    "PropagatesReloadTo",
    "RequiredBy",
    "Requires",
    "Requisite",
    "Restart",
    "RestartForceExitStatus",
    "RestartKillSignal",
    "RestartMaxDelaySec",
    "RestartMode",
    "RestartPreventExitStatus",
    "RestartSec",
    "RestartSteps",
    "SendSIGHUP",
    "SendSIGKILL",
    "SuccessAction",
    "SuccessExitStatus",
    "WantedBy",
    "Wants",
];

/// Settings of one word, which `show` prints as it is written.
const WORD: [&str; 17] = [
    "Description",
    "DevicePolicy",
    "ExitType",
    "Group",
    "KeyringMode",
    "KillMode",
    "OOMPolicy",
    "ProcSubset",
    "ProtectHome",
    "ProtectProc",
    "ProtectSystem",
    "Restart",
    "RestartMode",
    "Slice",
    "Type",
    "User",
    "WorkingDirectory",
];

/// Settings that are a size or a number.
const NUMBER: [&str; 9] = [
    "LimitNOFILE",
    "LimitNPROC",
    "MemoryHigh",
    "MemoryMax",
    "MemorySwapMax",
    "Nice",
    "OOMScoreAdjust",
    "StartLimitBurst",
    "TasksMax",
];

/// Whether a change of that setting reaches a running service only by a restart. What the manager reads
/// when it acts (restarts, stops, limits of starts, `[Install]`) does not need one. Commands before a start do:
/// without a restart nobody would see that they fail, until the next one at night.
pub fn needs_restart(key: &str) -> bool {
    let timeout = key.starts_with("Timeout") && key.ends_with("Sec");
    !(READ_WHEN_NEEDED.contains(&key)
        || timeout
        || key.starts_with("StartLimit")
        || key.starts_with("Condition")
        || key.starts_with("Assert"))
}

/// Returns the names to ask `systemctl show --property` for, each once and sorted.
pub fn shown_names(settings: &[UnitSetting]) -> Vec<String> {
    let names: BTreeSet<String> = settings
        .iter()
        .filter(|setting| setting.section != "Install")
        .flat_map(|setting| properties(&setting.key))
        .collect();
    names.into_iter().collect()
}

/// The properties that a setting becomes.
fn properties(key: &str) -> Vec<String> {
    match key {
        "TimeoutSec" => vec!["TimeoutStartUSec".into(), "TimeoutStopUSec".into()],
        "StartLimitInterval" => vec!["StartLimitIntervalUSec".into()],
        _ => match key.strip_suffix("Sec") {
            Some(name) if !name.ends_with('N') => vec![format!("{name}USec")],
            _ => vec![key.to_owned()],
        },
    }
}

/// Compares a setting with what the manager has in force. `shown` holds the properties that
/// `systemctl show` printed, by name; a property that this systemd does not have is not in it.
///
/// A list that is not preceded by an empty assignment (`UnitSetting::resets`) adds to what other files
/// say: it is in force when all of it is.
pub fn in_force(setting: &UnitSetting, shown: &BTreeMap<String, String>) -> InForce {
    if setting.section == "Install" {
        // What is enabled is a link, not a property.
        return InForce::Unknown;
    }
    let mut worst = InForce::Yes;
    for property in properties(&setting.key) {
        let Some(now) = shown.get(&property) else {
            return InForce::Unknown;
        };
        match compare(setting, now.trim()) {
            Compared::Same => {}
            Compared::Unknown => return InForce::Unknown,
            Compared::Differs(then) => {
                worst = InForce::No {
                    // A variable may hold a secret.
                    now: match setting.key.as_str() {
                        "Environment" => "(another)".to_owned(),
                        "SystemCallErrorNumber" => error_name(now.trim()),
                        _ => now.clone(),
                    },
                    then,
                };
            }
        }
    }
    worst
}

enum Compared {
    Same,
    Differs(String),
    Unknown,
}

impl Compared {
    fn of(same: bool, then: impl FnOnce() -> String) -> Self {
        if same {
            Self::Same
        } else {
            Self::Differs(then())
        }
    }
}

fn compare(setting: &UnitSetting, now: &str) -> Compared {
    let (key, value) = (setting.key.as_str(), setting.value.as_str());
    match key {
        "SystemCallFilter" => return system_calls(setting, now),
        "SystemCallErrorNumber" => return error_number(value, now),
        "CapabilityBoundingSet" | "AmbientCapabilities" => return capabilities(setting, now),
        "RestrictNamespaces" => {
            // The manager prints all of them as `yes`, none as `no`.
            if let Some(wanted) = boolean(value) {
                let wanted = if wanted { "yes" } else { "no" };
                return Compared::of(now == wanted, || wanted.to_owned());
            }
        }
        "Environment" => return environment(value, now),
        "UMask" => {
            let octal = |text: &str| u32::from_str_radix(text, 8).ok();
            return match (octal(value), octal(now)) {
                (Some(wanted), Some(found)) => {
                    Compared::of(wanted == found, || format!("{wanted:04o}"))
                }
                _ => Compared::Unknown,
            };
        }
        _ => {}
    }
    if is_words(key) {
        return words(setting, now);
    }
    if value.is_empty() {
        // The default of the program or of this manager, which differ.
        return Compared::Unknown;
    }
    if key.ends_with("Sec") || key == "StartLimitInterval" {
        return same_span(key, value, now);
    }
    if let (Some(wanted), Some(found)) = (boolean(value), boolean(now))
        // `StartLimitBurst=1` is a number.
        && !NUMBER.contains(&key)
    {
        return Compared::of(wanted == found, || {
            if wanted { "yes" } else { "no" }.to_owned()
        });
    }
    if NUMBER.contains(&key) {
        return match (number(value), number(now)) {
            (Some(wanted), Some(found)) => Compared::of(wanted == found, || value.to_owned()),
            _ => Compared::Unknown,
        };
    }
    match specifiers(value) {
        Some(wanted) if wanted == now => Compared::Same,
        Some(wanted) if WORD.contains(&key) || boolean(now).is_some() => Compared::Differs(wanted),
        _ => Compared::Unknown,
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// A number, or a size with a suffix to the base of 1024. `infinity` is more than any.
fn number(text: &str) -> Option<i128> {
    // What `show` prints of a limit that is not set is all ones.
    if text == "infinity" || text == "18446744073709551615" {
        return Some(i128::MAX);
    }
    // `soft:hard`: `show` has a property for each, and the one of this name is the hard one.
    let text = text.rsplit(':').next().unwrap_or(text);
    let (digits, suffix) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at_checked(at)?,
        None => (text, ""),
    };
    let scale = match suffix {
        "" | "B" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    digits.parse::<i128>().ok()?.checked_mul(1 << scale)
}

/// Compares spans of time.
fn same_span(key: &str, value: &str, now: &str) -> Compared {
    let (Some(mut wanted), Some(mut found)) = (micros(value), micros(now)) else {
        return Compared::Unknown;
    };
    // A timeout of nothing is none: `TimeoutStopSec=0` is shown as `infinity`.
    if key.starts_with("Timeout") || key == "RuntimeMaxSec" {
        let none = |span: &mut u64| {
            if *span == 0 {
                *span = u64::MAX;
            }
        };
        none(&mut wanted);
        none(&mut found);
    }
    Compared::of(wanted == found, || shown_span(wanted))
}

/// Returns a span of time as units write it; `infinity` is the longest there is.
pub fn span(text: &str) -> Option<std::time::Duration> {
    micros(text).map(std::time::Duration::from_micros)
}

/// A span of time in µs, as systemd.time(7) writes it; a number without a unit is seconds.
fn micros(text: &str) -> Option<u64> {
    let text = text.trim();
    if text == "infinity" {
        return Some(u64::MAX);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, tail) = rest.split_at_checked(digits.unwrap_or(rest.len()))?;
        let tail = tail.trim_start();
        let letters = tail.find(|c: char| !c.is_alphabetic());
        let (unit, tail) = tail.split_at_checked(letters.unwrap_or(tail.len()))?;
        let scale: u64 = match unit {
            "us" | "usec" | "µs" | "μs" => 1,
            "ms" | "msec" => 1_000,
            "" | "s" | "sec" | "second" | "seconds" => 1_000_000,
            "m" | "min" | "minute" | "minutes" => 60_000_000,
            "h" | "hr" | "hour" | "hours" => 3_600_000_000,
            "d" | "day" | "days" => 86_400_000_000,
            "w" | "week" | "weeks" => 604_800_000_000,
            "M" | "month" | "months" => 2_629_800_000_000,
            "y" | "year" | "years" => 31_557_600_000_000,
            _ => return None,
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        total = total.checked_add(whole.parse::<u64>().ok()?.checked_mul(scale)?)?;
        if !part.is_empty() {
            let digits = u32::try_from(part.len()).ok()?;
            let part: u64 = part.parse().ok()?;
            total = total.checked_add(part.checked_mul(scale)? / 10_u64.checked_pow(digits)?)?;
        }
        rest = tail.trim_start();
    }
    (!text.is_empty()).then_some(total)
}

/// A span as `show` prints it, e.g. `5min 30s`.
fn shown_span(micros: u64) -> String {
    if micros == u64::MAX {
        return "infinity".into();
    }
    let units = [
        ("y", 31_557_600_000_000),
        ("month", 2_629_800_000_000),
        ("w", 604_800_000_000),
        ("d", 86_400_000_000),
        ("h", 3_600_000_000),
        ("min", 60_000_000),
        ("s", 1_000_000),
        ("ms", 1_000),
        ("us", 1),
    ];
    let mut rest = micros;
    let mut parts = Vec::new();
    for (unit, scale) in units {
        if rest >= scale {
            parts.push(format!("{}{unit}", rest / scale));
            rest %= scale;
        }
    }
    match parts.is_empty() {
        true => "0".into(),
        false => parts.join(" "),
    }
}

/// A text with `%%` as `%`; `None` where it has specifiers that only its manager can replace.
fn specifiers(text: &str) -> Option<String> {
    let plain = text.replace("%%", "\u{0}");
    (!plain.contains('%')).then(|| plain.replace('\u{0}', "%"))
}

/// Compares a list of which neither the order nor repetition matters.
fn words(setting: &UnitSetting, now: &str) -> Compared {
    // `~` makes a list one of exceptions: where it stands first, in both forms, it belongs to the list.
    let negated = |text: &str| text.starts_with('~');
    if negated(&setting.value) != negated(now) && !now.is_empty() {
        return match setting.resets {
            true => Compared::Differs(setting.value.clone()),
            false => Compared::Unknown,
        };
    }
    let status = setting.key.ends_with("ExitStatus");
    let set = |text: &str, shown: bool| -> Option<BTreeSet<String>> {
        let text = text.trim_start_matches('~');
        quote::words(text)?
            .into_iter()
            .map(|word| {
                let word = if shown { word } else { specifiers(&word)? };
                if status {
                    exit_status(&word)
                } else {
                    Some(word)
                }
            })
            .collect()
    };
    let (Some(wanted), Some(found)) = (set(&setting.value, false), set(now, true)) else {
        return Compared::Unknown;
    };
    let same = match setting.resets {
        true => wanted == found,
        false => wanted.is_subset(&found),
    };
    Compared::of(same, || setting.value.clone())
}

/// A number, a signal without `SIG`, or a status that systemd knows by name (systemd.exec(5)).
fn exit_status(word: &str) -> Option<String> {
    let named = [
        ("SUCCESS", 0),
        ("FAILURE", 1),
        ("INVALIDARGUMENT", 2),
        ("NOTIMPLEMENTED", 3),
        ("NOPERMISSION", 4),
        ("NOTINSTALLED", 5),
        ("NOTCONFIGURED", 6),
        ("NOTRUNNING", 7),
        ("USAGE", 64),
        ("DATAERR", 65),
        ("NOINPUT", 66),
        ("NOUSER", 67),
        ("NOHOST", 68),
        ("UNAVAILABLE", 69),
        ("SOFTWARE", 70),
        ("OSERR", 71),
        ("OSFILE", 72),
        ("CANTCREAT", 73),
        ("IOERR", 74),
        ("TEMPFAIL", 75),
        ("PROTOCOL", 76),
        ("NOPERM", 77),
        ("CONFIG", 78),
    ];
    if let Ok(number) = word.parse::<u8>() {
        return Some(number.to_string());
    }
    let bare = word.strip_prefix("SIG").unwrap_or(word);
    match named.iter().find(|(name, _)| *name == word) {
        Some((_, number)) => Some(number.to_string()),
        None => bare
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "+-".contains(c))
            .then(|| bare.to_owned()),
    }
}

/// Capabilities are shown in small letters. `~` is all but these, and all depends on the kernel.
fn capabilities(setting: &UnitSetting, now: &str) -> Compared {
    if setting.value.contains('~') {
        return Compared::Unknown;
    }
    words(
        &UnitSetting {
            value: setting.value.to_ascii_lowercase(),
            // An empty list is none of them, and later lines add to it.
            ..setting.clone()
        },
        now,
    )
}

/// A filter is shown with its groups replaced, and with the calls that every process needs: only that
/// there is none, or one of the other kind, can be told.
fn system_calls(setting: &UnitSetting, now: &str) -> Compared {
    let wanted = setting.value.as_str();
    let empty = matches!(now, "" | "~");
    match (wanted.is_empty(), empty) {
        (true, true) => Compared::Same,
        (true, false) | (false, true) => Compared::Differs(wanted.to_owned()),
        (false, false) if wanted.starts_with('~') != now.starts_with('~') => {
            Compared::Differs(wanted.to_owned())
        }
        (false, false) => Compared::Unknown,
    }
}

/// Systemd shows the numbers of these names. `kill` is none at all: the process is ended.
const ERRORS: [(&str, &str); 4] = [
    ("EPERM", "1"),
    ("EACCES", "13"),
    ("ENOSYS", "38"),
    ("kill", "2147483646"),
];

fn error_number(value: &str, now: &str) -> Compared {
    let value = if value.is_empty() { "kill" } else { value };
    let known = ERRORS
        .iter()
        .find(|(name, number)| *name == value || *number == value);
    match known {
        Some((name, number)) => Compared::of(now == *number || now == *name, || (*name).to_owned()),
        None => Compared::Unknown,
    }
}

fn error_name(now: &str) -> String {
    let known = ERRORS.iter().find(|(_, number)| *number == now);
    known.map_or(now, |(name, _)| name).to_owned()
}

/// Whether each variable of a line has that value. Later lines of another file may change one.
fn environment(value: &str, now: &str) -> Compared {
    let (Some(wanted), Some(found)) = (quote::words(value), quote::words(now)) else {
        return Compared::Unknown;
    };
    let mut all = true;
    for word in wanted {
        match specifiers(&word) {
            Some(word) => all &= found.contains(&word),
            None => return Compared::Unknown,
        }
    }
    Compared::of(all, || "(changed)".to_owned())
}

#[cfg(test)]
#[path = "force_tests.rs"]
mod tests;
