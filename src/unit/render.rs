//! A unit or a drop-in from its template.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::parse::{UnitSetting, settings, stray_line};
use super::template::{GUARD, TemplateFault, Templates};
use super::variables::{self, complaint, defaults, normal};
use super::{quote, release};
use crate::model::{PROFILES, Shape, UnitScope};

/// What is to be rendered, and for which unit.
#[derive(Debug, Clone, Copy)]
pub struct RenderRequest<'a> {
    /// One of the profiles.
    pub profile: &'a str,
    /// A drop-in or a whole unit.
    pub shape: Shape,
    /// Whose manager the unit belongs to.
    pub scope: &'a UnitScope,
    /// The unit's name with suffix.
    pub unit: &'a str,
    /// The installed version of the gateway. What is no version counts as unknown.
    pub gateway_version: Option<&'a str>,
    /// systemd's major version; where it is not known, only what every version has is rendered.
    pub systemd: Option<u32>,
    /// The gateway's port.
    pub port: u16,
    /// The home directory of the gateway's user.
    pub home: Option<&'a str>,
    /// The gateway's state directory; without it `.openclaw` in the home.
    pub state_dir: Option<&'a str>,
    /// The gateway's configuration.
    pub config_path: Option<&'a str>,
    /// The text of the unit's own file, if there is one.
    pub existing: Option<&'a str>,
    /// Where the gateway's agents work, as its configuration says.
    pub workspace: Option<&'a str>,
    /// Whether the unit has commands of its own before the gateway.
    pub starts_with_more: bool,
    /// The inventory's free variables: they win over defaults.
    pub vars: &'a BTreeMap<String, Value>,
}

/// What was rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The file.
    pub text: String,
    /// What it sets.
    pub settings: Vec<UnitSetting>,
}

/// Renders a unit or a drop-in. What a whole unit replaces is taken over: its command, environment, user,
/// directory, and every setting that the template does not set itself.
///
/// # Errors
/// An unknown profile, a variable of the wrong kind, one that is missing, and what is wrong with a
/// template, with its place.
pub fn render(
    templates: &Templates,
    request: &RenderRequest<'_>,
) -> Result<Rendered, TemplateFault> {
    let name = match (request.shape, request.scope) {
        (Shape::DropIn, _) => "50-clawfleet.conf.j2",
        (Shape::Full, UnitScope::System) => "openclaw-gateway.system.service.j2",
        (Shape::Full, UnitScope::User { .. }) => "openclaw-gateway.user.service.j2",
    };
    if !PROFILES.contains(&request.profile) {
        let fault = TemplateFault::new(
            "profile",
            format!("`{}` is no profile", one_line(request.profile)),
        );
        return Err(fault.hint(format!("the profiles are {}", PROFILES.join(", "))));
    }
    let existing = settings(request.existing.unwrap_or_default());
    let mut context = context(templates, request, &existing)?;
    let keep = |context: &mut BTreeMap<String, Value>, kept: &[&UnitSetting]| {
        let of = |section: &str| -> Vec<String> {
            let mine = kept.iter().filter(|setting| setting.section == section);
            mine.flat_map(|setting| lines(setting)).collect()
        };
        let kept = json!({"unit": of("Unit"), "service": of("Service"), "install": of("Install")});
        context.insert("kept".into(), kept);
    };
    keep(&mut context, &[]);
    let mut text = templates.render(name, &context)?;
    if request.shape == Shape::Full {
        let mut mine = keys(&settings(&text));
        mine.insert(("Service".into(), "Environment".into()));
        if written_by_us(request.existing.unwrap_or_default()) {
            // What an earlier profile of ours put there is not the operator's.
            context.insert("profile".into(), json!("strict"));
            mine.extend(keys(&settings(&templates.render(name, &context)?)));
            context.insert("profile".into(), json!(request.profile));
        }
        let kept: Vec<&UnitSetting> = existing
            .iter()
            .filter(|setting| {
                let commands =
                    setting.key == "ExecStartPre" && !setting.value.contains(" clawfleet-guard ");
                commands || !mine.contains(&(setting.section.clone(), setting.key.clone()))
            })
            .filter(|setting| {
                !(setting.key == "ExecStartPre" && setting.value.contains(" clawfleet-guard "))
            })
            .collect();
        keep(&mut context, &kept);
        text = templates.render(name, &context)?;
    }
    let text = tidy(&text);
    let settings = settings(&text);
    sound(name, &text, &settings)?;
    Ok(Rendered { text, settings })
}

/// A template of an operator's own may render to anything; systemd passes over lines that it does not know.
fn sound(name: &str, text: &str, settings: &[UnitSetting]) -> Result<(), TemplateFault> {
    if let Some((number, line)) = stray_line(text) {
        let line = one_line(&line);
        let message =
            format!("line {number} of what it renders to is no line of a unit file: `{line}`");
        let fault = TemplateFault::new(name, message);
        return Err(
            fault.hint("write `[Section]` or `Name=value`; see it whole with `harden --show`")
        );
    }
    if settings.is_empty() {
        let fault = TemplateFault::new(name, "what it renders to sets nothing");
        return Err(fault.hint("to take the file away from a host, use `clawfleet rollback`"));
    }
    Ok(())
}

fn keys(settings: &[UnitSetting]) -> BTreeSet<(String, String)> {
    let name = |setting: &UnitSetting| (setting.section.clone(), setting.key.clone());
    settings.iter().map(name).collect()
}

fn written_by_us(text: &str) -> bool {
    text.lines().any(|line| line.trim() == "[X-Clawfleet]")
}

/// A setting as lines of a unit.
fn lines(setting: &UnitSetting) -> Vec<String> {
    let mut lines = Vec::new();
    if setting.resets {
        lines.push(format!("{}=", setting.key));
    }
    if !(setting.resets && setting.value.is_empty()) {
        lines.push(format!("{}={}", setting.key, setting.value));
    }
    lines
}

/// One blank line between parts, none at the end.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = true;
    for line in text.lines().map(str::trim_end) {
        if line.is_empty() {
            blank = true;
            continue;
        }
        if blank && !out.is_empty() {
            out.push('\n');
        }
        blank = false;
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// Everything that the templates may name.
fn context(
    templates: &Templates,
    request: &RenderRequest<'_>,
    existing: &[UnitSetting],
) -> Result<BTreeMap<String, Value>, TemplateFault> {
    let mut context = defaults();
    if request.starts_with_more {
        // What they take is not known: systemd's own default stays.
        context.insert("start_timeout_s".into(), json!(90));
    }
    for (name, value) in request.vars {
        let value = match variables::find(name) {
            None => value.clone(),
            Some(known) => match complaint(known.kind, value) {
                None => normal(known.kind, value),
                Some(wanted) => {
                    let fault = TemplateFault::new(&format!("vars.{name}"), wanted);
                    return Err(fault.hint(format!("{name}: {}", known.describe().meaning)));
                }
            },
        };
        context.insert(name.clone(), value);
    }
    consistent(&context)?;
    of_unit(&mut context, request, existing)?;
    let version = request.gateway_version.filter(|text| is_version(text));
    let numbers = version.and_then(release).unwrap_or_default();
    context.insert(
        "gateway_version".into(),
        json!(version.unwrap_or("unknown")),
    );
    context.insert("version".into(), json!(numbers));
    context.insert("systemd".into(), json!(request.systemd.unwrap_or(0)));
    context.insert("profile".into(), json!(request.profile));
    context.insert("shape".into(), json!(request.shape.id()));
    context.insert("port".into(), json!(request.port));
    let digest = templates.digest();
    let short = digest.get(..16).unwrap_or(&digest);
    context.insert("templates".into(), json!(short));
    context.insert("guard_script".into(), json!(templates.text(GUARD)));
    Ok(context)
}

/// What the host says of the unit. It wins over variables of the same names: they are for what no unit says.
fn of_unit(
    context: &mut BTreeMap<String, Value>,
    request: &RenderRequest<'_>,
    existing: &[UnitSetting],
) -> Result<(), TemplateFault> {
    let mut put = |name: &str, value: &str| {
        if value.chars().any(char::is_control) {
            // It would begin a line of its own.
            let fault = TemplateFault::new(name, "the host's value has a control character in it");
            return Err(fault.hint("look at the unit on the host"));
        }
        context.insert(name.to_owned(), json!(value));
        Ok(())
    };
    put("unit", request.unit)?;
    match request.scope {
        UnitScope::System => put("scope", "system")?,
        UnitScope::User { user, .. } => {
            put("scope", "user")?;
            put("user", user)?;
        }
    }
    let find = |section: &str, key: &str| {
        existing
            .iter()
            .rfind(|setting| setting.section == section && setting.key == key)
            .map(|setting| setting.value.as_str())
            .filter(|value| !value.is_empty())
    };
    for (name, section, key) in [
        ("exec_start", "Service", "ExecStart"),
        ("working_directory", "Service", "WorkingDirectory"),
        ("description", "Unit", "Description"),
    ] {
        if let Some(value) = find(section, key) {
            put(name, value)?;
        }
    }
    if *request.scope == UnitScope::System
        && let Some(user) = find("Service", "User")
    {
        put("user", user)?;
    }
    if let Some(home) = request.home {
        put("home", home)?;
    }
    let state_dir = match (
        request.state_dir.filter(|dir| dir.starts_with('/')),
        request.home,
    ) {
        (Some(dir), _) => Some(dir.to_owned()),
        (None, Some(home)) => Some(format!("{}/.openclaw", home.trim_end_matches('/'))),
        (None, None) => None,
    };
    if let Some(dir) = &state_dir {
        put("state_dir", dir)?;
    }
    if let Some(path) = request.config_path {
        put("config_path", path)?;
    }
    let with = |key: &str, own: &str| {
        let mut words: Vec<&str> = vec![own];
        for word in find("Unit", key).unwrap_or_default().split_whitespace() {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words.join(" ")
    };
    put("after", &with("After", "network-online.target"))?;
    put("wants", &with("Wants", "network-online.target"))?;
    let target = match request.scope {
        UnitScope::System => "multi-user.target",
        UnitScope::User { .. } => "default.target",
    };
    put("wanted_by", find("Install", "WantedBy").unwrap_or(target))?;
    if !context.contains_key("working_directory") {
        // `~` is the home of the unit's user for the system's manager, `%h` for a user's.
        let home = match request.scope {
            UnitScope::System => "~",
            UnitScope::User { .. } => "%h",
        };
        context.insert("working_directory".into(), json!(home));
    }
    let environment = existing
        .iter()
        .filter(|setting| setting.section == "Service" && setting.key == "Environment");
    let environment: Vec<String> = environment.flat_map(lines).collect();
    context.insert("environment".into(), json!(environment));
    if let Some(state_dir) = state_dir {
        let paths = writable(request, &state_dir, existing, context.get("writable_paths"));
        context.insert("writable".into(), json!(paths));
    }
    Ok(())
}

/// The directories that a gateway writes to, in a read-only file system, each once.
fn writable(
    request: &RenderRequest<'_>,
    state_dir: &str,
    existing: &[UnitSetting],
    more: Option<&Value>,
) -> Vec<String> {
    let mut paths = vec![state_dir.trim_end_matches('/').to_owned()];
    let mut add = |path: &str| {
        let path = match path.trim_end_matches('/') {
            "" => return,
            path => path.to_owned(),
        };
        let inside = |outer: &String| path == *outer || path.starts_with(&format!("{outer}/"));
        if !paths.iter().any(inside) {
            paths.push(path);
        }
    };
    // The configuration is replaced by renaming, which needs its directory.
    let config_dir = request
        .config_path
        .filter(|path| path.starts_with('/'))
        .and_then(|path| path.rsplit_once('/'));
    if let Some((dir, _)) = config_dir {
        add(dir);
    }
    let workspace = request
        .workspace
        .map(|path| match (path.strip_prefix("~/"), request.home) {
            (Some(rest), Some(home)) => format!("{}/{rest}", home.trim_end_matches('/')),
            _ => path.to_owned(),
        });
    let fine = |path: &&str| path.starts_with('/') && !path.chars().any(char::is_control);
    if let Some(path) = workspace.as_deref().filter(fine) {
        add(path);
    }
    // npm, which installs plugins, and browsers keep their caches beside the state.
    if let Some((home, name)) = state_dir.trim_end_matches('/').rsplit_once('/')
        && name.starts_with(".openclaw")
        && !home.is_empty()
    {
        add(&format!("{home}/.npm"));
        add(&format!("{home}/.cache"));
    }
    add("/tmp");
    add("/var/tmp");
    let variables = existing
        .iter()
        .filter(|setting| setting.section == "Service" && setting.key == "Environment")
        .filter_map(|setting| quote::words(&setting.value))
        .flatten();
    for variable in variables {
        if let Some(dir) = variable.strip_prefix("TMPDIR=")
            && dir.starts_with('/')
            && !dir.contains('%')
        {
            add(dir);
        }
    }
    for path in more.and_then(Value::as_array).into_iter().flatten() {
        add(path.as_str().unwrap_or_default());
    }
    paths
}

/// Variables that are right each by itself and make no sense together.
fn consistent(context: &BTreeMap<String, Value>) -> Result<(), TemplateFault> {
    let number = |name: &str| context.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (burst, interval) = (
        number("start_limit_burst"),
        number("start_limit_interval_s"),
    );
    if burst.saturating_mul(number("restart_delay_s")) >= interval {
        let fault = TemplateFault::new(
            "vars.start_limit_interval_s",
            format!("{burst} starts take at least {interval} s, so this limit is never reached"),
        );
        return Err(fault.hint(format!(
            "more than start_limit_burst × 22 s, {}, reaches every cycle that was measured",
            burst.saturating_mul(22)
        )));
    }
    if context.get("guard").and_then(Value::as_str) == Some("end")
        && number("guard_wait_s") + 5 > number("start_timeout_s")
    {
        let fault = TemplateFault::new(
            "vars.guard_wait_s",
            "the start's timeout would end the guard, and fail the start",
        );
        return Err(fault.hint("start_timeout_s is to be 5 s more than guard_wait_s at least"));
    }
    let on = |name: &str| context.get(name) == Some(&Value::Bool(true));
    if on("allow_sudo") && on("user_namespace") {
        let fault = TemplateFault::new(
            "vars.user_namespace",
            "sudo does not work in a user namespace",
        );
        return Err(fault.hint("choose one of allow_sudo and user_namespace"));
    }
    Ok(())
}

/// Whether a text of a host can stand in a file as a version.
fn is_version(text: &str) -> bool {
    release(text).is_some()
        && text.len() <= 40
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".+-".contains(c))
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
