//! Secrets: the gateways' tokens, and the passwords of logins and of sudo. They are had from the
//! environment, from a command or from the operator, once and before the run.
//!
//! A secret is kept in memory and sent to whom it is for, and is in no message, log or file.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::inventory::{Inventory, InventoryError};
use crate::model::{ChannelSpec, Host, Secret, SecretSource, Secrets};

/// A password store may ask its user for something first.
const LIMIT: Duration = Duration::from_secs(60);

/// What is read of a command's output, in bytes.
const MAX_OUTPUT: u64 = 16 << 10;

/// What the inventory names a secret for.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Token,
    Password,
    BecomePassword,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Token, Self::Password, Self::BecomePassword];

    /// The key of the inventory that asks for it.
    fn key(self) -> &'static str {
        match self {
            Self::Token => "service.token",
            Self::Password => "password",
            Self::BecomePassword => "become_password",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Password => "password",
            Self::BecomePassword => "become_password",
        }
    }

    fn check(self) -> Check {
        match self {
            Self::Token => checked_token,
            Self::Password | Self::BecomePassword => checked_password,
        }
    }

    fn sources(self, host: &Host) -> Vec<&SecretSource> {
        match self {
            Self::Token => host
                .services()
                .filter_map(|service| service.token.as_ref())
                .collect(),
            // The jumps on its way may be hosts of the inventory with passwords of their own.
            Self::Password => std::iter::once(host.ssh.as_ref())
                .chain(host.ssh.jumps())
                .filter_map(|settings| settings.password.as_ref())
                .collect(),
            Self::BecomePassword => host.privilege.password.iter().collect(),
        }
    }
}

/// Gets every secret that the selected hosts name, each distinct source once.
///
/// # Errors
/// The first that cannot be had, with the line of the inventory that asks for it.
pub(super) fn load(
    inventory: &Inventory,
    selected: &[usize],
    file: &str,
) -> Result<Secrets, InventoryError> {
    let mut secrets: Secrets = BTreeMap::new();
    for index in selected {
        let Some(host) = inventory.hosts.get(*index) else {
            continue;
        };
        for kind in Kind::ALL {
            for source in kind.sources(host) {
                if secrets.contains_key(source) {
                    continue;
                }
                let fetched = get(source, kind.what(), kind.check(), LIMIT);
                let secret = fetched.map_err(|fault| InventoryError {
                    file: file.to_owned(),
                    at: inventory
                        .settings(*index)
                        .get(kind.key())
                        .filter(|(_, origin)| origin.line > 0)
                        .map(|(_, origin)| (origin.line, 1)),
                    message: format!("the {} of `{}`: {}", kind.what(), host.name, fault.what),
                    hint: Some(fault.helps),
                })?;
                secrets.insert(source.clone(), secret);
            }
        }
    }
    Ok(secrets)
}

/// Gets every secret of a channel that alerts go to, each distinct source once.
///
/// # Errors
/// The first that cannot be had, with the line of the inventory where the channel stands.
pub(super) fn load_channel(
    spec: &ChannelSpec,
    secrets: &mut Secrets,
    file: &str,
) -> Result<(), InventoryError> {
    for (key, source) in spec.target.secrets() {
        if secrets.contains_key(source) {
            continue;
        }
        let check: Check = match key {
            "url" | "token" => checked_token,
            _ => checked_password,
        };
        let secret = get(source, key, check, LIMIT).map_err(|fault| InventoryError {
            file: file.to_owned(),
            at: Some((spec.line, 1)),
            message: format!("the {key} of channel `{}`: {}", spec.name, fault.what),
            hint: Some(fault.helps),
        })?;
        secrets.insert(source.clone(), secret);
    }
    Ok(())
}

/// Gets the address of a heartbeat.
///
/// # Errors
/// Why it cannot be had, as words for a note: no check fails for it.
pub(super) fn load_heartbeat(source: &SecretSource) -> Result<Secret, String> {
    get(source, "heartbeat", checked_token, LIMIT).map_err(|fault| fault.what)
}

/// Why a secret could not be had, and what helps.
#[derive(Debug)]
struct Fault {
    what: String,
    helps: String,
}

/// Says whether a text can be the secret that is wanted.
type Check = fn(&str) -> Result<Secret, &'static str>;

fn get(
    source: &SecretSource,
    what: &str,
    checked: Check,
    limit: Duration,
) -> Result<Secret, Fault> {
    match source {
        SecretSource::Asked(what) => ask(what),
        SecretSource::Env(name) => {
            let helps =
                || format!("set it before the run, e.g. `export {name}=…`, or remove `{what}`");
            match std::env::var_os(name) {
                None => Err(Fault {
                    what: format!("the environment variable {name} is not set"),
                    helps: helps(),
                }),
                Some(value) => {
                    let value = value.into_string().unwrap_or_default();
                    checked(&value).map_err(|why| Fault {
                        what: format!("the environment variable {name} {why}"),
                        helps: helps(),
                    })
                }
            }
        }
        SecretSource::File(path) => {
            let fault = |what: String| Fault {
                what: format!("the file {path} {what}"),
                helps: "it must hold the secret, and nothing else, and be readable by you alone: \
                        chmod 600"
                    .to_owned(),
            };
            let text = read_file(path).map_err(fault)?;
            checked(&text).map_err(|why| fault(why.to_owned()))
        }
        SecretSource::Command(command) => {
            let fault = |what: String| Fault {
                what: format!("the command `{command}` {what}"),
                helps: "run it by hand; it must print the secret, and nothing else, on its \
                        standard output"
                    .to_owned(),
            };
            let output = run(command, limit).map_err(fault)?;
            checked(&output).map_err(|why| fault(format!("succeeded, and its output {why}")))
        }
    }
}

/// Reads a secret's file. One that every user of this machine can read holds no secret; a group
/// may: that is how service managers hand secrets over.
fn read_file(path: &str) -> Result<String, String> {
    use std::os::unix::fs::PermissionsExt as _;
    let place = match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => std::path::Path::new(&home).join(rest),
        _ => std::path::PathBuf::from(path),
    };
    // Looked at before it is opened: to open a pipe may take for ever.
    let seen = std::fs::metadata(&place).map_err(|error| super::beside::why(&error))?;
    if !seen.is_file() {
        return Err("is no regular file".to_owned());
    }
    if seen.permissions().mode() & 0o007 != 0 {
        return Err("can be read or written by every user of this machine".to_owned());
    }
    let file = std::fs::File::open(&place).map_err(|error| super::beside::why(&error))?;
    let mut bytes = Vec::new();
    file.take(MAX_OUTPUT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| super::beside::why(&error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_OUTPUT) {
        return Err(format!("is larger than {} KiB", MAX_OUTPUT >> 10));
    }
    String::from_utf8(bytes).map_err(|_| "holds bytes that are no text".to_owned())
}

/// A token is one printable word: anything else would fail on every host, or be somebody's error.
fn checked_token(text: &str) -> Result<Secret, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Err("is empty");
    }
    if text.lines().count() > 1 {
        return Err("has more than one line");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("is no token: it has blanks or characters that are no ASCII");
    }
    Ok(Secret::new(text.to_owned()))
}

/// A password is one line. Its blanks are part of it; the newline that ends a command's output is
/// not.
fn checked_password(text: &str) -> Result<Secret, &'static str> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err("is empty");
    }
    if text.contains(['\n', '\r', '\0']) {
        return Err("has more than one line");
    }
    Ok(Secret::new(text.to_owned()))
}

/// Asks the operator, who must be there.
fn ask(what: &str) -> Result<Secret, Fault> {
    use std::io::IsTerminal as _;
    let fault = |what: String| {
        Fault {
        what,
        helps: "run it on a terminal, or name a source in the inventory: `{env: NAME}`, `{file: /PATH}` or `{command: \"…\"}`"
            .to_owned(),
    }
    };
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(fault(format!(
            "there is no terminal to ask for the {what} on"
        )));
    }
    let said = dialoguer::Password::new()
        .with_prompt(format!("{} (for every host)", capital(what)))
        .interact()
        .map_err(|error| fault(format!("the {what} could not be asked for: {error}")))?;
    checked_password(&said).map_err(|why| fault(format!("the {what} {why}")))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// Runs a command to its end. Its errors go where ours go, for its questions are for the operator.
fn run(command: &str, limit: Duration) -> Result<String, String> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("does not start: {error}"))?;
    let stdout = child.stdout.take();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stdout) = stdout {
            // What ends the reading early ends the command as well, and its status tells.
            let _ = stdout.take(MAX_OUTPUT).read_to_end(&mut bytes);
        }
        // Nobody listens any more after the limit.
        let _ = tell.send(bytes);
    });
    let output = told.recv_timeout(limit);
    if output.is_err() {
        // It may have ended in this very moment.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    match output {
        Err(_) => Err(format!("did not end within {} s", limit.as_secs())),
        Ok(_) if !status.success() => Err(format!("failed: {status}")),
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| "printed bytes that are no text".into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn of(command: &str) -> Result<Secret, Fault> {
        get(
            &SecretSource::Command(command.to_owned()),
            "token",
            checked_token,
            Duration::from_secs(5),
        )
    }

    #[test]
    fn a_file_that_is_the_owners_alone_holds_the_secret() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let source = SecretSource::File(path.display().to_string());
        let get = || get(&source, "secret", checked_token, LIMIT);
        assert!(get().unwrap_err().what.contains("no such file"));
        std::fs::write(&path, "s3cret\n").unwrap();
        let mode = |mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, permissions).unwrap();
        };
        mode(0o644);
        let fault = get().unwrap_err();
        assert!(fault.what.contains("every user") && fault.helps.contains("chmod 600"));
        mode(0o640);
        assert_eq!(get().unwrap().expose(), "s3cret");
        std::fs::write(&path, "a".repeat(20_000)).unwrap();
        assert!(get().unwrap_err().what.contains("larger than 16 KiB"));
    }

    #[test]
    fn a_command_prints_the_token() {
        assert_eq!(of("echo s3cret").unwrap().expose(), "s3cret");
        assert_eq!(of("printf s3cret").unwrap().expose(), "s3cret");
    }

    #[test]
    fn a_command_that_prints_no_token_says_why_and_not_what() {
        let cases = [
            ("exit 3", "exit status: 3"),
            ("echo s3cret; exit 3", "exit status: 3"),
            ("true", "is empty"),
            ("echo s3cret; echo s3cret", "more than one line"),
            ("echo s3cret is it", "blanks"),
            ("printf '\\377'", "no text"),
            ("yes s3cret", "failed: "),
            ("kill -9 $$", "signal: 9"),
        ];
        for (command, why) in cases {
            let fault = of(command).unwrap_err();
            assert!(fault.what.contains(why), "{command}: {fault:?}");
            let rest = fault.what.replace(command, "");
            assert!(!rest.contains("s3cret"), "{command}: {fault:?}");
        }
    }

    #[test]
    fn a_command_that_never_ends_is_ended() {
        let source = SecretSource::Command("exec sleep 1000".to_owned());
        let fault = get(&source, "token", checked_token, Duration::from_secs(1)).unwrap_err();
        assert!(fault.what.contains("within 1 s"), "{fault:?}");
    }

    #[test]
    fn a_variable_that_is_not_set_is_told_by_its_name() {
        let source = SecretSource::Env("CLAWFLEET_NO_SUCH_TOKEN".to_owned());
        let fault = get(&source, "token", checked_token, LIMIT).unwrap_err();
        assert!(fault.what.contains("CLAWFLEET_NO_SUCH_TOKEN is not set"));
        assert!(fault.helps.contains("export CLAWFLEET_NO_SUCH_TOKEN="));
    }
}
