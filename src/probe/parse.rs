//! From frames to facts. Every line comes from a host that may be hostile: nothing here panics,
//! and what makes no sense is noted and dropped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::frame::{Frame, Frames};
use crate::model::{
    Facts, GatewayConfig, JournalSignature, Listener, Observed, Process, Seen, SystemFacts, Unit,
    UnitJournal, UnitScope,
};

/// How many nonsense lines are kept; more would only be a host's way to fill our memory.
const MAX_ISSUES: usize = 16;

/// How much of each kind is kept. Real hosts have a handful; a hostile one could fill its output
/// with tens of thousands, and the diagnosis compares each with each.
const MAX_PROCESSES: usize = 512;
const MAX_LISTENERS: usize = 64;
const MAX_HOLDERS: usize = 64;
const MAX_UNITS: usize = 16;

/// Clock ticks per second in `/proc` on every Linux that has systemd (USER_HZ).
const TICKS_PER_SECOND: u64 = 100;

/// Reads a probe's frames.
pub fn parse(frames: &Frames<'_>, port: u16) -> Facts {
    let mut reader = Reader {
        facts: Facts {
            port,
            ..Facts::default()
        },
    };
    for frame in &frames.frames {
        reader.frame(frame);
    }
    reader.finish(frames.ended)
}

/// Whether a process is an OpenClaw gateway by what it calls itself.
///
/// The rule covers every version and way of starting that was seen: a process title
/// `openclaw-gateway` or `openclaw`, or node running openclaw's entry point with `gateway`.
pub fn is_gateway_like(process: &Process) -> bool {
    const ENTRY_POINTS: [&str; 4] = [
        "dist/index.js",
        "dist/entry.js",
        "openclaw.mjs",
        "/openclaw",
    ];
    let brand = |text: &str| {
        ["openclaw", "clawdbot", "moltbot"]
            .iter()
            .any(|name| text.starts_with(name))
    };
    if brand(&process.comm) {
        return true;
    }
    let Some(program) = process.argv.first() else {
        return false;
    };
    let title = program.rsplit('/').next().unwrap_or_default();
    if brand(title) {
        return true;
    }
    let names_gateway = process.argv.iter().any(|arg| arg == "gateway");
    let names_entry = process.argv.iter().any(|arg| {
        let arg = arg.to_ascii_lowercase();
        ENTRY_POINTS.iter().any(|entry| arg.ends_with(entry))
    });
    names_gateway && names_entry
}

struct Reader {
    facts: Facts,
}

impl Reader {
    fn frame(&mut self, frame: &Frame<'_>) {
        match frame.name {
            "hello" => self.facts.system = system(frame),
            "sockets" => self.facts.listeners = self.sockets(frame),
            "process" if self.facts.processes.len() >= MAX_PROCESSES => {
                self.issue("more processes than are kept".into());
            }
            "process" => self.process(frame),
            "unit" => self.unit(frame, Seen::Manager),
            "unitfile" => self.unit(frame, Seen::FileOnly),
            "journal" => self.journal(frame),
            "denied" => self.denied(frame),
            "units" => self.units_done(frame),
            "config" => self.facts.config = config(frame),
            other => self.issue(format!("unknown frame `{other}`")),
        }
    }

    fn issue(&mut self, issue: String) {
        if self.facts.parse_issues.len() < MAX_ISSUES {
            self.facts.parse_issues.push(issue);
        }
    }

    fn sockets(&mut self, frame: &Frame<'_>) -> Observed<Vec<Listener>> {
        if let Some(why) = frame.get("failed") {
            return Observed::Failed(why.into());
        }
        let holders: Vec<(u64, u32)> = frame
            .all("holder")
            .filter_map(|text| {
                let (inode, pid) = text.split_once(' ')?;
                Some((inode.parse().ok()?, pid.parse().ok()?))
            })
            .take(MAX_HOLDERS)
            .collect();
        let mut listeners = Vec::new();
        for text in frame.all("socket").take(MAX_LISTENERS) {
            let Some((address, uid, inode)) = socket(text) else {
                self.issue(format!("socket line `{text}`"));
                continue;
            };
            let pids: Vec<u32> = holders
                .iter()
                .filter(|(held, _)| *held == inode)
                .map(|(_, pid)| *pid)
                .collect();
            listeners.push(Listener {
                address,
                port: self.facts.port,
                uid,
                inode,
                pids: if pids.is_empty() {
                    Observed::Denied("the holder of the socket is not visible".into())
                } else {
                    Observed::Known(pids)
                },
            });
        }
        Observed::Known(listeners)
    }

    fn process(&mut self, frame: &Frame<'_>) {
        let number = |key: &str| frame.get(key).and_then(|text| text.parse().ok());
        let (Ok(pid), Some(ppid), Some(start_ticks)) = (
            frame.arg(0).parse(),
            number("ppid"),
            frame.get("start").and_then(|text| text.parse::<u64>().ok()),
        ) else {
            return self.issue(format!("process frame `{}`", frame.args.join(" ")));
        };
        let age_s = self
            .facts
            .system
            .uptime_s
            .map(|up| up.saturating_sub(start_ticks / TICKS_PER_SECOND));
        self.facts.processes.push(Process {
            pid,
            ppid,
            uid: number("uid"),
            comm: frame.get("comm").unwrap_or_default().to_owned(),
            argv: frame
                .get("argv")
                .unwrap_or_default()
                .split('\u{1f}')
                .filter(|arg| !arg.is_empty())
                .map(str::to_owned)
                .collect(),
            start_ticks,
            age_s,
            cgroup: frame.get("cgroup").unwrap_or_default().to_owned(),
            state: frame.get("state").and_then(|text| text.chars().next()),
        });
    }

    fn unit(&mut self, frame: &Frame<'_>, seen: Seen) {
        let Some(scope) = scope(frame) else {
            return self.issue(format!("unit frame `{}`", frame.args.join(" ")));
        };
        let text = |key: &str| frame.get(key).unwrap_or_default().to_owned();
        let fragment_path = text("FragmentPath");
        let mut unit = Unit {
            name: text("Id"),
            linger: match (&scope, frame.get("linger")) {
                (UnitScope::System, _) => Observed::Absent,
                (UnitScope::User { .. }, Some(linger)) => Observed::Known(linger == "yes"),
                (UnitScope::User { .. }, None) => Observed::NotCollected,
            },
            scope,
            seen,
            load_state: text("LoadState"),
            active_state: text("ActiveState"),
            sub_state: text("SubState"),
            result: text("Result"),
            unit_file_state: text("UnitFileState"),
            main_pid: frame
                .get("MainPID")
                .and_then(|pid| pid.parse().ok())
                .unwrap_or(0),
            n_restarts: frame.get("NRestarts").and_then(|text| text.parse().ok()),
            exec_main_status: frame
                .get("ExecMainStatus")
                .and_then(|text| text.parse().ok()),
            exec_main_code: frame.get("ExecMainCode").and_then(|text| text.parse().ok()),
            control_group: text("ControlGroup"),
            kill_mode: text("KillMode"),
            restart: text("Restart"),
            port: frame.get("port").and_then(|text| text.parse().ok()),
            journal: Observed::NotCollected,
            fragment_path,
        };
        if seen == Seen::FileOnly {
            unit.name = unit
                .fragment_path
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            "loaded".clone_into(&mut unit.load_state);
            "inactive".clone_into(&mut unit.active_state);
            "dead".clone_into(&mut unit.sub_state);
        }
        if unit.exists() && self.facts.units.len() < MAX_UNITS {
            self.facts.units.push(unit);
        }
    }

    /// All units were asked for. A holder that ended meanwhile no longer listens.
    fn units_done(&mut self, frame: &Frame<'_>) {
        self.facts.units_complete = true;
        let gone: Vec<u32> = frame
            .all("gone")
            .filter_map(|pid| pid.parse().ok())
            .collect();
        let Observed::Known(listeners) = &mut self.facts.listeners else {
            return;
        };
        listeners.retain_mut(|listener| match &mut listener.pids {
            Observed::Known(pids) => {
                pids.retain(|pid| !gone.contains(pid));
                !pids.is_empty()
            }
            _ => true,
        });
    }

    fn journal(&mut self, frame: &Frame<'_>) {
        let uid = frame.arg(1);
        let system = frame.arg(0) == "system";
        let journal = match frame.get("denied") {
            Some(why) => Observed::Denied(why.into()),
            None => Observed::Known(journal(frame)),
        };
        let unit = self.facts.units.iter_mut().find(|unit| match &unit.scope {
            UnitScope::System => system,
            UnitScope::User { uid: owner, .. } => !system && owner.to_string() == uid,
        });
        if let Some(unit) = unit {
            unit.journal = journal;
        }
    }

    fn denied(&mut self, frame: &Frame<'_>) {
        let what = match frame.arg(0) {
            "user" if self.facts.units_unseen.len() < MAX_ISSUES => {
                self.facts.users_unseen.extend(frame.arg(2).parse::<u32>());
                format!("user units of {} (uid {})", frame.arg(1), frame.arg(2))
            }
            "user" => format!("user units of {} (uid {})", frame.arg(1), frame.arg(2)),
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

    fn finish(mut self, ended: bool) -> Facts {
        // Processes come before units, so an age may have been computed before uptime was known
        // only if the frames were reordered; a host that does so gets no age.
        if !ended && !self.facts.listeners.is_answered() {
            self.facts.listeners = Observed::NotCollected;
        }
        self.facts
    }
}

fn system(frame: &Frame<'_>) -> SystemFacts {
    let text = |key: &str| frame.get(key).map(|text| text.trim_matches('"').to_owned());
    let whole_seconds = |key: &str| {
        frame
            .get(key)
            .and_then(|text| text.split('.').next())
            .and_then(|text| text.parse().ok())
    };
    SystemFacts {
        os: text("os"),
        kernel: text("kernel"),
        systemd: whole_seconds("systemd").and_then(|version| u32::try_from(version).ok()),
        hostname: text("hostname"),
        uptime_s: whole_seconds("uptime"),
        clock_s: whole_seconds("clock"),
        login: crate::model::Login {
            user: text("user").unwrap_or_default(),
            uid: frame.get("uid").and_then(|uid| uid.parse().ok()),
            journal: frame.get("journal") == Some("yes"),
            sees_processes: frame.get("sees_processes").map(|sees| sees == "yes"),
        },
    }
}

fn scope(frame: &Frame<'_>) -> Option<UnitScope> {
    match frame.arg(0) {
        "system" => Some(UnitScope::System),
        "user" => Some(UnitScope::User {
            user: frame.arg(1).to_owned(),
            uid: frame.arg(2).parse().ok()?,
        }),
        _ => None,
    }
}

fn journal(frame: &Frame<'_>) -> UnitJournal {
    const KINDS: [(&str, JournalSignature); 6] = [
        ("taken", JournalSignature::PortTaken),
        ("stale", JournalSignature::StaleKilled),
        ("config", JournalSignature::ConfigRefused),
        ("model", JournalSignature::ModelFallback),
        ("exited", JournalSignature::MainExited),
        ("oom", JournalSignature::OutOfMemory),
    ];
    let count = |key: &str| {
        frame
            .get(key)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };
    UnitJournal {
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
    }
}

fn config(frame: &Frame<'_>) -> Observed<GatewayConfig> {
    if let Some(why) = frame.get("denied") {
        return Observed::Denied(why.into());
    }
    if frame.get("absent").is_some() {
        return Observed::Absent;
    }
    let text = |key: &str| frame.get(key).map(str::to_owned);
    let list = |key: &str| frame.all(key).map(str::to_owned).collect::<Vec<_>>();
    Observed::Known(GatewayConfig {
        path: text("path").unwrap_or_default(),
        primary: text("primary"),
        fallbacks: list("fallback"),
        listed: list("listed"),
        providers: list("provider"),
        known_providers: match frame.get("catalogue") {
            Some(_) => Observed::Known(list("known")),
            None => Observed::NotCollected,
        },
        mode: text("mode"),
        bind: text("bind"),
        port: text("port"),
        auth_mode: text("auth"),
    })
}

/// Reads `ADDRESS UID INODE` of `/proc/net/tcp{,6}`. The address is hex, each 32-bit word in the
/// host's byte order; every machine that OpenClaw runs on is little-endian.
fn socket(text: &str) -> Option<(IpAddr, u32, u64)> {
    let mut words = text.split(' ');
    let (address, uid, inode) = (words.next()?, words.next()?, words.next()?);
    let word = |place: usize| -> Option<[u8; 4]> {
        let digits = address.get(place * 8..place * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_le_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0_u8; 16];
            for (place, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(place)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some((address, uid.parse().ok()?, inode.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::{Nonce, split};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_of_proc_net_tcp() {
        let cases = [
            ("0100007F 1501 4242", "127.0.0.1"),
            ("00000000 0 1", "0.0.0.0"),
            ("00000000000000000000000001000000 0 1", "::1"),
            ("00000000000000000000000000000000 0 1", "::"),
            ("0000000000000000FFFF00000100007F 0 1", "::ffff:127.0.0.1"),
        ];
        for (text, wanted) in cases {
            assert_eq!(socket(text).unwrap().0.to_string(), wanted);
        }
        for text in ["", "0100007F", "0100007F 0", "zz00007F 0 1", "01 0 1"] {
            assert_eq!(socket(text), None, "{text}");
        }
    }

    #[test]
    fn every_seen_way_of_starting_is_a_gateway() {
        // comm and argv as observed on 2.1 to 9.6 (process table of the gateway's reference).
        let seen: &[(&str, &[&str])] = &[
            ("openclaw-gatewa", &["openclaw-gateway"]),
            (
                "node",
                &[
                    "/opt/node",
                    "/x/openclaw/dist/index.js",
                    "gateway",
                    "--port",
                    "18789",
                ],
            ),
            (
                "MainThread",
                &[
                    "/opt/node",
                    "--max-old-space-size=8192",
                    "/x/openclaw/dist/index.js",
                    "gateway",
                ],
            ),
            ("openclaw", &["openclaw"]),
            (
                "node",
                &[
                    "node",
                    "/usr/lib/node_modules/openclaw/openclaw.mjs",
                    "gateway",
                ],
            ),
        ];
        let others: &[(&str, &[&str])] = &[
            ("node", &["node", "server.js"]),
            ("node", &["node", "/srv/app/dist/index.js"]),
            ("nginx", &["nginx: master process"]),
            ("grep", &["grep", "openclaw-gateway"]),
            ("journalctl", &["journalctl", "-u", "openclaw-gateway"]),
            ("vim", &["vim", "/root/openclaw.json"]),
            ("ssh", &["ssh", "-L", "18789:127.0.0.1:18789", "gateway"]),
            ("sh", &[]),
        ];
        let process = |comm: &str, argv: &[&str]| Process {
            comm: comm.into(),
            argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
            ..Process::default()
        };
        for (comm, argv) in seen {
            assert!(is_gateway_like(&process(comm, argv)), "{argv:?}");
        }
        for (comm, argv) in others {
            assert!(!is_gateway_like(&process(comm, argv)), "{argv:?}");
        }
    }

    #[test]
    fn a_listener_without_a_visible_holder_is_denied_not_absent() {
        let nonce = Nonce::new(1);
        let n = nonce.as_str();
        let text = format!("@{n} sockets\nsocket=0100007F 1501 77\n@{n} end\n");
        let facts = parse(&split(&text, &nonce), 18789);
        let listeners = facts.listeners.known().unwrap();
        assert!(matches!(listeners[0].pids, Observed::Denied(_)));
    }

    #[test]
    fn a_probe_that_was_cut_before_the_sockets_collected_nothing() {
        let nonce = Nonce::new(1);
        let text = format!("@{} hello\nuid=0\n", nonce.as_str());
        let facts = parse(&split(&text, &nonce), 18789);
        assert_eq!(facts.listeners, Observed::NotCollected);
    }

    /// What a hostile host can print within its cap is judged in no time.
    #[test]
    fn a_flood_of_facts_is_cut_before_it_is_compared() {
        use std::fmt::Write as _;
        let nonce = Nonce::new(1);
        let n = nonce.as_str();
        let mut text = format!("@{n} sockets\n");
        for number in 2..6000 {
            writeln!(text, "socket=0100007F 0 {number}\nholder={number} {number}").unwrap();
        }
        for number in 2..6000 {
            let parent = number + 1;
            writeln!(text, "@{n} process {number}\nppid={parent}\nstart=1").unwrap();
        }
        for uid in 0..2000 {
            writeln!(
                text,
                "@{n} unit user u {uid}\nLoadState=loaded\nMainPID=1{uid}"
            )
            .unwrap();
        }
        write!(text, "@{n} units\n@{n} end\n").unwrap();
        let facts = parse(&split(&text, &nonce), 18789);
        assert_eq!(facts.processes.len(), MAX_PROCESSES);
        assert_eq!(facts.listeners.known().map(Vec::len), Some(MAX_LISTENERS));
        assert_eq!(facts.units.len(), MAX_UNITS);
    }

    proptest! {
        #[test]
        fn no_frame_panics(
            name in "hello|sockets|process|unit|unitfile|journal|denied|config|x",
            args in "[ -~]{0,20}",
            body in "([a-zA-Z_0-9]{1,12}=[ -~\u{0}-\u{1f}é]{0,30}\n){0,12}",
        ) {
            let nonce = Nonce::new(1);
            let text = format!("@{n} {name} {args}\n{body}@{n} end\n", n = nonce.as_str());
            let _ = parse(&split(&text, &nonce), 18789);
        }
    }
}
