//! Timers on hosts with a real systemd: they are installed there, run by themselves within their hardening, are shown, and
//! leave nothing behind.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::on_host;
use crate::rollout::{cleaned, hosts, root_of};

const PROGRAM: &str = "/usr/local/bin/clawfleet";
const INVENTORY: &str = "/etc/clawfleet/inventory.yaml";

/// A minute until the timer elapses, and a run.
const A_RUN: Duration = Duration::from_secs(150);

/// A host that is a bastion of itself.
struct Bastion {
    host: String,
    /// What stands in front of the program, to be another user.
    as_user: String,
    options: &'static str,
}

impl Bastion {
    fn new(index: u32) -> Self {
        let host = cleaned(index);
        let root = root_of(&host);
        fs::create_dir_all(root.join("etc/clawfleet")).unwrap();
        fs::create_dir_all(root.join("usr/local/bin")).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_clawfleet"), root.join(&PROGRAM[1..])).unwrap();
        let inventory = format!("hosts:\n  {host}: {{transport: local}}\n");
        fs::write(root.join(&INVENTORY[1..]), inventory).unwrap();
        Self {
            host,
            as_user: String::new(),
            options: "",
        }
    }

    /// Runs `schedule` there, and returns its exit code and what it said.
    fn schedule(&self, words: &str) -> (i32, String) {
        let line = format!(
            "{} {PROGRAM} -i {INVENTORY} schedule {words} 2>&1; echo \"exit $?\"",
            self.as_user
        );
        let said = on_host(&self.host, &line);
        let (said, code) = said.trim_end().rsplit_once("exit ").unwrap();
        (code.parse().unwrap(), said.to_owned())
    }

    fn shown(&self) -> Value {
        let line = format!(
            "{} {PROGRAM} -i {INVENTORY} schedule show --format json 2>/dev/null || true",
            self.as_user
        );
        serde_json::from_str(&on_host(&self.host, &line)).unwrap()
    }

    /// Waits until a run that nobody asked for has ended.
    fn wait_for_a_run(&self) -> Value {
        let begin = Instant::now();
        loop {
            let shown = self.shown();
            let last = &shown["schedules"][0]["last_run"];
            if last["exit_code"].is_number() && last["running"] == false {
                return shown;
            }
            assert!(begin.elapsed() < A_RUN, "no run came: {shown}");
            thread::sleep(Duration::from_secs(2));
        }
    }

    /// Installs, waits for a run, installs again, looks.
    fn goes_by_itself(&self, writes: &str) {
        let install = format!(
            "install{} --every 1m --jitter 0s --confirm 1 --output json={writes}",
            self.options
        );
        let (code, said) = self.schedule(&format!("{install} --check"));
        assert_eq!(code, 4, "{said}");
        let (code, said) = self.schedule(&format!("{install} --yes"));
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("next run: "), "{said}");
        let shown = self.wait_for_a_run();
        let one = &shown["schedules"][0];
        assert_eq!(one["fit"], "as-wanted", "{shown}");
        assert_eq!(
            (&one["active"], &one["enabled"]),
            (&true.into(), &true.into())
        );
        assert!(one["next_run"].is_string(), "{shown}");
        assert_eq!(one["last_run"]["result"], "success", "{shown}");
        let code = one["last_run"]["exit_code"].as_i64().unwrap();
        assert!((0..=3).contains(&code), "{shown}");
        assert_eq!(shown["well"], true, "{shown}");
        // It wrote what it was asked to, within its hardening.
        let report = on_host(&self.host, &format!("cat {writes}"));
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["hosts"][0]["name"], self.host.as_str());
        let (code, said) = self.schedule(&format!("{install} --yes"));
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("nothing to do"), "{said}");
        let (code, said) = self.schedule(&format!("remove{} --check", self.options));
        assert_eq!(code, 4, "{said}");
        let (code, said) = self.schedule(&format!("remove{} --yes", self.options));
        assert_eq!(code, 0, "{said}");
        let (code, said) = self.schedule("show");
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("nothing is installed"), "{said}");
    }

    fn is_gone(&self) {
        let left = on_host(
            &self.host,
            &format!(
                "find /etc/systemd /home /root/.config /run/systemd /run/user /var/lib/systemd -name '*clawfleet-check*' 2>/dev/null; \
                 {} systemctl {} list-units --all --plain --no-legend 'clawfleet-check*'; true",
                self.as_user, self.options
            ),
        );
        assert_eq!(left.trim(), "");
    }
}

impl Drop for Bastion {
    fn drop(&mut self) {
        // What a test that failed has left is no concern of the next one.
        on_host(
            &self.host,
            &format!(
                "systemctl disable --now clawfleet-check.timer 2>/dev/null; \
                 runuser -u claw -- env XDG_RUNTIME_DIR=/run/user/$(id -u claw) systemctl --user disable --now clawfleet-check.timer 2>/dev/null; \
                 find /home /var/lib/systemd -name '*clawfleet-check*' -delete; rm -rf {PROGRAM} /etc/clawfleet /root/.local /root/out /home/claw/out \
                 /home/claw/.config/systemd/user/clawfleet-check.* /home/claw/.local/state/clawfleet; true"
            ),
        );
    }
}

#[test]
fn a_timer_of_the_system_runs_within_its_hardening() {
    let _turn = hosts();
    let bastion = Bastion::new(7);
    on_host(&bastion.host, "mkdir -p /root/out");
    bastion.goes_by_itself("/root/out/report.json");
    // The history was written although all else is read-only.
    on_host(
        &bastion.host,
        "test -s /root/.local/state/clawfleet/history.db",
    );
    bastion.is_gone();
}

#[test]
fn a_timer_of_a_user_runs_without_root() {
    let _turn = hosts();
    let mut bastion = Bastion::new(8);
    let host = bastion.host.clone();
    let uid = on_host(&host, "id -u claw");
    let uid = uid.trim();
    // As `su` leaves it: no XDG_RUNTIME_DIR. Without lingering the user has no manager, and that is told.
    bastion.as_user = "runuser -u claw -- env HOME=/home/claw".to_owned();
    bastion.options = " --user";
    let lingered = on_host(
        &host,
        "test -e /var/lib/systemd/linger/claw && echo yes || true",
    );
    if lingered.trim().is_empty() {
        let (code, said) = bastion.schedule("install --user --yes");
        assert_eq!(code, 64, "{said}");
        assert!(said.contains("loginctl enable-linger"), "{said}");
        on_host(&host, "loginctl enable-linger claw");
    }
    let ready = format!(
        "for _ in $(seq 50); do [ -S /run/user/{uid}/systemd/private ] && exit; sleep 0.2; done; false"
    );
    on_host(&host, &ready);
    on_host(&host, "runuser -u claw -- mkdir -p /home/claw/out");
    bastion.goes_by_itself("/home/claw/out/report.json");
    bastion.as_user =
        format!("runuser -u claw -- env HOME=/home/claw XDG_RUNTIME_DIR=/run/user/{uid}");
    bastion.is_gone();
    if lingered.trim().is_empty() {
        on_host(&host, "loginctl disable-linger claw");
    }
}
