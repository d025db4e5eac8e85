//! `clawfleet notify`.

use std::path::Path;
use std::time::Duration;

use super::args::Format;
use super::args_notify::NotifyCommand;
use super::audience::{Audience, bastion};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use crate::inventory::{Inventory, InventoryError};
use crate::model::{Address, ChannelSpec, OutboxEntry, Target};
use crate::notify::{self, Delivery};
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
    let audience = Audience::of(inventory, path, only)?;
    let now = jiff::Timestamp::now();
    let run = format!("test-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let alert = notify::test_alert(&audience.fleet, &bastion(), &run, now);
    // A test that did not arrive is not sent later: nobody would expect it any more.
    let mut outbox: Vec<OutboxEntry> = Vec::new();
    let deliveries = audience.deliver(Some(&alert), &mut outbox, limit)?;
    let mut text = String::new();
    for (channel, delivery) in audience.channels.iter().zip(&deliveries) {
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
