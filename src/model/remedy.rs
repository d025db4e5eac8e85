//! What a fix does to a host beside writing files.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::UnitOwner;

/// What a fix does to one gateway, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// The classes of findings that are gone afterwards, by their ids.
    pub classes: Vec<String>,
    /// What is done, in this order, before files are written and the unit is restarted.
    pub acts: Vec<Act>,
    /// Whether root does it though the unit is a user's: something in it is not that user's to do.
    pub by_root: bool,
}

/// One thing that a fix does. What it undoes again is said with each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Ends one process. Nothing brings it back.
    EndProcess(EndedProcess),
    /// Stops and disables a unit and puts its file aside; undone by putting it back.
    Retire {
        /// The unit's name with suffix.
        unit: String,
        /// Whose manager it belongs to.
        owner: UnitOwner,
        /// Its file, which is moved to where the run is kept; a unit of the distribution's is masked instead.
        path: String,
        /// SHA-256 of that file, in hex.
        digest: String,
    },
    /// Lets a user's manager run while nobody is logged in; undone by switching it off again.
    Linger {
        /// The user.
        user: String,
        /// The user's id.
        uid: u32,
    },
    /// Changes a gateway's configuration in a few places, as the file's owner; undone by putting a copy back that
    /// only the host has: such a file holds secrets.
    Configure {
        /// Its path.
        path: String,
        /// Its owner.
        uid: u32,
        /// SHA-256 of it now, in hex.
        before: String,
        /// SHA-256 of it then.
        after: String,
        /// What is replaced, in the order of the file. All other bytes stay.
        splices: Vec<Splice>,
        /// Where that is, for people: `agents.defaults.models, line 12`.
        place: String,
        /// The change as lines with `-` and `+` before them.
        shown: Vec<String>,
    },
    /// Takes permissions away from a file or directory, as its owner; undone by giving them back.
    Mode {
        /// Its path.
        path: String,
        /// Its owner.
        uid: u32,
        /// Permission bits now.
        before: u32,
        /// Permission bits then.
        after: u32,
    },
}

/// A piece of a text that is replaced by another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splice {
    /// Where it begins, in bytes.
    pub at: usize,
    /// How many bytes are taken away.
    pub removed: usize,
    /// What comes there.
    pub inserted: String,
}

/// A process that is to be ended. All of it must still hold in the moment in which the signal is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedProcess {
    /// Its id.
    pub pid: u32,
    /// When it started, in clock ticks since boot: with the id it names a process for ever.
    pub start_ticks: u64,
    /// What it executes, as `/proc/PID/exe` says.
    pub exe: String,
    /// Its cgroup in systemd's hierarchy.
    pub cgroup: String,
    /// Its user.
    pub uid: u32,
    /// The port that it holds.
    pub port: u16,
    /// What it is, for people.
    pub title: String,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndProcess(process) => write!(
                f,
                "end process {} ({}, user {}), which holds port {}",
                process.pid, process.title, process.uid, process.port
            ),
            Self::Retire {
                unit, owner, path, ..
            } => {
                write!(f, "stop and disable {unit} ({owner}), and put {path} aside")
            }
            Self::Linger { user, .. } => {
                write!(f, "let the manager of user {user} run without a login")
            }
            Self::Configure {
                path, place, shown, ..
            } => write!(
                f,
                "change {path}, at {place}: {}; its other bytes stay",
                shown.join(", ")
            ),
            Self::Mode {
                path,
                before,
                after,
                ..
            } => write!(f, "permissions of {path}: {before:04o} → {after:04o}"),
        }
    }
}
