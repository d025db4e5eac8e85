//! A machine with programs that do as they are told.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::program::{self, Finished};

const SYSTEMCTL: &str = r#"#!/bin/sh
cd "$(dirname "$0")/.."
echo "systemctl $*" >>calls
user=; [ "$1" != --user ] || { user=user-; shift; }
verb=$1
[ "$verb" != show ] || case $2 in *.*) verb=show-unit ;; esac
if [ -e "fail-$verb" ]; then
    echo "told to fail: $verb" >&2
    # Only so often.
    left=$(cat "fail-$verb"); left=$((left - 1)); echo $left >"fail-$verb"; [ $left -gt 0 ] || rm "fail-$verb"
    exit 1
fi
last() { for word; do :; done; echo "$word"; }
unit=$(last "$@")
case $verb in
    enable) echo enabled >"$user$unit.enabled" ;;
    disable) rm -f "$user$unit.enabled" "$user$unit.active" ;;
    restart | start) [ -e never-active ] || echo active >"$user$unit.active" ;;
    stop) rm -f "$user$unit.active" ;;
    show-unit)
        case $2 in
            *.timer)
                [ -e "$user$2.active" ] && echo ActiveState=active || echo ActiveState=inactive
                [ -e "$user$2.enabled" ] && echo UnitFileState=enabled || echo UnitFileState=disabled
                echo "NextElapseUSecRealtime=Sat 2026-11-21 12:05:00 UTC"
                echo "LastTriggerUSec="
                ;;
            *) cat service-state 2>/dev/null ;;
        esac ;;
    show) echo Version=252 ;;
esac
exit 0
"#;

const CRONTAB: &str = r#"#!/bin/sh
cd "$(dirname "$0")/.."
echo "crontab $*" >>calls
case $1 in
    -l)
        [ ! -e fail-list ] || { echo "you are not allowed to use this program" >&2; exit 1; }
        [ -e crontab ] || { echo "no crontab for tester" >&2; exit 1; }
        cat crontab ;;
    -r) rm crontab ;;
    -)
        [ ! -e fail-write ] || { rm fail-write; echo "told to fail" >&2; exit 1; }
        cat >crontab
        [ ! -e spoil ] || { rm spoil; echo "something else" >crontab; } ;;
esac
"#;

const ANALYZE: &str = r#"#!/bin/sh
cd "$(dirname "$0")/.."
echo "systemd-analyze $1 $2 $#" >>calls
[ ! -e fail-verify ] || { echo "clawfleet-check.service: told to refuse it" >&2; exit 1; }
[ ! -e fail-others ] || { echo "other.service: is odd" >&2; exit 1; }
"#;

const LOGINCTL: &str = "#!/bin/sh\ncat \"$(dirname \"$0\")/../linger\" 2>/dev/null || echo yes\n";

/// A machine in a directory.
pub(crate) struct Machine {
    dir: TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let machine = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for (name, text) in [
            ("systemctl", SYSTEMCTL),
            ("crontab", CRONTAB),
            ("systemd-analyze", ANALYZE),
            ("loginctl", LOGINCTL),
        ] {
            machine.write(&format!("bin/{name}"), text);
            machine.mode(&format!("bin/{name}"), 0o755);
        }
        machine.write(
            "home/inventory.yaml",
            "hosts: {VM1: {address: 127.0.0.1}}\n",
        );
        fs::create_dir(machine.path("units")).unwrap();
        machine
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Takes a program away.
    pub(crate) fn without(&self, program: &str) {
        fs::remove_file(self.path(&format!("bin/{program}"))).unwrap();
    }

    /// What was asked for since the last time, one in a line.
    pub(crate) fn calls(&self) -> Vec<String> {
        let text = self.read("calls").unwrap_or_default();
        let _ = fs::remove_file(self.path("calls"));
        text.lines().map(str::to_owned).collect()
    }

    /// The program, in a home of its own. What this machine really has is not on its PATH.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = program::clawfleet(&self.path("home"));
        let bin = self.path("bin");
        // The scripts need a few words of the system; none of those that they stand for is among them.
        let tools = self.path("tools");
        if !tools.exists() {
            fs::create_dir(&tools).unwrap();
            for tool in ["sh", "cat", "rm", "dirname", "id", "script", "stty"] {
                let real = ["/usr/bin", "/bin"].map(|dir| Path::new(dir).join(tool));
                let real = real.iter().find(|path| path.exists()).unwrap();
                std::os::unix::fs::symlink(real, tools.join(tool)).unwrap();
            }
        }
        command
            .env("PATH", format!("{}:{}", bin.display(), tools.display()))
            // Where a line ends must not depend on how long this machine's paths are.
            .env("COLUMNS", "500")
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .args(args);
        command
    }

    /// `schedule WORD`, with the system's units in the machine's own directory.
    pub(crate) fn schedule(&self, args: &[&str]) -> Finished {
        program::run(self.scheduling(args))
    }

    pub(crate) fn scheduling(&self, args: &[&str]) -> Command {
        let mut command = self.command(&["schedule", args[0], "--unit-dir"]);
        command.arg(self.path("units")).args(&args[1..]);
        command
    }

    /// A text without what is different each time.
    pub(crate) fn tidy(&self, text: &str) -> String {
        text.replace(&self.dir.path().display().to_string(), "/MACHINE")
            .replace(env!("CARGO_BIN_EXE_clawfleet"), "/usr/local/bin/clawfleet")
    }

    /// Everything that stands in a directory of the machine.
    pub(crate) fn list(&self, dir: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(dir)).into_iter().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
