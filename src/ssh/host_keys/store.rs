//! The files of all policies of a run, each read once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::key_file::KeyFile;
use super::known_hosts::KnownHosts;
use super::revoked::RevocationFile;
use crate::model::HostKeyPolicy;

/// Reads files that vouch for host keys, and keeps them.
#[derive(Debug, Default)]
pub struct HostKeyStore {
    files: HashMap<PathBuf, Arc<KeyFile>>,
    revoked: HashMap<PathBuf, Arc<RevocationFile>>,
}

impl HostKeyStore {
    /// Returns what the files of a policy say, the user's before the system's.
    pub fn open(&mut self, policy: &HostKeyPolicy) -> KnownHosts {
        let files = policy.user_files.iter().chain(&policy.global_files);
        self.open_files(files, policy.revoked.as_deref())
    }

    /// Returns what some files say.
    pub fn open_files<'a>(
        &mut self,
        files: impl IntoIterator<Item = &'a PathBuf>,
        revoked: Option<&Path>,
    ) -> KnownHosts {
        let mut known = KnownHosts::default();
        for path in files {
            let file = self
                .files
                .entry(path.clone())
                .or_insert_with(|| Arc::new(KeyFile::read(path)));
            known.files.push(Arc::clone(file));
        }
        if let Some(path) = revoked {
            let file = self
                .revoked
                .entry(path.to_owned())
                .or_insert_with(|| Arc::new(RevocationFile::read(path)));
            known.revoked.push(Arc::clone(file));
        }
        known
    }

    /// Returns what was wrong with all files, in the order of their names.
    pub fn notes(&self) -> Vec<String> {
        let mut files: Vec<&Arc<KeyFile>> = self.files.values().collect();
        files.sort_by(|a, b| a.path().cmp(b.path()));
        let mut notes: Vec<String> = files
            .iter()
            .flat_map(|file| file.notes().iter().cloned())
            .collect();
        let mut revoked: Vec<String> = self
            .revoked
            .values()
            .filter_map(|file| {
                Some(format!(
                    "{}: {}",
                    file.path.display(),
                    file.keys.as_ref().err()?
                ))
            })
            .collect();
        revoked.sort();
        notes.append(&mut revoked);
        notes
    }

    /// Returns OpenSSH's default files: the user's, then the system's.
    pub fn default_files(home: &Path) -> Vec<PathBuf> {
        let user = ["known_hosts", "known_hosts2"];
        let system = ["ssh_known_hosts", "ssh_known_hosts2"];
        user.iter()
            .map(|name| home.join(".ssh").join(name))
            .chain(system.iter().map(|name| Path::new("/etc/ssh").join(name)))
            .collect()
    }
}
