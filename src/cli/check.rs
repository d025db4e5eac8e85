//! `clawfleet check`.

use std::path::Path;
use std::sync::Arc;

use super::args::{CheckArgs, Format};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::format::ReportFormat;
use super::ground::{Ground, Hosts, Wanted};
use super::outputs;
use super::stream::Stream;
use crate::diagnose;
use crate::fleet::{self, CancelLevel};
use crate::model::{FleetEvent, Host, HostObservation, HostReport, Report, Verdict};
use crate::report::{NagiosState, Progress, checks_json, checks_table};
use crate::store::LastRunRecord;

pub(super) fn run(
    context: &Context,
    args: &CheckArgs,
    format: ReportFormat,
) -> Result<Exit, CliError> {
    if args.list {
        return list(context);
    }
    outputs::look_at(&args.outputs)?;
    let wanted = Wanted {
        forks: args.forks,
        handshakes: args.handshakes,
        login: args.login,
        takes: None,
    };
    let hosts = Hosts::select(context, &args.selectors, wanted)?;
    let path = hosts.path.clone();
    let mut stream = (format == ReportFormat::Ndjson).then(|| Stream::new(hosts.hosts.len()));
    let report = hosts.run(context, async |ground| {
        observe(context, ground, stream.as_mut()).await
    })?;
    context.remember(&last_run(&report, &path));
    let printed = match stream {
        Some(stream) => stream.finish(&report),
        None => outputs::render(&report, format, args, context.view)
            .and_then(|text| context.print(&text)),
    };
    let exit = match format {
        ReportFormat::Nagios => Exit::Monitored(NagiosState::of(&report, args.fail_on.least())),
        _ => Exit::of(&report, args.fail_on),
    };
    // Whoever reads stdout may have gone away; the files are for others.
    let exit = outputs::write(context, &report, args, exit);
    printed.map(|()| exit)
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
        Format::Json | Format::Ndjson => checks_json(inventory.as_ref())
            .map_err(|error| CliError::Machine(format!("the list as JSON: {error}")))?,
    };
    context.print(&text)?;
    if let Some(error) = missing {
        context.note(&format!("{error}; only the built-in checks are listed"));
    }
    Ok(Exit::Clean)
}

/// Probes hosts and judges them; each is told as it ends.
async fn observe(context: &Context, ground: &Ground, mut stream: Option<&mut Stream>) -> Report {
    let started_at = jiff::Timestamp::now();
    let begin = std::time::Instant::now();
    let hosts = &ground.hosts;
    let names = hosts.iter().map(|host| host.name.clone()).collect();
    // Lines and a bar on one terminal would write over each other.
    let mut progress = Progress::new(names, context.progress && stream.is_none());
    if let Some(stream) = &mut stream {
        stream.start(started_at);
    }
    let observations = fleet::run(
        hosts,
        Arc::clone(&ground.transport),
        ground.limits,
        Arc::clone(&ground.secrets),
        &ground.cancel,
        |event| {
            progress.on_event(&event);
            if let (Some(stream), FleetEvent::HostFinished { host, observation }) =
                (&mut stream, &event)
                && let Some(of) = hosts.get(*host)
            {
                stream.host(*host, &diagnose::judge(of, (*observation).clone()));
            }
        },
    )
    .await;
    progress.finish();
    let reports = judged(hosts, observations);
    let pairs: Vec<(&Host, &HostReport)> = hosts.iter().map(AsRef::as_ref).zip(&reports).collect();
    let fleet_findings = diagnose::compare(&pairs);
    Report {
        started_at,
        elapsed_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        hosts: reports,
        fleet_findings,
        interrupted: ground.cancel.level() != CancelLevel::Run,
    }
}

fn judged(hosts: &[Arc<Host>], observations: Vec<HostObservation>) -> Vec<HostReport> {
    hosts
        .iter()
        .zip(observations)
        .map(|(host, observation)| diagnose::judge(host, observation))
        .collect()
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
