//! Whom a check tells: the channels of the inventory, with their secrets, and what waits for them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::context::Context;
use super::error::CliError;
use super::{connection, secrets};
use crate::inventory::{Inventory, InventoryError};
use crate::model::{Alert, ChannelSpec, Incident, OutboxEntry, Report};
use crate::notify::{self, Bearings, Channel, Delivery, Outbox, Proxies};
use crate::store::History;

/// Who is told.
pub(super) struct Audience {
    pub(super) channels: Vec<Channel>,
    /// What the fleet is called: as the inventory says, or by the inventory's own name.
    pub(super) fleet: String,
    /// No program gets these variables.
    secret_variables: BTreeSet<String>,
}

impl Audience {
    /// Makes the channels of an inventory ready, all of them or the named one: their secrets are had, and
    /// their addresses are looked at. Nothing is sent.
    ///
    /// # Errors
    /// The first channel that is at fault, with its line.
    pub(super) fn of(
        inventory: &Inventory,
        path: &Path,
        only: Option<&str>,
    ) -> Result<Self, CliError> {
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
        Ok(Self {
            channels,
            fleet: inventory.fleet.clone().unwrap_or_else(|| {
                let stem = path.file_stem().unwrap_or_default();
                stem.to_string_lossy().into_owned()
            }),
            secret_variables: connection::secret_names(inventory),
        })
    }

    /// Returns what each channel is to get of a run's news.
    pub(super) fn messages(
        &self,
        report: &Report,
        run: String,
        incidents: Vec<Incident>,
    ) -> Vec<OutboxEntry> {
        if incidents.is_empty() {
            return Vec::new();
        }
        let now = Timestamp::now();
        let alert = Alert {
            fleet: self.fleet.clone(),
            bastion: bastion(),
            run,
            at: report.started_at,
            incidents,
            counts: report.summary().into(),
        };
        notify::entries(&alert, self.channels.iter().map(Channel::spec), now)
    }

    /// Delivers an alert and what waits from earlier runs, on a runtime of its own.
    ///
    /// # Errors
    /// The runtime does not start. That a message does not arrive is none.
    pub(super) fn deliver(
        &self,
        alert: Option<&Alert>,
        outbox: &mut dyn Outbox,
        limit: Duration,
    ) -> Result<Vec<Delivery>, CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CliError::Machine(format!("the runtime does not start: {error}")))?;
        let proxies = proxies();
        let bastion = bastion();
        let bearings = Bearings {
            bastion: &bastion,
            proxies: &proxies,
            secret_variables: &self.secret_variables,
        };
        let deliveries = runtime.block_on(async {
            let deadline = Instant::now() + limit;
            notify::deliver(alert, &self.channels, outbox, bearings, deadline).await
        });
        // Name look-ups run on threads that cannot be stopped; nobody waits for them here.
        runtime.shutdown_background();
        Ok(deliveries)
    }

    /// Sends what waits, and tells the operator of what did not arrive: at once of what is news, and of what waits
    /// from earlier runs only when it is given up, since cron mails every word.
    pub(super) fn send(&self, context: &Context, outbox: &mut dyn Outbox, limit: Duration) {
        let waiting = outbox.waiting().unwrap_or_default();
        if waiting.is_empty() {
            return;
        }
        let news = waiting.into_iter().filter(|entry| entry.attempts == 0);
        let news: BTreeSet<String> = news.map(|entry| entry.channel).collect();
        let deliveries = match self.deliver(None, outbox, limit) {
            Ok(deliveries) => deliveries,
            Err(error) => return context.note(&format!("nobody was told: {error}")),
        };
        for delivery in deliveries {
            let say = |why: &str| context.note(&format!("channel {}: {why}", delivery.channel));
            for why in &delivery.given_up {
                say(&format!("NOT DELIVERED: {why}"));
            }
            delivery.notes.iter().for_each(|note| say(note));
            let why = delivery.last_error.as_deref();
            let why = why.unwrap_or("there was no time to try");
            if delivery.waiting > 0 && news.contains(&delivery.channel) {
                say(&format!(
                    "not delivered yet, and tried again by the next run: {why}"
                ));
            } else if delivery.waiting > 0 {
                tracing::info!(
                    channel = delivery.channel,
                    waiting = delivery.waiting,
                    why,
                    "messages wait"
                );
            }
        }
    }
}

/// The outbox of an inventory in the history.
pub(super) struct KeptOutbox<'a> {
    pub(super) history: &'a mut History,
    pub(super) inventory: &'a Path,
}

impl Outbox for KeptOutbox<'_> {
    fn waiting(&mut self) -> Result<Vec<OutboxEntry>, String> {
        let waiting = self.history.waiting(self.inventory);
        waiting.map_err(|fault| fault.to_string())
    }

    fn keep(&mut self, entry: &OutboxEntry) -> Result<(), String> {
        let kept = self.history.keep_message(self.inventory, entry);
        kept.map_err(|fault| fault.to_string())
    }

    fn forget(&mut self, entry: &OutboxEntry) -> Result<(), String> {
        let forgotten = self.history.forget_message(self.inventory, entry);
        forgotten.map_err(|fault| fault.to_string())
    }
}

/// Returns this machine's name.
pub(super) fn bastion() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
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
