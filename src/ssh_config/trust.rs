//! What vouches for a host, and what may be negotiated with it.

use std::path::PathBuf;

use super::algorithms::Family;
use super::effective::Finish;
use super::error::SshConfigError;
use crate::model::{Algorithms, HostKeyPolicy, UnknownKey};

/// The user's lists of host keys, unless others are named.
const USER_KNOWN_HOSTS: [&str; 2] = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"];
const GLOBAL_KNOWN_HOSTS: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];

impl Finish<'_> {
    pub(super) fn algorithms(&mut self) -> Result<Algorithms, SshConfigError> {
        let host_keys_ordered = self
            .options
            .word("HostKeyAlgorithms")
            .is_some_and(|spec| !spec.starts_with(['-', '+']));
        Ok(Algorithms {
            kex: self.list("KexAlgorithms")?,
            ciphers: self.list("Ciphers")?,
            macs: self.list("MACs")?,
            host_keys: self.list("HostKeyAlgorithms")?,
            host_keys_ordered,
            login_keys: self.list("PubkeyAcceptedAlgorithms")?,
        })
    }

    /// Returns a list of algorithms; an empty one if nothing is said.
    fn list(&mut self, keyword: &'static str) -> Result<Vec<String>, SshConfigError> {
        let Some(family) = Family::of(keyword) else {
            return Ok(Vec::new());
        };
        let origin = self.options.origin(keyword);
        let Some(spec) = self.options.word(keyword) else {
            self.show_written(keyword, family.default.join(","), "", origin);
            return Ok(Vec::new());
        };
        let list = family.list(spec).ok_or_else(|| {
            let known: Vec<&str> = family.supported().collect();
            SshConfigError::from(
                &origin,
                format!("{keyword} {spec} leaves nothing that clawfleet has"),
            )
            .hint(format!("supported are {}", known.join(", ")))
        })?;
        self.show_written(keyword, list.join(","), spec, origin);
        Ok(list)
    }

    pub(super) fn host_keys(
        &mut self,
        alias: Option<String>,
    ) -> Result<HostKeyPolicy, SshConfigError> {
        let options = self.options;
        let revoked = match options.word("RevokedHostKeys") {
            Some(file) if !file.eq_ignore_ascii_case("none") => {
                let origin = options.origin("RevokedHostKeys");
                let path = self.tilde("RevokedHostKeys", file, &origin)?;
                self.show_written("RevokedHostKeys", path.clone(), file, origin);
                Some(PathBuf::from(path))
            }
            _ => None,
        };
        Ok(HostKeyPolicy {
            unknown: match options.word("StrictHostKeyChecking") {
                Some("no" | "accept-new") => UnknownKey::Accept,
                _ => UnknownKey::Refuse,
            },
            user_files: self.known_hosts("UserKnownHostsFile", &USER_KNOWN_HOSTS, true)?,
            global_files: self.known_hosts("GlobalKnownHostsFile", &GLOBAL_KNOWN_HOSTS, false)?,
            alias,
            hash: options.is_on("HashKnownHosts", false),
            check_ip: options.is_on("CheckHostIP", false),
            revoked,
        })
    }

    fn known_hosts(
        &mut self,
        keyword: &'static str,
        built_in: &[&str],
        with_tokens: bool,
    ) -> Result<Vec<PathBuf>, SshConfigError> {
        let origin = self.options.origin(keyword);
        let files: Vec<String> = match self.options.words(keyword) {
            Some(files) => files.to_vec(),
            None => built_in.iter().map(|file| (*file).to_owned()).collect(),
        };
        let mut paths = Vec::new();
        for file in files
            .iter()
            .filter(|file| !file.eq_ignore_ascii_case("none"))
        {
            paths.push(if with_tokens {
                self.path(keyword, file, &origin)?
            } else {
                self.tilde(keyword, file, &origin)?
            });
        }
        let shown = if paths.is_empty() {
            "none".to_owned()
        } else {
            paths.join(" ")
        };
        self.show_written(keyword, shown, &files.join(" "), origin);
        Ok(paths.into_iter().map(PathBuf::from).collect())
    }
}
