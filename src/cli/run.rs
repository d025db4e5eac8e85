//! `clawfleet run`.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::args::{Format, ReachArgs};
use super::args_run::{RunArgs, RunAsArgs, WaveArgs};
use super::beside;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::ground::{Ground, Hosts, Wanted};
use super::out_dir::OutDir;
use super::outlet::Outlet;
use crate::command::Body;
use crate::fleet::CancelLevel;
use crate::fleet::command::{self, Batches, Crew, Deed, Input, Order, Retry, Spill};
use crate::model::{BecomeHow, CommandEnd, CommandEvent, CommandReport, CommandResult, Host};
use crate::report::{
    FoldedView, Progress, StreamedLines, write_command, write_command_json, write_command_last,
    write_command_line,
};
use crate::rollout::{self, BatchSpec, Gate};
use crate::store::LastRunRecord;

/// The largest script, in bytes. It becomes a variable of the host's shell.
const MAX_SCRIPT: u64 = 4 << 20;

/// The variable that marks all that a command starts (command/scripts/run.sh).
const COOKIE: &str = "CLAWFLEET_RUN";

pub(super) fn run(context: &Context, args: &RunArgs) -> Result<Exit, CliError> {
    let shown = Shown::of(context, args.diff, args.stream)?;
    check_user(&args.run_as)?;
    let spill = Spill::new(&context.outputs_dir());
    let mut order = order(context, args)?;
    let out_dir = match &args.out_dir {
        Some(dir) => Some(OutDir::open(dir).map_err(CliError::Machine)?),
        None => None,
    };
    let hosts = Hosts::select_changed(
        context,
        &args.selectors,
        wanted(args.reach, Some(args.max_output)),
        |host| run_as(&args.run_as, host),
    )?;
    let path = hosts.path.clone();
    let names: Vec<String> = hosts.hosts.iter().map(|host| host.name.clone()).collect();
    let printer = Arc::new(Printer::new(context, &names));
    if shown == Shown::Stream {
        let printer = Arc::clone(&printer);
        order.tell = Some(Box::new(move |host, is_error, data| {
            printer.hear(host, is_error, data);
        }));
    }
    let retry = Retry {
        times: args.retry,
        failed: args.retry_failed,
    };
    let work = Work {
        deed: Deed::Run(order),
        retry,
        waves: &args.waves,
        progress: shown.is_late(),
        printer: &printer,
    };
    let report = carry_out(context, hosts, &spill, work, |host, result| {
        if let Some(out_dir) = &out_dir {
            printer.note(out_dir.keep(result));
        }
        match shown {
            Shown::Lines => printer.line(result),
            Shown::Stream => printer.finish(host),
            _ => {}
        }
    })?;
    context.remember(&last_run(&report.results, &path));
    if let Some(out_dir) = &out_dir {
        printer.note(out_dir.finish(&report.results));
    }
    printer.print(&report, shown, context)
}

/// What is done on hosts, and how.
pub(super) struct Work<'a> {
    pub(super) deed: Deed,
    pub(super) retry: Retry,
    pub(super) waves: &'a WaveArgs,
    /// Whether a progress display may be drawn.
    pub(super) progress: bool,
    /// Whoever shows results. Where nobody reads them any more, nothing further is done.
    pub(super) printer: &'a Printer,
}

/// Does it; `each` is told of every host as it ends.
pub(super) fn carry_out(
    context: &Context,
    hosts: Hosts,
    spill: &Arc<Spill>,
    work: Work<'_>,
    each: impl Fn(usize, &CommandResult),
) -> Result<CommandReport, CliError> {
    hosts.run(context, async |ground| {
        let crew = crew(ground, spill);
        let batches = batches(work.waves, &ground.hosts);
        let names = ground.hosts.iter().map(|host| host.name.clone()).collect();
        let mut progress = Progress::new(names, context.progress && work.progress);
        let started_at = jiff::Timestamp::now();
        let begin = std::time::Instant::now();
        let mut read = true;
        let outcome = command::run(
            &ground.hosts,
            batches,
            (Arc::new(work.deed), work.retry),
            &crew,
            &ground.cancel,
            |event| match event {
                CommandEvent::Fleet(event) => {
                    if read && work.printer.is_closed() {
                        read = false;
                        ground.cancel.escalate();
                    }
                    progress.on_event(&event);
                }
                CommandEvent::Batch { .. } => {}
                CommandEvent::Finished { host, result } => {
                    progress.host_done();
                    each(host, result);
                }
            },
        )
        .await;
        progress.finish();
        CommandReport {
            started_at,
            elapsed_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
            results: outcome.results,
            stopped: outcome.stopped,
            interrupted: ground.cancel.level() != CancelLevel::Run,
        }
    })
}

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Folded,
    Difference,
    Stream,
    Json,
    Lines,
}

impl Shown {
    pub(super) fn of(context: &Context, diff: bool, stream: bool) -> Result<Self, CliError> {
        let shown = match (context.format, diff, stream) {
            (Format::Table, false, false) => Self::Folded,
            (Format::Table, true, _) => Self::Difference,
            (Format::Table, _, true) => Self::Stream,
            (Format::Json, false, false) => Self::Json,
            (Format::Ndjson, false, false) => Self::Lines,
            _ => {
                return Err(CliError::Usage {
                    message: "--diff and --stream are for people, and --format is not".into(),
                    hint: Some("--format ndjson has a line for each host as it ends".into()),
                });
            }
        };
        Ok(shown)
    }

    /// Whether nothing is shown before the end.
    fn is_late(self) -> bool {
        !matches!(self, Self::Stream | Self::Lines)
    }
}

pub(super) fn wanted(reach: ReachArgs, takes: Option<u64>) -> Wanted {
    Wanted {
        forks: reach.forks,
        handshakes: reach.handshakes,
        login: reach.login,
        takes,
    }
}

fn crew(ground: &Ground, spill: &Arc<Spill>) -> Crew {
    Crew {
        transport: Arc::clone(&ground.transport),
        secrets: Arc::clone(&ground.secrets),
        limits: ground.limits,
        spill: Arc::clone(spill),
    }
}

/// Sorts hosts into batches.
fn batches(args: &WaveArgs, hosts: &[Arc<Host>]) -> Batches {
    let places: HashMap<&str, usize> = hosts
        .iter()
        .enumerate()
        .map(|(index, host)| (host.name.as_str(), index))
        .collect();
    let label = |name: &str| {
        let label = args.spread.as_ref()?;
        let host = hosts.get(*places.get(name)?)?;
        host.labels.get(label).cloned()
    };
    let names: Vec<String> = hosts.iter().map(|host| host.name.clone()).collect();
    let waves = match &args.batch {
        Some(batch) => rollout::waves(&names, label, batch),
        None => match BatchSpec::parse("100%") {
            Ok(all) => rollout::waves(&names, label, &all),
            Err(_) => vec![names],
        },
    };
    let waves = waves.iter().map(|wave| {
        wave.iter()
            .filter_map(|name| places.get(name.as_str()).copied())
            .collect()
    });
    Batches {
        waves: waves.collect(),
        gate: Gate::new(hosts.len(), args.max_fail),
    }
}

/// Makes a host's commands run as who was asked for.
pub(super) fn run_as(args: &RunAsArgs, host: &mut Host) {
    if args.as_login {
        host.privilege.how = BecomeHow::None;
        host.privilege.password = None;
        return;
    }
    if args.root || args.user.is_some() {
        if host.privilege.how == BecomeHow::None {
            host.privilege.how = BecomeHow::Sudo;
        }
        // Whoever the inventory names is for its other commands.
        "root".clone_into(&mut host.privilege.user);
    }
    if let Some(user) = &args.user {
        user.clone_into(&mut host.privilege.user);
    }
}

/// A user's name stands on a command line, so it must be one word in every shell.
pub(super) fn check_user(args: &RunAsArgs) -> Result<(), CliError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match &args.user {
        Some(user) if user.is_empty() || user.starts_with('-') || !user.chars().all(fine) => {
            Err(CliError::Usage {
                message: format!("--user: `{user}` is no user name"),
                hint: Some("letters, digits and . _ - make one".into()),
            })
        }
        _ => Ok(()),
    }
}

/// Who is to be done again: `@failed` has everybody on whom it did not end well, those that were not tried
/// among them.
pub(super) fn last_run(results: &[CommandResult], inventory: &Path) -> LastRunRecord {
    let names = |wanted: fn(&CommandEnd) -> bool| {
        results
            .iter()
            .filter(|result| wanted(&result.end))
            .map(|result| result.host.clone())
            .collect()
    };
    LastRunRecord {
        inventory: inventory.to_owned(),
        failed: names(|end| !end.is_well()),
        unreachable: names(|end| matches!(end, CommandEnd::NotReached(_))),
    }
}

fn usage(message: impl Into<String>, hint: &str) -> CliError {
    CliError::Usage {
        message: message.into(),
        hint: Some(hint.into()),
    }
}

fn order(context: &Context, args: &RunArgs) -> Result<Order, CliError> {
    let dash = Some(Path::new("-"));
    if args.script.as_deref() == dash && args.stdin.as_deref() == dash {
        return Err(usage(
            "standard input cannot be the script and its input at once",
            "name a file for one of them",
        ));
    }
    let words: Vec<Vec<u8>> = args
        .command
        .iter()
        .map(|word| word.as_bytes().to_vec())
        .collect();
    let body = match (&args.script, args.shell) {
        (Some(path), _) => Body::Script {
            text: script(path)?,
            arguments: words,
        },
        (None, true) => Body::Line(words.join(&b' ')),
        (None, false) => {
            let program = words.first().map(Vec::as_slice).unwrap_or_default();
            if program.is_empty() || program.starts_with(b"-") {
                return Err(usage(
                    format!("`{}` is no program", String::from_utf8_lossy(program)),
                    "behind `--` stand a program and its arguments",
                ));
            }
            Body::Program(words)
        }
    };
    let input = match &args.stdin {
        Some(path) => Some(input(path, &context.outputs_dir())?),
        None => None,
    };
    Ok(Order {
        body,
        environment: args
            .env
            .iter()
            .map(|pair| variable(pair))
            .collect::<Result<_, _>>()?,
        limit: args.timeout.0,
        grace: args.kill_after,
        input,
        most: args.max_output,
        tell: None,
    })
}

fn script(path: &Path) -> Result<Vec<u8>, CliError> {
    use io::Read as _;
    let failed = |error: io::Error| {
        usage(
            format!("--script: {}: {}", path.display(), beside::why(&error)),
            "it names a file here, whose text is run on the hosts",
        )
    };
    let mut text = Vec::new();
    if path == Path::new("-") {
        io::stdin()
            .lock()
            .take(MAX_SCRIPT + 1)
            .read_to_end(&mut text)
            .map_err(failed)?;
    } else {
        File::open(path)
            .and_then(|file| file.take(MAX_SCRIPT + 1).read_to_end(&mut text))
            .map_err(failed)?;
    }
    if text.len() as u64 > MAX_SCRIPT {
        return Err(usage(
            format!(
                "--script: {} is larger than {} MiB",
                path.display(),
                MAX_SCRIPT >> 20
            ),
            "copy it to the hosts (`clawfleet copy`), and run it there",
        ));
    }
    if text.contains(&0) {
        return Err(usage(
            format!("--script: {} is no script: it holds a NUL", path.display()),
            "copy a program to the hosts (`clawfleet copy`), and run it there",
        ));
    }
    Ok(text)
}

/// Opens a file that every host gets. What is no plain file is read into one first.
fn input(path: &Path, dir: &Path) -> Result<Input, CliError> {
    let failed = |error: io::Error| {
        usage(
            format!("--stdin: {}: {}", path.display(), beside::why(&error)),
            "it names a file here, or `-` for standard input",
        )
    };
    if path == Path::new("-") {
        return command::gather(&mut io::stdin().lock(), dir).map_err(failed);
    }
    let mut file = File::open(path).map_err(failed)?;
    let data = file.metadata().map_err(failed)?;
    if data.is_file() {
        let length = data.len();
        let file = Arc::new(file);
        return Ok(Input { file, length });
    }
    command::gather(&mut file, dir).map_err(failed)
}

/// Reads `NAME=VALUE`, or `NAME` for what it is here.
fn variable(pair: &OsStr) -> Result<(String, Vec<u8>), CliError> {
    let bytes = pair.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=');
    let (name, value) = bytes.split_at(at.unwrap_or(bytes.len()));
    let shown = String::from_utf8_lossy(name).into_owned();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let starts = name.first().is_some_and(|byte| !byte.is_ascii_digit());
    if !starts || !name.iter().all(plain) {
        return Err(usage(
            format!("--env: `{shown}` is no name of a variable"),
            "it is given as NAME=VALUE; letters, digits and _ make a name",
        ));
    }
    if shown == COOKIE {
        return Err(usage(
            format!("--env: {COOKIE} is how clawfleet finds what a command started"),
            "choose another name",
        ));
    }
    if let Some(value) = value.strip_prefix(b"=") {
        return Ok((shown, value.to_vec()));
    }
    match std::env::var_os(OsStr::from_bytes(name)) {
        Some(value) => Ok((shown, OsString::into_vec(value))),
        None => Err(usage(
            format!("--env: {shown} is not set here"),
            "give it a value: NAME=VALUE",
        )),
    }
}

/// Shows results, some of them while others still run.
pub(super) struct Printer {
    lines: Mutex<StreamedLines>,
    /// Whether nobody reads what is printed any more, as with `head`.
    closed: Mutex<Option<io::Error>>,
    /// What could not be written to a directory; one is enough to be told.
    fault: Mutex<Option<String>>,
}

impl Printer {
    pub(super) fn new(context: &Context, names: &[String]) -> Self {
        let names = names.iter().map(String::as_str);
        Self {
            lines: Mutex::new(StreamedLines::new(names, context.view.style)),
            closed: Mutex::new(None),
            fault: Mutex::new(None),
        }
    }

    fn keep(&self, written: io::Result<()>) {
        if let Err(error) = written {
            let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
            closed.get_or_insert(error);
        }
    }

    /// Whether nobody reads what is printed any more.
    fn is_closed(&self) -> bool {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.is_some()
    }

    fn hear(&self, host: usize, is_error: bool, data: &[u8]) {
        if self.is_closed() {
            return;
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stdout = io::BufWriter::new(Outlet);
        let written = lines.hear(&mut stdout, host, is_error, data);
        self.keep(written.and_then(|()| stdout.flush()));
    }

    fn finish(&self, host: usize) {
        if self.is_closed() {
            return;
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stdout = io::BufWriter::new(Outlet);
        let written = lines.finish(&mut stdout, host);
        self.keep(written.and_then(|()| stdout.flush()));
    }

    pub(super) fn line(&self, result: &CommandResult) {
        if self.is_closed() {
            return;
        }
        let mut stdout = io::BufWriter::new(Outlet);
        let written = write_command_line(&mut stdout, result);
        self.keep(written.and_then(|()| stdout.flush()));
    }

    fn note(&self, kept: Result<(), String>) {
        if let Err(why) = kept {
            let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
            fault.get_or_insert(why);
        }
    }

    /// Shows the whole of it, and returns the exit code. What went wrong here hides nothing of what did on hosts.
    pub(super) fn print(
        &self,
        report: &CommandReport,
        shown: Shown,
        context: &Context,
    ) -> Result<Exit, CliError> {
        let view = context.view;
        if !self.is_closed() {
            let mut out = io::BufWriter::new(Outlet);
            let written = match shown {
                Shown::Folded => write_command(&mut out, report, FoldedView::Whole, view),
                Shown::Difference => write_command(&mut out, report, FoldedView::Difference, view),
                Shown::Stream => write_command(&mut out, report, FoldedView::Ends, view),
                Shown::Json => write_command_json(&mut out, report),
                Shown::Lines => untold(&mut out, report),
            };
            self.keep(written.and_then(|()| out.flush()));
        }
        let exit = Exit::of_command(report);
        let mut faults = Vec::new();
        faults.extend(take(&self.fault));
        faults.extend(
            take(&self.closed)
                .filter(|error| !is_left(error))
                .map(|error| format!("stdout: {error}")),
        );
        let Some(last) = faults.pop() else {
            return Ok(exit);
        };
        if exit == Exit::Clean {
            return Err(CliError::Machine(last));
        }
        faults.push(last);
        for fault in faults {
            context.complain(&CliError::Machine(fault));
        }
        Ok(exit)
    }
}

/// Whether whoever read the output left, or does not read any more.
fn is_left(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::TimedOut
    )
}

fn take<T>(cell: &Mutex<Option<T>>) -> Option<T> {
    cell.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The lines of hosts that were not begun, and the last one.
fn untold(out: &mut dyn io::Write, report: &CommandReport) -> io::Result<()> {
    for result in report.results.iter().filter(|result| result.tries == 0) {
        write_command_line(out, result)?;
    }
    write_command_last(out, report)
}
