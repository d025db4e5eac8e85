//! From frames to facts. Every line comes from a host that may be hostile: nothing here panics,
//! and what makes no sense is noted and dropped.

mod checks;
mod config;
mod gateways;
mod machine;
mod process;
mod sockets;
mod unit;

pub use process::is_gateway_like;

use std::collections::BTreeMap;

use super::frame::{Frame, Frames};
use crate::model::{Facts, GatewayConfig, Observed, ServiceSpec, Unit, UnitFile, UnitScope};

/// How many nonsense lines are kept; more would only be a host's way to fill our memory.
const MAX_ISSUES: usize = 16;

/// How much of each kind is kept. Real hosts have a handful; a hostile one could fill its output
/// with tens of thousands, and the diagnosis compares each with each.
const MAX_PROCESSES: usize = 512;
const MAX_UNITS: usize = 32;
const MAX_CONFIGS: usize = 16;

/// Reads a probe's frames. The services are those that the inventory names.
pub fn parse(frames: &Frames<'_>, services: &[&ServiceSpec]) -> Facts {
    let mut reader = Reader::default();
    for frame in &frames.frames {
        reader.frame(frame);
    }
    reader.finish(services)
}

/// What names a unit on a host.
type UnitKey = (UnitScope, String);

#[derive(Default)]
struct Reader {
    facts: Facts,
    units: Vec<Unit>,
    files: BTreeMap<UnitKey, UnitFile>,
    /// Each file by its path.
    configs: Vec<(String, Observed<GatewayConfig>)>,
    gone: Vec<u32>,
}

impl Reader {
    fn frame(&mut self, frame: &Frame<'_>) {
        match frame.name {
            "hello" => self.facts.system = machine::system(frame),
            "file" => self.file(frame),
            "sockets" => {
                self.facts.sockets = sockets::sockets(frame, &mut |issue| {
                    note(&mut self.facts.parse_issues, issue);
                });
            }
            "process" if self.facts.processes.len() >= MAX_PROCESSES => {
                self.issue("more processes than are kept".into());
            }
            "process" => match process::process(frame, self.facts.system.uptime_s) {
                Some(process) => self.facts.processes.push(process),
                None => self.issue(format!("process frame `{}`", frame.args.join(" "))),
            },
            "unit" | "unitfile" => match unit::unit(frame, self.facts.system.uptime_s) {
                _ if self.units.len() >= MAX_UNITS => self.cut("units"),
                Some(unit) if !unit.exists() => {}
                Some(unit) => self.units.push(unit),
                None => self.issue(format!("unit frame `{}`", frame.args.join(" "))),
            },
            "journal" => self.journal(frame),
            "denied" => self.denied(frame),
            "units" => {
                self.facts.units_complete = true;
                self.gone
                    .extend(frame.all("gone").filter_map(|pid| pid.parse::<u32>().ok()));
            }
            "config" if self.configs.len() < MAX_CONFIGS => {
                let path = frame.get("path").unwrap_or_default().to_owned();
                self.configs.push((path, config::config(frame)));
            }
            "config" => self.cut("configurations"),
            "installed" => self.facts.packages = machine::packages(frame),
            "modes" => self.facts.modes = machine::modes(frame),
            "disks" => self.facts.disks = machine::disks(frame),
            "core" => self.facts.checks = Observed::Known(Vec::new()),
            "check" => match &mut self.facts.checks {
                Observed::Known(checks) if checks.len() < checks::MAX_CHECKS => {
                    checks.push(checks::check(frame));
                }
                _ => self.issue(format!("check frame `{}`", frame.args.join(" "))),
            },
            other => self.issue(format!("unknown frame `{other}`")),
        }
    }

    /// More of something came than is kept: not everything was seen.
    fn cut(&mut self, what: &str) {
        let gap = (what.to_owned(), "there are more than are kept".to_owned());
        if !self.facts.units_unseen.contains(&gap) {
            self.facts.units_unseen.push(gap);
        }
    }

    fn issue(&mut self, issue: String) {
        note(&mut self.facts.parse_issues, issue);
    }

    fn file(&mut self, frame: &Frame<'_>) {
        let (Some(scope), Some(name)) = (unit::scope(frame), unit::name(frame.arg(3))) else {
            return self.issue(format!("file frame `{}`", frame.args.join(" ")));
        };
        if self.files.len() < MAX_UNITS {
            self.files.insert((scope, name), unit::file(frame));
        }
    }

    fn journal(&mut self, frame: &Frame<'_>) {
        let uid = frame.arg(1);
        let system = frame.arg(0) == "system";
        let unit = self.units.iter_mut().find(|unit| {
            unit.name == frame.arg(2)
                && match &unit.scope {
                    UnitScope::System => system,
                    UnitScope::User { uid: owner, .. } => !system && owner.to_string() == uid,
                }
        });
        if let Some(unit) = unit {
            unit.journal = unit::journal(frame);
        }
    }

    fn denied(&mut self, frame: &Frame<'_>) {
        let what = match frame.arg(0) {
            "user" => {
                if self.facts.units_unseen.len() < MAX_ISSUES {
                    self.facts.users_unseen.extend(frame.arg(2).parse::<u32>());
                }
                format!("user units of {} (uid {})", frame.arg(1), frame.arg(2))
            }
            _ => {
                self.facts.system_manager_unseen = true;
                "the system unit".to_owned()
            }
        };
        let why = frame
            .get("denied")
            .or_else(|| frame.get("failed"))
            .unwrap_or_default();
        if self.facts.units_unseen.len() < MAX_ISSUES {
            self.facts.units_unseen.push((what, why.to_owned()));
        }
    }

    fn finish(mut self, services: &[&ServiceSpec]) -> Facts {
        for unit in &mut self.units {
            let key = (unit.scope.clone(), unit.name.clone());
            unit.file = self.files.remove(&key);
            unit::fill_from_file(unit);
            // A user's manager says what that user wants. Its main process is that manager's.
            if let UnitScope::User { uid, .. } = &unit.scope {
                let place = format!("/user@{uid}.service/");
                let elsewhere = self
                    .facts
                    .process(unit.main_pid)
                    .is_some_and(|one| !one.cgroup.is_empty() && !one.cgroup.contains(&place));
                if unit.main_pid == 1 || elsewhere {
                    unit.main_pid = 0;
                }
            }
        }
        // A holder that ended while the units were asked for no longer listens.
        if let Observed::Known(listeners) = &mut self.facts.sockets {
            listeners.retain_mut(|listener| match &mut listener.pids {
                Observed::Known(pids) => {
                    pids.retain(|pid| !self.gone.contains(pid));
                    !pids.is_empty()
                }
                _ => true,
            });
        }
        self.facts.gateways = gateways::assemble(services, self.units, &self.configs, &self.facts);
        self.facts
    }
}

fn note(issues: &mut Vec<String>, issue: String) {
    if issues.len() < MAX_ISSUES {
        issues.push(issue);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Nonce, split};
    use super::*;
    use crate::model::{ScopeWanted, TlsWanted};
    use proptest::prelude::*;

    fn spec() -> ServiceSpec {
        ServiceSpec {
            unit: "openclaw-gateway.service".into(),
            scope: ScopeWanted::Auto,
            owner: None,
            port: 18789,
            health_path: "/healthz".into(),
            tls: TlsWanted::Auto,
            token: None,
        }
    }

    fn read(text: &str, nonce: &Nonce) -> Facts {
        parse(&split(text, nonce), &[&spec()])
    }

    #[test]
    fn a_listener_without_a_visible_holder_is_denied_not_absent() {
        let nonce = Nonce::new(1);
        let n = nonce.as_str();
        let text = format!("@{n} sockets\nsocket=127.0.0.1 18789 1501 77 0 511\n@{n} end\n");
        let facts = read(&text, &nonce);
        let listeners = facts.gateways[0].listeners.known().unwrap();
        assert!(matches!(listeners[0].pids, Observed::Denied(_)));
    }

    #[test]
    fn a_probe_that_was_cut_before_the_sockets_collected_nothing() {
        let nonce = Nonce::new(1);
        let text = format!("@{} hello\nuid=0\n", nonce.as_str());
        let facts = read(&text, &nonce);
        assert_eq!(facts.gateways[0].listeners, Observed::NotCollected);
    }

    /// What a hostile host can print within its cap is judged in no time.
    #[test]
    fn a_flood_of_facts_is_cut_before_it_is_compared() {
        use std::fmt::Write as _;
        let nonce = Nonce::new(1);
        let n = nonce.as_str();
        let mut text = format!("@{n} sockets\n");
        for number in 2..6000 {
            writeln!(
                text,
                "socket=127.0.0.1 18789 0 {number} 0 1\nholder={number} {number}"
            )
            .unwrap();
        }
        for number in 2..6000 {
            let parent = number + 1;
            writeln!(text, "@{n} process {number}\nppid={parent}\nstart=1").unwrap();
        }
        for uid in 0..2000 {
            writeln!(
                text,
                "@{n} unit user u {uid}\nId=openclaw-gateway.service\nLoadState=loaded\nMainPID=1{uid}"
            )
            .unwrap();
        }
        for number in 0..2000 {
            writeln!(text, "@{n} config 0 root\npath=/{number}").unwrap();
            writeln!(text, "@{n} file system  0 a{number}.service\nport={number}").unwrap();
        }
        write!(text, "@{n} units\n@{n} end\n").unwrap();
        let facts = read(&text, &nonce);
        assert_eq!(facts.processes.len(), MAX_PROCESSES);
        assert_eq!(
            facts.sockets.known().map(Vec::len),
            Some(sockets::MAX_LISTENERS)
        );
        assert!(facts.units().count() <= MAX_UNITS);
    }

    proptest! {
        #[test]
        fn no_frame_panics(
            name in "core|check|hello|sockets|process|unit|unitfile|file|journal|denied|config|installed|modes|disks|units|x",
            args in "[ -~]{0,20}",
            body in "([a-zA-Z_0-9]{1,12}=[ -~\u{0}-\u{1f}é]{0,30}\n){0,12}",
        ) {
            let nonce = Nonce::new(1);
            let text = format!("@{n} {name} {args}\n{body}@{n} end\n", n = nonce.as_str());
            let _ = read(&text, &nonce);
        }
    }
}
