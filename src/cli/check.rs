//! `clawfleet check`.

use std::path::Path;
use std::sync::Arc;

use super::args::{CheckArgs, Format};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::{connection, secrets};
use crate::diagnose;
use crate::fleet::{self, AnyTransport, Cancel, CancelLevel, Limits, RunSecrets};
use crate::model::{
    Host, HostObservation, HostReport, Report, Secrets, SshSettings, TransportKind, Verdict,
};
use crate::report::{Progress, checks_json, checks_table, render_json, render_table};
use crate::ssh::{Keyring, LocalTransport, Passwords, ProxyShell, SshTransport};
use crate::store::LastRunRecord;

pub(super) fn run(context: &Context, args: &CheckArgs) -> Result<Exit, CliError> {
    if args.list {
        return list(context);
    }
    let (mut inventory, path) = context.load_inventory()?;
    let selected = context.select(&inventory, &path, &args.selectors)?;
    connection::ask_for_passwords(&mut inventory, args.login);
    connection::attach(context, &mut inventory, &selected)?;
    let secrets = secrets::load(&inventory, &selected, &path.display().to_string())
        .map_err(CliError::Inventory)?;
    let passwords = Arc::new(Passwords::new(&secrets));
    let hosts: Vec<Arc<Host>> = selected
        .into_iter()
        .filter_map(|index| inventory.hosts.get(index))
        .map(|host| Arc::new(host.clone()))
        .collect();
    let files = fleet::raise_file_limit(usize::from(args.forks).min(hosts.len()));
    let limits = Limits {
        forks: args.forks.into(),
        handshakes: args.handshakes.into(),
    }
    .within(files);
    let given = Given {
        secrets,
        passwords,
        proxies: connection::proxy_shell(context, &inventory),
    };
    let report = observe(context, &hosts, limits, given)?;
    context.remember(&last_run(&report, &path));
    let text = match context.format {
        Format::Table => render_table(&report, context.view),
        Format::Json => render_json(&report)
            .map_err(|error| CliError::Machine(format!("the report as JSON: {error}")))?,
    };
    context.print(&text)?;
    Ok(Exit::of(&report, args.fail_on))
}

/// Lists the classes, and the checks of the inventory, if there is one.
fn list(context: &Context) -> Result<Exit, CliError> {
    let (inventory, missing) = match context.load_inventory() {
        Ok((inventory, _)) => (Some(inventory), None),
        Err(error @ CliError::NoInventory(_)) => (None, Some(error)),
        Err(error) => return Err(error),
    };
    let text = match context.format {
        Format::Table => checks_table(inventory.as_ref(), context.view),
        Format::Json => checks_json(inventory.as_ref())
            .map_err(|error| CliError::Machine(format!("the list as JSON: {error}")))?,
    };
    context.print(&text)?;
    if let Some(error) = missing {
        context.note(&format!("{error}; only the built-in checks are listed"));
    }
    Ok(Exit::Clean)
}

/// What a run is given beside its hosts.
struct Given {
    secrets: Secrets,
    passwords: Arc<Passwords>,
    proxies: ProxyShell,
}

/// One thread is enough: a thousand hosts cost about a second of it, and a second thread would
/// raise the cost of each by a fifth.
fn observe(
    context: &Context,
    hosts: &[Arc<Host>],
    limits: Limits,
    given: Given,
) -> Result<Report, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Machine(format!("the runtime does not start: {error}")))?;
    let Given {
        secrets,
        passwords,
        proxies,
    } = given;
    let started_at = jiff::Timestamp::now();
    let begin = std::time::Instant::now();
    let cancel = Cancel::default();
    let observations = runtime.block_on(async {
        let transport = Arc::new(transport(context, hosts, Arc::clone(&passwords), proxies).await);
        let secrets = Arc::new(RunSecrets::new(secrets, passwords));
        let signals = tokio::spawn(listen_for_interrupts(cancel.clone()));
        let names = hosts.iter().map(|host| host.name.clone()).collect();
        let mut progress = Progress::new(names, context.progress);
        let observations = fleet::run(
            hosts,
            Arc::clone(&transport),
            limits,
            secrets,
            &cancel,
            |event| {
                progress.on_event(&event);
            },
        )
        .await;
        progress.finish();
        for note in transport.ssh.take_notes() {
            context.note(&note);
        }
        transport.ssh.close().await;
        context.remember_logins(transport.ssh.keyring().what_worked());
        signals.abort();
        observations
    });
    // Name look-ups run on threads that cannot be stopped; nobody waits for them here.
    runtime.shutdown_background();
    let reports = judged(hosts, observations);
    let pairs: Vec<(&Host, &HostReport)> = hosts.iter().map(AsRef::as_ref).zip(&reports).collect();
    let fleet_findings = diagnose::compare(&pairs);
    Ok(Report {
        started_at,
        elapsed_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        hosts: reports,
        fleet_findings,
        interrupted: cancel.level() != CancelLevel::Run,
    })
}

fn judged(hosts: &[Arc<Host>], observations: Vec<HostObservation>) -> Vec<HostReport> {
    hosts
        .iter()
        .zip(observations)
        .map(|(host, observation)| diagnose::judge(host, observation))
        .collect()
}

async fn transport(
    context: &Context,
    hosts: &[Arc<Host>],
    passwords: Arc<Passwords>,
    proxies: ProxyShell,
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
    let ssh = SshTransport::new(keyring, &settings, proxies);
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

async fn listen_for_interrupts(cancel: Cancel) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        tracing::warn!("signals cannot be caught; Ctrl-C ends the program at once");
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => cancel.escalate(),
            _ = terminate.recv() => cancel.escalate(),
        }
    }
}

fn last_run(report: &Report, inventory: &Path) -> LastRunRecord {
    let names = |wanted: fn(&HostReport) -> bool| {
        report
            .hosts
            .iter()
            .filter(|host| wanted(host))
            .map(|host| host.name.clone())
            .collect()
    };
    LastRunRecord {
        inventory: inventory.to_owned(),
        failed: names(|host| matches!(host.verdict, Verdict::Critical | Verdict::Unknown)),
        unreachable: names(|host| host.observation.outcome.facts().is_none()),
    }
}
