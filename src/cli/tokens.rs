//! The gateways' tokens: had from the environment or from a command, once and before the run.
//!
//! A token is kept in memory and sent to its gateway, and is in no message, log or file.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::inventory::{Inventory, InventoryError};
use crate::model::{Secret, TokenSource, Tokens};

/// A password store may ask its user for something first.
const LIMIT: Duration = Duration::from_secs(60);

/// What is read of a command's output, in bytes.
const MAX_OUTPUT: u64 = 16 << 10;

/// Gets every token that the selected hosts name, each distinct source once.
///
/// # Errors
/// The first that cannot be had, with the line of the inventory that asks for it.
pub(super) fn load(
    inventory: &Inventory,
    selected: &[usize],
    file: &str,
) -> Result<Tokens, InventoryError> {
    let mut tokens: Tokens = BTreeMap::new();
    for index in selected {
        let Some(host) = inventory.hosts.get(*index) else {
            continue;
        };
        for source in host.services().filter_map(|service| service.token.as_ref()) {
            if tokens.contains_key(source) {
                continue;
            }
            let token = get(source, LIMIT).map_err(|fault| InventoryError {
                file: file.to_owned(),
                at: inventory
                    .settings(*index)
                    .get("service.token")
                    .map(|(_, origin)| (origin.line, 1)),
                message: format!("the token of `{}`: {}", host.name, fault.what),
                hint: Some(fault.helps),
            })?;
            tokens.insert(source.clone(), token);
        }
    }
    Ok(tokens)
}

/// Why a token could not be had, and what helps.
#[derive(Debug)]
struct Fault {
    what: String,
    helps: String,
}

fn get(source: &TokenSource, limit: Duration) -> Result<Secret, Fault> {
    match source {
        TokenSource::Env(name) => {
            let helps =
                || format!("set it before the run, e.g. `export {name}=…`, or remove `token`");
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
        TokenSource::Command(command) => {
            let fault = |what: String| Fault {
                what: format!("the command `{command}` {what}"),
                helps: "run it by hand; it must print the token, and nothing else, on its \
                        standard output"
                    .to_owned(),
            };
            let output = run(command, limit).map_err(fault)?;
            checked(&output).map_err(|why| fault(format!("succeeded, and its output {why}")))
        }
    }
}

/// A token is one printable word: anything else would fail on every host, or be somebody's error.
fn checked(text: &str) -> Result<Secret, &'static str> {
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
            &TokenSource::Command(command.to_owned()),
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
        let source = TokenSource::Command("exec sleep 1000".to_owned());
        let fault = get(&source, Duration::from_secs(1)).unwrap_err();
        assert!(fault.what.contains("within 1 s"), "{fault:?}");
    }

    #[test]
    fn a_variable_that_is_not_set_is_told_by_its_name() {
        let source = TokenSource::Env("CLAWFLEET_NO_SUCH_TOKEN".to_owned());
        let fault = get(&source, LIMIT).unwrap_err();
        assert!(fault.what.contains("CLAWFLEET_NO_SUCH_TOKEN is not set"));
        assert!(fault.helps.contains("export CLAWFLEET_NO_SUCH_TOKEN="));
    }
}
