//! The variables of the templates: what clawfleet says of a unit, and what an inventory may set.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A variable that an inventory's `vars` may set.
#[derive(Debug, Clone, PartialEq)]
pub struct VariableDescription {
    /// Its name.
    pub name: &'static str,
    /// What it is where nobody sets it; `None`: it must be set, or be in the unit already.
    pub default: Option<Value>,
    /// What it means, a line.
    pub meaning: &'static str,
}

/// What kind of value a variable takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number in that range.
    Number(u64, u64),
    /// One line of text.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Absolute paths.
    Paths,
}

/// A variable and what it takes. The profile is the first one that has it.
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) profile: &'static str,
    default: fn() -> Option<Value>,
    meaning: &'static str,
}

impl Variable {
    pub(super) fn describe(&self) -> VariableDescription {
        VariableDescription {
            name: self.name,
            default: (self.default)(),
            meaning: self.meaning,
        }
    }
}

const fn variable(
    name: &'static str,
    kind: Kind,
    profile: &'static str,
    default: fn() -> Option<Value>,
    meaning: &'static str,
) -> Variable {
    Variable {
        name,
        kind,
        profile,
        default,
        meaning,
    }
}

/// Every variable that an inventory may set. Those of profile `unit` are for whole units only.
pub(super) const VARIABLES: [Variable; 19] = [
    variable(
        "start_limit_burst",
        Kind::Number(1, 1000),
        "baseline",
        || Some(json!(10)),
        "so many starts within start_limit_interval_s end a loop",
    ),
    variable(
        "start_limit_interval_s",
        Kind::Number(1, 86_400),
        "baseline",
        || Some(json!(300)),
        "in so many seconds",
    ),
    variable(
        "restart_delay_s",
        Kind::Number(1, 3600),
        "baseline",
        || Some(json!(5)),
        "seconds between an end and the next start",
    ),
    variable(
        "start_timeout_s",
        Kind::Number(5, 3600),
        "baseline",
        || Some(json!(30)),
        "seconds that what runs before the gateway may take",
    ),
    variable(
        "stop_timeout_s",
        Kind::Number(0, 3600),
        "baseline",
        || Some(json!(0)),
        "seconds that a stop may take; 0: 330 from 2026.8.1 on, 30 before",
    ),
    variable(
        "guard",
        Kind::OneOf(&["off", "report", "end"]),
        "baseline",
        || Some(json!("off")),
        "before each start, says who holds the port (report), and ends a stray gateway (end)",
    ),
    variable(
        "guard_wait_s",
        Kind::Number(1, 600),
        "baseline",
        || Some(json!(15)),
        "seconds that a stray gateway has to end before it is killed",
    ),
    variable(
        "allow_sudo",
        Kind::Switch,
        "strict",
        || Some(json!(false)),
        "agents may use sudo; leaves out what takes that from them",
    ),
    variable(
        "namespaces",
        Kind::Switch,
        "strict",
        || Some(json!(false)),
        "a browser with its own sandbox, or containers, run below the gateway",
    ),
    variable(
        "devices",
        Kind::Switch,
        "strict",
        || Some(json!(false)),
        "sound, cameras, serial lines or a GPU are used",
    ),
    variable(
        "user_namespace",
        Kind::Switch,
        "strict",
        || Some(json!(false)),
        "user units get a user namespace, and with it a read-only file system; not with allow_sudo",
    ),
    variable(
        "writable_paths",
        Kind::Paths,
        "strict",
        || Some(json!([])),
        "more directories that stay writable",
    ),
    variable(
        "capabilities",
        Kind::Text,
        "strict",
        || Some(json!("")),
        "capabilities that the gateway keeps, e.g. CAP_NET_BIND_SERVICE for a port below 1024",
    ),
    variable(
        "address_families",
        Kind::Text,
        "strict",
        || Some(json!("AF_UNIX AF_INET AF_INET6 AF_NETLINK")),
        "kinds of sockets; AF_NETLINK is how Node lists interfaces",
    ),
    variable(
        "umask",
        Kind::Text,
        "strict",
        || Some(json!("0077")),
        "rights that new files do not get; empty: as the unit has it",
    ),
    variable(
        "exec_start",
        Kind::Text,
        "unit",
        || None,
        "whole units: the command, where the unit has none yet",
    ),
    variable(
        "user",
        Kind::Text,
        "unit",
        || None,
        "whole system units: the user, where the unit names none yet",
    ),
    variable(
        "working_directory",
        Kind::Text,
        "unit",
        || None,
        "whole units: where it starts; without it the user's home",
    ),
    variable(
        "description",
        Kind::Text,
        "unit",
        || Some(json!("OpenClaw Gateway")),
        "whole units: what `systemctl status` calls it",
    ),
];

/// Returns a variable by its name.
pub(super) fn find(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.name == name)
}

/// Returns the defaults by name.
pub(super) fn defaults() -> BTreeMap<String, Value> {
    VARIABLES
        .iter()
        .filter_map(|variable| Some((variable.name.to_owned(), (variable.default)()?)))
        .collect()
}

/// Says what is wrong with a value, or nothing. A text must not make a line of its own in a unit.
pub(super) fn complaint(kind: Kind, value: &Value) -> Option<String> {
    let one_line = |text: &str| !text.chars().any(char::is_control);
    match (kind, value) {
        (Kind::Switch, Value::Bool(_)) => None,
        (Kind::Switch, _) => Some("true or false is wanted".into()),
        (Kind::Number(least, most), value) => match value.as_u64() {
            Some(number) if (least..=most).contains(&number) => None,
            _ => Some(format!("a whole number from {least} to {most} is wanted")),
        },
        (Kind::Text, Value::String(text)) if one_line(text) => None,
        (Kind::Text, _) => Some("one line of text is wanted".into()),
        (Kind::OneOf(words), Value::String(text)) if words.contains(&text.as_str()) => None,
        // YAML takes `off` for a truth value.
        (Kind::OneOf(words), Value::Bool(false)) if words.contains(&"off") => None,
        (Kind::OneOf(words), _) => Some(format!("one of {} is wanted", words.join(", "))),
        (Kind::Paths, Value::Array(paths)) => {
            let fine = |path: &Value| {
                path.as_str()
                    .is_some_and(|path| path.starts_with('/') && one_line(path))
            };
            (!paths.iter().all(fine)).then(|| "absolute paths are wanted".into())
        }
        (Kind::Paths, _) => Some("a list of absolute paths is wanted".into()),
    }
}

/// Returns a value as templates have it.
pub(super) fn normal(kind: Kind, value: &Value) -> Value {
    match (kind, value) {
        (Kind::OneOf(_), Value::Bool(false)) => json!("off"),
        (_, value) => value.clone(),
    }
}
