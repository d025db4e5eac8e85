//! What every command that connects to hosts does first: hosts, keys, secrets, limits, signals.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::LoginArgs;
use super::context::Context;
use super::error::CliError;
use super::{connection, secrets, signals};
use crate::fleet::{self, AnyTransport, Cancel, Limits, RunSecrets};
use crate::inventory::Inventory;
use crate::model::{HeartbeatSpec, Host, Secrets, SshSettings, TransportKind};
use crate::ssh::{Keyring, LocalTransport, Passwords, ProxyShell, SshTransport};

/// How many hosts are worked on at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) forks: u16,
    pub(super) handshakes: u16,
    pub(super) login: LoginArgs,
    /// How much a host may print, in bytes, where it is more than a probe does.
    pub(super) takes: Option<u64>,
}

/// The hosts of a run, before anybody connects.
pub(super) struct Hosts {
    /// The inventory's path, absolute.
    pub(super) path: PathBuf,
    /// The selected ones.
    pub(super) hosts: Vec<Arc<Host>>,
    /// What the inventory says of the heartbeat.
    pub(super) heartbeat: Option<HeartbeatSpec>,
    limits: Limits,
    secrets: Secrets,
    passwords: Arc<Passwords>,
    proxies: ProxyShell,
    takes: Option<u64>,
}

/// What a run works with.
pub(super) struct Ground {
    pub(super) hosts: Vec<Arc<Host>>,
    pub(super) transport: Arc<AnyTransport>,
    pub(super) secrets: Arc<RunSecrets>,
    pub(super) limits: Limits,
    pub(super) cancel: Cancel,
}

impl Hosts {
    /// Reads the inventory and everything that the selected hosts need.
    pub(super) fn select(
        context: &Context,
        selectors: &[String],
        wanted: Wanted,
    ) -> Result<Self, CliError> {
        let (inventory, path) = context.load_inventory()?;
        let selected = context.select(&inventory, &path, selectors)?;
        Self::of(context, inventory, path, selected, wanted)
    }

    /// The same, for hosts that are changed before anything is asked for.
    pub(super) fn select_changed(
        context: &Context,
        selectors: &[String],
        wanted: Wanted,
        change: impl Fn(&mut Host),
    ) -> Result<Self, CliError> {
        let (mut inventory, path) = context.load_inventory()?;
        let selected = context.select(&inventory, &path, selectors)?;
        for index in &selected {
            if let Some(host) = inventory.hosts.get_mut(*index) {
                change(host);
            }
        }
        Self::of(context, inventory, path, selected, wanted)
    }

    /// The same, for hosts by their names. One that the inventory does not have is an error.
    pub(super) fn named(
        context: &Context,
        names: &[&str],
        wanted: Wanted,
    ) -> Result<Self, CliError> {
        let (inventory, path) = context.load_inventory()?;
        let mut selected = Vec::new();
        for (index, host) in inventory.hosts.iter().enumerate() {
            if names.contains(&host.name.as_str()) {
                selected.push(index);
            }
        }
        let missing = names
            .iter()
            .find(|name| !inventory.hosts.iter().any(|host| host.name == **name));
        if let Some(missing) = missing {
            return Err(CliError::Usage {
                message: format!("{}: there is no host {missing}", path.display()),
                hint: Some(
                    "the plan was made with another inventory; name that one with -i".into(),
                ),
            });
        }
        Self::of(context, inventory, path, selected, wanted)
    }

    fn of(
        context: &Context,
        mut inventory: Inventory,
        path: PathBuf,
        selected: Vec<usize>,
        wanted: Wanted,
    ) -> Result<Self, CliError> {
        connection::ask_for_passwords(&mut inventory, wanted.login);
        connection::attach(context, &mut inventory, &selected)?;
        let secrets = secrets::load(&inventory, &selected, &path.display().to_string())
            .map_err(CliError::Inventory)?;
        let passwords = Arc::new(Passwords::new(&secrets));
        let hosts: Vec<Arc<Host>> = selected
            .into_iter()
            .filter_map(|index| inventory.hosts.get(index))
            .map(|host| Arc::new(host.clone()))
            .collect();
        let files = fleet::raise_file_limit(usize::from(wanted.forks).min(hosts.len()));
        let limits = Limits {
            forks: wanted.forks.into(),
            handshakes: wanted.handshakes.into(),
        }
        .within(files);
        Ok(Self {
            proxies: connection::proxy_shell(context, &inventory),
            heartbeat: inventory.heartbeat.take(),
            path,
            hosts,
            limits,
            secrets,
            passwords,
            takes: wanted.takes,
        })
    }

    /// Does something with the hosts. One thread is enough: a thousand hosts cost about a second of it,
    /// and a second thread would raise the cost of each by a fifth.
    pub(super) fn run<T>(
        self,
        context: &Context,
        work: impl AsyncFnOnce(&Ground) -> T,
    ) -> Result<T, CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CliError::Machine(format!("the runtime does not start: {error}")))?;
        let result = runtime.block_on(async {
            let transport = transport(
                context,
                &self.hosts,
                Arc::clone(&self.passwords),
                self.proxies,
                self.takes,
            )
            .await;
            let ground = Ground {
                hosts: self.hosts,
                transport: Arc::new(transport),
                secrets: Arc::new(RunSecrets::new(self.secrets, self.passwords)),
                limits: self.limits,
                cancel: Cancel::default(),
            };
            let listening = signals::listen(&ground.cancel);
            let result = work(&ground).await;
            let ssh = &ground.transport.ssh;
            for note in ssh.take_notes() {
                context.note(&note);
            }
            ssh.close().await;
            context.remember_logins(ssh.keyring().what_worked());
            drop(listening);
            result
        });
        // Name look-ups run on threads that cannot be stopped; nobody waits for them here.
        runtime.shutdown_background();
        Ok(result)
    }
}

async fn transport(
    context: &Context,
    hosts: &[Arc<Host>],
    passwords: Arc<Passwords>,
    proxies: ProxyShell,
    takes: Option<u64>,
) -> AnyTransport {
    let settings: Vec<&SshSettings> = hosts
        .iter()
        .filter(|host| host.transport == TransportKind::Ssh)
        .flat_map(|host| std::iter::once(host.ssh.as_ref()).chain(host.ssh.jumps()))
        .collect();
    let mut prompt = ask_passphrase;
    let keyring = Keyring::load(
        &settings,
        context.agent.clone(),
        passwords,
        context.remembered_logins(),
        &mut prompt,
    )
    .await;
    let mut ssh = SshTransport::new(keyring, &settings, proxies);
    if let Some(bytes) = takes {
        ssh = ssh.taking(bytes);
    }
    for note in ssh.take_notes() {
        context.note(&note);
    }
    AnyTransport {
        ssh,
        local: LocalTransport,
    }
}

/// Asks for a key's passphrase on the terminal, once per key and before the run.
pub(super) fn ask_passphrase(key: &Path) -> Option<String> {
    use std::io::IsTerminal as _;
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    dialoguer::Password::new()
        .with_prompt(format!("Passphrase for {}", key.display()))
        .allow_empty_password(true)
        .interact()
        .ok()
}
