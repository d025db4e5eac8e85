//! A week of a bastion's cron, an hour in a second or two: what each channel is told of faults that come and go, beside
//! what a cron that prints all findings would have mailed. The program's clock is faked, its hosts and faults are real.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::lab;

/// Monday, 00:00 UTC.
const BEGIN: i64 = 1_795_996_800;

const HOURS: i64 = 168;

/// A second more than an hour: what lasts a day is over at the 24th run, and not by chance at the next.
const EVERY_S: i64 = 3601;

/// What receives messages where the bastion's network is: each request is a line of a file of the path's name, and
/// is answered as the file `status` says.
const HUB: &str = r#"
import http.server, json, os, sys
os.chdir(sys.argv[1])
answers = {"slack": b"ok", "feishu": b'{"code":0,"msg":"success"}'}
class Hub(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        name = self.path.strip("/")
        status = int(open("status").read())
        if status == 200:
            with open(name + ".jsonl", "ab") as log:
                log.write(body.replace(b"\n", b" ") + b"\n")
        answer = answers.get(name, b"")
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Hub)
open("port.new", "w").write(str(server.server_port))
os.rename("port.new", "port")
server.serve_forever()
"#;

struct Week {
    dir: tempfile::TempDir,
    hub: Child,
}

impl Drop for Week {
    fn drop(&mut self) {
        let _ = self.hub.kill();
        let _ = self.hub.wait();
    }
}

fn bastion() -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", "bastion"]);
    command
}

fn name(index: u32) -> String {
    format!("VM{}", 480 + index)
}

impl Week {
    fn begin(hosts: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("status"), "200").unwrap();
        let hub = bastion()
            .args(["python3", "-c", HUB])
            .arg(dir.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let week = Self { dir, hub };
        let begin = Instant::now();
        let port = loop {
            if let Ok(port) = fs::read_to_string(week.path("port")) {
                break port;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "no hub");
            std::thread::sleep(Duration::from_millis(50));
        };
        let all = lab(&["inventory"]);
        let mut text = String::from(
            "fleet: lab week\n\
             defaults: {user: root, identity: /run/clawfleet-lab/id_ed25519, known_hosts: /run/clawfleet-lab/known_hosts, \
             ssh: {config: none}, service: {scope: system}}\nhosts:\n",
        );
        for index in 0..hosts {
            let head = format!("  {}:", name(index));
            let line = all.lines().find(|line| line.starts_with(&head));
            let address = line.unwrap().split("address: ").nth(1).unwrap();
            let address: String = address
                .chars()
                .take_while(|c| c.is_ascii_digit() || *c == '.')
                .collect();
            writeln!(text, "{head} {{address: {address}}}").unwrap();
        }
        let url = |name: &str| format!("http://127.0.0.1:{port}/{name}");
        writeln!(
            text,
            "notify:\n  hub: {{type: webhook, url: \"{}\"}}\n  \
             chat: {{type: slack, url: {{env: SLACK}}, min_severity: critical}}\n  \
             feishu: {{type: feishu, url: {{env: FEISHU}}, kinds: [new, not-observed, flapping]}}\n  \
             pager: {{type: command, shell: 'cat >>{}; echo >>{}', classes: [orphan-holds-port, gateway-down], send_recovered: false}}",
            url("hub"),
            week.path("pager.jsonl").display(),
            week.path("pager.jsonl").display(),
        )
        .unwrap();
        fs::write(week.path("inventory.yaml"), text).unwrap();
        fs::write(week.path("slack"), url("slack")).unwrap();
        fs::write(week.path("feishu"), url("feishu")).unwrap();
        week
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs the program at an hour of the week.
    fn at(&self, hour: i64, args: &[&str]) -> (i32, String) {
        let time = jiff::Timestamp::from_second(BEGIN + hour * EVERY_S).unwrap();
        let read = |name: &str| fs::read_to_string(self.path(name)).unwrap();
        let ran = bastion()
            .args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TZ=UTC"])
            .arg(format!("HOME={}", self.dir.path().display()))
            .arg(format!("SLACK={}", read("slack")))
            .arg(format!("FEISHU={}", read("feishu")))
            .args(["FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1"])
            .args(["faketime", "-f"])
            .arg(format!("@{}", time.strftime("%Y-%m-%d %H:%M:%S")))
            .arg(env!("CARGO_BIN_EXE_clawfleet"))
            .arg("-i")
            .arg(self.path("inventory.yaml"))
            .args(args)
            .stdin(Stdio::null())
            .output()
            .expect("`faketime`, of the package of that name");
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert!(!stderr.contains("panicked"), "hour {hour}: {stderr}");
        let text = format!("{}{stderr}", String::from_utf8_lossy(&ran.stdout));
        (ran.status.code().unwrap(), text)
    }

    /// What came to a channel since it was asked last.
    fn came(&self, channel: &str) -> Vec<Value> {
        let path = self.path(&format!("{channel}.jsonl"));
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(&path);
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// What happens at an hour.
fn happens(week: &Week, hour: i64) -> Option<String> {
    let plant = |scenario: &str, hosts: &[u32]| {
        let works: Vec<_> = hosts
            .iter()
            .map(|index| {
                let (host, scenario) = (name(*index), scenario.to_owned());
                std::thread::spawn(move || {
                    lab(&["plant", &scenario, &host, "--standin"]);
                    lab(&["wait", &host, "90"]);
                })
            })
            .collect();
        works.into_iter().for_each(|work| work.join().unwrap());
        let names: Vec<String> = hosts.iter().map(|index| name(*index)).collect();
        Some(format!("{scenario} on {}", names.join(", ")))
    };
    let answers = |status: &str| {
        fs::write(week.path("status"), status).unwrap();
        Some(format!("the receivers answer {status}"))
    };
    match hour {
        10 => plant("orphan", &[0]),
        16 => plant("healthy", &[0]),
        30 => plant("duplicate-unit", &[1, 2]),
        40 => plant("healthy", &[1, 2]),
        50 => {
            lab(&["partition", &name(3)]);
            Some(format!("{} is cut off", name(3)))
        }
        54 => {
            lab(&["heal", &name(3)]);
            Some(format!("{} is back", name(3)))
        }
        60 | 62 | 64 | 66 | 68 => plant("down", &[4]),
        61 | 63 | 65 | 67 | 69 => plant("healthy", &[4]),
        80 => plant("secrets-readable", &[0]),
        90 => {
            let host = name(1);
            let args = [
                "silence",
                &host,
                "--class",
                "gateway-down",
                "--for",
                "10h",
                "--why",
                "new disk",
            ];
            assert_eq!(week.at(hour, &args).0, 0);
            plant("down", &[1]).map(|what| format!("{what}, silenced for 10 h"))
        }
        104 => plant("healthy", &[1]),
        120 => answers("503"),
        121 => plant("orphan", &[2, 3]),
        124 => answers("200"),
        128 => plant("healthy", &[2, 3]),
        140 => plant("healthy", &[0]),
        _ => None,
    }
}

/// One line about a message, as its channel shows it.
fn said(channel: &str, message: &Value) -> String {
    match channel {
        "chat" => message["text"].as_str().unwrap_or_default().to_owned(),
        "feishu" => message["card"]["header"]["title"]["content"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        _ => incidents(message).join("; "),
    }
}

fn incidents(message: &Value) -> Vec<String> {
    let all = message["incidents"].as_array().unwrap().iter();
    let word = |incident: &Value, key: &str| incident[key].as_str().unwrap().to_owned();
    all.map(|it| {
        format!(
            "{} {} {}",
            word(it, "kind"),
            word(it, "class"),
            word(it, "hosts")
        )
    })
    .collect()
}

fn hour_of(hour: i64) -> String {
    let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let day = days[usize::try_from(hour / 24).unwrap() % 7];
    format!("{day} {:02}:00", hour % 24)
}

/// What a cron that prints all findings mails at this run: none, or so many.
fn naive(path: &Path) -> usize {
    let report: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let hosts = report["hosts"].as_array().unwrap().iter();
    let findings = hosts.flat_map(|host| host["findings"].as_array().unwrap());
    // The hosts' clocks are not faked.
    findings
        .filter(|finding| finding["severity"] != "info" && finding["class"] != "clock-skew")
        .count()
}

#[test]
#[ignore = "ten minutes; `ci/test --full` runs it, and UPDATE_WEEK=1 writes docs/week-recorded.md"]
fn a_week_of_cron() {
    lab(&["up", "6", "--from", "480", "--real", "0"]);
    for index in 0..6 {
        lab(&["heal", &name(index)]);
        lab(&["plant", "healthy", &name(index), "--standin"]);
    }
    for index in 0..6 {
        lab(&["wait", &name(index), "60"]);
    }
    let week = Week::begin(6);
    // Their clocks are not faked.
    let skewed = "silence all --class clock-skew --for 300d --why faked";
    let args: Vec<&str> = skewed.split(' ').collect();
    let silenced = week.at(0, &args);
    assert_eq!(silenced.0, 0, "{silenced:?}");
    let mut rows = String::new();
    let mut told: BTreeMap<&str, Vec<(i64, String)>> = BTreeMap::new();
    let (mut mails, mut lines, mut printed) = (0, 0, 0);
    let report = week.path("report.json");
    let output = format!("json={}", report.display());
    let begin = Instant::now();
    for hour in 0..HOURS {
        if let Some(what) = happens(&week, hour) {
            writeln!(rows, "| {} | | *{what}* |", hour_of(hour)).unwrap();
        }
        let args = [
            "check",
            "all",
            "--on-change",
            "--confirm",
            "2",
            "--remind",
            "24h",
            "--deadline",
            "20s",
            "--output",
            &output,
        ];
        let (code, text) = week.at(hour, &args);
        assert!([0, 1, 2, 3].contains(&code), "hour {hour}: {code} {text}");
        printed += usize::from(!text.trim().is_empty());
        let found = naive(&report);
        mails += usize::from(found > 0);
        lines += found;
        for (channel, file) in [
            ("hub", "hub"),
            ("chat", "slack"),
            ("feishu", "feishu"),
            ("pager", "pager"),
        ] {
            for message in week.came(file) {
                let line = said(channel, &message);
                writeln!(
                    rows,
                    "| {} | {channel} | {} |",
                    hour_of(hour),
                    line.replace('|', "\\|")
                )
                .unwrap();
                told.entry(channel).or_default().push((hour, line));
            }
        }
    }
    let counts: Vec<String> = told
        .iter()
        .map(|(channel, all)| format!("{channel} {}", all.len()))
        .collect();
    let summary = format!(
        "{HOURS} runs in {} s. Messages: {}. Printed by {printed} runs. A cron that prints all findings would have sent {mails} mails with {lines} findings.",
        begin.elapsed().as_secs(),
        counts.join(", ")
    );
    println!("{summary}\n{rows}");
    if std::env::var_os("UPDATE_WEEK").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/week-recorded.md");
        fs::write(
            path,
            format!(
                "{}{summary}\n\n| when | channel | what |\n|---|---|---|\n{rows}",
                include_str!("week.md")
            ),
        )
        .unwrap();
    }
    let hub: Vec<(i64, &str)> = told["hub"]
        .iter()
        .map(|(hour, line)| (*hour, line.as_str()))
        .collect();
    let orphans = "orphan-holds-port";
    let wanted = [
        (11, all_of("new", orphans, "VM480")),
        (17, all_of("recovered", orphans, "VM480")),
        (31, all_of("new", "duplicate-unit", "VM[481-482]")),
        (41, all_of("recovered", "duplicate-unit", "VM[481-482]")),
        (51, "not-observed not-observed VM483".to_owned()),
        (55, "recovered not-observed VM483".to_owned()),
        (66, "flapping gateway-down VM484".to_owned()),
        // Three calm hours after it went.
        (72, "recovered gateway-down VM484".to_owned()),
        (81, "new secrets-readable VM480".to_owned()),
        // The silence was over at 100.
        (100, "new gateway-down VM481".to_owned()),
        (
            105,
            "reminder secrets-readable VM480; recovered gateway-down VM481".to_owned(),
        ),
        // The receiver was down from 120 to 124.
        (124, all_of("new", orphans, "VM[482-483]")),
        (
            129,
            format!(
                "reminder secrets-readable VM480; {}",
                all_of("recovered", orphans, "VM[482-483]")
            ),
        ),
        (141, "recovered secrets-readable VM480".to_owned()),
    ];
    let wanted: Vec<(i64, &str)> = wanted
        .iter()
        .map(|(hour, line)| (*hour, line.as_str()))
        .collect();
    assert_eq!(hub, wanted);
    let hours = |channel: &str| {
        told[channel]
            .iter()
            .map(|(hour, _)| *hour)
            .collect::<Vec<_>>()
    };
    assert_eq!(hours("chat"), [11, 17, 31, 41, 66, 72, 100, 105, 124, 129]);
    assert_eq!(hours("feishu"), [11, 31, 51, 66, 81, 100, 124]);
    // A program on this machine: that the network is down does not matter to it.
    assert_eq!(hours("pager"), [11, 66, 100, 122]);
    assert_eq!(printed, hub.len(), "cron's mail says the same");
}

/// The planted scenarios bring a unit that is weaker than their peers' and differs from them.
fn all_of(kind: &str, class: &str, hosts: &str) -> String {
    [class, "unit-weak", "unit-differs"]
        .map(|class| format!("{kind} {class} {hosts}"))
        .join("; ")
}
