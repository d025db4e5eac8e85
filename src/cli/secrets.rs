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
use crate::model::{Host, Secret, SecretSource, Secrets};

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
                let secret = get(source, kind, LIMIT).map_err(|fault| InventoryError {
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

/// Why a secret could not be had, and what helps.
#[derive(Debug)]
struct Fault {
    what: String,
    helps: String,
}

fn get(source: &SecretSource, kind: Kind, limit: Duration) -> Result<Secret, Fault> {
    let checked = |text: &str| match kind {
        Kind::Token => checked_token(text),
        Kind::Password | Kind::BecomePassword => checked_password(text),
    };
    match source {
        SecretSource::Asked(what) => ask(what),
        SecretSource::Env(name) => {
            let helps = || {
                format!(
                    "set it before the run, e.g. `export {name}=…`, or remove `{}`",
                    kind.what()
                )
            };
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
        helps: "run it on a terminal, or name a source in the inventory: `{env: NAME}` or `{command: \"…\"}`"
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
            Kind::Token,
            Duration::from_secs(5),
        )
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
        let fault = get(&source, Kind::Token, Duration::from_secs(1)).unwrap_err();
        assert!(fault.what.contains("within 1 s"), "{fault:?}");
    }

    #[test]
    fn a_variable_that_is_not_set_is_told_by_its_name() {
        let source = SecretSource::Env("CLAWFLEET_NO_SUCH_TOKEN".to_owned());
        let fault = get(&source, Kind::Token, LIMIT).unwrap_err();
        assert!(fault.what.contains("CLAWFLEET_NO_SUCH_TOKEN is not set"));
        assert!(fault.helps.contains("export CLAWFLEET_NO_SUCH_TOKEN="));
    }
}
