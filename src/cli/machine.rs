//! What OpenSSH's configuration may ask of this machine.

use std::collections::{BTreeSet, HashMap};
use std::ffi::CStr;
use std::fs;
use std::net::ToSocketAddrs as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::model::SshRequest;
use crate::ssh_config::{Bastion, MAX_FILE_BYTES, World};

/// How long a `Match exec` may take: it runs for every host, before the first one is asked.
const EXEC_LIMIT: Duration = Duration::from_secs(10);

/// This machine and its user.
pub(super) struct Machine {
    pub(super) bastion: Bastion,
    /// What the inventory says of its hosts' connections, by their names.
    pub(super) hosts: HashMap<String, SshRequest>,
    /// Environment variables that hold secrets: no `SendEnv *` is to send them.
    pub(super) secret_names: BTreeSet<String>,
    shell: PathBuf,
}

impl Machine {
    /// Looks at who runs this, and where. `home` is where `~` is.
    pub(super) fn look(home: &Path, shell: &Path) -> Self {
        let uid = rustix::process::getuid().as_raw();
        let node = rustix::system::uname();
        Self {
            bastion: Bastion {
                user: user_name(uid),
                uid,
                home: home.to_owned(),
                host_name: CStr::to_string_lossy(node.nodename()).into_owned(),
            },
            hosts: HashMap::new(),
            secret_names: BTreeSet::new(),
            shell: shell.to_owned(),
        }
    }
}

impl World for Machine {
    fn read(&self, path: &Path, check_owner: bool) -> Result<Option<String>, String> {
        let data = match fs::metadata(path) {
            Ok(data) => data,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(super::beside::why(&error)),
        };
        if data.is_dir() {
            return Err("is a directory".to_owned());
        }
        let mode = data.mode() & 0o777;
        // As ssh has it: whoever can write this file runs commands as its reader.
        if check_owner && data.uid() != 0 && data.uid() != self.bastion.uid {
            return Err(format!(
                "belongs to user {}, who could make it run anything here; `chown` it",
                data.uid()
            ));
        }
        if check_owner && mode & 0o022 != 0 {
            return Err(format!(
                "others may write it (mode {mode:04o}), and could make it run anything here; `chmod go-w` it"
            ));
        }
        if data.len() > u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX) {
            return Err(format!("is larger than {} KiB", MAX_FILE_BYTES >> 10));
        }
        let bytes = fs::read(path).map_err(|error| super::beside::why(&error))?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        glob::glob(pattern)
            .map(|found| found.filter_map(Result::ok).collect())
            .unwrap_or_default()
    }

    fn succeeds(&self, command: &str) -> Result<bool, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.shell.display());
        let mut child = Command::new(&self.shell)
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(failed)?;
        let deadline = Instant::now() + EXEC_LIMIT;
        loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                return Ok(status.success());
            }
            if Instant::now() >= deadline {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it did not end within {} s", EXEC_LIMIT.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn env_all(&self) -> Vec<(String, String)> {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| !self.secret_names.contains(name))
            .collect()
    }

    fn resolve(&self, name: &str) -> bool {
        (name, 22).to_socket_addrs().is_ok()
    }

    fn request_of(&self, name: &str) -> Option<SshRequest> {
        self.hosts.get(name).cloned()
    }

    fn home_of(&self, user: &str) -> Option<PathBuf> {
        passwd(|fields| fields.first() == Some(&user))
            .and_then(|fields| fields.get(5).map(PathBuf::from))
    }
}

/// Returns the user's home by the system's list of users.
pub(super) fn own_home() -> Option<PathBuf> {
    let number = rustix::process::getuid().as_raw().to_string();
    passwd(|fields| fields.get(2) == Some(&number.as_str()))
        .and_then(|fields| fields.get(5).map(PathBuf::from))
        .filter(|home| home.is_absolute())
}

/// Returns who runs this and where: `user@bastion`. Behind sudo it is whoever called sudo.
pub(super) fn who() -> String {
    let user = user_name(rustix::process::getuid().as_raw());
    let name = std::env::var("SUDO_USER")
        .ok()
        .filter(|name| user == "root" && !name.is_empty())
        .unwrap_or(user);
    let uname = rustix::system::uname();
    format!("{name}@{}", uname.nodename().to_string_lossy())
}

fn user_name(uid: u32) -> String {
    let number = uid.to_string();
    passwd(|fields| fields.get(2) == Some(&number.as_str()))
        .and_then(|fields| fields.first().cloned())
        .or_else(by_id)
        .or_else(|| std::env::var("USER").ok())
        .unwrap_or_else(|| "root".to_owned())
}

/// Users of a directory are not in the file; `id` asks for them.
fn by_id() -> Option<String> {
    let output = Command::new("id").arg("-un").output().ok()?;
    let name = String::from_utf8(output.stdout).ok()?;
    let name = name.trim();
    (output.status.success() && !name.is_empty()).then(|| name.to_owned())
}

fn passwd(wanted: impl Fn(&[&str]) -> bool) -> Option<Vec<String>> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| wanted(fields))
        .map(|fields| fields.into_iter().map(str::to_owned).collect())
}
