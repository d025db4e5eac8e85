//! How a host is logged in to: what `ssh HOST` would do, every default filled in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::SecretSource;

/// One host's connection, as the inventory and OpenSSH's files together have it. Paths are
/// expanded; nothing in it is to be looked up again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SshSettings {
    /// The name that was asked for (`ssh NAME`): what `Host` patterns are matched with.
    pub name: String,
    /// Name or address to connect to (HostName).
    pub host_name: String,
    /// TCP port (Port).
    pub port: u16,
    /// Login (User).
    pub user: String,
    /// How bytes get there (ProxyJump, ProxyCommand).
    pub route: Route,
    /// Kinds of address that may be used (AddressFamily).
    pub family: AddressFamily,
    /// Local address to connect from (BindAddress).
    pub bind_address: Option<String>,
    /// Limit of the TCP connect and of the wait for the banner, if the files set one
    /// (ConnectTimeout).
    pub connect_timeout: Option<Duration>,
    /// How often a connect is tried (ConnectionAttempts), at least 1.
    pub attempts: u32,
    /// How long the server may be silent before it is asked for a sign of life
    /// (ServerAliveInterval); `None` leaves it to the program.
    pub alive_interval: Option<Duration>,
    /// How many of those may stay unanswered (ServerAliveCountMax).
    pub alive_count: u32,
    /// Whether compression is asked for (Compression).
    pub compression: bool,
    /// When keys are exchanged anew (RekeyLimit).
    pub rekey: RekeyLimit,
    /// What may be negotiated.
    pub algorithms: Algorithms,
    /// The shortest RSA key that is used, or believed, in bits (RequiredRSASize).
    pub min_rsa_bits: u32,
    /// What vouches for the host's key.
    pub host_keys: HostKeyPolicy,
    /// What is offered to log in.
    pub identities: Identities,
    /// Ways to log in, the preferred first (PreferredAuthentications, PubkeyAuthentication,
    /// PasswordAuthentication, KbdInteractiveAuthentication).
    pub methods: Vec<AuthMethod>,
    /// Environment variables that are sent (SetEnv, SendEnv), by name and value.
    pub environment: Vec<(String, String)>,
    /// Where the password is to be had that logs in, if there is one.
    pub password: Option<SecretSource>,
}

/// How bytes get to a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Route {
    /// By a TCP connection of its own.
    Direct,
    /// Through a connection to another host. That one may have a route of its own, so that a chain
    /// is a list: its last jump is here, the one before it is that one's route.
    Jump(Arc<SshSettings>),
    /// Through a child process's standard input and output: a command line for the user's shell.
    Command {
        /// The command with its tokens filled in.
        line: String,
        /// The command as it was written, which hosts behind the same proxy share.
        template: String,
    },
}

/// Which kinds of address may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AddressFamily {
    /// Both.
    #[default]
    Any,
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

/// When keys are exchanged anew; `None` is the program's own limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RekeyLimit {
    /// After that many bytes.
    pub bytes: Option<u64>,
    /// After that time.
    pub time: Option<Duration>,
}

/// Names of algorithms in OpenSSH's spelling, the preferred first. An empty list is the program's
/// own choice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Algorithms {
    /// Key exchanges (KexAlgorithms).
    pub kex: Vec<String>,
    /// Ciphers (Ciphers).
    pub ciphers: Vec<String>,
    /// Message authentication codes (MACs).
    pub macs: Vec<String>,
    /// Kinds of host key, certificates by their `-cert-v01@openssh.com` names
    /// (HostKeyAlgorithms).
    pub host_keys: Vec<String>,
    /// Whether the order of `host_keys` was written down. If not, kinds of key that are known for
    /// the host are asked for first, as OpenSSH does.
    pub host_keys_ordered: bool,
    /// Kinds of key to log in with (PubkeyAcceptedAlgorithms).
    pub login_keys: Vec<String>,
}

/// What vouches for a host's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct HostKeyPolicy {
    /// What becomes of an unknown key (StrictHostKeyChecking).
    pub unknown: UnknownKey,
    /// The user's files (UserKnownHostsFile); the first is where keys are added.
    pub user_files: Vec<PathBuf>,
    /// The system's files (GlobalKnownHostsFile).
    pub global_files: Vec<PathBuf>,
    /// The name that the host is known by, instead of its own (HostKeyAlias).
    pub alias: Option<String>,
    /// Whether names are hashed when they are added (HashKnownHosts).
    pub hash: bool,
    /// Whether the key must be the address's, too (CheckHostIP).
    pub check_ip: bool,
    /// A list of revoked keys: plain keys, or a KRL (RevokedHostKeys).
    pub revoked: Option<PathBuf>,
}

/// What becomes of a key that nothing vouches for. No value lets a changed key pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum UnknownKey {
    /// The host is refused: `yes`, and `ask`, since a run asks nobody.
    #[default]
    Refuse,
    /// It is added, and the host is used: `accept-new`, and `no`, `off`.
    Accept,
}

/// What is offered to log in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Identities {
    /// Key files, in order (IdentityFile).
    pub files: Vec<PathBuf>,
    /// Whether somebody named them. If not they are OpenSSH's default names, and one that is not
    /// there is no news.
    pub named: bool,
    /// Certificates of keys (CertificateFile). `FILE-cert.pub` beside a key file counts anyway.
    pub certificates: Vec<PathBuf>,
    /// Whether the agent may offer only what `files` names (IdentitiesOnly).
    pub only: bool,
    /// Which agent (IdentityAgent).
    pub agent: Agent,
}

/// Which agent is asked for keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Agent {
    /// The one of `SSH_AUTH_SOCK`, if there is one.
    #[default]
    FromEnvironment,
    /// None.
    None,
    /// The one that listens here.
    At(PathBuf),
}

/// A way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// A key.
    PublicKey,
    /// Questions of the server.
    KeyboardInteractive,
    /// A password.
    Password,
}

impl AuthMethod {
    /// OpenSSH's order.
    pub const DEFAULT: [Self; 3] = [Self::PublicKey, Self::KeyboardInteractive, Self::Password];

    /// Returns SSH's name of it.
    pub fn id(self) -> &'static str {
        match self {
            Self::PublicKey => "publickey",
            Self::KeyboardInteractive => "keyboard-interactive",
            Self::Password => "password",
        }
    }
}

impl SshSettings {
    /// Settings where nothing but the target is said: the key files and known_hosts of OpenSSH
    /// are not among them.
    pub fn plain(name: &str, host_name: &str, port: u16, user: &str) -> Self {
        Self {
            name: name.to_owned(),
            host_name: host_name.to_owned(),
            port,
            user: user.to_owned(),
            route: Route::Direct,
            family: AddressFamily::Any,
            bind_address: None,
            connect_timeout: None,
            attempts: 1,
            alive_interval: None,
            alive_count: 3,
            compression: false,
            rekey: RekeyLimit::default(),
            algorithms: Algorithms::default(),
            min_rsa_bits: 1024,
            host_keys: HostKeyPolicy::default(),
            identities: Identities::default(),
            methods: AuthMethod::DEFAULT.to_vec(),
            environment: Vec::new(),
            password: None,
        }
    }

    /// Returns the jumps on the way, the first one first.
    pub fn jumps(&self) -> Vec<&Self> {
        let mut chain = Vec::new();
        let mut at = self;
        while let Route::Jump(jump) = &at.route {
            chain.push(jump.as_ref());
            at = jump;
        }
        chain.reverse();
        chain
    }
}

/// One keyword that the inventory sets, before OpenSSH's files are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshOption {
    /// The keyword as OpenSSH spells it.
    pub keyword: String,
    /// Its value as it would stand behind `-o KEYWORD=`.
    pub value: String,
    /// Where the inventory says so, for people: `host VM151, line 12`.
    pub origin: String,
}

/// What the inventory says of a host's connection; OpenSSH's files say the rest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SshRequest {
    /// The name that OpenSSH's files are asked for, if it is not the host's own.
    pub host: Option<String>,
    /// Which files are read.
    pub files: SshFiles,
    /// Whether `Match exec` may run its command.
    pub match_exec: bool,
    /// Keywords that win over the files.
    pub options: Vec<SshOption>,
    /// Where the password is to be had that logs in, if there is one.
    pub password: Option<SecretSource>,
}

/// Which of OpenSSH's files are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SshFiles {
    /// `~/.ssh/config`, then `/etc/ssh/ssh_config`.
    #[default]
    Usual,
    /// Only this one, as `ssh -F FILE`.
    Only(PathBuf),
    /// None, as `ssh -F none`.
    None,
}
