//! From what the operator asks for to what is written.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser as _;

use crate::cli::args::{Args, CheckArgs, Command};
use crate::cli::args_schedule::{HeartbeatArg, InstallArgs, PlaceArgs};
use crate::cli::args_watch::Remind;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::{connection, format, machine, outputs};
use crate::inventory::Inventory;
use crate::model::{Schedule, SchedulePlace, SecretSource, TransportKind, UnknownKey};
use crate::unit::{self, short_span};

/// The shortest interval: shorter ones are for a program that stays.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(86_400);

/// What a run may last beyond its deadline: connections that are closed, alerts that are sent.
const REST: Duration = Duration::from_secs(300);

/// Variables that say where things are. A run without them would look elsewhere than a run by hand.
const CARRIED: [&str; 4] = [
    "XDG_STATE_HOME",
    "XDG_CONFIG_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// What is to be installed.
pub(super) struct Wanted {
    pub(super) schedule: Schedule,
    /// What the operator should know before.
    pub(super) notes: Vec<String>,
}

fn usage(message: impl Into<String>, hint: &str) -> CliError {
    CliError::Usage {
        message: message.into(),
        hint: (!hint.is_empty()).then(|| hint.to_owned()),
    }
}

/// Where a schedule stands.
pub(super) fn place(args: &PlaceArgs) -> SchedulePlace {
    match (args.user, args.cron) {
        (true, _) => SchedulePlace::User,
        (_, true) => SchedulePlace::Cron,
        _ => SchedulePlace::System,
    }
}

/// The name of its units, and of its block.
pub(super) fn unit_name(name: Option<&str>) -> String {
    match name {
        Some(name) => format!("clawfleet-check-{name}"),
        None => "clawfleet-check".to_owned(),
    }
}

impl Wanted {
    /// Makes it out of the command line, the inventory and this machine.
    ///
    /// # Errors
    /// What cannot be scheduled, or would not run.
    pub(super) fn new(context: &Context, args: &InstallArgs) -> Result<Self, CliError> {
        let place = place(&args.place);
        check_interval(args, place)?;
        let (inventory, path) = context.load_inventory()?;
        let jitter = args.jitter.unwrap_or_else(|| {
            let tenth = Duration::from_secs(args.every.as_secs() / 10);
            tenth.min(Duration::from_secs(30))
        });
        let deadline = deadline(args, jitter, place)?;
        let words = check_words(args, &path, (jitter, deadline), place)?;
        let program = program()?;
        let check = parsed(&words)?;
        outputs::look_at(&check.outputs)?;
        let hosts = Hosts::look(context, inventory.clone(), &path, &check)?;
        let environment_file = args.environment_file.as_deref();
        let environment_file = environment_file.map(secret_file).transpose()?;
        let mut command = vec![text(&program)?];
        command.extend(words);
        if let Some(odd) = command.iter().find(|word| word.contains(char::is_control)) {
            return Err(usage(
                format!("`{}` has a control character", odd.escape_debug()),
                "a schedule is a line of text",
            ));
        }
        let mut writable: BTreeSet<PathBuf> = hosts.enrols_in;
        writable.insert(context.state_dir().to_owned());
        writable.extend(parents(
            check.outputs.iter().map(|output| output.path.as_path()),
        ));
        let needs_tmp = [program.as_path(), &path]
            .into_iter()
            .chain(environment_file.as_deref())
            .chain(writable.iter().map(PathBuf::as_path))
            .any(unit::is_temporary);
        let schedule = Schedule {
            name: unit_name(args.place.name.as_deref()),
            place,
            installed_by: installed_by(args, &path)?,
            every: args.every,
            jitter,
            hangs_after: deadline
                + check.watch.wait
                + check.watch.jitter.unwrap_or_default()
                + REST,
            environment: carried(context),
            environment_file,
            writable: writable.into_iter().collect(),
            private_tmp: !hosts.is_local && !needs_tmp,
            command,
        };
        let notes = notes(&schedule, &inventory, &check, &program);
        Ok(Self { schedule, notes })
    }
}

fn check_interval(args: &InstallArgs, place: SchedulePlace) -> Result<(), CliError> {
    if !(SHORTEST..=LONGEST).contains(&args.every) {
        return Err(usage(
            format!("--every {}: it is from 1m to 1d", short_span(args.every)),
            "a check takes a connection to each host; five minutes are usual",
        ));
    }
    if args.every.subsec_nanos() != 0 {
        return Err(usage("--every: it is made of whole seconds", ""));
    }
    if place == SchedulePlace::Cron {
        unit::cron_fields(args.every)
            .map_err(|why| usage(format!("--every: {why}"), "a systemd timer can do any"))?;
    }
    Ok(())
}

/// How long hosts are asked: a run has to be over when the next one begins.
fn deadline(
    args: &InstallArgs,
    jitter: Duration,
    place: SchedulePlace,
) -> Result<Duration, CliError> {
    let every = args.every;
    // A timer's delay is the same each time and takes nothing from a run.
    let lost = match place {
        SchedulePlace::Cron => jitter,
        SchedulePlace::System | SchedulePlace::User => Duration::ZERO,
    };
    if jitter >= every {
        return Err(usage(
            format!("--jitter {} is as long as --every", short_span(jitter)),
            "a tenth of --every is usual",
        ));
    }
    let derived = (every * 4 / 5).min((every * 9 / 10).saturating_sub(lost));
    let deadline = args
        .deadline
        .unwrap_or(Duration::from_secs(derived.as_secs()));
    if deadline.is_zero() || deadline + lost >= every {
        return Err(usage(
            format!(
                "a run could last {} and one begins every {}: the next one would find the lock held, and leave",
                short_span(deadline + lost),
                short_span(every)
            ),
            "a shorter --deadline (or --jitter), or a longer --every",
        ));
    }
    Ok(deadline)
}

/// The words behind the program.
fn check_words(
    args: &InstallArgs,
    inventory: &Path,
    (jitter, deadline): (Duration, Duration),
    place: SchedulePlace,
) -> Result<Vec<String>, CliError> {
    let mut words = vec!["-i".to_owned(), text(inventory)?, "check".to_owned()];
    words.extend(args.selectors.iter().cloned());
    let mut say = |option: &str, value: String| words.extend([option.to_owned(), value]);
    say("--deadline", short_span(deadline));
    if args.confirm != 1 {
        say("--confirm", args.confirm.to_string());
    }
    match args.remind {
        Remind(None) => say("--remind", "never".to_owned()),
        Remind(Some(after)) if after == LONGEST => {}
        Remind(Some(after)) => say("--remind", short_span(after)),
    }
    if place == SchedulePlace::Cron && !jitter.is_zero() {
        say("--jitter", short_span(jitter));
    }
    for output in &args.outputs {
        let path = std::path::absolute(&output.path).unwrap_or_else(|_| output.path.clone());
        say(
            "--output",
            format!("{}={}", output.format.id(), text(&path)?),
        );
    }
    if let Some(heartbeat) = &args.heartbeat.heartbeat {
        say("--heartbeat", heartbeat_word(heartbeat)?);
    }
    if let Some(on) = args.heartbeat.heartbeat_fail_on {
        say("--heartbeat-fail-on", on.meant().id().to_owned());
    }
    words.push("--on-change".to_owned());
    words.extend(args.more.iter().cloned());
    Ok(words)
}

/// A heartbeat as the check is told of it. Units are there for everybody to read, and so are command lines.
fn heartbeat_word(heartbeat: &HeartbeatArg) -> Result<String, CliError> {
    Ok(match heartbeat {
        HeartbeatArg::Nowhere => "none".to_owned(),
        HeartbeatArg::Source(SecretSource::Env(name)) => format!("env:{name}"),
        HeartbeatArg::Source(SecretSource::File(path)) => format!("file:{path}"),
        HeartbeatArg::Source(SecretSource::Command(command)) => format!("command:{command}"),
        HeartbeatArg::Source(SecretSource::Asked(_)) => String::new(),
        HeartbeatArg::Odd(why) => {
            return Err(usage(
                format!("--heartbeat: what is given {why}"),
                "a URL, env:NAME, file:/PATH, command:COMMAND, or none",
            ));
        }
        HeartbeatArg::Address(url) if crate::inventory::is_secret_address(url) => {
            return Err(usage(
                "--heartbeat: whoever has this address can send a heartbeat, and everybody can read a unit: it is not written there",
                "put it into a file that is yours alone, and say `--heartbeat file:/PATH`, or `heartbeat: {file: /PATH}` in the inventory; env:NAME with --environment-file does as well",
            ));
        }
        HeartbeatArg::Address(url) => url.clone(),
    })
}

/// Reads the words as the check will, so that none is installed that it would refuse.
fn parsed(words: &[String]) -> Result<Box<CheckArgs>, CliError> {
    let hint = "what follows `--` is given to `check`; `clawfleet check --help` lists its options";
    let all = std::iter::once("clawfleet").chain(words.iter().map(String::as_str));
    let args = Args::try_parse_from(all).map_err(|error| {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        let line = line.strip_prefix("error: ").unwrap_or(line);
        usage(format!("the check would not begin: {line}"), hint)
    })?;
    if let Some(CliError::Usage { message, .. }) = format::refusal(&args) {
        return Err(usage(format!("the check would not begin: {message}"), hint));
    }
    let Command::Check(check) = args.command else {
        return Err(usage("what follows `--` makes another command of it", hint));
    };
    if check.login.ask_pass || check.login.ask_become_pass {
        return Err(usage(
            "nobody is there to be asked for a password",
            "name its source in the inventory: `password: {file: /PATH}`",
        ));
    }
    if let Some(output) = check
        .outputs
        .iter()
        .find(|output| !output.path.is_absolute())
    {
        return Err(usage(
            format!(
                "--output {}: behind `--` a path is absolute",
                output.path.display()
            ),
            "or say it before the `--`",
        ));
    }
    // Behind `--` as well as before it.
    check
        .heartbeat
        .heartbeat
        .as_ref()
        .map(heartbeat_word)
        .transpose()?;
    Ok(Box::new(check))
}

/// What matters of the hosts that will be asked.
struct Hosts {
    is_local: bool,
    /// The directories of the files that new keys are added to.
    enrols_in: BTreeSet<PathBuf>,
}

impl Hosts {
    fn look(
        context: &Context,
        mut inventory: Inventory,
        path: &Path,
        check: &CheckArgs,
    ) -> Result<Self, CliError> {
        let selected = context.select(&inventory, path, &check.selectors)?;
        connection::attach(context, &mut inventory, &selected)?;
        let hosts = selected
            .iter()
            .filter_map(|index| inventory.hosts.get(*index));
        let mut looked = Self {
            is_local: false,
            enrols_in: BTreeSet::new(),
        };
        for host in hosts {
            if host.transport == TransportKind::Local {
                looked.is_local = true;
                continue;
            }
            let all = std::iter::once(host.ssh.as_ref()).chain(host.ssh.jumps());
            let policies = all.map(|settings| &settings.host_keys);
            let files = policies
                .filter(|policy| policy.unknown == UnknownKey::Accept)
                .filter_map(|policy| policy.user_files.first());
            looked
                .enrols_in
                .extend(parents(files.map(PathBuf::as_path)));
        }
        Ok(looked)
    }
}

fn parents<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
    paths
        .filter_map(|path| path.parent().map(Path::to_owned))
        .collect()
}

fn text(path: &Path) -> Result<String, CliError> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| usage(format!("{}: the path is no UTF-8", path.display()), ""))
}

/// The program by the name that it is called by: a link outlives what it leads to today.
fn program() -> Result<PathBuf, CliError> {
    let own = std::env::current_exe()
        .and_then(|path| path.canonicalize())
        .map_err(|error| CliError::Machine(format!("the program's own path: {error}")))?;
    let called = std::env::args_os()
        .next()
        .map(PathBuf::from)
        .unwrap_or_default();
    let candidates: Vec<PathBuf> = match called.components().count() {
        1 => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path)
                .map(|dir| dir.join(&called))
                .collect()
        }
        _ => std::path::absolute(&called).into_iter().collect(),
    };
    let same = |path: &PathBuf| path.is_absolute() && path.canonicalize().is_ok_and(|it| it == own);
    Ok(candidates.into_iter().find(same).unwrap_or(own))
}

/// What has to be said again where there is another environment.
fn carried(context: &Context) -> Vec<(String, String)> {
    let home = Some(context.home.clone()).filter(|home| machine::own_home().as_ref() != Some(home));
    let home = home.map(|home| ("HOME".to_owned(), home.display().to_string()));
    let others = CARRIED.into_iter().filter_map(|name| {
        let value = std::env::var(name)
            .ok()
            .filter(|value| value.starts_with('/'))?;
        Some((name.to_owned(), value))
    });
    home.into_iter().chain(others).collect()
}

/// A file with secrets, by its absolute path.
fn secret_file(path: &Path) -> Result<PathBuf, CliError> {
    let odd = |why: &str, hint: &str| {
        Err(usage(
            format!("--environment-file {}: {why}", path.display()),
            hint,
        ))
    };
    let file = match path.canonicalize() {
        Ok(file) => file,
        Err(error) => {
            return odd(
                &crate::cli::beside::why(&error),
                "lines of NAME=VALUE, chmod 600",
            );
        }
    };
    let Ok(data) = file.metadata() else {
        return odd("it cannot be looked at", "");
    };
    if !data.is_file() {
        return odd("it is no regular file", "lines of NAME=VALUE, chmod 600");
    }
    let mode = data.permissions().mode();
    if mode & 0o007 != 0 || mode & 0o020 != 0 {
        return odd(
            "others can read it, or write to it",
            "it holds secrets: chmod 600, or 640 for a group that may read them",
        );
    }
    let own = rustix::process::getuid().as_raw();
    if data.uid() != own && data.uid() != 0 {
        return odd(
            "it belongs to another user",
            "chown it to the user whom the check runs as",
        );
    }
    match file.to_str() {
        Some(name) if !name.contains(char::is_control) => Ok(file),
        _ => odd("its name cannot stand in a unit", ""),
    }
}

/// The names that a file of NAME=VALUE lines sets.
fn set_by(file: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.trim().split_once('='))
        .map(|(name, _)| name.trim().trim_start_matches("export ").to_owned())
        .collect()
}

/// What the operator should know.
fn notes(
    schedule: &Schedule,
    inventory: &Inventory,
    check: &CheckArgs,
    program: &Path,
) -> Vec<String> {
    let mut notes = Vec::new();
    let shown = program.display();
    let is_built = ["debug", "release"].iter().any(|kind| {
        program
            .parent()
            .is_some_and(|dir| dir.ends_with(format!("target/{kind}")))
    });
    if is_built {
        notes.push(format!("{shown} is where cargo builds: the next build replaces what runs; install it elsewhere first"));
    } else if unit::is_temporary(program) {
        notes.push(format!("{shown} is in a directory for temporary files, which are removed at times; install it elsewhere first"));
    }
    let mut names = connection::secret_names(inventory);
    if let Some(HeartbeatArg::Source(SecretSource::Env(name))) = &check.heartbeat.heartbeat {
        names.insert(name.clone());
    }
    let there = schedule.environment_file.as_deref().map(set_by);
    let missing: Vec<String> = match &there {
        Some(there) => names.difference(there).cloned().collect(),
        None => names.into_iter().collect(),
    };
    if !missing.is_empty() {
        let list = missing.join(", ");
        notes.push(match &schedule.environment_file {
            Some(file) => format!("{} does not set {list}, which the check takes secrets from", file.display()),
            None => format!("the check takes secrets from the environment ({list}), and a schedule has none of yours: --environment-file names a file that sets them"),
        });
    }
    let proxies = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"];
    let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let in_file = |name: &&str| there.as_ref().is_some_and(|there| there.contains(*name));
    if let Some(name) = proxies.iter().find(|name| set(name) && !in_file(name)) {
        notes.push(format!("{name} is set here, may hold a password and is not written down: what the check sends goes by no proxy; --environment-file can say it"));
    }
    if std::env::var_os("SSH_AUTH_SOCK").is_some() {
        notes.push("the agent of this session is not the schedule's: hosts that only its keys log in to will not be observed".to_owned());
    }
    let by_sudo = std::env::var("SUDO_USER")
        .ok()
        .filter(|user| user != "root");
    if let (Some(user), SchedulePlace::System) = (by_sudo, schedule.place) {
        notes.push(format!("the check will run as root, with root's keys and ssh_config, and not with those of {user}; --user (without sudo) is for {user}"));
    }
    if schedule.place != SchedulePlace::Cron && inventory.channels.is_empty() {
        notes.push(format!("nobody is mailed by a timer: what changes is in `journalctl -u {}`; `notify:` in the inventory tells people (docs/notify.md)", schedule.name));
    }
    if inventory.heartbeat.is_none() && check.heartbeat.heartbeat.is_none() {
        notes.push("nobody notices if the schedule itself dies; --heartbeat tells a watchdog elsewhere (docs/schedule.md)".to_owned());
    }
    notes
}

/// The command that installs it, as it stands in what it writes: every choice is in it, and no secret.
fn installed_by(args: &InstallArgs, inventory: &Path) -> Result<String, CliError> {
    let mut words = ["clawfleet", "-i"].map(str::to_owned).to_vec();
    words.extend([text(inventory)?, "schedule".into(), "install".into()]);
    words.extend(args.selectors.iter().cloned());
    let mut say = |option: &str, value: Option<String>| {
        words.push(option.to_owned());
        words.extend(value);
    };
    if args.place.user {
        say("--user", None);
    }
    if args.place.cron {
        say("--cron", None);
    }
    if let Some(name) = &args.place.name {
        say("--name", Some(name.clone()));
    }
    if let Some(dir) = &args.place.unit_dir {
        say("--unit-dir", Some(text(dir)?));
    }
    say("--every", Some(short_span(args.every)));
    if let Some(jitter) = args.jitter {
        say("--jitter", Some(short_span(jitter)));
    }
    if let Some(deadline) = args.deadline {
        say("--deadline", Some(short_span(deadline)));
    }
    say("--confirm", Some(args.confirm.to_string()));
    match args.remind {
        Remind(None) => say("--remind", Some("never".into())),
        Remind(Some(after)) if after == LONGEST => {}
        Remind(Some(after)) => say("--remind", Some(short_span(after))),
    }
    for output in &args.outputs {
        let path = std::path::absolute(&output.path).unwrap_or_else(|_| output.path.clone());
        say(
            "--output",
            Some(format!("{}={}", output.format.id(), text(&path)?)),
        );
    }
    if let Some(heartbeat) = &args.heartbeat.heartbeat {
        say("--heartbeat", Some(heartbeat_word(heartbeat)?));
    }
    if let Some(on) = args.heartbeat.heartbeat_fail_on {
        say("--heartbeat-fail-on", Some(on.meant().id().to_owned()));
    }
    if let Some(file) = &args.environment_file {
        let file = file.canonicalize().unwrap_or_else(|_| file.clone());
        say("--environment-file", Some(text(&file)?));
    }
    if !args.more.is_empty() {
        words.push("--".into());
        words.extend(args.more.iter().cloned());
    }
    let words = words.iter().map(String::as_str);
    shlex::try_join(words).map_err(|error| usage(format!("the command line: {error}"), ""))
}
