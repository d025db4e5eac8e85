//! Commands from findings.

use std::borrow::Cow;

use super::super::text::sanitize;
use crate::model::{Class, Evidence, Finding, HostReport, Process, Subject, UnitScope};

/// The longest remedy that is shown, in characters.
const LONGEST: usize = 2000;

/// What helps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::report) enum Help {
    /// A command of this program about the hosts: what stands before them, and after.
    Clawfleet {
        /// The command.
        verb: &'static str,
        /// Its options.
        options: String,
    },
    /// A command on one host, or a sentence.
    Text(String),
}

impl Help {
    /// Returns it as it is typed for these hosts, as a node set.
    pub(in crate::report) fn for_hosts(&self, hosts: &str) -> String {
        match self {
            // A shell may take brackets for a pattern.
            Self::Clawfleet { verb, options } => {
                format!("clawfleet {verb} {}{options}", quote(hosts))
            }
            Self::Text(text) => text.clone(),
        }
    }
}

/// Returns a command that helps one host.
pub(in crate::report) fn remedy(finding: &Finding, host: &HostReport) -> Option<String> {
    Some(help(finding, host)?.for_hosts(&host.name))
}

/// Returns a command that helps, complete enough to be pasted. None is better than one that a host
/// made long, or filled with blanks: a command is never wrapped, so the terminal would go on with it
/// in the first column, where it could look like another host's row.
pub(in crate::report) fn help(finding: &Finding, host: &HostReport) -> Option<Help> {
    // A consequence goes away with its cause.
    if finding.cause.is_some() {
        return None;
    }
    if let Some(help) = own_command(finding, host) {
        return Some(help);
    }
    let text = command(finding, host)?;
    let odd_blank = |c: char| c.is_whitespace() && c != ' ';
    let fits = text.chars().count() <= LONGEST && !text.contains("   ");
    (fits && !text.contains(odd_blank)).then_some(Help::Text(text))
}

/// What this program mends by itself.
fn own_command(finding: &Finding, host: &HostReport) -> Option<Help> {
    let of = |verb, options: &str| {
        Some(Help::Clawfleet {
            verb,
            options: options.to_owned(),
        })
    };
    let has_unit = matches!(finding.subject, Subject::Unit { .. });
    match finding.class {
        Class::OrphanHoldsPort | Class::LeftoverProcess if has_unit => of("fix", ""),
        Class::GatewayDown if has_unit && !is_masked(finding) => of("fix", ""),
        Class::DaemonReloadNeeded | Class::NoLinger | Class::SecretsReadable => of("fix", ""),
        Class::DuplicateUnit => match two_units(finding)? {
            (UnitScope::System, UnitScope::User { .. }) => of("fix", " --keep system"),
            (UnitScope::User { .. }, UnitScope::System) => of("fix", " --keep user"),
            _ => of("fix", ""),
        },
        Class::UnitWeak | Class::StartLimitUnreachable => of("harden", ""),
        Class::UnitDrift => of("harden", " --check"),
        Class::GatewayHung
        | Class::DebugPortOpen
        | Class::ChannelsSuppressed
        | Class::VersionMismatch
            // It restarts all that a host has.
            if host
                .observation
                .outcome
                .facts()
                .is_some_and(|facts| facts.gateways.len() == 1) =>
        {
            of("restart", "")
        }
        Class::ModelSkipped => finding
            .evidence
            .iter()
            .any(|evidence| matches!(evidence, Evidence::NotListed { .. }))
            .then(|| of("fix", " --class model-skipped"))?,
        _ => None,
    }
}

/// The scopes of the unit that is better kept and of the other one, where a finding names both. The one that
/// serves now is kept, because that disturbs least; with none serving, the system's, which needs no lingering.
fn two_units(finding: &Finding) -> Option<(&UnitScope, &UnitScope)> {
    // Another service's process: its own unit shows whose it is.
    let holder = |evidence: &Evidence| matches!(evidence, Evidence::PortHolder { .. });
    if finding.evidence.iter().any(holder) {
        return None;
    }
    let mut evidence = finding.evidence.iter();
    let keep = evidence
        .find_map(|evidence| match evidence {
            Evidence::ManagedBy { scope, .. } => Some(scope),
            _ => None,
        })
        .unwrap_or(&UnitScope::System);
    let other = finding
        .evidence
        .iter()
        .find_map(|evidence| match evidence {
            Evidence::UnitState { scope, .. } if scope != keep => Some(scope),
            _ => None,
        })?;
    Some((keep, other))
}

fn command(finding: &Finding, host: &HostReport) -> Option<String> {
    let unit = Unit::of(finding, host);
    let holder = finding.evidence.iter().find_map(|evidence| match evidence {
        Evidence::PortHolder { process, .. } => Some(process),
        _ => None,
    });
    Some(match finding.class {
        // Of no unit.
        Class::OrphanHoldsPort | Class::LeftoverProcess => {
            host_command(host, &end_process(holder?))
        }
        // Another service's process: its own unit shows whose it is.
        Class::DuplicateUnit => host_command(host, &format!("systemctl status {}", holder?.pid)),
        Class::ForeignProcessOnPort => {
            host_command(host, &format!("systemctl status {}", holder?.pid))
        }
        Class::GatewayDown => match &finding.subject {
            Subject::Unit { .. } if is_masked(finding) => host_command(
                host,
                &format!("{}; {}", unit.ctl("unmask"), unit.ctl("enable --now")),
            ),
            Subject::Unit { .. } => return None,
            _ => format!(
                "set `role: none` for {} if no gateway belongs there; otherwise install its unit",
                host.name
            ),
        },
        Class::GatewayHung
        | Class::DebugPortOpen
        | Class::ChannelsSuppressed
        | Class::VersionMismatch => host_command(host, &unit_at(finding, host).ctl("restart")),
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
        // Said by `own_command`.
        Class::DaemonReloadNeeded
        | Class::NoLinger
        | Class::SecretsReadable
        | Class::UnitWeak
        | Class::StartLimitUnreachable
        | Class::UnitDrift => return None,
        Class::ExpectationUnmet | Class::Custom => return None,
        Class::ConfigDrift | Class::VersionDrift | Class::UnitDiffers => return None,
        Class::ConfigError
        | Class::TrueCrash
        | Class::RestartLoop
        | Class::RestartGrowth
        | Class::MemoryGrowth
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
