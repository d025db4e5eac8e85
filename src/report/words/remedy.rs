//! Commands from findings.

use std::borrow::Cow;

use super::super::text::sanitize;
use super::scope;
use crate::model::{Class, Evidence, Finding, HostReport, Process, Subject, UnitScope};

/// The longest remedy that is shown, in characters.
const LONGEST: usize = 2000;

/// Returns a command that helps, complete enough to be pasted. None is better than one that a host
/// made long, or filled with blanks: a command is never wrapped, so the terminal would go on with it
/// in the first column, where it could look like another host's row.
pub(in crate::report) fn remedy(finding: &Finding, host: &HostReport) -> Option<String> {
    let remedy = command(finding, host)?;
    let odd_blank = |c: char| c.is_whitespace() && c != ' ';
    let fits = remedy.chars().count() <= LONGEST && !remedy.contains("   ");
    (fits && !remedy.contains(odd_blank)).then_some(remedy)
}

fn command(finding: &Finding, host: &HostReport) -> Option<String> {
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
                Evidence::UnitState { name, scope, .. } if scope != keep => Some((name, scope)),
                _ => None,
            });
            match (holder, other) {
                // Another service's process: its own unit shows whose it is.
                (Some(process), _) => {
                    host_command(host, &format!("systemctl status {}", process.pid))
                }
                (None, Some((name, other))) => {
                    let other = Unit {
                        name: quote(name),
                        scope: other.clone(),
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
            Subject::Unit { .. } if is_masked(finding) => host_command(
                host,
                &format!("{}; {}", unit.ctl("unmask"), unit.ctl("enable --now")),
            ),
            Subject::Unit { .. } => host_command(host, &unit.ctl("enable --now")),
            _ => format!(
                "set `role: none` for {} if no gateway belongs there; otherwise install its unit",
                host.name
            ),
        },
        Class::GatewayHung
        | Class::DebugPortOpen
        | Class::ChannelsSuppressed
        | Class::VersionMismatch => host_command(host, &unit_at(finding, host).ctl("restart")),
        Class::DaemonReloadNeeded => host_command(host, &unit.manager("daemon-reload")),
        Class::NoLinger => match &unit.scope {
            UnitScope::User { user, .. } => {
                host_command(host, &format!("loginctl enable-linger {}", quote(user)))
            }
            UnitScope::System => return None,
        },
        Class::UnitWeak | Class::StartLimitUnreachable => {
            host_command(host, &unit.drop_in(finding.class.id(), &mending(finding)))
        }
        Class::UnitDrift => host_command(host, &unit.ctl("cat")),
        Class::SecretsReadable => {
            let files: Vec<(u32, String)> = finding
                .evidence
                .iter()
                .filter_map(|evidence| match evidence {
                    Evidence::Mode { path, uid, .. } => Some((*uid, quote(path))),
                    _ => None,
                })
                .collect();
            // As their owner: a link that somebody puts there meanwhile leads to nobody else's file.
            let (owner, _) = files.first()?;
            let paths: Vec<&str> = files
                .iter()
                .filter(|(uid, _)| uid == owner)
                .map(|(_, path)| path.as_str())
                .collect();
            host_command(
                host,
                &format!(
                    "setpriv --reuid {owner} --clear-groups chmod go-rwx {}",
                    paths.join(" ")
                ),
            )
        }
        Class::BindWithoutAuth => format!(
            "set gateway.auth.mode to token (or gateway.bind to loopback) in openclaw.json; then {}",
            host_command(host, &unit_at(finding, host).ctl("restart"))
        ),
        Class::RoleMismatch => format!(
            "change `role` of {} in the inventory, or what runs there",
            host.name
        ),
        Class::NextStartFails => match finding.evidence.iter().find_map(|evidence| match evidence {
            Evidence::Missing { .. } => Some(unit.ctl("cat")),
            _ => None,
        }) {
            Some(show) => host_command(host, &show),
            None => host_command(host, &unit.journal()),
        },
        Class::GatewayOverlap => {
            "give each gateway a profile, or a state directory, of its own".to_owned()
        }
        Class::ClockSkew => host_command(
            host,
            "timedatectl; systemctl status --no-pager systemd-timesyncd chrony",
        ),
        Class::DiskLow => match &finding.subject {
            Subject::Path(mount) => host_command(
                host,
                &format!("du -xhd2 {} | sort -h | tail -n 20", quote(mount)),
            ),
            _ => return None,
        },
        Class::ExpectationUnmet | Class::Custom => return None,
        Class::ConfigDrift | Class::VersionDrift | Class::UnitDiffers => return None,
        Class::ConfigError
        | Class::TrueCrash
        | Class::RestartLoop
        | Class::RestartGrowth
        | Class::JournalNoise
        | Class::RestartedFromInside
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
    /// The unit that a finding is about; of a port, the one unit there is for it.
    fn of(finding: &Finding, host: &HostReport) -> Self {
        if let Subject::Unit { name, scope } = &finding.subject {
            return Self {
                // A name that the parser has checked. It may hold a backslash (systemd-escape),
                // which a shell would eat.
                name: quote(name),
                scope: scope.clone(),
            };
        }
        let facts = host.observation.outcome.facts();
        let gateway = facts.and_then(|facts| {
            facts
                .gateways
                .iter()
                .find(|gateway| Some(gateway.port) == finding.gateway)
        });
        match gateway.map(|gateway| (gateway, gateway.units.as_slice())) {
            Some((_, [only])) => Self {
                name: quote(&only.name),
                scope: only.scope.clone(),
            },
            Some((gateway, _)) => Self {
                name: quote(gateway.named.as_deref().unwrap_or_else(|| gateway.name())),
                scope: UnitScope::System,
            },
            None => Self {
                name: quote(&host.unit),
                scope: UnitScope::System,
            },
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

    /// A command of the manager itself.
    fn manager(&self, verb: &str) -> String {
        match &self.scope {
            UnitScope::System => format!("systemctl {verb}"),
            UnitScope::User { user, uid } => format!(
                "runuser -u {} -- env XDG_RUNTIME_DIR=/run/user/{uid} systemctl --user {verb}",
                quote(user)
            ),
        }
    }

    /// Writes settings into a drop-in of their own, which nobody's file can be overwritten by.
    fn drop_in(&self, name: &str, lines: &[&str]) -> String {
        let write = |dir: &str| {
            format!(
                "mkdir -p {dir} && printf \"{}\\n\" >{dir}/40-{name}.conf",
                lines.join("\\n")
            )
        };
        let reload = self.manager("daemon-reload");
        match &self.scope {
            UnitScope::System => format!(
                "{} && {reload}",
                write(&format!("/etc/systemd/system/{}.d", self.name))
            ),
            UnitScope::User { user, .. } => format!(
                "runuser -u {} -- sh -c {} && {reload}",
                quote(user),
                quote(&write(&format!("~/.config/systemd/user/{}.d", self.name)))
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

/// The settings that mend what a finding names, by section. Words that no shell reads.
fn mending(finding: &Finding) -> Vec<&'static str> {
    let names = |key: &str| {
        finding.evidence.iter().any(
            |evidence| matches!(evidence, Evidence::Setting { setting, .. } if setting.contains(key)),
        )
    };
    let limit = finding.class == Class::StartLimitUnreachable || names("StartLimit");
    let service = [
        ("Restart=", "Restart=always"),
        ("KillMode", "KillMode=control-group"),
        ("RestartPreventExitStatus", "RestartPreventExitStatus=78"),
        ("TimeoutStopSec", "TimeoutStopSec=330"),
    ];
    let mut lines = Vec::new();
    if limit {
        lines.extend(["[Unit]", "StartLimitIntervalSec=300", "StartLimitBurst=10"]);
    }
    let service: Vec<&str> = service
        .into_iter()
        .filter(|(key, _)| names(key))
        .map(|(_, line)| line)
        .collect();
    if !service.is_empty() || limit {
        lines.push("[Service]");
        lines.extend(service);
        if limit {
            lines.push("RestartSec=5");
        }
    }
    lines
}

fn is_masked(finding: &Finding) -> bool {
    finding.evidence.iter().any(
        |evidence| matches!(evidence, Evidence::UnitState { file_state, .. } if file_state.starts_with("masked")),
    )
}

/// The unit that serves the port that a finding is about.
fn unit_at(finding: &Finding, host: &HostReport) -> Unit {
    let facts = host.observation.outcome.facts();
    let serving = facts.and_then(|facts| {
        let pids: Vec<u32> = finding
            .evidence
            .iter()
            .filter_map(|evidence| match evidence {
                Evidence::ListensAt { pid, .. } => Some(*pid),
                _ => None,
            })
            .collect();
        facts.units().find(|unit| pids.contains(&unit.main_pid))
    });
    match serving {
        Some(unit) => Unit {
            name: quote(&unit.name),
            scope: unit.scope.clone(),
        },
        None => Unit::of(finding, host),
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
pub(in crate::report) fn quote(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| "''".to_owned(), Cow::into_owned)
}
