//! What is offered to log in, and what is sent along.

use std::path::PathBuf;

use super::effective::Finish;
use super::error::SshConfigError;
use super::options::{Obtained, Origin};
use crate::model::{Agent, AuthMethod, Identities, matches_pattern};

/// OpenSSH's names of keys. Its order is rsa, ecdsa, ed25519; but each key that a server does not take costs one
/// of its MaxAuthTries, and ed25519 is what people make today.
const USUAL_KEYS: [&str; 5] = [
    "~/.ssh/id_ed25519",
    "~/.ssh/id_ed25519_sk",
    "~/.ssh/id_ecdsa",
    "~/.ssh/id_ecdsa_sk",
    "~/.ssh/id_rsa",
];

impl Finish<'_> {
    pub(super) fn identities(&mut self) -> Result<Identities, SshConfigError> {
        let named = !self.options.identities.is_empty();
        let certificates = self.files("CertificateFile", &self.options.certificates)?;
        let files = if named {
            self.files("IdentityFile", &self.options.identities)?
        } else {
            let usual: Vec<Obtained<String>> = USUAL_KEYS
                .iter()
                .map(|file| Obtained {
                    value: (*file).to_owned(),
                    origin: Origin::BuiltIn,
                    user: false,
                })
                .collect();
            self.files("IdentityFile", &usual)?
        };
        Ok(Identities {
            files,
            named,
            certificates,
            only: self.options.is_on("IdentitiesOnly", false),
            agent: self.agent()?,
        })
    }

    fn files(
        &mut self,
        keyword: &'static str,
        written: &[Obtained<String>],
    ) -> Result<Vec<PathBuf>, SshConfigError> {
        let mut paths = Vec::new();
        for file in written {
            let none = file.value.eq_ignore_ascii_case("none");
            let path = if none {
                "none".to_owned()
            } else {
                self.path(keyword, &file.value, &file.origin)?
            };
            self.show_written(keyword, path.clone(), &file.value, file.origin.clone());
            if !none {
                paths.push(PathBuf::from(path));
            }
        }
        Ok(paths)
    }

    fn agent(&mut self) -> Result<Agent, SshConfigError> {
        let Some(written) = self.options.word("IdentityAgent") else {
            return Ok(Agent::FromEnvironment);
        };
        let origin = self.options.origin("IdentityAgent");
        let path = self.path("IdentityAgent", written, &origin)?;
        self.show_written("IdentityAgent", path.clone(), written, origin);
        Ok(match path.as_str() {
            "SSH_AUTH_SOCK" => Agent::FromEnvironment,
            "none" => Agent::None,
            _ => match path.strip_prefix('$') {
                Some(name) => match self.asked.world.env(name) {
                    Some(path) if !path.is_empty() => Agent::At(PathBuf::from(path)),
                    // As OpenSSH: a variable that is not set is no agent, not the usual one.
                    _ => Agent::None,
                },
                None => Agent::At(PathBuf::from(path)),
            },
        })
    }

    pub(super) fn methods(&self) -> Result<Vec<AuthMethod>, SshConfigError> {
        let options = self.options;
        let prompts = options.number("NumberOfPasswordPrompts") != Some(0);
        let on = |method: AuthMethod| match method {
            AuthMethod::PublicKey => options.is_on("PubkeyAuthentication", true),
            AuthMethod::Password => prompts && options.is_on("PasswordAuthentication", true),
            AuthMethod::KeyboardInteractive => {
                prompts && options.is_on("KbdInteractiveAuthentication", true)
            }
        };
        let preferred = options.word("PreferredAuthentications");
        let mut methods = Vec::new();
        let named = preferred.map(|list| list.split(',').map(str::trim));
        match named {
            None => methods.extend(AuthMethod::DEFAULT),
            Some(names) => {
                for name in names {
                    let method = AuthMethod::DEFAULT
                        .into_iter()
                        .find(|method| method.id() == name);
                    methods.extend(method.filter(|method| !methods.contains(method)));
                }
            }
        }
        methods.retain(|method| on(*method));
        if methods.is_empty() {
            let keyword = match preferred {
                Some(_) => "PreferredAuthentications",
                None => "PubkeyAuthentication",
            };
            return Err(SshConfigError::from(
                &options.origin(keyword),
                format!("no way to log in to `{}` is left", self.target.name),
            )
            .hint("clawfleet has publickey, keyboard-interactive and password"));
        }
        Ok(methods)
    }

    pub(super) fn environment(&mut self) -> Vec<(String, String)> {
        let mut set: Vec<(String, String)> = Vec::new();
        let origin = self.options.origin("SetEnv");
        for word in self.options.words("SetEnv").unwrap_or_default() {
            let Some((name, value)) = word.split_once('=') else {
                continue;
            };
            if !set.iter().any(|(known, _)| known == name) {
                set.push((name.to_owned(), value.to_owned()));
                self.show("SetEnv", word.clone(), origin.clone());
            }
        }
        let patterns = &self.options.send_env;
        for pattern in patterns {
            self.show("SendEnv", pattern.value.clone(), pattern.origin.clone());
        }
        if patterns.is_empty() {
            return set;
        }
        let sent = self.asked.world.env_all().into_iter().filter(|(name, _)| {
            let wanted = patterns
                .iter()
                .any(|pattern| matches_pattern(&pattern.value, name));
            // A server that gets a name twice keeps the second value, which is SetEnv's.
            wanted && !set.iter().any(|(known, _)| known == name)
        });
        sent.chain(set.clone()).collect()
    }
}
