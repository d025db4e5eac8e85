//! How values are written: which words, how many of them.

/// How a keyword's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of some words; the second of each pair is its plainest spelling.
    Choice(&'static [(&'static str, &'static str)]),
    /// A time, or `none`.
    Time,
    /// A whole number.
    Number,
    /// A port.
    Port,
    /// One word.
    Word,
    /// Several words.
    Words,
    /// The rest of the line.
    Command,
    /// Jumps.
    Jump,
    /// Files, or `none`.
    Files,
    /// Names of algorithms.
    Algorithms,
    /// Bytes and a time.
    Rekey,
    /// Where an agent listens.
    Agent,
    /// Domain names.
    Domains,
    /// Patterns of variables.
    SendEnv,
    /// Variables with values.
    SetEnv,
    /// Whatever it is, OpenSSH does not look at it either.
    Anything,
}

/// Yes or no.
pub(super) const FLAG: Kind = Kind::Choice(&[
    ("true", "yes"),
    ("false", "no"),
    ("yes", "yes"),
    ("no", "no"),
]);
/// Yes, no or ask.
pub(super) const ASK: Kind = Kind::Choice(&[
    ("true", "yes"),
    ("false", "no"),
    ("yes", "yes"),
    ("no", "no"),
    ("ask", "ask"),
]);
/// What StrictHostKeyChecking knows.
pub(super) const STRICT: Kind = Kind::Choice(&[
    ("true", "yes"),
    ("false", "no"),
    ("yes", "yes"),
    ("no", "no"),
    ("ask", "ask"),
    ("off", "no"),
    ("accept-new", "accept-new"),
]);
/// What PubkeyAuthentication knows.
pub(super) const PUBKEY: Kind = Kind::Choice(&[
    ("true", "yes"),
    ("false", "no"),
    ("yes", "yes"),
    ("no", "no"),
    ("unbound", "unbound"),
    ("host-bound", "host-bound"),
]);
/// What CanonicalizeHostname knows.
pub(super) const CANONICAL: Kind = Kind::Choice(&[
    ("true", "yes"),
    ("false", "no"),
    ("yes", "yes"),
    ("no", "no"),
    ("always", "always"),
]);
/// What ControlMaster knows.
pub(super) const MASTER: Kind = Kind::Choice(&[
    ("true", "yes"),
    ("yes", "yes"),
    ("false", "no"),
    ("no", "no"),
    ("auto", "auto"),
    ("ask", "ask"),
    ("autoask", "autoask"),
]);
/// What Tunnel knows.
pub(super) const TUNNEL: Kind = Kind::Choice(&[
    ("ethernet", "ethernet"),
    ("point-to-point", "point-to-point"),
    ("true", "yes"),
    ("yes", "yes"),
    ("false", "no"),
    ("no", "no"),
]);
/// What RequestTTY knows.
pub(super) const TTY: Kind = Kind::Choice(&[
    ("true", "yes"),
    ("yes", "yes"),
    ("false", "no"),
    ("no", "no"),
    ("force", "force"),
    ("auto", "auto"),
]);
/// What LogLevel knows.
pub(super) const LEVEL: Kind = Kind::Choice(&[
    ("quiet", "QUIET"),
    // Debian's word for it.
    ("silent", "QUIET"),
    ("fatal", "FATAL"),
    ("error", "ERROR"),
    ("info", "INFO"),
    ("verbose", "VERBOSE"),
    ("debug", "DEBUG"),
    ("debug1", "DEBUG"),
    ("debug2", "DEBUG2"),
    ("debug3", "DEBUG3"),
]);
