//! Processes, and which of them are gateways.

use super::super::frame::Frame;
use crate::model::Process;

/// Clock ticks per second in `/proc` on every Linux that has systemd (USER_HZ).
const TICKS_PER_SECOND: u64 = 100;

/// Reads a `process` frame.
pub(super) fn process(frame: &Frame<'_>, uptime_s: Option<u64>) -> Option<Process> {
    let number = |key: &str| frame.get(key).and_then(|text| text.parse().ok());
    let start_ticks = frame.get("start")?.parse::<u64>().ok()?;
    Some(Process {
        pid: frame.arg(0).parse().ok()?,
        ppid: number("ppid")?,
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
        age_s: uptime_s.map(|up| up.saturating_sub(start_ticks / TICKS_PER_SECOND)),
        memory_kib: number("rss_kib").map(u64::from),
        cgroup: frame.get("cgroup").unwrap_or_default().to_owned(),
        state: frame.get("state").and_then(|text| text.chars().next()),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
