//! Who vouches for host keys: a file, a command of the operator, DNS.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::args::TrustArgs;
use super::beside;
use super::context::Context;
use super::error::CliError;
use crate::model::{Agreement, Claim, KeyKind, Says, SshSettings, Voice, compare_claims};
use crate::ssh::{Resolver, Scan, ScannedKey, SshfpAnswer, Vouchers};

/// The largest list that is read, in bytes.
const MAX_LIST: u64 = 64 << 20;
/// What is read of a command's output and of its errors, in bytes.
const MAX_OUTPUT: u64 = 64 << 10;
const MAX_ERRORS: u64 = 1 << 10;
/// How long a command may take for a host.
const LIMIT: Duration = Duration::from_secs(30);
/// How many commands and questions run at once.
const AT_ONCE: usize = 16;

/// The sources that the command line names.
pub(super) struct Sources {
    list: Option<(String, Vouchers)>,
    command: Option<String>,
    resolver: Option<Resolver>,
    shell: PathBuf,
    places: Semaphore,
}

/// What the sources say of a host's keys, in the keys' order, and what went wrong on the way.
pub(super) struct Heard {
    pub(super) voices: Vec<Vec<Voice>>,
    pub(super) faults: Vec<String>,
}

impl Sources {
    pub(super) fn new(context: &Context, args: &TrustArgs) -> Result<Self, CliError> {
        let list = args.fingerprints.as_deref().map(read_list).transpose()?;
        let resolver = args.dns.then(|| {
            // resolv.conf(5): without the file, this machine is asked.
            let text = std::fs::read_to_string(&args.resolv_conf).unwrap_or_default();
            Resolver::from_resolv_conf(&text)
        });
        Ok(Self {
            list,
            command: args.vouch.clone(),
            resolver,
            shell: context.shell.clone(),
            places: Semaphore::new(AT_ONCE),
        })
    }

    /// Asks all sources about the keys of a host.
    pub(super) async fn hear(&self, name: &str, settings: &SshSettings, scan: &Scan) -> Heard {
        let mut heard = Heard {
            voices: vec![Vec::new(); scan.keys.len()],
            faults: Vec::new(),
        };
        let prints = prints(&scan.keys, ScannedKey::fingerprint);
        if let Some((source, vouchers)) = &self.list {
            let names = [name, settings.name.as_str()];
            let claims = vouchers.claims(&names, &scan.server);
            heard.add(source, proven(&claims, &prints));
        }
        // Asking costs processes and packets; the semaphore is never closed.
        let _place = self.places.acquire().await;
        if let Some(command) = &self.command {
            match run(&self.shell, command, name, settings, LIMIT).await {
                Ok(claims) => heard.add("the command", proven(&claims, &prints)),
                Err(why) => heard
                    .faults
                    .push(format!("the command vouches for nothing: {why}")),
            }
        }
        if let Some(resolver) = &self.resolver {
            match resolver.sshfp(&settings.host_name).await {
                Ok(answer) => heard.add("DNS", of_dns(&answer, &scan.keys, &prints)),
                Err(why) => heard.faults.push(format!("DNS vouches for nothing: {why}")),
            }
        }
        heard
    }
}

impl Heard {
    fn add(&mut self, source: &str, says: Vec<Option<Says>>) {
        for (voices, says) in self.voices.iter_mut().zip(says) {
            voices.extend(says.map(|says| Voice {
                source: source.to_owned(),
                says,
            }));
        }
    }
}

fn prints(keys: &[ScannedKey], print: impl Fn(&ScannedKey) -> String) -> Vec<(KeyKind, String)> {
    keys.iter().map(|key| (key.kind(), print(key))).collect()
}

fn proven(claims: &[Claim], prints: &[(KeyKind, String)]) -> Vec<Option<Says>> {
    let agreements = compare_claims(claims, prints).into_iter();
    agreements
        .map(|agreement| agreement.map(|agreement| says(agreement, None)))
        .collect()
}

fn says(agreement: Agreement, unproven: Option<&'static str>) -> Says {
    match (agreement, unproven) {
        (Agreement::Other(others), _) => Says::Contradicts(others),
        (Agreement::Same, Some(why)) => Says::Unproven(why),
        (Agreement::Same, None) => Says::Vouches,
    }
}

/// What records in DNS say. Without a signature they prove nothing, and neither does SHA-1; that
/// they name another key is a reason to stop all the same.
fn of_dns(
    answer: &SshfpAnswer,
    keys: &[ScannedKey],
    sha256: &[(KeyKind, String)],
) -> Vec<Option<Says>> {
    let (strong, weak): (Vec<Claim>, Vec<Claim>) = answer
        .claims
        .iter()
        .cloned()
        .partition(|claim| claim.fingerprint.starts_with("SHA256:"));
    // Where a kind has both, SHA-1 adds nothing (RFC 6594, 4.1).
    let weak: Vec<Claim> = weak
        .into_iter()
        .filter(|claim| !strong.iter().any(|better| better.kind == claim.kind))
        .collect();
    let unsigned = (!answer.signed).then_some("unsigned");
    let strong = compare_claims(&strong, sha256);
    let weak = compare_claims(&weak, &prints(keys, ScannedKey::sha1));
    strong
        .into_iter()
        .zip(weak)
        .map(|(strong, weak)| {
            strong
                .map(|agreement| says(agreement, unsigned))
                .or_else(|| weak.map(|agreement| says(agreement, Some("by SHA-1 only"))))
        })
        .collect()
}

fn read_list(path: &Path) -> Result<(String, Vouchers), CliError> {
    use std::io::Read as _;
    let name = path.display().to_string();
    let fault = |why: String| CliError::Usage {
        message: format!("--fingerprints {name}: {why}"),
        hint: Some(
            "each line is what `ssh-keygen -lf` prints, or `NAME SHA256:…`, or a known_hosts line"
                .to_owned(),
        ),
    };
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_LIST).read_to_string(&mut text))
        .map_err(|error| fault(beside::why(&error)))?;
    let vouchers = Vouchers::parse(&text).map_err(|why| fault(why.to_string()))?;
    Ok((name, vouchers))
}

/// Runs the command for a host, whose name never becomes a part of it.
async fn run(
    shell: &Path,
    command: &str,
    name: &str,
    settings: &SshSettings,
    limit: Duration,
) -> Result<Vec<Claim>, String> {
    let mut child = Command::new(shell)
        .args(["-c", command])
        .env("CLAWFLEET_HOST", name)
        .env("CLAWFLEET_ADDRESS", &settings.host_name)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("it does not start: {error}"))?;
    let _group = Group(child.id().and_then(|id| i32::try_from(id).ok()));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = async {
        let (output, errors) = tokio::join!(read(stdout, MAX_OUTPUT), read(stderr, MAX_ERRORS));
        (child.wait().await, output, errors)
    };
    let (status, output, errors) = timeout(limit, ended)
        .await
        .map_err(|_| format!("it did not end within {} s", limit.as_secs()))?;
    let status = status.map_err(|error| error.to_string())?;
    if !status.success() {
        let said = errors.lines().map(str::trim).find(|line| !line.is_empty());
        let said = said.map(|line| format!(", it says `{line}`"));
        return Err(format!("{status}{}", said.unwrap_or_default()));
    }
    Vouchers::claims_of_one(&output).map_err(|fault| format!("its output, {fault}"))
}

/// Reads to the limit. A command that prints more is stopped by its closed pipe.
async fn read(from: Option<impl AsyncRead + Unpin>, limit: u64) -> String {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        // What was read until an error counts; the exit status tells the rest.
        let _ = from.take(limit).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A process group that ends when this is dropped.
struct Group(Option<i32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(Pid::from_raw) {
            // It is the normal case that nothing is left of it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    async fn said(command: &str) -> Result<Vec<Claim>, String> {
        let settings = SshSettings::plain("$(touch x)", "10.0.0.1", 22, "root");
        let limit = Duration::from_secs(1);
        run(Path::new("/bin/sh"), command, "$(exit 7)", &settings, limit).await
    }

    #[tokio::test]
    async fn a_command_is_ended_with_all_that_it_started() {
        let why = said("sleep 1000 & sleep 1000").await.unwrap_err();
        assert_eq!(why, "it did not end within 1 s");
        // What prints without an end meets a closed pipe.
        assert!(said("exec yes").await.is_err());
    }

    #[tokio::test]
    async fn names_are_never_run() {
        let claims = said("test \"$CLAWFLEET_HOST\" = '$(exit 7)'").await;
        assert_eq!(claims, Ok(Vec::new()));
    }
}
