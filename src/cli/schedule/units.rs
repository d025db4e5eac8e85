//! A schedule as a service and a timer of systemd.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::manager::{Manager, TimerState};
use super::{consent, failed, tools};
use crate::cli::args_schedule::ConsentArgs;
use crate::cli::beside;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::machine;
use crate::model::{Schedule, ScheduleDiff, SchedulePlace};
use crate::store;
use crate::unit;

/// The largest file that is taken for one of ours, in bytes.
const MAX_FILE: u64 = 256 << 10;

/// Where units stand.
pub(super) struct Units {
    place: SchedulePlace,
    dir: PathBuf,
}

/// A file, as it is and as it is wanted.
struct File {
    path: PathBuf,
    before: Option<String>,
    after: Option<String>,
}

impl File {
    fn differs(&self) -> bool {
        self.before != self.after
    }

    fn put(&self, text: Option<&String>) -> Result<(), String> {
        let told = |why: String| format!("{}: {why}", self.path.display());
        match text {
            Some(text) => store::publish(&self.path, text.as_bytes()).map_err(told),
            None => match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(told(beside::why(&error)))
                }
                _ => Ok(()),
            },
        }
    }
}

impl Units {
    /// Says where they stand.
    ///
    /// # Errors
    /// Usage: this user may not write there, where that is wanted; there is no home.
    pub(super) fn at(
        place: SchedulePlace,
        unit_dir: Option<&Path>,
        writes: bool,
    ) -> Result<Self, CliError> {
        let usage = |message: &str, hint: &str| CliError::Usage {
            message: message.to_owned(),
            hint: Some(hint.to_owned()),
        };
        let dir = match (place, unit_dir) {
            (SchedulePlace::System, Some(dir)) => dir.to_owned(),
            (SchedulePlace::System, None) => {
                if writes && !rustix::process::geteuid().is_root() {
                    return Err(usage(
                        "the system's units are root's to change",
                        "sudo does it; --user installs it for this user, --cron in this user's crontab",
                    ));
                }
                PathBuf::from("/etc/systemd/system")
            }
            _ => user_dir()
                .ok_or_else(|| usage("HOME is not set", "it says where a user's units are"))?,
        };
        Ok(Self { place, dir })
    }

    pub(super) fn place(&self) -> SchedulePlace {
        self.place
    }

    pub(super) fn is_user(&self) -> bool {
        self.place == SchedulePlace::User
    }

    pub(super) fn paths(&self, name: &str) -> [PathBuf; 2] {
        ["service", "timer"].map(|kind| self.dir.join(format!("{name}.{kind}")))
    }

    /// The schedules that stand there, by name.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter_map(|file| file.strip_suffix(".timer").map(str::to_owned))
            .filter(|name| name.starts_with("clawfleet-check"))
            .filter(|name| {
                let [_, timer] = self.paths(name);
                read(&timer)
                    .is_ok_and(|text| text.is_some_and(|text| unit::written_by(&text).is_some()))
            })
            .collect();
        names.sort();
        names
    }

    /// Reads the service and the timer of a schedule.
    ///
    /// # Errors
    /// A file cannot be read, or is none of ours.
    fn files(&self, name: &str, wanted: [Option<String>; 2]) -> Result<Vec<File>, CliError> {
        let mut files = Vec::new();
        for (path, after) in self.paths(name).into_iter().zip(wanted) {
            let odd = |message: String, hint: &str| CliError::Usage {
                message: format!("{}: {message}", path.display()),
                hint: Some(hint.to_owned()),
            };
            let before = read(&path).map_err(|why| odd(why, "nothing was changed"))?;
            if before
                .as_deref()
                .is_some_and(|text| unit::written_by(text).is_none())
            {
                return Err(odd(
                    "it was not written by `clawfleet schedule install`, and is left alone".into(),
                    "--name NAME makes a schedule of another name, or move that file away",
                ));
            }
            files.push(File {
                path,
                before,
                after,
            });
        }
        Ok(files)
    }

    /// Says how what is there differs from what is wanted.
    ///
    /// # Errors
    /// As for reading the files.
    pub(super) fn diffs(&self, schedule: &Schedule) -> Result<Vec<ScheduleDiff>, CliError> {
        Ok(diffs(&self.files(&schedule.name, wanted(schedule))?))
    }

    /// Installs a schedule, or says that there is nothing to do.
    pub(super) fn install(
        &self,
        context: &Context,
        schedule: &Schedule,
        args: ConsentArgs,
    ) -> Result<Exit, CliError> {
        let manager = Manager::find(self.is_user())?;
        let name = &schedule.name;
        let files = self.files(name, wanted(schedule))?;
        let changed = files.iter().any(File::differs);
        let before = manager.timer(name).unwrap_or_default();
        warn_of_linger(context, self.is_user());
        if !changed && before.is_enabled && before.is_active {
            context.print(&format!(
                "{name} is installed and as wanted: nothing to do\n{}",
                when(&before)
            ))?;
            return Ok(Exit::Clean);
        }
        let act = format!("{name}.timer is enabled and started");
        let question = format!("Install {name}?");
        if let Some(exit) = consent(context, &diffs(&files), &[act], &question, args)? {
            return Ok(exit);
        }
        let staged = stage(&files).map_err(CliError::Machine)?;
        let paths: Vec<PathBuf> = files
            .iter()
            .filter_map(|file| Some(staged.dir.join(file.path.file_name()?)))
            .collect();
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        match manager.verify(&paths) {
            Ok(remark) => remark.iter().for_each(|remark| {
                context.note(&format!("systemd-analyze verify: {remark}"));
            }),
            Err(why) => {
                return Ok(failed(
                    context,
                    "systemd-analyze verify refuses it",
                    &why,
                    Ok(()),
                ));
            }
        }
        make_state_dir(context);
        match self.put(&manager, name, &files) {
            Ok(now) => {
                context.print(&format!("{name} is installed\n{}", when(&now)))?;
                Ok(Exit::Clean)
            }
            Err(why) => {
                let back = put_back(&manager, name, &files, &before);
                Ok(failed(
                    context,
                    &format!("{name} was not installed"),
                    &why,
                    back,
                ))
            }
        }
    }

    /// Writes the files, and lets systemd begin.
    fn put(&self, manager: &Manager, name: &str, files: &[File]) -> Result<TimerState, String> {
        unchanged(files)?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&self.dir)
            .map_err(|error| format!("{}: {}", self.dir.display(), beside::why(&error)))?;
        for file in files.iter().filter(|file| file.differs()) {
            file.put(file.after.as_ref())?;
        }
        let timer = format!("{name}.timer");
        manager.call(&["daemon-reload"])?;
        manager.call(&["enable", &timer])?;
        // A timer that runs already takes its new times so.
        manager.call(&["restart", &timer])?;
        let now = manager.timer(name)?;
        match (now.is_active, now.is_enabled) {
            (true, true) => Ok(now),
            (false, _) => Err(format!(
                "{timer} was started and does not wait for its time"
            )),
            (true, false) => Err(format!(
                "{timer} was enabled and would not begin with the machine"
            )),
        }
    }

    /// Where the manager keeps when timers ran.
    fn stamps(&self) -> Option<PathBuf> {
        match self.is_user() {
            true => Some(own_dir("XDG_DATA_HOME", ".local/share")?.join("systemd/timers")),
            false => Some(PathBuf::from("/var/lib/systemd/timers")),
        }
    }

    /// Takes a schedule away; `None` where there is none.
    pub(super) fn remove(
        &self,
        context: &Context,
        name: &str,
        args: ConsentArgs,
    ) -> Result<Option<Exit>, CliError> {
        let files = self.files(name, [None, None])?;
        if !files.iter().any(File::differs) {
            return Ok(None);
        }
        let manager = Manager::find(self.is_user())?;
        let before = manager.timer(name).unwrap_or_default();
        let act =
            format!("{name}.timer is stopped and disabled, and a run that is at work is stopped");
        let question = format!("Remove {name}?");
        if let Some(exit) = consent(context, &diffs(&files), &[act], &question, args)? {
            return Ok(Some(exit));
        }
        let (timer, service) = (format!("{name}.timer"), format!("{name}.service"));
        let taken = || -> Result<(), String> {
            unchanged(&files)?;
            manager.call(&["disable", "--now", &timer])?;
            manager.call(&["stop", &service])?;
            // The moment of the last run, which systemd keeps in a file: old versions cannot clean it, and those of 252
            // leave a user's.
            let _ = manager.call(&["clean", "--what=state", &timer]);
            if let Some(stamps) = self.stamps() {
                let _ = std::fs::remove_file(stamps.join(format!("stamp-{timer}")));
            }
            for file in &files {
                file.put(None)?;
            }
            manager.call(&["daemon-reload"])?;
            // A unit in `failed` would still be listed, without a file.
            let _ = manager.call(&["reset-failed", &timer, &service]);
            Ok(())
        };
        if let Err(why) = taken() {
            let back = put_back(&manager, name, &files, &before);
            return Ok(Some(failed(
                context,
                &format!("{name} was not removed"),
                &why,
                back,
            )));
        }
        context.print(&format!(
            "{name} is removed; the history, and what --output wrote, stay\n"
        ))?;
        Ok(Some(Exit::Clean))
    }
}

/// A directory of this user's, by its variable or where it usually is.
fn own_dir(variable: &str, usual: &str) -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = std::env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let home = || absolute("HOME").or_else(machine::own_home);
    absolute(variable).or_else(|| Some(home()?.join(usual)))
}

/// Where this user's units are.
fn user_dir() -> Option<PathBuf> {
    Some(own_dir("XDG_CONFIG_HOME", ".config")?.join("systemd/user"))
}

fn wanted(schedule: &Schedule) -> [Option<String>; 2] {
    [
        Some(unit::schedule_service(schedule)),
        Some(unit::schedule_timer(schedule)),
    ]
}

fn diffs(files: &[File]) -> Vec<ScheduleDiff> {
    let changed = files.iter().filter(|file| file.differs());
    changed
        .map(|file| {
            let path = file.path.display().to_string();
            ScheduleDiff {
                lines: unit::diff(&path, file.before.as_deref(), file.after.as_deref()),
                is_there: file.before.is_some(),
                is_wanted: file.after.is_some(),
                path,
            }
        })
        .collect()
}

/// Reads a file, if it is there. No link is followed: it would be replaced.
pub(super) fn read(path: &Path) -> Result<Option<String>, String> {
    let data = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(beside::why(&error)),
        Ok(data) => data,
    };
    if data.is_symlink() {
        return Err("it is a symbolic link (a masked unit is one), and is left alone".into());
    }
    if !data.is_file() || data.len() > MAX_FILE {
        return Err("it is no unit file".into());
    }
    let text = fs::read_to_string(path).map_err(|error| beside::why(&error))?;
    Ok(Some(text))
}

/// Whether the files are still what was shown.
fn unchanged(files: &[File]) -> Result<(), String> {
    for file in files {
        if read(&file.path)? != file.before {
            return Err(format!(
                "{}: somebody changed it meanwhile",
                file.path.display()
            ));
        }
    }
    Ok(())
}

/// A directory with the new files, for systemd to read them before they take their places. It goes with this.
struct Staged {
    dir: PathBuf,
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn stage(files: &[File]) -> Result<Staged, String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    let name = format!("clawfleet-units-{:016x}", u64::from_le_bytes(random));
    let dir = std::env::temp_dir().join(name);
    let told = |error: io::Error| format!("{}: {}", dir.display(), beside::why(&error));
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&dir)
        .map_err(told)?;
    let staged = Staged { dir: dir.clone() };
    for file in files {
        if let (Some(name), Some(text)) = (file.path.file_name(), &file.after) {
            fs::write(dir.join(name), text).map_err(told)?;
        }
    }
    Ok(staged)
}

/// Makes it what it was: files, then systemd's knowledge of them, then whether the timer waits.
fn put_back(
    manager: &Manager,
    name: &str,
    files: &[File],
    before: &TimerState,
) -> Result<(), String> {
    let timer = format!("{name}.timer");
    let mut wrong = Vec::new();
    let was_there = files.iter().all(|file| file.before.is_some());
    if !was_there {
        // It may be that systemd has never heard of it.
        let _ = manager.call(&["disable", "--now", &timer]);
    }
    for file in files {
        wrong.extend(file.put(file.before.as_ref()).err());
    }
    wrong.extend(manager.call(&["daemon-reload"]).err());
    if was_there {
        let enabled = if before.is_enabled {
            "enable"
        } else {
            "disable"
        };
        wrong.extend(manager.call(&[enabled, &timer]).err());
        let active = if before.is_active { "restart" } else { "stop" };
        wrong.extend(manager.call(&[active, &timer]).err());
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("; ")),
    }
}

/// The unit may write to the state directory and not make it.
fn make_state_dir(context: &Context) {
    let Some(dir) = context.kept_in() else { return };
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir);
    if let Err(error) = made {
        context.note(&format!("{}: {}", dir.display(), beside::why(&error)));
    }
}

fn when(timer: &TimerState) -> String {
    match timer.next {
        Some(next) => format!("next run: {}\n", next.strftime("%Y-%m-%d %H:%M:%S UTC")),
        // While it is at work, systemd has no next time.
        None => "next run: when the one that has just begun is over\n".to_owned(),
    }
}

/// What to do where a user's timers end with the user's last session; `None` where they do not, or nobody knows.
pub(super) fn linger_remedy() -> Option<String> {
    let user = rustix::process::getuid().as_raw().to_string();
    let args = ["show-user", &user, "--property=Linger", "--value"];
    let done = tools::run("loginctl", &args, None, None).ok()?;
    let is_off = String::from_utf8_lossy(&done.stdout).trim() == "no";
    // Who is not logged in and does not linger is not known to logind at all.
    (is_off || !done.is_well).then(|| {
        "lingering is off: this user's timers stop with the last session; `loginctl enable-linger` lets them run on".to_owned()
    })
}

fn warn_of_linger(context: &Context, is_user: bool) {
    if let Some(remedy) = is_user.then(linger_remedy).flatten() {
        context.note(&remedy);
    }
}
