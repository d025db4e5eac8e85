//! What ends a command before it has a result. Hosts' troubles are not here: they are results.

use super::Exit;
use crate::inventory::{InventoryError, SelectError};
use crate::ssh_config::SshConfigError;

/// An error of a command, with its exit code and what helps.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The inventory is at fault.
    #[error("{0}")]
    Inventory(InventoryError),
    /// OpenSSH's configuration is at fault.
    #[error("{0}")]
    SshConfig(SshConfigError),
    /// There is no inventory.
    #[error("no inventory: looked at {0}")]
    NoInventory(String),
    /// The selector is at fault.
    #[error("{0}")]
    Select(SelectError),
    /// Wrong usage that the argument parser cannot see.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What helps.
        hint: Option<String>,
    },
    /// A plan, a template or a run is at fault.
    #[error("{message}")]
    Plan {
        /// What is wrong.
        message: String,
        /// What helps.
        hint: Option<String>,
    },
    /// Another run is at work.
    #[error("{0}")]
    Locked(String),
    /// Another check that tells what changed is at work.
    #[error("{0}")]
    CheckLocked(String),
    /// Something of this machine failed.
    #[error("{0}")]
    Machine(String),
    /// The reader of our output went away, as `head` does.
    #[error("the output was closed")]
    OutputClosed,
}

impl CliError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Inventory(_) | Self::SshConfig(_) | Self::NoInventory(_) | Self::Plan { .. } => {
                Exit::Config
            }
            Self::Locked(_) | Self::CheckLocked(_) => Exit::Locked,
            Self::Select(_) | Self::Usage { .. } => Exit::Usage,
            Self::Machine(_) => Exit::Software,
            Self::OutputClosed => Exit::Clean,
        }
    }

    pub(super) fn hint(&self) -> Option<&str> {
        match self {
            Self::Inventory(error) => error.hint.as_deref(),
            Self::SshConfig(error) => error.hint.as_deref(),
            Self::NoInventory(_) => Some(
                "`clawfleet inventory init` writes a commented example; `-i FILE` names another place",
            ),
            Self::Select(error) => error.hint.as_deref(),
            Self::Usage { hint, .. } | Self::Plan { hint, .. } => hint.as_deref(),
            Self::Locked(_) => {
                Some("wait for it, or stop it there; `clawfleet history --rollouts` lists runs")
            }
            Self::CheckLocked(_) => Some(
                "`--wait 30s` waits for it; `--deadline 4m` lets none last longer; without --on-change a check needs no lock",
            ),
            Self::Machine(_) | Self::OutputClosed => None,
        }
    }
}
