//! The probe's own shell code on files that a user of a host may have written: nothing secret is
//! printed, and nothing hangs. It runs here, with this machine's `sh`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The parts of the probe without the last line, which would start it.
fn parts() -> String {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/probe/scripts/probe");
    let mut paths: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let text: String = paths
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let text = text.trim_end();
    let (functions, last) = text.rsplit_once('\n').unwrap();
    assert_eq!(last, "main </dev/null");
    functions.to_owned()
}

/// Reads the units of a directory as those of the user `claw`, and what they name.
fn read_units(dir: &Path) -> String {
    let home = dir.join("home");
    fs::create_dir_all(home.join(".openclaw")).unwrap();
    let script = format!(
        "N=1 K=k UNITS=openclaw-gateway.service PORTS=18789 OWNERS= LIMIT_S=5 USE_SS=no\n{}\n\
         me=0 now=1 journal=no listener_pids= alike=' ' users=' '\n\
         unit_files user claw 1501 {} {}\nmodes\nconfigs\ninstalled\n",
        parts(),
        home.display(),
        dir.join("units").display()
    );
    let path = dir.join("script");
    fs::write(&path, script).unwrap();
    let begin = Instant::now();
    let output = Command::new("timeout")
        .args(["-k", "1", "20", "sh"])
        .arg(&path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(15),
        "it ended only by force"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn unit(dir: &Path, text: &str) {
    fs::create_dir_all(dir.join("units")).unwrap();
    fs::write(dir.join("units/openclaw-gateway.service"), text).unwrap();
}

#[test]
fn no_secret_of_a_unit_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = [
        "s3cret-a", "12345678", "/abc+def", "hunter2", "s3cret-b", "MIIabc",
    ];
    fs::write(dir.path().join("env"), "OTHER=s3cret-b\n").unwrap();
    unit(
        dir.path(),
        &format!(
            "[Service]\nEnvironment=A=b\tOPENCLAW_GATEWAY_TOKEN=s3cret-a\n\
             EnvironmentFile={}/env\n\
             ExecStart = /usr/bin/node /x/dist/index.js gateway --port 18790 --password 12345678 --token /abc+def\n\
             StandardInputText=hunter2\nExecStopPost=/bin/sh -c \"x Kill; T=s3cret-a\"\nMIIabc+/=x\nKillMode=process\n",
            dir.path().display()
        ),
    );
    let text = read_units(dir.path());
    for secret in secrets {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(text.contains("port=18790"), "{text}");
    assert!(text.contains("l=KillMode=process"), "{text}");
    assert!(text.contains("token_inside=yes"), "{text}");
}

#[test]
fn values_are_read_as_systemd_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("env"),
        "OPENCLAW_GATEWAY_PORT=\"18799\"\nOPENCLAW_STATE_DIR='/var/lib/oc'\n",
    )
    .unwrap();
    unit(
        dir.path(),
        &format!(
            "[Service]\nEnvironmentFile=-{}/env\nEnvironment=OPENCLAW_GATEWAY_PORT=1\n\
             ExecStart=/usr/bin/openclaw \\\n  gateway\n",
            dir.path().display()
        ),
    );
    let text = read_units(dir.path());
    assert!(text.contains("port=18799"), "{text}");
    assert!(text.contains("config=/var/lib/oc/openclaw.json"), "{text}");
}

#[test]
fn nothing_that_a_user_puts_there_makes_it_wait() {
    let dir = tempfile::tempdir().unwrap();
    let units = dir.path().join("units");
    unit(
        dir.path(),
        "[Service]\nEnvironment=OPENCLAW_CONFIG_PATH=relative.json OPENCLAW_STATE_DIR=~/.openclaw\n\
         EnvironmentFile=/dev/zero\nExecStart=/usr/bin/openclaw gateway\n",
    );
    symlink("/dev/zero", units.join("openclaw-gateway-b.service")).unwrap();
    symlink("/proc/kmsg", units.join("openclaw-gateway-c.service")).unwrap();
    let fifo = units.join("openclaw-gateway-d.service");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let state = dir.path().join("home/.openclaw");
    fs::create_dir_all(&state).unwrap();
    let config = state.join("openclaw.json");
    assert!(
        Command::new("mkfifo")
            .arg(&config)
            .status()
            .unwrap()
            .success()
    );
    let text = read_units(dir.path());
    assert!(text.contains("openclaw-gateway.service"), "{text}");
}

/// What a path names need not be a configuration: nothing of its text is told.
#[test]
fn a_file_that_is_no_configuration_is_not_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, "c0ffee1234567890dead\n").unwrap();
    unit(
        dir.path(),
        &format!(
            "[Service]\nEnvironment=OPENCLAW_CONFIG_PATH={}\nExecStart=/usr/bin/openclaw gateway\n",
            secret.display()
        ),
    );
    let text = read_units(dir.path());
    assert!(text.contains("broken="), "{text}");
    assert!(!text.contains("c0ffee"), "{text}");
}
