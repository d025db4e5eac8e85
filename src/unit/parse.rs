//! Unit files, read as systemd.syntax(7) says.

use super::quote;

/// One setting of a unit file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnitSetting {
    /// Its section, e.g. `Service`.
    pub section: String,
    /// Its name, e.g. `KillMode`.
    pub key: String,
    /// Its value as it is written, lines of a list of words joined by a blank. Empty: the default, or
    /// for a list nothing.
    pub value: String,
    /// Whether an empty assignment before it made void what earlier files say.
    pub resets: bool,
}

/// Lists of words: lines add up, and their order does not matter.
const WORDS: [&str; 37] = [
    "After",
    "Also",
    "Alias",
    "AmbientCapabilities",
    "Before",
    "BindsTo",
    "BindPaths",
    "BindReadOnlyPaths",
    "CapabilityBoundingSet",
    "ConfigurationDirectory",
    "Conflicts",
    "DeviceAllow",
    "Documentation",
    "ExecPaths",
    "InaccessiblePaths",
    "NoExecPaths",
    "OnFailure",
    "PartOf",
    "PassEnvironment",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "RequiredBy",
    "Requires",
    "RequiresMountsFor",
    "Requisite",
    "RestartForceExitStatus",
    "RestartPreventExitStatus",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "StateDirectory",
    "SuccessExitStatus",
    "SystemCallArchitectures",
    "SystemCallFilter",
    "TemporaryFileSystem",
    "UnsetEnvironment",
    "WantedBy",
    "Wants",
];

/// Lists of which every line counts by itself, in its order.
const LINES: [&str; 4] = [
    "Environment",
    "EnvironmentFile",
    "LoadCredential",
    "SetCredential",
];

/// Whether lines of that setting add up to one list of words.
pub(super) fn is_words(key: &str) -> bool {
    WORDS.contains(&key)
}

/// Whether every line of that setting counts.
pub(super) fn is_lines(key: &str) -> bool {
    LINES.contains(&key)
        || (key.starts_with("Exec") && !matches!(key, "ExecPaths"))
        || key.starts_with("Condition")
        || key.starts_with("Assert")
}

/// Whether lines of that setting add up, in one file and over files; an empty one makes void those before it.
/// Of all other settings the last line counts.
pub fn adds_up(key: &str) -> bool {
    is_words(key) || is_lines(key)
}

/// Reads a unit file or a drop-in: what it sets, once for each name (and once for each line of commands,
/// environments and conditions), in the order of their first lines. Continued lines are joined, comments
/// and `[X-…]` sections left out. Later lines win; those of a list add up, and an empty one makes void what
/// is before it. A line that is no assignment, or that stands in no section, says nothing.
pub fn settings(text: &str) -> Vec<UnitSetting> {
    let mut found: Vec<UnitSetting> = Vec::new();
    let mut section = String::new();
    for line in joined(text) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            section = name.strip_suffix(']').unwrap_or_default().to_owned();
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        if section.is_empty() || section.starts_with("X-") {
            continue;
        }
        let (key, value) = (key.trim_end(), value.trim_start());
        // `X-` names are passed over as well.
        if key.is_empty() || key.starts_with("X-") {
            continue;
        }
        add(&mut found, &section, key, value);
    }
    found
}

/// The first line of a unit file that is neither a section, an assignment, a comment, a continuation nor
/// blank, or an assignment that stands in no section: its number, from 1, and its text. systemd would pass
/// over it with a warning in the journal.
pub(super) fn stray_line(text: &str) -> Option<(u32, String)> {
    let (mut continued, mut in_section) = (false, false);
    for (number, line) in (1..).zip(text.lines()) {
        let bare = line.trim();
        if bare.starts_with(['#', ';']) {
            continue;
        }
        let begins = !std::mem::replace(&mut continued, line.ends_with('\\'));
        if !begins || bare.is_empty() {
            continue;
        }
        let section = bare.starts_with('[') && bare.ends_with(']');
        in_section |= section;
        let assignment = bare.split_once('=').is_some_and(|(key, _)| {
            !key.is_empty()
                && !key.starts_with('[')
                && !key.trim_end().contains(char::is_whitespace)
        });
        if !(section || assignment && in_section) {
            return Some((number, bare.to_owned()));
        }
    }
    None
}

fn add(found: &mut Vec<UnitSetting>, section: &str, key: &str, value: &str) {
    let mine = |setting: &UnitSetting| setting.section == section && setting.key == key;
    let new = UnitSetting {
        section: section.to_owned(),
        key: key.to_owned(),
        value: value.to_owned(),
        resets: value.is_empty(),
    };
    let list = is_words(key) || is_lines(key);
    if list && value.is_empty() {
        // The empty line stands for all that it made void.
        match found.iter().position(mine) {
            None => found.push(new),
            Some(first) => {
                let mut place = 0;
                found.retain(|setting| {
                    place += 1;
                    place == first + 1 || !mine(setting)
                });
                if let Some(setting) = found.get_mut(first) {
                    *setting = new;
                }
            }
        }
        return;
    }
    let earlier = found.iter_mut().rev().find(|setting| mine(setting));
    match earlier {
        Some(setting) if is_words(key) => {
            if !setting.value.is_empty() {
                setting.value.push(' ');
            }
            setting.value.push_str(value);
        }
        Some(setting) if setting.resets && setting.value.is_empty() && list => {
            setting.value.push_str(value);
        }
        Some(_) if list => found.push(new),
        Some(setting) => value.clone_into(&mut setting.value),
        None => found.push(UnitSetting {
            resets: list && new.resets,
            ..new
        }),
    }
}

/// The logical lines of a unit file. A backslash at the end of a line continues it; comments are left out,
/// between continued lines too.
fn joined(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        let mut whole = open.take().unwrap_or_default();
        match line.strip_suffix('\\') {
            Some(part) => {
                whole.push_str(part);
                whole.push(' ');
                open = Some(whole);
            }
            None => {
                whole.push_str(line);
                lines.push(whole);
            }
        }
    }
    lines.extend(open);
    lines
}

/// Whether a unit file carries a secret: a variable of `Environment=` or of a command whose name ends as
/// those of tokens, passwords, secrets and keys do and that has a value, or an option `--token` or
/// `--password`, in a comment too; an address with a password in it; an `Authorization` header. It errs on the side
/// of yes.
pub fn lines_with_secrets(text: &str) -> bool {
    raw_secret(text)
        || settings(text).iter().any(|setting| {
            let exec = setting.key.starts_with("Exec");
            if !(exec || matches!(setting.key.as_str(), "Environment" | "SetCredential")) {
                return false;
            }
            // A line that systemd cannot read may hold one all the same.
            let words = quote::words(&setting.value).unwrap_or_else(|| {
                let words = setting.value.split_whitespace();
                words
                    .map(|word| word.trim_matches(['"', '\'']).to_owned())
                    .collect()
            });
            setting.key == "SetCredential" || words.iter().any(|word| is_secret(word, exec))
        })
}

/// What is in a file is kept and shown as a whole: settings that somebody commented out, too.
fn raw_secret(text: &str) -> bool {
    text.lines().any(|line| {
        let comment = line.trim_start().starts_with(['#', ';']);
        let lower = line.to_ascii_lowercase();
        let header = lower.contains("authorization:") || lower.contains("bearer ey");
        let assigned = |line: &str| {
            let line = line.trim_start_matches(['#', ';', ' ', '\t']);
            let line = line
                .split_once("Environment=")
                .map_or(line, |(_, rest)| rest);
            let words = line.split_whitespace();
            words
                .map(|word| word.trim_matches(['"', '\'']))
                .any(|word| is_secret(word, false))
        };
        header || with_password(line) || (comment && assigned(line))
    })
}

/// `scheme://user:password@host`.
fn with_password(line: &str) -> bool {
    line.split("://").skip(1).any(|rest| {
        let place = rest.split(['/', ' ', '"', '\'']).next().unwrap_or_default();
        place.rsplit_once('@').is_some_and(|(user, _)| {
            user.split_once(':').is_some_and(|(_, password)| {
                !password.is_empty() && !password.starts_with(['$', '%'])
            })
        })
    })
}

fn is_secret(word: &str, exec: bool) -> bool {
    let name_is = |name: &str| {
        let name = name.to_ascii_uppercase();
        [
            "TOKEN",
            "PASSWORD",
            "PASSWD",
            "SECRET",
            "KEY",
            "APIKEY",
            "CREDENTIALS",
            "_PASS",
            "_PWD",
            "_AUTH",
            "_PAT",
            "_DSN",
        ]
        .iter()
        .any(|end| name.ends_with(end))
    };
    if exec && let Some(option) = word.strip_prefix("--") {
        return name_is(
            &option
                .split('=')
                .next()
                .unwrap_or_default()
                .replace('-', "_"),
        ) && !option.to_ascii_lowercase().ends_with("-file");
    }
    // A command may carry variables too: `env TOKEN=x`, or a shell's whole script.
    word.split([' ', '\n', ';']).any(|part| {
        part.split_once('=').is_some_and(|(name, value)| {
            !value.is_empty()
                && !value.starts_with(['$', '%'])
                && name_is(name.trim_start_matches(['"', '\'']))
        }) || (exec && part != word && matches!(part, "--token" | "--password"))
    })
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
