//! Accepted keys on their way into known_hosts files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::CliError;
use crate::model::{KeyGroup, KeyStanding, ShownKey, SshSettings};
use crate::report::{enrolled, removed};
use crate::ssh::{Enrolled, NewEntry, Scan, SshTransport, enrol};

/// The keys of each file, by whether their names are hashed.
#[derive(Default)]
pub(super) struct Batches(BTreeMap<(PathBuf, bool), Batch>);

/// The keys that go to one file.
#[derive(Default)]
struct Batch {
    entries: Vec<(Arc<SshSettings>, NewEntry)>,
    /// Names whose other keys go.
    replace: Vec<String>,
    /// The user's other files, where old keys may be.
    other_files: BTreeSet<PathBuf>,
    keys: usize,
    hosts: usize,
}

impl Batches {
    /// Adds the accepted ones among the keys of a host.
    pub(super) fn add(
        &mut self,
        settings: &Arc<SshSettings>,
        scan: &Scan,
        accepted: &[&(KeyGroup, ShownKey)],
    ) {
        let policy = &settings.host_keys;
        // Without a file the keys were refused.
        let Some(file) = policy.user_files.first() else {
            return;
        };
        let batch = self.0.entry((file.clone(), policy.hash)).or_default();
        batch.add(settings, scan, accepted);
    }

    /// Writes each file, and says so in `report`. One that cannot be written keeps none of the
    /// others from it.
    ///
    /// # Errors
    /// The first file that could not be written.
    pub(super) async fn write(
        self,
        transport: &SshTransport,
        report: &mut String,
    ) -> Result<(), CliError> {
        let mut result = Ok(());
        for ((file, hash), batch) in self.0 {
            let written = batch.write(transport, &file, hash, report).await;
            result = result.and(written);
        }
        result
    }
}

impl Batch {
    fn add(
        &mut self,
        settings: &Arc<SshSettings>,
        scan: &Scan,
        accepted: &[&(KeyGroup, ShownKey)],
    ) {
        let names = scan.server.entries();
        let replaces = accepted.iter().any(|(group, _)| group.replaces());
        self.hosts += 1;
        for key in &scan.keys {
            let print = key.fingerprint();
            let taken = accepted.iter().any(|(_, shown)| shown.fingerprint == print);
            // What is known and still shown must outlive the removal of the rest.
            if taken || (replaces && key.standing == KeyStanding::Known) {
                self.keys += usize::from(taken);
                let entry = NewEntry {
                    names: names.clone(),
                    key: key.key.clone(),
                };
                self.entries.push((Arc::clone(settings), entry));
            }
        }
        if replaces {
            self.replace.extend(names);
            let files = settings.host_keys.user_files.iter().skip(1);
            let there = files.filter(|file| file.is_file());
            self.other_files.extend(there.cloned());
        }
    }

    async fn write(
        self,
        transport: &SshTransport,
        file: &Path,
        hash: bool,
        report: &mut String,
    ) -> Result<(), CliError> {
        let entries = self.entries.iter().map(|(_, entry)| entry.clone());
        let written = put(file, entries.collect(), hash, &self.replace).await?;
        for ((settings, entry), place) in self.entries.iter().zip(&written.places) {
            transport.learn(settings, entry, place);
        }
        *report += &enrolled(self.keys, self.hosts, &file.display().to_string());
        say_removed(&written, file, report);
        // The new keys are safe by now.
        for other in self.other_files.iter().filter(|other| *other != file) {
            let written = put(other, Vec::new(), hash, &self.replace).await?;
            say_removed(&written, other, report);
        }
        Ok(())
    }
}

async fn put(
    file: &Path,
    entries: Vec<NewEntry>,
    hash: bool,
    replace: &[String],
) -> Result<Enrolled, CliError> {
    let (path, replace) = (file.to_owned(), replace.to_vec());
    tokio::task::spawn_blocking(move || enrol(&path, &entries, hash, &replace))
        .await
        .map_err(|error| CliError::Machine(error.to_string()))?
        .map_err(|error| CliError::Machine(format!("that file is as it was: {error}")))
}

fn say_removed(written: &Enrolled, file: &Path, report: &mut String) {
    if !written.removed.is_empty() {
        *report += &removed(&written.removed, &file.display().to_string());
    }
}
