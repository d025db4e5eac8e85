//! `clawfleet notify`, and what `check` needs to tell somebody.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::args::Format;
use super::args_notify::NotifyCommand;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::secrets;
use crate::inventory::{Inventory, InventoryError};
use crate::model::{Address, Alert, ChannelSpec, Target};
use crate::notify::{self, Bearings, Channel, Delivery, Outbox, OutboxEntry, Proxies};
use crate::report::{sanitize, shorten};

/// How much of a channel's words is shown, in characters.
const LONGEST_WORDS: usize = 600;

pub(super) fn run(context: &Context, command: &NotifyCommand) -> Result<Exit, CliError> {
    if context.format != Format::Table {
        return Err(CliError::Usage {
            message: "`notify` prints for people only".into(),
            hint: Some("its exit code tells a script".into()),
        });
    }
    let (inventory, path) = context.load_inventory()?;
    if inventory.channels.is_empty() {
        let file = path.display().to_string();
        let none = InventoryError::new(&file, "there is no `notify`: nobody is told of anything");
        return Err(CliError::Inventory(none.hint(
            "e.g. `notify: {ops: {type: slack, url: {env: SLACK_WEBHOOK}}}`; docs/notify.md tells all",
        )));
    }
    match command {
        NotifyCommand::List => list(context, &inventory),
        NotifyCommand::Test { channel, deadline } => {
            test(context, &inventory, &path, channel.as_deref(), *deadline)
        }
    }
}

/// Makes the channels of an inventory ready, all of them or the named one: their secrets are had, and
/// their addresses are looked at. Nothing is sent.
///
/// # Errors
/// The first channel that is at fault, with its line.
pub(super) fn channels(
    inventory: &Inventory,
    path: &Path,
    only: Option<&str>,
) -> Result<Vec<Channel>, CliError> {
    let file = path.display().to_string();
    let wanted = |spec: &&ChannelSpec| only.is_none_or(|name| spec.name == name);
    let mut secrets = BTreeMap::new();
    let mut channels = Vec::new();
    for spec in inventory.channels.iter().filter(wanted) {
        secrets::load_channel(spec, &mut secrets, &file).map_err(CliError::Inventory)?;
        let channel = Channel::new(spec, &secrets).map_err(|fault| {
            CliError::Inventory(InventoryError {
                file: file.clone(),
                at: Some((spec.line, 1)),
                message: format!("channel `{}`: {}", spec.name, fault.what),
                hint: Some(fault.helps),
            })
        })?;
        channels.push(channel);
    }
    Ok(channels)
}

/// Delivers an alert and what waits from earlier runs, on a runtime of its own.
///
/// # Errors
/// The runtime does not start. That a message does not arrive is none.
pub(super) fn deliver(
    inventory: &Inventory,
    alert: Option<&Alert>,
    channels: &[Channel],
    outbox: &mut dyn Outbox,
    limit: Duration,
) -> Result<Vec<Delivery>, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Machine(format!("the runtime does not start: {error}")))?;
    let proxies = proxies();
    let secret_variables = super::connection::secret_names(inventory);
    let bastion = bastion();
    let bearings = Bearings {
        bastion: &bastion,
        proxies: &proxies,
        secret_variables: &secret_variables,
    };
    let deliveries = runtime.block_on(async {
        let deadline = Instant::now() + limit;
        notify::deliver(alert, channels, outbox, bearings, deadline).await
    });
    // Name look-ups run on threads that cannot be stopped; nobody waits for them here.
    runtime.shutdown_background();
    Ok(deliveries)
}

/// Returns this machine's name.
pub(super) fn bastion() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

/// Returns what the fleet is called: as the inventory says, or by the inventory's own name.
pub(super) fn fleet_name(inventory: &Inventory, path: &Path) -> String {
    inventory.fleet.clone().unwrap_or_else(|| {
        let stem = path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    })
}

/// The proxies of the environment. The small names come first, as with curl, which does not read a
/// large HTTP_PROXY at all: to a program that a web server starts it may be a header of a request.
/// We are none, so it is read where REQUEST_METHOD does not say otherwise.
pub(super) fn proxies() -> Proxies {
    let get = |names: [&str; 2]| {
        names
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    };
    let http = match std::env::var_os("REQUEST_METHOD") {
        None => get(["http_proxy", "HTTP_PROXY"]),
        Some(_) => get(["http_proxy", "http_proxy"]),
    };
    let https = get(["https_proxy", "HTTPS_PROXY"]);
    let no = get(["no_proxy", "NO_PROXY"]);
    Proxies::new(https.as_deref(), http.as_deref(), no.as_deref())
}

fn test(
    context: &Context,
    inventory: &Inventory,
    path: &Path,
    only: Option<&str>,
    limit: Duration,
) -> Result<Exit, CliError> {
    if let Some(name) = only
        && !inventory.channels.iter().any(|spec| spec.name == name)
    {
        let names: Vec<&str> = inventory
            .channels
            .iter()
            .map(|spec| spec.name.as_str())
            .collect();
        return Err(CliError::Usage {
            message: format!("no channel is called `{name}`"),
            hint: Some(format!("there are {}", names.join(", "))),
        });
    }
    let channels = channels(inventory, path, only)?;
    let now = jiff::Timestamp::now();
    let run = format!("test-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let alert = notify::test_alert(&fleet_name(inventory, path), &bastion(), &run, now);
    // A test that did not arrive is not sent later: nobody would expect it any more.
    let mut outbox: Vec<OutboxEntry> = Vec::new();
    let deliveries = deliver(inventory, Some(&alert), &channels, &mut outbox, limit)?;
    let mut text = String::new();
    for (channel, delivery) in channels.iter().zip(&deliveries) {
        let spec = channel.spec();
        let head = format!("{} ({}, {})", spec.name, spec.target.id(), channel.place());
        let said = said(delivery);
        let said = shorten(&sanitize(&said), LONGEST_WORDS).into_owned();
        text += &format!("{}: {said}\n", sanitize(&head));
    }
    context.print(&text)?;
    let all = deliveries.iter().all(|delivery| delivery.delivered > 0);
    // 1, as of warnings: what was asked for did not happen, and nothing is broken.
    Ok(if all { Exit::Clean } else { Exit::Warnings })
}

/// What became of a channel's one message.
fn said(delivery: &Delivery) -> String {
    let mut words = match (delivery.given_up.first(), &delivery.last_error) {
        (Some(why), _) => format!("NOT DELIVERED: {why}"),
        (None, Some(why)) => format!("NOT DELIVERED in time: {why}"),
        (None, None) if delivery.delivered > 0 => "delivered".to_owned(),
        (None, None) => "NOT DELIVERED: there was no time to try".to_owned(),
    };
    for note in &delivery.notes {
        words += &format!("; {note}");
    }
    words
}

fn list(context: &Context, inventory: &Inventory) -> Result<Exit, CliError> {
    let mut text = String::new();
    for spec in &inventory.channels {
        let mut lines = vec![format!("gets {}", spec.filter)];
        lines.extend(address(spec).map(|address| format!("to {address}")));
        let secrets: Vec<String> = spec
            .target
            .secrets()
            .into_iter()
            .map(|(key, source)| format!("{key} from {source}"))
            .collect();
        if !secrets.is_empty() {
            lines.push(secrets.join(", "));
        }
        if let Some(file) = &spec.ca_file {
            lines.push(format!("trusts {} alone", file.display()));
        }
        lines.push(format!(
            "at most {} a minute, {} s a try",
            spec.rate,
            spec.timeout.as_secs_f32()
        ));
        text += &format!(
            "{} ({}), line {}\n",
            sanitize(&spec.name),
            spec.target.id(),
            spec.line
        );
        for line in lines {
            text += &format!("  {}\n", shorten(&sanitize(&line), LONGEST_WORDS));
        }
    }
    context.print(&text)?;
    Ok(Exit::Clean)
}

/// Where a channel leads, as far as the inventory says it and anybody may know it.
fn address(spec: &ChannelSpec) -> Option<String> {
    match &spec.target {
        Target::Webhook {
            url: Address::Plain(url),
            ..
        } => Some(url.clone()),
        Target::Telegram { chat, topic, .. } => Some(match topic {
            Some(topic) => format!("chat {chat}, topic {topic}"),
            None => format!("chat {chat}"),
        }),
        Target::Email(mail) => Some(format!(
            "{} by {}:{} ({})",
            mail.to.join(", "),
            mail.server,
            mail.port,
            mail.tls.id()
        )),
        Target::Command { argv } => Some(argv.join(" ")),
        _ => None,
    }
}
