//! Sentences from typed evidence, and commands from findings.

use std::borrow::Cow;
use std::time::Duration;

use super::text::{sanitize, shorten, span};
use crate::model::{
    Class, Evidence, Finding, HostReport, HttpAnswer, HttpRoute, Process, Subject, UnitScope,
};

/// Names a unit's owner.
pub(super) fn scope(scope: &UnitScope) -> String {
    match scope {
        UnitScope::System => "system".to_owned(),
        UnitScope::User { user, .. } => format!("user {}", sanitize(user)),
    }
}

/// Names what a finding is about.
pub(super) fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Host => "host".to_owned(),
        Subject::Port(port) => format!("port {port}"),
        Subject::Unit { name, scope: whose } => format!("{} ({})", sanitize(name), scope(whose)),
        Subject::Model(model) => sanitize(model).into_owned(),
    }
}

/// Says one piece of evidence.
pub(super) fn evidence(evidence: &Evidence) -> String {
    match evidence {
        Evidence::PortHolder { port, process } => {
            format!("port {port} is held by {}", describe(process))
        }
        Evidence::Unmanaged { pid, units } => match units.as_slice() {
            [] => format!("pid {pid} belongs to no unit; there is no unit of that name here"),
            units => format!(
                "pid {pid} is neither the main process of the {} unit nor its descendant",
                units.iter().map(scope).collect::<Vec<_>>().join(" or the ")
            ),
        },
        Evidence::InOwnCgroup {
            pid,
            main_pid,
            cgroup,
        } => format!(
            "pid {pid} sits in the unit's own cgroup {}, but does not descend from its main process ({})",
            sanitize(cgroup),
            match main_pid {
                0 => "none".to_owned(),
                pid => format!("pid {pid}"),
            }
        ),
        Evidence::ManagedBy { pid, scope: whose } => {
            format!(
                "at this moment pid {pid} of the {} unit holds the port",
                scope(whose)
            )
        }
        Evidence::OtherCgroup { pid, cgroup } => {
            format!(
                "pid {pid} runs in another service's cgroup, {}",
                sanitize(cgroup)
            )
        }
        Evidence::UnitState {
            scope: whose,
            active,
            sub,
            result,
            file_state,
            status,
            n_restarts,
        } => {
            let mut text = format!(
                "{} unit: {} ({})",
                scope(whose),
                sanitize(active),
                sanitize(sub)
            );
            if !file_state.is_empty() {
                text += &format!(", {}", sanitize(file_state));
            }
            if !result.is_empty() && result != "success" {
                text += &format!(", result {}", sanitize(result));
            }
            if let Some(status) = status.filter(|status| *status != 0) {
                text += &format!(", last exit status {status}");
            }
            if let Some(count) = n_restarts.filter(|count| *count > 0) {
                text += &format!(", restart counter {count}");
            }
            text
        }
        Evidence::Restarts {
            scope: whose,
            last_10m,
            last_1h,
            last_24h,
            capped,
        } => format!(
            "{} unit: {}{last_24h} restarts in 24 h, {last_1h} in the last hour, {last_10m} in the last 10 min",
            scope(whose),
            if *capped { "at least " } else { "" }
        ),
        Evidence::Limit { what, count, limit } => format!("{count} {what}, {limit} are allowed"),
        Evidence::NobodyListens { port } => format!("nobody listens on port {port}"),
        Evidence::HttpAnswered(answer) => http(answer),
        Evidence::HttpSilent { waited_ms } => format!(
            "the port accepts connections, and no HTTP answer came within {}",
            span(Duration::from_millis(u64::from(*waited_ms)))
        ),
        Evidence::HttpBroken(how) => format!("the port speaks no proper HTTP: {}", sanitize(how)),
        Evidence::ProcessState { pid, state } => format!(
            "pid {pid} is in state {state} ({})",
            match state {
                'T' => "stopped by a signal",
                'D' => "waiting in the kernel",
                _ => "see proc(5)",
            }
        ),
        Evidence::UnitAge {
            scope: whose,
            age_s,
        } => format!(
            "the {} unit's main process is {} old",
            scope(whose),
            span(Duration::from_secs(*age_s))
        ),
        Evidence::LogLine { text, count } => {
            let times = match count {
                1 => String::new(),
                count => format!(" ({count} times in the last hour)"),
            };
            format!("log{times}: {}", shorten(&sanitize(text.trim()), 220))
        }
        Evidence::UnknownProvider { model, path } => format!(
            "the provider of `{}` is neither configured in {} nor known to the installed version",
            sanitize(model),
            sanitize(path)
        ),
        Evidence::Unseen { what, why } => {
            format!("not seen: {}: {}", sanitize(what), sanitize(why))
        }
        Evidence::WouldHelp(what) => format!("to see it: {}", sanitize(what)),
        // Without its time, so that hosts in the same trouble read alike; the JSON has it.
        Evidence::Stage(error) => format!("{}: {}", error.stage.id(), sanitize(&error.message)),
    }
}

/// Says what the health path answered.
fn http(answer: &HttpAnswer) -> String {
    let who = if answer.is_gateway {
        "a gateway"
    } else {
        "not a gateway"
    };
    let route = match answer.route {
        HttpRoute::Forwarded | HttpRoute::Direct => "",
        HttpRoute::OnHost => ", asked on the host",
    };
    format!(
        "HTTP {} in {} ms, the answer is {who}'s{route}",
        answer.status, answer.latency_ms
    )
    .replace("not a gateway's", "no gateway's")
}

fn describe(process: &Process) -> String {
    let mut text = format!("pid {} `{}`", process.pid, sanitize(&process.comm));
    let command = process.argv.join(" ");
    if !command.is_empty() && command != process.comm {
        text += &format!(" ({})", shorten(&sanitize(&command), 90));
    }
    if let Some(uid) = process.uid {
        text += &format!(", uid {uid}");
    }
    if let Some(age_s) = process.age_s {
        text += &format!(", up {}", span(Duration::from_secs(age_s)));
    }
    if !process.cgroup.is_empty() {
        text += &format!(", in {}", sanitize(&process.cgroup));
    }
    text
}

/// Returns a command that helps, complete enough to be pasted.
pub(super) fn remedy(finding: &Finding, host: &HostReport) -> Option<String> {
    // A consequence goes away with its cause.
    if finding.cause.is_some() {
        return None;
    }
    let unit = Unit::of(finding, host);
    let holder = finding.evidence.iter().find_map(|evidence| match evidence {
        Evidence::PortHolder { process, .. } => Some(process),
        _ => None,
    });
    Some(match finding.class {
        Class::OrphanHoldsPort | Class::LeftoverProcess => {
            let end = end_process(holder?);
            match &finding.subject {
                Subject::Unit { .. } => host_command(
                    host,
                    &format!(
                        "{end}; {}; {}",
                        unit.ctl("reset-failed"),
                        unit.ctl("restart")
                    ),
                ),
                _ => host_command(host, &end),
            }
        }
        Class::DuplicateUnit => {
            // The unit that serves now is kept, because that disturbs least; with none serving, the
            // system's, which needs no lingering.
            let keep = finding
                .evidence
                .iter()
                .find_map(|evidence| match evidence {
                    Evidence::ManagedBy { scope, .. } => Some(scope),
                    _ => None,
                })
                .unwrap_or(&UnitScope::System);
            let other = finding.evidence.iter().find_map(|evidence| match evidence {
                Evidence::UnitState { scope, .. } if scope != keep => Some(scope),
                _ => None,
            });
            match (holder, other) {
                // Another service's process: its own unit shows whose it is.
                (Some(process), _) => {
                    host_command(host, &format!("systemctl status {}", process.pid))
                }
                (None, Some(other)) => {
                    let other = Unit {
                        scope: other.clone(),
                        ..unit
                    };
                    format!(
                        "keep the {} unit: {}",
                        scope(keep),
                        host_command(host, &other.ctl("disable --now"))
                    )
                }
                (None, None) => return None,
            }
        }
        Class::ForeignProcessOnPort => {
            host_command(host, &format!("systemctl status {}", holder?.pid))
        }
        Class::GatewayDown => match &finding.subject {
            Subject::Unit { .. } => host_command(host, &unit.ctl("enable --now")),
            _ => format!(
                "set `role: none` for {} if no gateway belongs there; otherwise install its unit",
                host.name
            ),
        },
        Class::GatewayHung => host_command(host, &unit.ctl("restart")),
        Class::ConfigError
        | Class::TrueCrash
        | Class::RestartLoop
        | Class::RestartGrowth
        | Class::JournalNoise
        | Class::ModelSkipped => host_command(host, &unit.journal()),
        Class::GatewayStarting => format!("clawfleet check {}", host.name),
        Class::NotPermitted => return None,
        Class::NotObserved => {
            let hint = finding
                .evidence
                .iter()
                .find_map(|evidence| match evidence {
                    Evidence::Stage(error) => error.hint.as_deref(),
                    _ => None,
                })?;
            sanitize(hint).into_owned()
        }
    })
}

/// A unit as commands name it.
struct Unit {
    name: String,
    scope: UnitScope,
}

impl Unit {
    fn of(finding: &Finding, host: &HostReport) -> Self {
        let scope = match &finding.subject {
            Subject::Unit { scope, .. } => scope.clone(),
            _ => UnitScope::System,
        };
        Self {
            // The inventory's name, which was checked, and not what the host calls it.
            // A unit's name may hold a backslash (systemd-escape), which a shell would eat.
            name: quote(&host.unit),
            scope,
        }
    }

    fn ctl(&self, verb: &str) -> String {
        match &self.scope {
            UnitScope::System => format!("systemctl {verb} {}", self.name),
            // `systemctl --user -M` needs systemd 248; this works on every one.
            UnitScope::User { user, uid } => format!(
                "runuser -u {} -- env XDG_RUNTIME_DIR=/run/user/{uid} systemctl --user {verb} {}",
                quote(user),
                self.name
            ),
        }
    }

    fn journal(&self) -> String {
        match &self.scope {
            UnitScope::System => format!("journalctl --no-pager -n 50 -u {}", self.name),
            UnitScope::User { uid, .. } => format!(
                "journalctl --no-pager -n 50 _SYSTEMD_USER_UNIT={} _UID={uid}",
                self.name
            ),
        }
    }
}

/// Ends a process only if it is still the same one: pids are reused, start times are not.
fn end_process(process: &Process) -> String {
    format!(
        "test \"$(sed \"s/.*) //\" /proc/{pid}/stat | cut -d\" \" -f20)\" = {start} && kill {pid} && sleep 5",
        pid = process.pid,
        start = process.start_ticks
    )
}

/// The command that runs something as root on the host.
fn host_command(host: &HostReport, script: &str) -> String {
    let script = if host.needs_sudo {
        format!("sudo sh -c {}", quote(script))
    } else {
        script.to_owned()
    };
    format!("{} {}", host.login_command, quote(&script))
}

/// Quotes a word for a shell. What cannot be quoted (a NUL) is not shown as a command.
fn quote(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| "''".to_owned(), Cow::into_owned)
}
