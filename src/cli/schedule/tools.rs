//! The programs of this machine that are asked: systemctl, systemd-analyze, loginctl, crontab.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::report::{sanitize, shorten};

/// How much of a program's words is shown, in characters.
const LONGEST_WORDS: usize = 400;

/// What a program did.
pub(super) struct Done {
    pub(super) is_well: bool,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl Done {
    /// What it said, for a person: its errors, else what it printed, in one line.
    pub(super) fn words(&self) -> String {
        let text = match self.stderr.trim() {
            "" => String::from_utf8_lossy(&self.stdout).into_owned(),
            text => text.to_owned(),
        };
        let line: Vec<&str> = text.split_whitespace().collect();
        shorten(&sanitize(&line.join(" ")), LONGEST_WORDS).into_owned()
    }
}

/// Why a program did nothing.
pub(super) enum Fault {
    /// There is none.
    Missing,
    /// It did not start.
    Failed(String),
}

/// Runs a program to its end, and gives it something to read. Its words are English and without colour, its times UTC.
pub(super) fn run(
    program: &str,
    args: &[&str],
    input: Option<&[u8]>,
    runtime_dir: Option<&Path>,
) -> Result<Done, Fault> {
    let mut command = Command::new(program);
    command
        .args(args)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("SYSTEMD_PAGER", "")
        .env("SYSTEMD_COLORS", "0")
        .stdin(input.map_or_else(Stdio::null, |_| Stdio::piped()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(dir) = runtime_dir {
        command.env("XDG_RUNTIME_DIR", dir);
    }
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Fault::Missing,
        _ => Fault::Failed(format!("{program}: {error}")),
    };
    let mut child = command.spawn().map_err(failed)?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // A program that does not read it ends, and its exit code tells.
        let _ = stdin.write_all(input);
    }
    let output: Output = child.wait_with_output().map_err(failed)?;
    Ok(Done {
        is_well: output.status.success(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
