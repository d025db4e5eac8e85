//! Sentences from typed evidence.

use std::time::Duration;

use super::super::text::{sanitize, shorten, span};
use super::scope;
use crate::model::{CheckFailure, Evidence, HttpAnswer, HttpRoute, Process};

/// How long one piece of evidence may be, in characters: a path alone can be longer than a screen.
const LONGEST: usize = 600;

/// Says one piece of evidence.
pub(in crate::report) fn evidence(evidence: &Evidence) -> String {
    shorten(&said(evidence), LONGEST).into_owned()
}

fn said(evidence: &Evidence) -> String {
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
            name: _,
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
        Evidence::Memory {
            from_mib,
            to_mib,
            within_s,
            limit_percent,
        } => format!(
            "its memory went from {from_mib} to {to_mib} MiB within {} and was given back at no time; {limit_percent} % more are allowed",
            span(Duration::from_secs(*within_s))
        ),
        Evidence::Still {
            since,
            still_s,
            limit_s,
        } => format!(
            "nothing of it changed since {} ({}): process, restarts, unit, configuration and version are the same; the inventory expects a change within {}",
            since.strftime("%Y-%m-%d %H:%M UTC"),
            span(Duration::from_secs(*still_s)),
            span(Duration::from_secs(*limit_s))
        ),
        Evidence::NobodyListens { port } => format!("nobody listens on port {port}"),
        Evidence::HttpAnswered(answer) => http(answer),
        Evidence::NotReady { failing } if failing.is_empty() => {
            "it says that it is not ready".to_owned()
        }
        Evidence::NotReady { failing } => format!(
            "it says that it is not ready: {}",
            sanitize(&failing.join(", "))
        ),
        Evidence::HttpSilent { waited_ms } => format!(
            "the port accepts connections, and no HTTP answer came within {}",
            span(Duration::from_millis(u64::from(*waited_ms)))
        ),
        Evidence::Queue { waiting, backlog } => {
            format!("{waiting} connections wait to be accepted, {backlog} fit: nobody accepts them")
        }
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
        Evidence::LogLine { text, count, hours } => {
            let times = match (count, hours) {
                (1, _) => String::new(),
                (count, 1) => format!(" ({count} times in the last hour)"),
                (count, hours) => format!(" ({count} times in {hours} h)"),
            };
            format!("log{times}: {}", shorten(&sanitize(text.trim()), 220))
        }
        Evidence::UnknownProvider { model, path } => format!(
            "the provider of `{}` is neither configured in {} nor known to the installed version",
            sanitize(model),
            sanitize(path)
        ),
        Evidence::Setting {
            scope: whose,
            setting,
            effect,
        } => format!("{} unit: {}: {effect}", scope(whose), sanitize(setting)),
        Evidence::StartLimit {
            burst,
            delay_us,
            interval_us,
        } => format!(
            "{burst} starts take at least {}, and the limit counts only those within {}",
            micros(delay_us.saturating_mul(u64::from(*burst))),
            micros(*interval_us)
        ),
        Evidence::LineDiffers {
            path,
            found,
            wanted,
        } => match (found, wanted) {
            (Some(found), Some(wanted)) => format!(
                "{}: `{}`, and `{}` is what harden writes",
                sanitize(path),
                shorten(&sanitize(found), 100),
                sanitize(wanted)
            ),
            (None, Some(wanted)) => {
                format!("{}: `{}` is not there", sanitize(path), sanitize(wanted))
            }
            (Some(found), None) => format!(
                "{}: `{}` is not what harden writes",
                sanitize(path),
                shorten(&sanitize(found), 100)
            ),
            (None, None) => sanitize(path).into_owned(),
        },
        Evidence::Mode { path, mode, uid } => format!(
            "{} has mode {:04o} (uid {uid}): every user of the host can {} it",
            sanitize(path),
            mode & 0o7777,
            if mode & 0o002 != 0 { "change" } else { "read" }
        ),
        Evidence::Missing { path } => format!("{} is not there", sanitize(path)),
        Evidence::BrokenFile { path, why } => {
            format!(
                "{} is no valid JSON5: {}",
                sanitize(path),
                shorten(&sanitize(why), 120)
            )
        }
        Evidence::ListensAt { pid, address, port } => {
            format!(
                "pid {pid} listens on {}",
                std::net::SocketAddr::new(*address, *port)
            )
        }
        Evidence::ConfigSays { path, key, value } => format!(
            "{} says {key} is {}",
            sanitize(path),
            shorten(&sanitize(value), 60)
        ),
        Evidence::Shared {
            what,
            value,
            between,
        } => format!(
            "{} use one {what}: {}",
            sanitize(&between.join(" and ")),
            sanitize(value)
        ),
        Evidence::Versions {
            running,
            installed,
            written_after_s,
        } => {
            let mut text = match running {
                Some(running) => format!(
                    "{} runs, {} is installed",
                    sanitize(running),
                    sanitize(installed)
                ),
                None => format!("{} is installed", sanitize(installed)),
            };
            if let Some(after_s) = written_after_s {
                text += &format!(
                    "; it was written {} after the running process began",
                    span(Duration::from_secs(*after_s))
                );
            }
            text
        }
        Evidence::Clock { ahead_s, limit_s } => format!(
            "the host's clock is {} {} this machine's; {} are allowed",
            span(Duration::from_secs(ahead_s.unsigned_abs())),
            if *ahead_s > 0 { "ahead of" } else { "behind" },
            span(Duration::from_secs(*limit_s))
        ),
        Evidence::DiskFree {
            mount,
            free_kib,
            size_kib,
            limit_percent,
        } => format!(
            "{}: {} MiB of {} MiB are free ({} %), {limit_percent} % are wanted",
            sanitize(mount),
            free_kib >> 10,
            size_kib >> 10,
            free_kib
                .saturating_mul(100)
                .checked_div(*size_kib)
                .unwrap_or(0)
        ),
        Evidence::Expected {
            what,
            wanted,
            found,
        } => format!(
            "the inventory expects {} {}, and there is {}",
            sanitize(what),
            sanitize(wanted),
            shorten(&sanitize(found), 120)
        ),
        Evidence::Deviates {
            what,
            here,
            peers,
            agree,
            of,
        } => format!(
            "{}: {} here, {} on {agree} of {of}",
            shorten(&sanitize(what), 80),
            shorten(&sanitize(here), 100),
            shorten(&sanitize(peers), 100)
        ),
        Evidence::NotListed { model, path } => format!(
            "`{}` is not in agents.defaults.models of {}, which lists others",
            sanitize(model),
            sanitize(path)
        ),
        Evidence::CheckRead { value, condition } => format!(
            "it is {}, and the limit is {}",
            shorten(&sanitize(value), 100),
            sanitize(condition)
        ),
        Evidence::CheckNoMatch { pattern } => {
            format!("nothing in its output matches `{}`", sanitize(pattern))
        }
        Evidence::CheckExit { code, severity } => {
            format!("it ended with {code}, which is {}", severity.id())
        }
        Evidence::CheckPrinted(line) => {
            format!("it said: {}", shorten(&sanitize(line.trim()), 220))
        }
        Evidence::CheckFailed(failure) => {
            format!("the check itself failed: {}", check_failure(failure))
        }
        Evidence::Unseen { what, why } => {
            format!("not seen: {}: {}", sanitize(what), sanitize(why))
        }
        Evidence::WouldHelp(what) => format!("to see it: {}", sanitize(what)),
        // Without its time, so that hosts in the same trouble read alike; the JSON has it.
        Evidence::Stage(error) => format!("{}: {}", error.stage.id(), sanitize(&error.message)),
    }
}

/// Says why a check of the operator's could tell nothing.
fn check_failure(failure: &CheckFailure) -> String {
    let quoted = |text: &str| format!("`{}`", shorten(&sanitize(text), 100));
    match failure {
        CheckFailure::NotRun => "it did not come to its end on the host".to_owned(),
        CheckFailure::TimedOut(limit_s) => {
            format!("it did not end within {limit_s} s, and was stopped")
        }
        CheckFailure::NotUnderstood => {
            "the host's sh does not understand the script, and ran nothing of it".to_owned()
        }
        CheckFailure::Flooded => "it printed without end, and was stopped".to_owned(),
        CheckFailure::Exited(code) => format!("its script ended with {code}"),
        CheckFailure::NoNumber(text) if text.is_empty() => {
            "it printed nothing, and a number was to be read".to_owned()
        }
        CheckFailure::NoNumber(text) => format!("{} begins with no number", quoted(text)),
        CheckFailure::NoMatch(pattern) => {
            format!("nothing in its output matches {}", quoted(pattern))
        }
        CheckFailure::NoJson(why) => format!("its output is no JSON: {}", sanitize(why)),
        CheckFailure::NoPath(path) => format!("its JSON has no {}", quoted(path)),
        CheckFailure::NotComparable { value, condition } => format!(
            "{} cannot be compared with `{}`",
            quoted(value),
            sanitize(condition)
        ),
        CheckFailure::Cut => {
            "it printed more than 8 KiB, and the answer may be in the rest".to_owned()
        }
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

fn micros(us: u64) -> String {
    span(Duration::from_micros(us))
}
