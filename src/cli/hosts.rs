//! `clawfleet hosts trust`: looks at keys, asks about them, enrols them.
//!
//! Hosts are taken by how many jumps are before them: the keys of a jump are settled before
//! anything goes through it.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::args::{HostsCommand, TrustArgs};
use super::context::Context;
use super::enrolment::Batches;
use super::error::CliError;
use super::exit::Exit;
use super::ground::ask_passphrase;
use super::vouch::{Heard, Sources};
use super::{connection, secrets};
use crate::inventory::Inventory;
use crate::model::{
    HostError, HostOutcome, KeyGroup, KeyStanding, Says, ShownKey, SshSettings, Stage, Timeouts,
    TransportKind, Voice, group_keys,
};
use crate::report::{known, question, shown_keys, unseen_hosts};
use crate::ssh::{Keyring, Passwords, ProxyShell, Scan, SshTransport};

/// How many hosts are looked at at once.
const AT_ONCE: usize = 64;
/// How often an answer may be neither yes nor no.
const ANSWERS: usize = 3;

pub(super) fn run(context: &Context, command: &HostsCommand) -> Result<Exit, CliError> {
    match command {
        HostsCommand::Trust(args) => trust(context, args),
    }
}

/// A server whose keys are looked at.
struct Target {
    /// The inventory's name, or the jump's.
    name: String,
    settings: Arc<SshSettings>,
    timeouts: Timeouts,
    /// Whether it was selected. If not it is a jump, and only matters while it is unknown.
    selected: bool,
}

/// What makes two targets one: the server, and the file that its keys go to.
type TargetId = (String, u16, Option<String>, Option<PathBuf>);

fn id(settings: &SshSettings) -> TargetId {
    let policy = &settings.host_keys;
    (
        settings.host_name.to_ascii_lowercase(),
        settings.port,
        policy.alias.clone(),
        policy.user_files.first().cloned(),
    )
}

fn trust(context: &Context, args: &TrustArgs) -> Result<Exit, CliError> {
    let (mut inventory, path) = context.load_inventory()?;
    let selected = context.select(&inventory, &path, &args.selectors)?;
    connection::attach(context, &mut inventory, &selected)?;
    let sources = Sources::new(context, args)?;
    let targets = targets(&inventory, &selected);
    let passwords = jump_passwords(&mut inventory, &selected, &path.display().to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Machine(format!("the runtime does not start: {error}")))?;
    let result = runtime.block_on(async {
        let proxies = connection::proxy_shell(context, &inventory);
        let transport = transport(context, &targets, passwords, proxies).await;
        let mut run = Run::new(context, args, &sources, &transport, &targets);
        let result = tokio::select! {
            result = run.all() => result,
            _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
        };
        // Interrupted between two levels of jumps: the first is written.
        let result = result.and_then(|exit| context.print(&run.written).map(|()| exit));
        for note in transport.take_notes() {
            context.note(&note);
        }
        transport.close().await;
        result
    });
    // A look-up of a name, or a question nobody answers, is not waited for.
    runtime.shutdown_background();
    result
}

/// The selected hosts, and the jumps before them that were not selected.
fn targets(inventory: &Inventory, selected: &[usize]) -> Vec<Target> {
    let hosts: Vec<_> = selected
        .iter()
        .filter_map(|index| inventory.hosts.get(*index))
        .filter(|host| host.transport == TransportKind::Ssh)
        .collect();
    let mut targets: Vec<Target> = hosts
        .iter()
        .map(|host| Target {
            name: host.name.clone(),
            settings: Arc::clone(&host.ssh),
            timeouts: host.timeouts.clone(),
            selected: true,
        })
        .collect();
    let mut there: HashSet<TargetId> = hosts.iter().map(|host| id(&host.ssh)).collect();
    for host in hosts {
        for jump in host.ssh.jumps() {
            if there.insert(id(jump)) {
                targets.push(Target {
                    name: jump.name.clone(),
                    settings: Arc::new(jump.clone()),
                    timeouts: host.timeouts.clone(),
                    selected: false,
                });
            }
        }
    }
    targets
}

/// Gets the passwords of jumps that are hosts of the inventory, and no other secret: the hosts
/// themselves are not logged in to.
fn jump_passwords(
    inventory: &mut Inventory,
    selected: &[usize],
    file: &str,
) -> Result<Arc<Passwords>, CliError> {
    for host in &mut inventory.hosts {
        host.privilege.password = None;
        Arc::make_mut(&mut host.ssh).password = None;
        host.service.token = None;
        for service in &mut host.more_services {
            service.token = None;
        }
    }
    let secrets = secrets::load(inventory, selected, file).map_err(CliError::Inventory)?;
    Ok(Arc::new(Passwords::new(&secrets)))
}

/// Only jumps are logged in to, so only their keys are loaded.
async fn transport(
    context: &Context,
    targets: &[Target],
    passwords: Arc<Passwords>,
    proxies: ProxyShell,
) -> SshTransport {
    let jumps: Vec<&SshSettings> = targets
        .iter()
        .flat_map(|target| target.settings.jumps())
        .collect();
    let mut prompt = ask_passphrase;
    let keyring = Keyring::load(
        &jumps,
        context.agent.clone(),
        passwords,
        context.remembered_logins(),
        &mut prompt,
    )
    .await;
    let all: Vec<&SshSettings> = targets
        .iter()
        .map(|target| target.settings.as_ref())
        .chain(jumps)
        .collect();
    let transport = SshTransport::new(keyring, &all, proxies);
    for note in transport.take_notes() {
        context.note(&note);
    }
    transport
}

/// A host that was seen.
struct Seen<'a> {
    target: &'a Target,
    scan: Scan,
}

/// What a run did so far.
struct Run<'a> {
    context: &'a Context,
    args: &'a TrustArgs,
    sources: &'a Sources,
    transport: &'a SshTransport,
    targets: &'a [Target],
    /// Servers whose keys are not to be trusted: nothing goes through them.
    untrusted: HashSet<TargetId>,
    unseen: Vec<(String, HostError)>,
    /// Hosts that there was nothing to do for.
    known: usize,
    /// Whether a key was changed, revoked or contradicted.
    alarmed: bool,
    /// Whether a key was left out.
    left: bool,
    /// What is to be said of what was written.
    written: String,
}

impl<'a> Run<'a> {
    fn new(
        context: &'a Context,
        args: &'a TrustArgs,
        sources: &'a Sources,
        transport: &'a SshTransport,
        targets: &'a [Target],
    ) -> Self {
        Self {
            context,
            args,
            sources,
            transport,
            targets,
            untrusted: HashSet::new(),
            unseen: Vec::new(),
            known: 0,
            alarmed: false,
            left: false,
            written: String::new(),
        }
    }

    async fn all(&mut self) -> Result<Exit, CliError> {
        let mut levels: BTreeMap<usize, Vec<&Target>> = BTreeMap::new();
        for target in self.targets {
            let level = target.settings.jumps().len();
            levels.entry(level).or_default().push(target);
        }
        let mut result = Ok(());
        for level in levels.into_values() {
            result = self.level(&level).await;
            if result.is_err() {
                break;
            }
        }
        if !self.unseen.is_empty() {
            let view = self.context.stderr_view();
            self.context.show(&unseen_hosts(&self.unseen, view));
        }
        if result.is_ok() && self.known > 0 {
            self.written += &known(self.known);
        }
        // Only now: a reader that is gone must not keep the last keys from being written.
        self.context.print(&std::mem::take(&mut self.written))?;
        result?;
        if self.targets.is_empty() {
            self.context.note("no selected host is reached over SSH");
        }
        Ok(self.exit())
    }

    /// The worst that applies, in the contract's order.
    fn exit(&self) -> Exit {
        if self.alarmed {
            Exit::Critical
        } else if !self.unseen.is_empty() {
            Exit::NotObserved
        } else if self.left {
            Exit::Warnings
        } else {
            Exit::Clean
        }
    }

    /// Settles the keys of hosts with as many jumps before them.
    async fn level(&mut self, level: &[&'a Target]) -> Result<(), CliError> {
        let seen = self.look(level).await;
        let heard = self.hear(&seen).await;
        let mut keys: Vec<Vec<ShownKey>> = Vec::new();
        for (one, heard) in seen.iter().zip(heard) {
            for fault in heard.faults {
                self.context.note(&format!("{}: {fault}", one.target.name));
            }
            keys.push(together(one, heard.voices));
        }
        self.known += keys
            .iter()
            .zip(&seen)
            .filter(|(keys, one)| one.target.selected && keys.iter().all(is_known))
            .count();
        let groups = group_keys(keys, self.args.replace);
        let accepted = self.ask(groups, &seen).await?;
        self.write(&accepted, &seen).await
    }

    /// Looks at the keys of hosts, many at once. Jumps that can be logged in to already are left
    /// out.
    async fn look(&mut self, level: &[&'a Target]) -> Vec<Seen<'a>> {
        let transport = self.transport;
        let scans: Vec<_> = stream::iter(self.unblocked(level))
            .map(|target| async move {
                let scanned = transport.scan(&target.settings, &target.timeouts).await;
                (target, scanned)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let mut seen = Vec::new();
        for (target, scanned) in scans {
            let mut scan = match scanned {
                Ok(scan) => scan,
                Err(outcome) => {
                    self.unseen_by(target, Some(&outcome));
                    continue;
                }
            };
            let trouble = scan.trouble.take();
            self.unseen_by(target, trouble.as_ref());
            if target.selected || !is_trusted(&scan) {
                seen.push(Seen { target, scan });
            }
        }
        seen
    }

    /// The hosts that may be gone to; the others are behind a jump that is not trusted.
    fn unblocked(&mut self, level: &[&'a Target]) -> Vec<&'a Target> {
        let mut open = Vec::new();
        for target in level {
            let Some(jump) = self.blocked_by(&target.settings) else {
                open.push(*target);
                continue;
            };
            let why = format!("jump host {}: its key was not enrolled", jump.name);
            self.untrusted.insert(id(&target.settings));
            if target.selected {
                let error = HostError::new(Stage::HostKey, why);
                self.unseen.push((target.name.clone(), error));
            }
        }
        open
    }

    /// Notes why a host was not seen. A jump's trouble is told by the hosts behind it.
    fn unseen_by(&mut self, target: &Target, outcome: Option<&HostOutcome>) {
        let error = outcome.and_then(HostOutcome::error);
        if let Some(error) = error.filter(|_| target.selected) {
            self.unseen.push((target.name.clone(), error.clone()));
        }
    }

    /// The first jump before a host whose key is not to be trusted.
    fn blocked_by<'s>(&self, settings: &'s SshSettings) -> Option<&'s SshSettings> {
        let mut jumps = settings.jumps().into_iter();
        jumps.find(|jump| self.untrusted.contains(&id(jump)))
    }

    async fn hear(&self, seen: &[Seen<'a>]) -> Vec<Heard> {
        let sources = self.sources;
        stream::iter(seen)
            .map(|one| sources.hear(&one.target.name, &one.target.settings, &one.scan))
            .buffered(AT_ONCE)
            .collect()
            .await
    }

    /// Shows each group and asks about it. Returns the keys that may be enrolled.
    async fn ask(
        &mut self,
        groups: BTreeMap<KeyGroup, Vec<ShownKey>>,
        seen: &[Seen<'a>],
    ) -> Result<Vec<(KeyGroup, ShownKey)>, CliError> {
        let view = self.context.stderr_view();
        let terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
        let unanswerable = !terminal && !self.args.yes;
        let mut accepted = Vec::new();
        let mut open = 0;
        for (group, keys) in groups {
            self.context.show(&shown_keys(group, &keys, view));
            let taken = if !group.is_open() {
                self.alarmed = true;
                false
            } else if self.args.yes {
                group.is_vouched() || self.args.unvouched
            } else if terminal {
                yes_or_no(question(group, &keys)).await
            } else {
                open += keys.len();
                false
            };
            if taken {
                accepted.extend(keys.into_iter().map(|key| (group, key)));
                continue;
            }
            if group.is_open() && !unanswerable {
                self.left = true;
                self.context.show(left_out(self.args));
            }
        }
        self.distrust(seen, &accepted);
        if unanswerable && open > 0 {
            return Err(no_terminal(open));
        }
        Ok(accepted)
    }

    /// Notes which servers are not to be gone through: those without a key that is known by now.
    fn distrust(&mut self, seen: &[Seen<'a>], accepted: &[(KeyGroup, ShownKey)]) {
        for one in seen.iter().filter(|one| !is_trusted(&one.scan)) {
            let host = label(one.target);
            if !accepted.iter().any(|(_, key)| key.host == host) {
                self.untrusted.insert(id(&one.target.settings));
            }
        }
    }

    /// Writes all accepted keys, each file once.
    async fn write(
        &mut self,
        accepted: &[(KeyGroup, ShownKey)],
        seen: &[Seen<'a>],
    ) -> Result<(), CliError> {
        let mut batches = Batches::default();
        for one in seen {
            let host = label(one.target);
            let mine: Vec<_> = accepted
                .iter()
                .filter(|(_, key)| key.host == host)
                .collect();
            if !mine.is_empty() {
                batches.add(&one.target.settings, &one.scan, &mine);
            }
        }
        batches.write(self.transport, &mut self.written).await
    }
}

/// What a target is called in tables and by what it is found again: no jump is taken for a host of
/// the same name.
fn label(target: &Target) -> String {
    if target.selected {
        return target.name.clone();
    }
    match target.settings.port {
        22 => format!("{} (jump)", target.name),
        port => format!("{}:{port} (jump)", target.name),
    }
}

/// Whether a host could be logged in to as things are.
fn is_trusted(scan: &Scan) -> bool {
    let mut keys = scan.keys.iter();
    scan.certified.is_some() || keys.any(|key| key.standing == KeyStanding::Known)
}

/// Whether there is nothing to do or to say about a key.
fn is_known(key: &ShownKey) -> bool {
    let against = |voice: &Voice| matches!(voice.says, Says::Contradicts(_));
    key.standing == KeyStanding::Known && !key.voices.iter().any(against)
}

/// Puts keys and what is said of them together.
fn together(one: &Seen<'_>, voices: Vec<Vec<Voice>>) -> Vec<ShownKey> {
    let keys = one.scan.keys.iter().zip(voices);
    keys.map(|(key, voices)| ShownKey {
        host: label(one.target),
        kind: key.kind(),
        fingerprint: key.fingerprint(),
        standing: key.standing.clone(),
        voices,
    })
    .collect()
}

fn no_terminal(keys: usize) -> CliError {
    let these = if keys == 1 { "this key" } else { "these keys" };
    CliError::Usage {
        message: format!("there is no terminal to ask on, and nothing was enrolled: {these} must be looked at first"),
        hint: Some("run it on a terminal; or vouch for the keys (--fingerprints, --vouch, --dns) and say --yes; or take them unseen: --yes --unvouched".to_owned()),
    }
}

fn left_out(args: &TrustArgs) -> &'static str {
    if args.yes {
        "  Left out: nobody vouches for them, and --unvouched was not given.\n"
    } else {
        "  Left out.\n"
    }
}

/// Asks on the terminal. The connections to jumps live on meanwhile; no answer is a no.
async fn yes_or_no(question: String) -> bool {
    let asking = tokio::task::spawn_blocking(move || {
        for _ in 0..ANSWERS {
            let mut stderr = io::stderr();
            let asked = write!(stderr, "{question} [yes/no] ").and_then(|()| stderr.flush());
            let mut line = String::new();
            match asked.and_then(|()| io::stdin().lock().read_line(&mut line)) {
                Ok(read) if read > 0 => {}
                _ => return false,
            }
            match line.trim().to_ascii_lowercase().as_str() {
                "yes" | "y" => return true,
                "no" | "n" => return false,
                _ => {}
            }
        }
        false
    });
    asking.await.unwrap_or(false)
}
