//! Connections as OpenSSH's files and the inventory make them together.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::sync::Arc;

use super::args::LoginArgs;
use super::context::Context;
use super::error::CliError;
use super::machine::Machine;
use crate::inventory::{Inventory, Layer};
use crate::model::{Address, BecomeHow, SecretSource, SshFiles, TransportKind};
use crate::ssh::ProxyShell;
use crate::ssh_config::{Effective, SshConfig};

/// OpenSSH's files as the hosts of an inventory want them read, each once.
pub(super) struct Connections {
    machine: Machine,
    configs: BTreeMap<String, SshConfig>,
}

impl Connections {
    pub(super) fn new(context: &Context, inventory: &Inventory) -> Self {
        let mut machine = Machine::look(&context.home, &context.shell);
        machine.hosts = inventory
            .hosts
            .iter()
            .map(|host| (host.name.clone(), host.ssh_request.clone()))
            .collect();
        machine.secret_names = secret_names(inventory);
        Self {
            machine,
            configs: BTreeMap::new(),
        }
    }

    /// Says how a host is connected to.
    pub(super) fn of(
        &mut self,
        inventory: &Inventory,
        index: usize,
    ) -> Result<Option<Effective>, CliError> {
        let Some(host) = inventory.hosts.get(index) else {
            return Ok(None);
        };
        if host.transport != TransportKind::Ssh {
            return Ok(None);
        }
        let files = &host.ssh_request.files;
        let key = match files {
            SshFiles::Usual => String::new(),
            SshFiles::None => "none".to_owned(),
            SshFiles::Only(path) => format!("file {}", path.display()),
        };
        let Machine { bastion, .. } = &self.machine;
        if !self.configs.contains_key(&key) {
            let config =
                SshConfig::load(files, bastion, &self.machine).map_err(CliError::SshConfig)?;
            self.configs.insert(key.clone(), config);
        }
        let Some(config) = self.configs.get(&key) else {
            return Ok(None);
        };
        config
            .resolve(&host.name, &host.ssh_request, bastion, &self.machine)
            .map(Some)
            .map_err(CliError::SshConfig)
    }

    /// Fills in the connections of hosts.
    pub(super) fn attach(
        &mut self,
        inventory: &mut Inventory,
        selected: &[usize],
    ) -> Result<(), CliError> {
        for index in selected {
            let Some(effective) = self.of(inventory, *index)? else {
                continue;
            };
            let mut settings = Arc::clone(effective.settings());
            if settings.connect_timeout.is_some() && sets_tcp_timeout(inventory, *index) {
                Arc::make_mut(&mut settings).connect_timeout = None;
            }
            if let Some(host) = inventory.hosts.get_mut(*index) {
                host.ssh = settings;
            }
        }
        Ok(())
    }

    /// Returns the one note on keywords that are read past, if there are any.
    pub(super) fn note(&self) -> Option<String> {
        let mut ignored: BTreeMap<&str, String> = BTreeMap::new();
        for one in self.configs.values().flat_map(SshConfig::ignored) {
            ignored
                .entry(one.keyword)
                .or_insert_with(|| format!("{} ({}:{})", one.keyword, one.file, one.line));
        }
        if ignored.is_empty() {
            return None;
        }
        let names: Vec<String> = ignored.into_values().collect();
        Some(format!(
            "ssh_config: read past, for they change nothing here: {}",
            names.join(", ")
        ))
    }
}

/// Returns how proxy commands are run for the hosts of an inventory.
pub(super) fn proxy_shell(context: &Context, inventory: &Inventory) -> ProxyShell {
    ProxyShell {
        shell: context.shell.clone(),
        without: secret_names(inventory),
    }
}

/// Returns the environment variables that the inventory names as holding a secret. They are for
/// clawfleet alone: no host and no proxy command gets them.
pub(super) fn secret_names(inventory: &Inventory) -> BTreeSet<String> {
    let sources = inventory.hosts.iter().flat_map(|host| {
        let tokens = host.services().map(|service| service.token.as_ref());
        let passwords = [
            host.ssh_request.password.as_ref(),
            host.privilege.password.as_ref(),
        ];
        tokens.chain(passwords).flatten().collect::<Vec<_>>()
    });
    let channels = inventory.channels.iter();
    let of_channels = channels.flat_map(|channel| channel.target.secrets());
    let heartbeat = inventory
        .heartbeat
        .iter()
        .filter_map(|spec| match &spec.url {
            Address::Secret(source) => Some(source),
            Address::Plain(_) => None,
        });
    sources
        .chain(of_channels.map(|(_, source)| source))
        .chain(heartbeat)
        .filter_map(|source| match source {
            SecretSource::Env(name) => Some(name.clone()),
            SecretSource::File(_) | SecretSource::Command(_) | SecretSource::Asked(_) => None,
        })
        .collect()
}

fn sets_tcp_timeout(inventory: &Inventory, index: usize) -> bool {
    inventory
        .settings(index)
        .get("timeouts.tcp")
        .is_some_and(|(_, origin)| origin.layer != Layer::BuiltIn)
}

/// Fills in the connections of hosts, and tells what was read past where somebody looks: a mail of
/// cron every five minutes is not the place.
pub(super) fn attach(
    context: &Context,
    inventory: &mut Inventory,
    selected: &[usize],
) -> Result<(), CliError> {
    let mut connections = Connections::new(context, inventory);
    connections.attach(inventory, selected)?;
    let watched = std::io::stderr().is_terminal() && !context.view.quiet;
    if (watched || context.view.verbose)
        && let Some(note) = connections.note()
    {
        context.note(&note);
    }
    Ok(())
}

/// Makes the operator the source of the passwords that the command line says to ask for: for every
/// host of the inventory, since a jump may be one that is not selected.
pub(super) fn ask_for_passwords(inventory: &mut Inventory, login: LoginArgs) {
    for host in &mut inventory.hosts {
        if login.ask_pass {
            host.ssh_request.password = Some(SecretSource::Asked("SSH password"));
        }
        if login.ask_become_pass && matches!(host.privilege.how, BecomeHow::Sudo | BecomeHow::Su) {
            host.privilege.password = Some(SecretSource::Asked("sudo or su password"));
        }
    }
}
