//! Arguments and environment, validated: what every command needs.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use super::args::{Args, Format, When};
use super::beside;
use super::error::CliError;
use super::machine;
use crate::inventory::{self, Beside, Inventory, InventoryError, LastRun};
use crate::report::{Style, View, sanitize, shorten};
use crate::ssh::AgentSockets;
use crate::store;

/// Width where no terminal tells one: what a mail or a log shows without wrapping.
const PIPE_WIDTH: u16 = 120;

/// Stands for a home directory where there is none; nothing is ever written below it.
const NO_HOME: &str = "/nonexistent";

/// How much of an error is printed, in characters: it may quote what a file holds.
const LONGEST_COMPLAINT: usize = 600;

/// What every command needs.
pub(super) struct Context {
    pub(super) format: Format,
    pub(super) view: View,
    /// Whether a progress display may be drawn.
    pub(super) progress: bool,
    /// The user's home directory.
    pub(super) home: PathBuf,
    /// The user's shell, for commands that OpenSSH's files name.
    pub(super) shell: PathBuf,
    /// Where the user's agent listens.
    pub(super) agent: AgentSockets,
    inventory: Option<PathBuf>,
    state_dir: PathBuf,
    config_dir: PathBuf,
    complain_in_colour: bool,
}

impl Context {
    pub(super) fn new(args: &Args) -> Self {
        start_log(args.verbose);
        let home = home_dir();
        let xdg = |name: &str, below: &str| {
            non_empty_env(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .unwrap_or_else(|| home.join(below))
                .join("clawfleet")
        };
        let colour_on = |terminal: bool| match args.color {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                terminal
                    && non_empty_env("NO_COLOR").is_none()
                    && non_empty_env("TERM").is_none_or(|term| term != "dumb")
            }
        };
        let stdout_is_terminal = io::stdout().is_terminal();
        let stderr_is_terminal = io::stderr().is_terminal();
        Self {
            format: args.format.common(),
            view: View {
                style: if colour_on(stdout_is_terminal) {
                    Style::Colour
                } else {
                    Style::Plain
                },
                width: width(stdout_is_terminal),
                verbose: args.verbose > 0,
                quiet: args.quiet,
            },
            progress: stderr_is_terminal && !args.quiet && args.verbose < 2,
            inventory: args.inventory.clone(),
            state_dir: xdg("XDG_STATE_HOME", ".local/state"),
            config_dir: xdg("XDG_CONFIG_HOME", ".config"),
            complain_in_colour: colour_on(stderr_is_terminal),
            shell: non_empty_env("SHELL").map_or_else(|| PathBuf::from("/bin/sh"), PathBuf::from),
            agent: AgentSockets {
                environment: non_empty_env("SSH_AUTH_SOCK").map(PathBuf::from),
            },
            home,
        }
    }

    /// Where runs are kept.
    pub(super) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Where things are kept between runs; `None` where there is no home.
    pub(super) fn kept_in(&self) -> Option<&Path> {
        (!self.state_dir.starts_with(NO_HOME)).then_some(&self.state_dir)
    }

    /// Where outputs go that are too large for memory. They have no names there, so that any directory will do
    /// where there is no home.
    pub(super) fn outputs_dir(&self) -> PathBuf {
        if self.state_dir.starts_with(NO_HOME) {
            return std::env::temp_dir();
        }
        self.state_dir.join("outputs")
    }

    /// Writes to stdout.
    pub(super) fn print(&self, text: &str) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        match stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
        {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(CliError::OutputClosed),
            Err(error) => Err(CliError::Machine(format!("stdout: {error}"))),
        }
    }

    /// Tells the operator of an error, on stderr.
    pub(super) fn complain(&self, error: &CliError) {
        let head = if self.complain_in_colour {
            "\u{1b}[1;31merror\u{1b}[0m"
        } else {
            "error"
        };
        let said = |text: &str| shorten(&sanitize(text), LONGEST_COMPLAINT).into_owned();
        let mut text = format!("{head}: {}\n", said(&error.to_string()));
        if let Some(hint) = error.hint() {
            text += &format!("  {}\n", said(hint));
        }
        // Without a stderr there is nobody to tell.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Tells the operator something that changes no result, on stderr.
    pub(super) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr(), "note: {}", sanitize(text));
    }

    /// Shows the operator a text that was made for a terminal, on stderr.
    pub(super) fn show(&self, text: &str) {
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// How things are shown on stderr, where the operator is asked.
    pub(super) fn stderr_view(&self) -> View {
        let columns = rustix::termios::tcgetwinsize(io::stderr()).map(|size| size.ws_col);
        View {
            style: if self.complain_in_colour {
                Style::Colour
            } else {
                Style::Plain
            },
            width: match columns {
                Ok(columns) if columns > 0 => columns.clamp(40, 500),
                _ => self.view.width,
            },
            ..self.view
        }
    }

    /// Finds, reads and resolves the inventory.
    pub(super) fn load_inventory(&self) -> Result<(Inventory, PathBuf), CliError> {
        let path = self.find_inventory()?;
        let name = path.display().to_string();
        let text = read_inventory(&path, &name).map_err(CliError::Inventory)?;
        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
        let checks = beside::read_checks(&dir).map_err(CliError::Inventory)?;
        let beside = Beside {
            checks: &checks,
            script: &|file| beside::read_script(&dir, file),
        };
        let home = self.home.display().to_string();
        let inventory =
            inventory::parse_with(&text, &name, &home, &beside).map_err(CliError::Inventory)?;
        let path = path.canonicalize().unwrap_or(path);
        Ok((inventory, path))
    }

    fn find_inventory(&self) -> Result<PathBuf, CliError> {
        if let Some(path) = &self.inventory {
            return Ok(path.clone());
        }
        let places = [
            PathBuf::from("inventory.yaml"),
            self.config_dir.join("inventory.yaml"),
            PathBuf::from("/etc/clawfleet/inventory.yaml"),
        ];
        // A place that exists and cannot be read is an error there, not a reason to go on.
        match places.iter().find(|path| path.symlink_metadata().is_ok()) {
            Some(path) => Ok(path.clone()),
            None => Err(CliError::NoInventory(
                places.map(|path| path.display().to_string()).join(", "),
            )),
        }
    }

    /// Returns the hosts that selectors mean.
    pub(super) fn select(
        &self,
        inventory: &Inventory,
        path: &Path,
        selectors: &[String],
    ) -> Result<Vec<usize>, CliError> {
        let last_run = || {
            let record = store::read_last_run(&self.state_dir, path)?;
            let record = record.ok_or("there is no last run of this inventory to select from")?;
            Ok(LastRun {
                failed: record.failed,
                unreachable: record.unreachable,
            })
        };
        inventory
            .select(selectors, last_run)
            .map_err(CliError::Select)
    }

    /// Keeps who failed, for the next run's selectors. That it cannot be kept is worth a note, and
    /// no reason to hide a result.
    pub(super) fn remember(&self, record: &store::LastRunRecord) {
        if self.state_dir.starts_with(NO_HOME) {
            return self.note("`@failed` will not know this run: HOME is not set");
        }
        if let Err(why) = store::write_last_run(&self.state_dir, record) {
            self.note(&format!("`@failed` will not know this run: {why}"));
        }
    }

    /// Returns what logged in to which server last.
    pub(super) fn remembered_logins(&self) -> store::Logins {
        store::read_logins(&self.state_dir)
    }

    /// Keeps what logged in. Without it the next run may offer a wrong key first, and no more.
    pub(super) fn remember_logins(&self, worked: store::Logins) {
        let before = self.remembered_logins();
        let mut after = before.clone();
        after.extend(worked);
        if after == before || self.state_dir.starts_with(NO_HOME) {
            return;
        }
        if let Err(why) = store::write_logins(&self.state_dir, &after) {
            tracing::debug!(why, "the logins are not remembered");
        }
    }
}

fn read_inventory(path: &Path, name: &str) -> Result<String, InventoryError> {
    let failed = |error: io::Error| InventoryError::new(name, beside::why(&error));
    let data = std::fs::metadata(path).map_err(failed)?;
    if data.is_dir() {
        return Err(InventoryError::new(name, "is a directory")
            .hint("name the file, e.g. inventory.yaml in it"));
    }
    if data.len() > inventory::MAX_BYTES {
        return Err(InventoryError::new(
            name,
            format!(
                "is {} MiB large; an inventory of ten thousand hosts takes one",
                data.len() >> 20
            ),
        )
        .hint("is this the right file?"));
    }
    beside::text(name, std::fs::read(path).map_err(failed)?)
}

fn non_empty_env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// HOME; without one (a service, some cron set-ups) the home that the system's list of users has.
/// ssh takes that one always; HOME is taken here so that a run can be given another.
fn home_dir() -> PathBuf {
    non_empty_env("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute())
        .or_else(machine::own_home)
        .unwrap_or_else(|| PathBuf::from(NO_HOME))
}

fn width(terminal: bool) -> u16 {
    let told = non_empty_env("COLUMNS").and_then(|text| text.parse().ok());
    let asked = || {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        (terminal && size.ws_col > 0).then_some(size.ws_col)
    };
    // A table narrower than this is no table.
    asked().or(told).unwrap_or(PIPE_WIDTH).clamp(40, 500)
}

/// Logs go to stderr: CLAWFLEET_LOG (as tracing's directives), or -vv and -vvv.
fn start_log(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    let filter = match (non_empty_env("CLAWFLEET_LOG"), verbose) {
        (Some(directives), _) => {
            EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("clawfleet=debug"))
        }
        (None, 0 | 1) => EnvFilter::new("off"),
        (None, 2) => EnvFilter::new("clawfleet=debug"),
        (None, _) => EnvFilter::new("debug"),
    };
    // A second call in one process (tests) finds a logger already; that one stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init();
}
