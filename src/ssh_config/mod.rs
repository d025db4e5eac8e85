//! L1: OpenSSH's client configuration: what `ssh NAME` would do, as [`crate::model::SshSettings`].
//!
//! `lex`, `keywords`, `value` and `parse` know how files are written, `resolve` which lines apply and who wins,
//! `effective`, `login` and `trust` what it means. The law is OpenSSH 9.2 (readconf.c, ssh.c); `tests/ssh_config.rs` compares with
//! `ssh -G`. No file is read here: whoever calls does what [`World`] asks for.

mod algorithms;
mod canonical;
mod criteria;
mod effective;
mod error;
mod jump;
mod keywords;
mod kinds;
mod lex;
mod login;
mod options;
mod parse;
mod resolve;
mod tokens;
mod trust;
mod value;

use std::path::{Path, PathBuf};

use crate::model::SshRequest;

pub use algorithms::{FAMILIES, Family, assemble};
pub use effective::{Effective, Entry};
pub use error::SshConfigError;
pub use keywords::{KEYWORDS, Row, Standing};
pub use options::Origin;
pub use parse::{Ignored, MAX_BYTES, MAX_FILE_BYTES, MAX_FILES};
pub use resolve::SshConfig;

/// All that is not in the text of a file: the caller looks.
pub trait World {
    /// Reads a file; `None` if there is none. `check_owner` asks that it belongs to the user or to root and
    /// that nobody else may write it; the error is a sentence. What is no UTF-8 is replaced by the caller: a
    /// comment in another encoding is no fault.
    fn read(&self, path: &Path, check_owner: bool) -> Result<Option<String>, String>;

    /// Finds files by a pattern with an absolute path, sorted as glob(3) does.
    fn glob(&self, pattern: &str) -> Vec<PathBuf>;

    /// Runs a command in the user's shell and says whether it succeeds.
    fn succeeds(&self, command: &str) -> Result<bool, String>;

    /// Looks up an environment variable.
    fn env(&self, name: &str) -> Option<String>;

    /// Returns all environment variables.
    fn env_all(&self) -> Vec<(String, String)>;

    /// Says whether the resolver knows a name.
    fn resolve(&self, name: &str) -> bool;

    /// Returns what the inventory says of a jump host's connection, if the jump is one of its hosts.
    fn request_of(&self, _name: &str) -> Option<SshRequest> {
        None
    }

    /// Returns a user's home directory, for `~USER`.
    fn home_of(&self, user: &str) -> Option<PathBuf>;
}

/// Who runs clawfleet, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bastion {
    /// The user's name.
    pub user: String,
    /// The user's number.
    pub uid: u32,
    /// The home directory, by the system's list of users.
    pub home: PathBuf,
    /// The machine's name as gethostname(2) has it.
    pub host_name: String,
}
