//! `clawfleet inventory`.

use std::io::Write as _;
use std::path::Path;

use super::args::InventoryCommand;
use super::connection::{self, Connections};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use crate::inventory::{EXAMPLE, Inventory};
use crate::report::{connection_table, hosts_table, settings_table};
use crate::ssh_config::Origin;

pub(super) fn run(context: &Context, command: &InventoryCommand) -> Result<Exit, CliError> {
    match command {
        InventoryCommand::Init { file } => init(context, file),
        InventoryCommand::List { selectors } => list(context, selectors),
        InventoryCommand::Show { selectors, ssh } => show(context, selectors, *ssh),
    }
}

fn init(context: &Context, file: &Path) -> Result<Exit, CliError> {
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut file| file.write_all(EXAMPLE.as_bytes()));
    match written {
        Ok(()) => {
            context.print(&format!(
                "wrote {0}; put your hosts into it, then: clawfleet -i {0} check all\n",
                file.display()
            ))?;
            Ok(Exit::Clean)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(CliError::Usage {
            message: format!("{} exists already and is left as it is", file.display()),
            hint: Some("name another file: clawfleet inventory init FILE".to_owned()),
        }),
        Err(error) => Err(CliError::Machine(format!("{}: {error}", file.display()))),
    }
}

fn list(context: &Context, selectors: &[String]) -> Result<Exit, CliError> {
    let (mut inventory, path) = context.load_inventory()?;
    let selected = context.select(&inventory, &path, selectors)?;
    connection::attach(context, &mut inventory, &selected)?;
    let hosts = selected
        .iter()
        .filter_map(|index| inventory.hosts.get(*index));
    context.print(&hosts_table(hosts, context.view))?;
    Ok(Exit::Clean)
}

fn show(context: &Context, selectors: &[String], ssh: bool) -> Result<Exit, CliError> {
    let (mut inventory, path) = context.load_inventory()?;
    let selected = context.select(&inventory, &path, selectors)?;
    if ssh {
        return show_connections(context, &inventory, &selected);
    }
    connection::attach(context, &mut inventory, &selected)?;
    for index in selected {
        let Some(host) = inventory.hosts.get(index) else {
            continue;
        };
        let groups = match host.groups.as_slice() {
            [] => "no groups".to_owned(),
            groups => format!("groups {}", groups.join(", ")),
        };
        context.print(&format!(
            "{}  address {}, {groups}\n",
            host.name, host.ssh.host_name
        ))?;
        context.print(&settings_table(
            inventory.settings(index).iter(),
            context.view,
        ))?;
    }
    Ok(Exit::Clean)
}

/// Shows what `ssh HOST` would do, keyword by keyword.
fn show_connections(
    context: &Context,
    inventory: &Inventory,
    selected: &[usize],
) -> Result<Exit, CliError> {
    let mut connections = Connections::new(context, inventory);
    for index in selected {
        let Some(host) = inventory.hosts.get(*index) else {
            continue;
        };
        let Some(effective) = connections.of(inventory, *index)? else {
            context.print(&format!("{}  is this machine: no SSH\n", host.name))?;
            continue;
        };
        let settings = effective.settings();
        let way: Vec<String> = settings
            .jumps()
            .into_iter()
            .chain([settings.as_ref()])
            .map(|hop| format!("{}@{}:{}", hop.user, hop.host_name, hop.port))
            .collect();
        context.print(&format!("{}  {}\n", host.name, way.join(" -> ")))?;
        // What somebody said comes before what nobody did.
        let (said, built_in): (Vec<_>, Vec<_>) = effective
            .entries()
            .into_iter()
            .partition(|entry| entry.origin != Origin::BuiltIn);
        let rows = said.into_iter().chain(built_in).map(|entry| {
            let written = entry.written.filter(|written| !written.is_empty());
            let written = written.map(|written| format!(" (written: {written})"));
            // Long lists break after their commas.
            let value = entry.value.replace(',', ", ") + &written.unwrap_or_default();
            (entry.keyword, value, entry.origin.to_string())
        });
        context.print(&connection_table(rows, context.view))?;
    }
    if let Some(note) = connections.note() {
        context.note(&note);
    }
    Ok(Exit::Clean)
}
