//! Connections as OpenSSH's files and the inventory make them together.

use std::path::PathBuf;
use std::sync::Arc;

use super::args::LoginArgs;
use super::context::Context;
use super::error::CliError;
use crate::inventory::Inventory;
use crate::model::{BecomeHow, Route, SecretSource, SshSettings};

/// Fills in the connection of these hosts.
pub(super) fn attach(
    context: &Context,
    inventory: &mut Inventory,
    selected: &[usize],
) -> Result<(), CliError> {
    for index in selected {
        let Some(host) = inventory.hosts.get_mut(*index) else {
            continue;
        };
        let mut settings = host.ssh.as_ref().clone();
        let home = &context.home;
        let tilde = |word: &str| match word.strip_prefix("~/") {
            Some(rest) => home.join(rest),
            None => PathBuf::from(word),
        };
        settings.identities.files = ["id_ed25519", "id_ecdsa", "id_rsa"]
            .map(|name| home.join(".ssh").join(name))
            .to_vec();
        settings.host_keys.user_files = vec![home.join(".ssh/known_hosts")];
        settings.host_keys.global_files = vec![PathBuf::from("/etc/ssh/ssh_known_hosts")];
        for option in &host.ssh_request.options {
            let words = shlex::split(&option.value).unwrap_or_default();
            match option.keyword.as_str() {
                "IdentityFile" => {
                    if !settings.identities.named {
                        settings.identities.files.clear();
                    }
                    settings.identities.named = true;
                    settings
                        .identities
                        .files
                        .extend(words.iter().map(|word| tilde(word)));
                }
                "UserKnownHostsFile" => {
                    settings.host_keys.user_files = words.iter().map(|word| tilde(word)).collect();
                }
                "GlobalKnownHostsFile" => settings.host_keys.global_files.clear(),
                "ProxyJump" => {
                    for hop in option.value.split(',') {
                        let (user, rest) = hop.split_once('@').unwrap_or(("root", hop));
                        let (name, port) = rest.split_once(':').unwrap_or((rest, "22"));
                        let mut jump =
                            SshSettings::plain(name, name, port.parse().unwrap_or(22), user);
                        jump.route = std::mem::replace(&mut settings.route, Route::Direct);
                        jump.identities = settings.identities.clone();
                        jump.host_keys = settings.host_keys.clone();
                        settings.route = Route::Jump(Arc::new(jump));
                    }
                }
                _ => {}
            }
        }
        host.ssh = Arc::new(settings);
    }
    Ok(())
}

/// Makes the operator the source of the passwords that the command line says to ask for.
pub(super) fn ask_for_passwords(inventory: &mut Inventory, selected: &[usize], login: LoginArgs) {
    for index in selected {
        let Some(host) = inventory.hosts.get_mut(*index) else {
            continue;
        };
        if login.ask_pass {
            host.password = Some(SecretSource::Asked("SSH password"));
        }
        if login.ask_become_pass && matches!(host.privilege.how, BecomeHow::Sudo | BecomeHow::Su) {
            host.privilege.password = Some(SecretSource::Asked("sudo or su password"));
        }
    }
}
