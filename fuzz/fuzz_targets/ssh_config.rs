//! A configuration of OpenSSH: settings, or an error with a place; never a panic, never an endless run.
#![no_main]

use std::path::{Path, PathBuf};

use clawfleet::model::{SshFiles, SshRequest};
use clawfleet::ssh_config::{Bastion, SshConfig, World};
use libfuzzer_sys::fuzz_target;

/// A world where every file is the same one.
struct Mirror<'a>(&'a str);

impl World for Mirror<'_> {
    fn read(&self, path: &Path, _: bool) -> Result<Option<String>, String> {
        Ok((!path.ends_with("ssh_config")).then(|| self.0.to_owned()))
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        vec![PathBuf::from(pattern)]
    }

    fn succeeds(&self, command: &str) -> Result<bool, String> {
        Ok(command.len().is_multiple_of(2))
    }

    fn env(&self, name: &str) -> Option<String> {
        name.starts_with('H').then(|| "/value".to_owned())
    }

    fn env_all(&self) -> Vec<(String, String)> {
        vec![("LANG".to_owned(), "C".to_owned())]
    }

    fn resolve(&self, name: &str) -> bool {
        name.len().is_multiple_of(2)
    }

    fn home_of(&self, user: &str) -> Option<PathBuf> {
        (user.len() < 5).then(|| PathBuf::from("/home").join(user))
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let world = Mirror(text);
    let bastion = Bastion {
        user: "op".to_owned(),
        uid: 1000,
        home: PathBuf::from("/home/op"),
        host_name: "hub.example.org".to_owned(),
    };
    let config = match SshConfig::load(&SshFiles::Usual, &bastion, &world) {
        Ok(config) => config,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let request = SshRequest {
        match_exec: true,
        ..SshRequest::default()
    };
    for name in ["a", "web1.example.org", "u@10.0.0.1", "::1"] {
        match config.resolve(name, &request, &bastion, &world) {
            Ok(found) => {
                assert!(!found.settings().host_name.is_empty());
                assert!(found.settings().jumps().len() <= 17);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});
