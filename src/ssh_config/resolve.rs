//! Which lines apply to a name, and who wins: the first.

use std::sync::Arc;

use super::canonical::canonical;
use super::criteria::{Criterion, Test, listed};
use super::effective::{Effective, Route};
use super::error::SshConfigError;
use super::jump::{self, Hop, Jump};
use super::options::{Obtained, Options, Origin, Way};
use super::parse::{self, Ignored, Line, Reader, Source, Statement};
use super::tokens::{Known, OF_EXEC, Tokens};
use super::{Bastion, World};
use crate::model::{ListMatch, matches_list};
use crate::model::{SecretSource, SshFiles, SshOption, SshRequest};

/// How many jumps there may be on the way to a host.
const MAX_JUMPS: usize = 16;

/// OpenSSH's files, read once for all hosts.
#[derive(Debug, PartialEq, Eq)]
pub struct SshConfig {
    sources: Vec<Source>,
    ignored: Vec<Ignored>,
    wants_last: bool,
}

/// One question to the files, and who answers what they do not say.
pub(super) struct Asked<'a> {
    config: &'a SshConfig,
    match_exec: bool,
    options: &'a [SshOption],
    files: &'a SshFiles,
    password: &'a Option<SecretSource>,
    pub(super) bastion: &'a Bastion,
    pub(super) world: &'a dyn World,
}

/// What is connected to: a host, or a jump with what the line before says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The name that the files are asked for.
    pub(super) name: String,
    user: Option<String>,
    port: Option<u16>,
    /// Jumps before this one, if they were written down with it.
    before: Option<String>,
}

impl Target {
    /// Reads `[USER@]NAME` or `ssh://…`.
    fn named(text: &str) -> Option<Self> {
        if let Some(hop) = jump::uri(text) {
            return hop.map(|hop| Self::hop(&hop, None));
        }
        let (user, name) = match text.rsplit_once('@') {
            Some(("", _)) => return None,
            Some((user, name)) => (Some(user.to_owned()), name),
            None => (None, text),
        };
        (!name.is_empty()).then(|| Self {
            name: name.to_owned(),
            user,
            port: None,
            before: None,
        })
    }

    /// Refuses names that could mean something to a shell: `%h`, `%n` and `%r` may end up in one.
    fn check(&self) -> Result<(), SshConfigError> {
        let origin = Origin::Name(self.name.clone());
        if !jump::harmless_host(&self.name) {
            let message = format!("the name `{}` contains invalid characters", self.name);
            return Err(SshConfigError::from(&origin, message));
        }
        match &self.user {
            Some(user) if !jump::harmless_user(user) => {
                let message = format!("the login `{user}` contains invalid characters");
                Err(SshConfigError::from(&origin, message))
            }
            _ => Ok(()),
        }
    }

    fn hop(hop: &Hop, before: Option<String>) -> Self {
        Self {
            name: hop.host.clone(),
            user: hop.user.clone(),
            port: hop.port,
            before,
        }
    }
}

impl SshConfig {
    /// Reads the files, with all that they include. A wrong value is an error also in a block that applies to
    /// no host, as it is for OpenSSH.
    pub fn load(
        files: &SshFiles,
        bastion: &Bastion,
        world: &dyn World,
    ) -> Result<Self, SshConfigError> {
        let mut reader = Reader::new(bastion, world);
        let mut sources = Vec::new();
        match files {
            SshFiles::None => {}
            SshFiles::Only(path) => {
                let source = reader.file(path, false, true, 0)?;
                sources.push(source.ok_or_else(|| {
                    SshConfigError::whole(&path.display().to_string(), "there is no such file")
                })?);
            }
            SshFiles::Usual => {
                for (path, user) in parse::usual_files(bastion) {
                    sources.extend(reader.file(&path, user, user, 0)?);
                }
            }
        }
        Ok(Self {
            sources,
            ignored: reader.ignored,
            wants_last: reader.wants_last,
        })
    }

    /// Returns the keywords that are read past, wherever they stand.
    pub fn ignored(&self) -> &[Ignored] {
        &self.ignored
    }

    /// Says what `ssh NAME` would do. The request's own name is asked for, if it has one.
    pub fn resolve(
        &self,
        name: &str,
        request: &SshRequest,
        bastion: &Bastion,
        world: &dyn World,
    ) -> Result<Effective, SshConfigError> {
        let name = request.host.as_deref().unwrap_or(name);
        let target = Target::named(name)
            .ok_or_else(|| SshConfigError::whole("ssh", format!("`{name}` is no host")))?;
        let asked = Asked {
            config: self,
            match_exec: request.match_exec,
            options: &request.options,
            files: &request.files,
            password: &request.password,
            bastion,
            world,
        };
        asked.resolve(&target, &mut Vec::new())
    }
}

impl Asked<'_> {
    /// Says how a target is reached. The trail is how it came to be asked for.
    fn resolve(
        &self,
        target: &Target,
        trail: &mut Vec<Target>,
    ) -> Result<Effective, SshConfigError> {
        let own = if trail.is_empty() {
            None
        } else {
            self.request_of_jump(target)?
        };
        // A jump that is a host of the inventory is asked for by the name that is that host's.
        let renamed = own.as_ref().and_then(|own| own.host.clone());
        let target = &Target {
            name: renamed.unwrap_or_else(|| target.name.clone()),
            ..target.clone()
        };
        target.check()?;
        let mut reading = Reading {
            asked: self,
            options: Options::default(),
            host: target.name.clone(),
            original: &target.name,
            last: false,
        };
        if trail.is_empty() {
            reading.take_request(self.options)?;
            reading.take_target(target)?;
        } else {
            // A jump's own user, port and way come before what the inventory has of it.
            reading.take_target(target)?;
            let options = own.as_ref().map(|own| own.options.clone());
            reading.take_request(&options.unwrap_or_else(|| self.options_for_jump()))?;
        }
        reading.files()?;
        reading.options.settle_names();
        let host = reading.host_name()?;
        let host = canonical(&host, &reading.options, self.world)?;
        if self.config.wants_last || reading.options.is_on("CanonicalizeHostname", false) {
            reading.host.clone_from(&host);
            reading.last = true;
            reading.files()?;
        }
        let options = reading.options;
        trail.push(target.clone());
        let route = self.route(target, &options, &host, trail)?;
        trail.pop();
        // A jump's password is that of the host it is, and of no other login or port there.
        let password = match own {
            None if trail.is_empty() => self.password.clone(),
            Some(own) if target.user.is_none() && target.port.is_none() => own.password,
            _ => None,
        };
        Effective::new(self, target, &options, &host, route, password)
    }

    fn route(
        &self,
        target: &Target,
        options: &Options,
        host: &str,
        trail: &mut Vec<Target>,
    ) -> Result<Route, SshConfigError> {
        let Some(way) = &options.way else {
            return Ok(Route::Direct);
        };
        match &way.value {
            Way::Jump(Jump::None) => Ok(Route::Direct),
            Way::Command(command) if command.eq_ignore_ascii_case("none") => Ok(Route::Direct),
            Way::Command(command) => Ok(Route::Command(command.clone())),
            Way::Jump(Jump::Through { last, before }) => {
                let hop = Target::hop(last, before.clone());
                let user = options.word("User").unwrap_or(&self.bastion.user);
                let port = options.number("Port").unwrap_or(22);
                let same = hop.name == host
                    && u32::from(hop.port.unwrap_or(22)) == port
                    && hop.user.as_deref().is_none_or(|hop| hop == user);
                self.check_trail(way, &hop, same, target, trail)?;
                let jump = self.resolve(&hop, trail)?;
                Ok(Route::Jump(Arc::clone(jump.settings())))
            }
        }
    }

    /// What the inventory says of a jump that is one of its hosts.
    fn request_of_jump(&self, jump: &Target) -> Result<Option<SshRequest>, SshConfigError> {
        let Some(own) = self.world.request_of(&jump.name) else {
            return Ok(None);
        };
        if own.files != *self.files {
            let message = format!(
                "the jump {} reads another ssh_config than the host behind it",
                jump.name
            );
            return Err(SshConfigError::whole("inventory", message)
                .hint("give both the same `ssh: {config: …}`"));
        }
        Ok(Some(own))
    }

    /// What the inventory says for a jump that is none of its hosts. If the jump itself is the
    /// inventory's word, the keys and host keys of the host behind it: there is no other place to
    /// name the jump's.
    fn options_for_jump(&self) -> Vec<SshOption> {
        let is = |option: &SshOption, keyword: &str| option.keyword.eq_ignore_ascii_case(keyword);
        let ours = self.options.iter().any(|option| is(option, "ProxyJump"));
        let shared = ["IdentityFile", "UserKnownHostsFile", "GlobalKnownHostsFile"];
        self.options
            .iter()
            .filter(|option| {
                is(option, "IgnoreUnknown")
                    || (ours && shared.iter().any(|keyword| is(option, keyword)))
            })
            .cloned()
            .collect()
    }

    fn check_trail(
        &self,
        way: &Obtained<Way>,
        hop: &Target,
        same: bool,
        target: &Target,
        trail: &[Target],
    ) -> Result<(), SshConfigError> {
        if same || trail.contains(hop) {
            let message = format!("jump loop via {}", hop.name);
            let hint = format!(
                "the way to `{}` leads through itself; `ProxyJump none` in a block of its own before ends it",
                target.name
            );
            return Err(SshConfigError::from(&way.origin, message).hint(hint));
        }
        if trail.len() > MAX_JUMPS {
            let message = format!("more than {MAX_JUMPS} jumps, the last to {}", hop.name);
            return Err(SshConfigError::from(&way.origin, message));
        }
        Ok(())
    }
}

/// A reading of the files for one name.
struct Reading<'a> {
    asked: &'a Asked<'a>,
    options: Options,
    /// What `Host` is matched with: the name, in the second reading the host's final one.
    host: String,
    original: &'a str,
    /// Whether it is the second reading.
    last: bool,
}

/// Whether lines apply.
#[derive(Clone, Copy)]
struct State {
    active: bool,
    /// Whether a block around an Include does not apply, so that nothing in the file can.
    never: bool,
}

impl Reading<'_> {
    /// Takes what the inventory says.
    fn take_request(&mut self, options: &[SshOption]) -> Result<(), SshConfigError> {
        for option in options {
            let origin = Origin::Inventory(option.origin.clone());
            let read = parse::option(&option.keyword, &option.value, self.asked.world);
            match read.map_err(|message| SshConfigError::from(&origin, message))? {
                Some(Statement::Set(row, value)) => {
                    self.options.obtain(row, &value, &origin, true)?;
                }
                Some(Statement::Unknown(keyword)) => self.check_unknown(&keyword, &origin)?,
                _ => {}
            }
        }
        // The inventory's keys are instead of the files', not beside them.
        self.options.identities_closed = !self.options.identities.is_empty();
        self.options.certificates_closed = !self.options.certificates.is_empty();
        Ok(())
    }

    /// Takes what stands with the name.
    fn take_target(&mut self, target: &Target) -> Result<(), SshConfigError> {
        let origin = Origin::Name(target.name.clone());
        if let Some(user) = &target.user {
            self.options.give("User", user.clone(), &origin);
        }
        if let Some(port) = target.port {
            self.options.give("Port", port.to_string(), &origin);
        }
        if let Some(before) = &target.before {
            let value = jump::jump(before)
                .map(Way::Jump)
                .map_err(|message| SshConfigError::from(&origin, message))?;
            // As with `-J`: what the files say of this jump's own way does not count.
            self.options.way = Some(Obtained {
                value,
                origin,
                user: true,
            });
        }
        Ok(())
    }

    fn files(&mut self) -> Result<(), SshConfigError> {
        let config = self.asked.config;
        config.sources.iter().try_for_each(|source| {
            let state = State {
                active: true,
                never: false,
            };
            self.file(source, state)
        })
    }

    fn file(&mut self, source: &Source, mut state: State) -> Result<(), SshConfigError> {
        source
            .lines
            .iter()
            .try_for_each(|line| self.line(source, line, &mut state))
    }

    fn line(
        &mut self,
        source: &Source,
        line: &Line,
        state: &mut State,
    ) -> Result<(), SshConfigError> {
        match &line.statement {
            Statement::Host(patterns) => {
                let patterns = patterns.iter().map(String::as_str);
                state.active = !state.never && matches_list(patterns, &self.host) == ListMatch::Yes;
            }
            Statement::Match(criteria) => {
                let place = (&*source.name, line.number);
                state.active = !state.never && self.holds(criteria, place)?;
            }
            Statement::Include(sources) => {
                let inner = State {
                    active: state.active,
                    never: state.never || !state.active,
                };
                for source in sources {
                    self.file(source, inner)?;
                }
            }
            Statement::Set(row, value) if state.active => {
                let origin = origin(source, line);
                self.options.obtain(row, value, &origin, source.user)?;
            }
            Statement::Set(..) => {}
            Statement::Unknown(keyword) => self.check_unknown(keyword, &origin(source, line))?,
        }
        Ok(())
    }

    fn check_unknown(&self, keyword: &str, origin: &Origin) -> Result<(), SshConfigError> {
        let ignored = self.options.word("IgnoreUnknown").unwrap_or_default();
        if listed(&ignored.to_ascii_lowercase(), keyword) {
            return Ok(());
        }
        let (message, hint) = parse::unknown(keyword);
        let mut error = SshConfigError::from(origin, message);
        error.hint = hint;
        Err(error)
    }

    /// Returns the host's name as HostName has it by now.
    fn host_name(&self) -> Result<String, SshConfigError> {
        match self.options.word("HostName") {
            Some(name) if !self.last => {
                Tokens::of_host_name(&self.host)
                    .fill(name, None)
                    .map_err(|message| {
                        let message = format!("HostName: {message}");
                        SshConfigError::from(&self.options.origin("HostName"), message)
                    })
            }
            _ => Ok(self.host.clone()),
        }
    }

    fn holds(&self, criteria: &[Criterion], place: (&str, usize)) -> Result<bool, SshConfigError> {
        let mut all = true;
        for criterion in criteria {
            // A command is run only if everything before it holds.
            if !all && matches!(criterion.test, Test::Exec(_)) {
                continue;
            }
            let holds = match &criterion.test {
                Test::All => true,
                Test::Last => self.last,
                Test::Host(list) => listed(list, &self.host_name()?.to_ascii_lowercase()),
                Test::OriginalHost(list) => listed(list, &self.original.to_ascii_lowercase()),
                Test::User(list) => listed(list, self.user()),
                Test::LocalUser(list) => listed(list, &self.asked.bastion.user),
                Test::Exec(command) => self.succeeds(command, place)?,
            };
            all &= holds != criterion.negated;
        }
        Ok(all)
    }

    fn user(&self) -> &str {
        self.options
            .word("User")
            .unwrap_or(&self.asked.bastion.user)
    }

    fn succeeds(&self, command: &str, place: (&str, usize)) -> Result<bool, SshConfigError> {
        let wrong = |message: String| SshConfigError::line(place.0, place.1, message);
        if !self.asked.match_exec {
            let message = format!("`Match exec` would run `{command}`, and that is not allowed");
            return Err(wrong(message).hint(
                "`ssh: {match_exec: true}` in the inventory allows it, for all of these files",
            ));
        }
        let host = self.host_name()?;
        let tokens = Tokens::of(&Known {
            bastion: self.asked.bastion,
            host: &host,
            original: self.original,
            alias: self.options.word("HostKeyAlias").unwrap_or(&host),
            port: self
                .options
                .word("Port")
                .and_then(|port| port.parse().ok())
                .unwrap_or(22),
            user: self.user(),
            jump: "",
        });
        let command = tokens.only(OF_EXEC).fill(command, None).map_err(wrong)?;
        self.asked.world.succeeds(&command).map_err(|sentence| {
            wrong(format!(
                "`Match exec` could not run `{command}`: {sentence}"
            ))
        })
    }
}

fn origin(source: &Source, line: &Line) -> Origin {
    Origin::File {
        file: Arc::clone(&source.name),
        line: line.number,
    }
}
