//! `clawfleet check`.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::args::{CheckArgs, Format};
use super::audience::Audience;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::format::ReportFormat;
use super::ground::{Ground, Hosts, Wanted};
use super::heartbeat::{self, Pulse};
use super::outputs;
use super::past::{self, Past, RESERVE};
use super::stream::Stream;
use crate::diagnose;
use crate::fleet::{self, CancelLevel};
use crate::model::{
    FleetEvent, Host, HostError, HostObservation, HostOutcome, HostReport, Report, Stage, Verdict,
};
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
    past::jitter(args.watch.jitter);
    let hosts = Hosts::select(context, &args.selectors, wanted)?;
    let path = hosts.path.clone();
    let beats = heartbeat::wanted(
        &args.heartbeat,
        hosts.inventory.heartbeat.as_ref(),
        args.watch.on_change,
    )?;
    let lock = past::lock(context, args, &path)?;
    let audience = match args.watch.on_change {
        // A secret that is missing is told of before anybody is asked.
        true => Some(Audience::of(&hosts.inventory, &path, None)?),
        false => None,
    };
    let deadline = Deadline::of(args.watch.deadline, audience.as_ref());
    let pulse = Pulse::begin(context, beats);
    let past = Past::recall(context, &path, audience);
    let mut stream = (format == ReportFormat::Ndjson).then(|| Stream::new(hosts.hosts.len()));
    let report = hosts.run(context, async |ground| {
        observe(context, ground, stream.as_mut(), &past, deadline.for_hosts).await
    })?;
    context.remember(&last_run(&report, &path));
    let trends = outputs::wants_trends(format, args).then(|| past.trends(&report));
    let silenced = past.silenced(&report);
    let print_all = || match stream {
        Some(stream) => {
            with_silences(context, format, String::new(), &silenced);
            stream.finish(&report)
        }
        None => outputs::render(&report, format, args, trends.as_ref(), context.view)
            .and_then(|text| context.print(&with_silences(context, format, text, &silenced))),
    };
    let printed = past.tell_and_keep(&report, args, deadline.at, print_all);
    drop(lock);
    let exit = match format {
        ReportFormat::Nagios => Exit::Monitored(NagiosState::of(&report, args.fail_on.least())),
        _ => Exit::of(&report, args.fail_on),
    };
    // Whoever reads stdout may have gone away; the files are for others.
    let exit = outputs::write(context, &report, args, trends.as_ref(), exit);
    let ended = match printed {
        // Who reads no more, as `head`, changes nothing of what was found.
        Err(CliError::OutputClosed) | Ok(()) => Ok(exit),
        Err(error) => Err(error),
    };
    if let Some(pulse) = pulse {
        let exit = ended.as_ref().map_or_else(CliError::exit, |exit| *exit);
        pulse.end(context, &report, exit);
    }
    ended
}

/// What is silenced stands below the table. Other formats are for programs: there it is said on stderr.
fn with_silences(context: &Context, format: ReportFormat, text: String, silenced: &str) -> String {
    if format == ReportFormat::Table && !silenced.is_empty() {
        return format!("{text}\n{silenced}");
    }
    silenced.lines().for_each(|line| context.note(line));
    text
}

/// When a run is to be over.
struct Deadline {
    /// All of it.
    at: Option<Instant>,
    /// How long hosts are asked.
    for_hosts: Option<Duration>,
}

impl Deadline {
    /// Where somebody is to be told, a tenth of the time is kept for that.
    fn of(whole: Option<Duration>, audience: Option<&Audience>) -> Self {
        let tells = audience.is_some_and(|audience| !audience.channels.is_empty());
        Self {
            at: whole.map(|whole| Instant::now() + whole),
            for_hosts: match tells {
                true => whole.map(|whole| whole.saturating_sub(RESERVE.min(whole / 10))),
                false => whole,
            },
        }
    }
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
async fn observe(
    context: &Context,
    ground: &Ground,
    mut stream: Option<&mut Stream>,
    past: &Past<'_>,
    deadline: Option<Duration>,
) -> Report {
    let started_at = jiff::Timestamp::now();
    let begin = std::time::Instant::now();
    let hosts = &ground.hosts;
    let names = hosts.iter().map(|host| host.name.clone()).collect();
    // Lines and a bar on one terminal would write over each other.
    let mut progress = Progress::new(names, context.progress && stream.is_none());
    if let Some(stream) = &mut stream {
        stream.start(started_at);
    }
    let stopped = Cell::new(false);
    // Who leaves at once is told apart from who was stopped by the operator.
    let clock = async {
        match deadline {
            Some(deadline) => tokio::time::sleep(deadline).await,
            None => std::future::pending().await,
        }
        stopped.set(ground.cancel.level() == CancelLevel::Run);
        ground.cancel.escalate();
        ground.cancel.escalate();
        std::future::pending::<Vec<HostObservation>>().await
    };
    let asked = fleet::run(
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
                let mut judged = diagnose::judge(of, (*observation).clone());
                past.complete(of, &mut judged, started_at);
                stream.host(*host, &judged);
            }
        },
    );
    let mut observations = tokio::select! {
        observations = asked => observations,
        observations = clock => observations,
    };
    progress.finish();
    if let Some(deadline) = deadline.filter(|_| stopped.get()) {
        overtaken(&mut observations, deadline, begin.elapsed());
    }
    let mut reports = judged(hosts, observations);
    for (host, report) in hosts.iter().zip(&mut reports) {
        past.complete(host, report, started_at);
    }
    let pairs: Vec<(&Host, &HostReport)> = hosts.iter().map(AsRef::as_ref).zip(&reports).collect();
    let fleet_findings = diagnose::compare(&pairs);
    Report {
        started_at,
        elapsed_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        hosts: reports,
        fleet_findings,
        interrupted: ground.cancel.level() != CancelLevel::Run && !stopped.get(),
    }
}

/// The hosts that the run's deadline came before: they were not observed, which is no wish of anybody.
fn overtaken(observations: &mut [HostObservation], deadline: Duration, elapsed: Duration) {
    for observation in observations {
        if observation.outcome == HostOutcome::Cancelled {
            let error = HostError::new(
                Stage::Deadline,
                format!(
                    "the deadline of the whole run, {} s, came first",
                    deadline.as_secs_f64()
                ),
            );
            observation.outcome = HostOutcome::TimedOut(
                error.hint("a longer --deadline, or more --forks, lets it be asked in time"),
            );
            observation.elapsed = elapsed;
        }
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
