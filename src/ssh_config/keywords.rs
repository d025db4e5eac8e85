//! Every keyword that OpenSSH knows, and what becomes of it here.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::kinds::{ASK, CANONICAL, FLAG, Kind, LEVEL, MASTER, PUBKEY, STRICT, TTY, TUNNEL};

/// What becomes of a keyword here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does what it does for ssh.
    Supported,
    /// It is an error where it applies to a host, unless its value is harmless.
    Refused,
    /// It is read past.
    Ignored,
}

/// A keyword.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The keyword as OpenSSH's manual spells it.
    pub name: &'static str,
    /// Other names of the same.
    pub aliases: &'static [&'static str],
    /// What becomes of it.
    pub standing: Standing,
    /// What it does here, or why it does nothing.
    pub what: &'static str,
    pub(super) kind: Kind,
    /// Values that change nothing, of a keyword that is refused otherwise.
    pub(super) harmless: &'static [&'static str],
}

/// Finds a keyword by a name in lower case.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    static INDEX: LazyLock<HashMap<String, &'static Row>> = LazyLock::new(|| {
        let names = |row: &'static Row| {
            std::iter::once(row.name)
                .chain(row.aliases.iter().copied())
                .map(move |name| (name.to_ascii_lowercase(), row))
        };
        KEYWORDS.iter().flat_map(names).collect()
    });
    INDEX.get(name).copied()
}

const fn supported(name: &'static str, kind: Kind, what: &'static str) -> Row {
    Row {
        name,
        aliases: &[],
        standing: Standing::Supported,
        what,
        kind,
        harmless: &[],
    }
}

const fn ignored(name: &'static str, kind: Kind, what: &'static str) -> Row {
    Row {
        name,
        aliases: &[],
        standing: Standing::Ignored,
        what,
        kind,
        harmless: &["no", "none"],
    }
}

const fn refused(
    name: &'static str,
    kind: Kind,
    harmless: &'static [&'static str],
    what: &'static str,
) -> Row {
    Row {
        name,
        aliases: &[],
        standing: Standing::Refused,
        what,
        kind,
        harmless,
    }
}

impl Row {
    const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
}

/// What is said of a keyword that OpenSSH itself no longer heeds.
const OLD: &str = "gone from OpenSSH, which reads past it as well";

/// The table, in the order of the alphabet.
pub static KEYWORDS: [Row; 119] = [
    ignored(
        "AddKeysToAgent",
        Kind::Words,
        "no key is ever added to an agent",
    ),
    supported(
        "AddressFamily",
        Kind::Choice(&[("inet", "inet"), ("inet6", "inet6"), ("any", "any")]),
        "which kinds of address are used",
    ),
    ignored("AFSTokenPassing", Kind::Anything, OLD),
    ignored("BatchMode", FLAG, "a run asks nobody anyway"),
    supported(
        "BindAddress",
        Kind::Word,
        "the local address of the connection",
    ),
    refused(
        "BindInterface",
        Kind::Word,
        &[],
        "connections cannot be bound to an interface; BindAddress can name its address",
    ),
    supported(
        "CanonicalDomains",
        Kind::Domains,
        "the domains that CanonicalizeHostname tries",
    ),
    supported(
        "CanonicalizeFallbackLocal",
        FLAG,
        "whether a name that no domain has is used as it is",
    ),
    supported(
        "CanonicalizeHostname",
        CANONICAL,
        "names are made full by asking the resolver, and the files are read once more",
    ),
    supported(
        "CanonicalizeMaxDots",
        Kind::Number,
        "how many dots a name may have to be made full",
    ),
    refused(
        "CanonicalizePermittedCNAMEs",
        Kind::Anything,
        &["none"],
        "CNAMEs are not followed, so that DNS does not decide which host it is",
    ),
    refused(
        "CASignatureAlgorithms",
        Kind::Algorithms,
        &[],
        "refused if it takes away what is accepted without it; a longer list is fine",
    ),
    supported(
        "CertificateFile",
        Kind::Word,
        "certificates of keys; tokens, `~` and `${NAME}` are filled in",
    ),
    ignored(
        "ChannelTimeout",
        Kind::Anything,
        "clawfleet has time limits of its own; OpenSSH 9.3 brought it",
    ),
    supported(
        "CheckHostIP",
        FLAG,
        "whether the key must be the address's, too",
    ),
    ignored("Cipher", Kind::Anything, OLD),
    supported("Ciphers", Kind::Algorithms, "see the table of algorithms"),
    ignored("ClearAllForwardings", FLAG, "nothing is forwarded"),
    supported(
        "Compression",
        Kind::Choice(&[("yes", "yes"), ("no", "no")]),
        "whether compression is asked for",
    ),
    ignored("CompressionLevel", Kind::Anything, OLD),
    supported(
        "ConnectionAttempts",
        Kind::Number,
        "how often a connect is tried",
    ),
    supported(
        "ConnectTimeout",
        Kind::Time,
        "limit of the connect and of the wait for the server's first line",
    ),
    ignored(
        "ControlMaster",
        MASTER,
        "each run makes connections of its own",
    ),
    ignored(
        "ControlPath",
        Kind::Word,
        "a running ssh's connection is not used",
    ),
    ignored("ControlPersist", Kind::Word, "connections end with the run"),
    ignored("DynamicForward", Kind::Words, "nothing is forwarded"),
    ignored("EnableEscapeCommandline", FLAG, "there is no terminal"),
    ignored(
        "EnableSSHKeysign",
        FLAG,
        "logins by the host's key are not made",
    ),
    ignored("EscapeChar", Kind::Word, "there is no terminal"),
    ignored("ExitOnForwardFailure", FLAG, "nothing is forwarded"),
    ignored("FallBackToRsh", Kind::Anything, OLD),
    ignored(
        "FingerprintHash",
        Kind::Choice(&[
            ("md5", "MD5"),
            ("sha1", "SHA1"),
            ("sha256", "SHA256"),
            ("sha384", "SHA384"),
            ("sha512", "SHA512"),
        ]),
        "fingerprints are shown as SHA256",
    ),
    ignored(
        "ForkAfterAuthentication",
        FLAG,
        "a run stays in the foreground",
    ),
    ignored("ForwardAgent", Kind::Word, "the agent is never forwarded"),
    ignored("ForwardX11", FLAG, "nothing is forwarded"),
    ignored("ForwardX11Timeout", Kind::Time, "nothing is forwarded"),
    ignored("ForwardX11Trusted", FLAG, "nothing is forwarded"),
    ignored("GatewayPorts", FLAG, "nothing is forwarded"),
    supported(
        "GlobalKnownHostsFile",
        Kind::Files,
        "the system's lists of host keys",
    ),
    ignored("GlobalKnownHostsFile2", Kind::Anything, OLD),
    ignored(
        "GSSAPIAuthentication",
        FLAG,
        "logins by Kerberos are not made",
    ),
    ignored(
        "GSSAPIClientIdentity",
        Kind::Word,
        "logins by Kerberos are not made",
    ),
    ignored(
        "GSSAPIDelegateCredentials",
        FLAG,
        "logins by Kerberos are not made",
    ),
    ignored(
        "GSSAPIKexAlgorithms",
        Kind::Word,
        "the host's key vouches for the host",
    ),
    ignored(
        "GSSAPIKeyExchange",
        FLAG,
        "the host's key vouches for the host",
    ),
    ignored(
        "GSSAPIRenewalForcesRekey",
        FLAG,
        "logins by Kerberos are not made",
    ),
    ignored(
        "GSSAPIServerIdentity",
        Kind::Word,
        "logins by Kerberos are not made",
    ),
    ignored("GSSAPITrustDns", FLAG, "logins by Kerberos are not made"),
    supported(
        "HashKnownHosts",
        FLAG,
        "whether names are hashed when a key is added",
    ),
    supported("Host", Kind::Anything, "patterns, with negation"),
    ignored(
        "HostbasedAcceptedAlgorithms",
        Kind::Word,
        "logins by the host's key are not made",
    )
    .also(&["HostbasedKeyTypes"]),
    ignored(
        "HostbasedAuthentication",
        FLAG,
        "logins by the host's key are not made; other ways are tried",
    ),
    supported(
        "HostKeyAlgorithms",
        Kind::Algorithms,
        "see the table of algorithms",
    ),
    supported(
        "HostKeyAlias",
        Kind::Word,
        "the name that the host's key is looked up by",
    ),
    supported(
        "HostName",
        Kind::Word,
        "name or address to connect to; `%h` is filled in",
    ),
    supported(
        "IdentitiesOnly",
        FLAG,
        "whether the agent offers only keys that are named",
    ),
    supported(
        "IdentityAgent",
        Kind::Agent,
        "which agent is asked: a path, `$NAME`, SSH_AUTH_SOCK, none",
    ),
    supported(
        "IdentityFile",
        Kind::Word,
        "keys, in order; tokens, `~` and `${NAME}` are filled in",
    )
    .also(&["IdentityFile2"]),
    supported(
        "IgnoreUnknown",
        Kind::Word,
        "keywords that may be unknown; it counts only for later lines",
    ),
    supported(
        "Include",
        Kind::Anything,
        "other files, by pattern; 16 deep",
    ),
    ignored("IPQoS", Kind::Words, "packets keep the system's class"),
    supported(
        "KbdInteractiveAuthentication",
        FLAG,
        "whether questions of the server are answered",
    )
    .also(&[
        "ChallengeResponseAuthentication",
        "SkeyAuthentication",
        "TISAuthentication",
    ]),
    ignored(
        "KbdInteractiveDevices",
        Kind::Word,
        "the server chooses what it asks",
    ),
    ignored("KerberosAuthentication", Kind::Anything, OLD).also(&["KerberosTGTPassing"]),
    supported(
        "KexAlgorithms",
        Kind::Algorithms,
        "see the table of algorithms",
    ),
    refused(
        "KnownHostsCommand",
        Kind::Command,
        &["none"],
        "no program is asked for host keys; write them to a file and name it in UserKnownHostsFile",
    ),
    ignored(
        "LocalCommand",
        Kind::Command,
        "no command is run here after the login",
    ),
    ignored("LocalForward", Kind::Words, "nothing is forwarded"),
    supported(
        "LogLevel",
        LEVEL,
        "shown, and nothing else: clawfleet's own -v says how much is told",
    ),
    ignored(
        "LogVerbose",
        Kind::Files,
        "clawfleet's own -v says how much is told",
    ),
    supported("MACs", Kind::Algorithms, "see the table of algorithms"),
    supported(
        "Match",
        Kind::Anything,
        "host, originalhost, user, localuser, final, canonical, all; exec if it is allowed",
    ),
    refused(
        "NoHostAuthenticationForLocalhost",
        FLAG,
        &["no"],
        "the key of every host is checked; StrictHostKeyChecking accept-new takes a new one",
    ),
    supported(
        "NumberOfPasswordPrompts",
        Kind::Number,
        "0 turns passwords and questions off; otherwise one try is made",
    ),
    ignored(
        "ObscureKeystrokeTiming",
        Kind::Words,
        "nobody types; OpenSSH 9.5 brought it",
    ),
    supported(
        "PasswordAuthentication",
        FLAG,
        "whether a password may be used",
    ),
    ignored(
        "PermitLocalCommand",
        FLAG,
        "no command is run here after the login",
    ),
    ignored("PermitRemoteOpen", Kind::Words, "nothing is forwarded"),
    ignored(
        "PKCS11Provider",
        Kind::Word,
        "keys of a token are used through the agent: ssh-add -s adds them",
    )
    .also(&["SmartcardDevice"]),
    supported("Port", Kind::Port, "the TCP port"),
    supported(
        "PreferredAuthentications",
        Kind::Word,
        "ways to log in, in order; those that are not here are read past",
    ),
    ignored("Protocol", Kind::Anything, OLD),
    supported(
        "ProxyCommand",
        Kind::Command,
        "a program whose input and output are the connection; %h %k %n %p %r",
    ),
    supported(
        "ProxyJump",
        Kind::Jump,
        "hosts on the way; each is looked up in the files itself",
    ),
    refused(
        "ProxyUseFdpass",
        FLAG,
        &["no"],
        "refused with a ProxyCommand: it has to carry the bytes, not to hand over a socket",
    ),
    supported(
        "PubkeyAcceptedAlgorithms",
        Kind::Algorithms,
        "see the table of algorithms",
    )
    .also(&["PubkeyAcceptedKeyTypes"]),
    supported(
        "PubkeyAuthentication",
        PUBKEY,
        "whether keys are used; unbound and host-bound mean yes",
    )
    .also(&["DSAAuthentication"]),
    refused(
        "RefuseConnection",
        Kind::Word,
        &[],
        "the files say not to connect to this host",
    ),
    supported("RekeyLimit", Kind::Rekey, "when keys are exchanged anew"),
    ignored(
        "RemoteCommand",
        Kind::Command,
        "clawfleet runs its own command",
    ),
    ignored("RemoteForward", Kind::Words, "nothing is forwarded"),
    ignored("RequestTTY", TTY, "there is no terminal"),
    supported(
        "RequiredRSASize",
        Kind::Number,
        "RSA keys that are shorter are not used, nor believed",
    ),
    supported(
        "RevokedHostKeys",
        Kind::Word,
        "keys that are never believed: a list or a KRL",
    ),
    ignored("RhostsAuthentication", Kind::Anything, OLD)
        .also(&["RhostsRSAAuthentication", "RSAAuthentication"]),
    ignored(
        "SecurityKeyProvider",
        Kind::Word,
        "keys of a token are used through the agent",
    ),
    supported(
        "SendEnv",
        Kind::SendEnv,
        "patterns of variables that are sent; `-PATTERN` takes back",
    ),
    supported(
        "ServerAliveCountMax",
        Kind::Number,
        "how many questions may stay unanswered",
    ),
    supported(
        "ServerAliveInterval",
        Kind::Time,
        "after how much silence the server is asked",
    ),
    ignored(
        "SessionType",
        Kind::Choice(&[
            ("none", "none"),
            ("subsystem", "subsystem"),
            ("default", "default"),
        ]),
        "clawfleet opens what it needs",
    ),
    supported(
        "SetEnv",
        Kind::SetEnv,
        "variables that are sent, with values",
    ),
    ignored("StdinNull", FLAG, "clawfleet uses the input itself"),
    ignored("StreamLocalBindMask", Kind::Word, "nothing is forwarded"),
    ignored("StreamLocalBindUnlink", FLAG, "nothing is forwarded"),
    supported(
        "StrictHostKeyChecking",
        STRICT,
        "yes and ask refuse an unknown key; accept-new and no take it. A changed key never passes",
    ),
    ignored("SyslogFacility", Kind::Word, "nothing is written to syslog"),
    refused(
        "Tag",
        Kind::Word,
        &[],
        "tags are not supported: Match has no `tagged` here; OpenSSH 9.4 brought them",
    ),
    ignored("TCPKeepAlive", FLAG, "clawfleet has time limits of its own").also(&["KeepAlive"]),
    ignored("Tunnel", TUNNEL, "nothing is forwarded"),
    ignored("TunnelDevice", Kind::Word, "nothing is forwarded"),
    ignored("UpdateHostKeys", ASK, "known_hosts files are not rewritten"),
    ignored("UsePrivilegedPort", Kind::Anything, OLD).also(&[
        "UseRoaming",
        "UseRsh",
        "UserKnownHostsFile2",
    ]),
    supported("User", Kind::Word, "the login"),
    supported(
        "UserKnownHostsFile",
        Kind::Files,
        "the user's lists of host keys; keys are added to the first",
    ),
    refused(
        "VerifyHostKeyDNS",
        ASK,
        &["no", "ask"],
        "DNS does not vouch for host keys",
    ),
    ignored(
        "VersionAddendum",
        Kind::Anything,
        "the name in the first line stays ours",
    ),
    ignored("VisualHostKey", FLAG, "no picture is drawn"),
    ignored("WarnWeakCrypto", Kind::Words, "OpenSSH 10.1 brought it"),
    ignored("XAuthLocation", Kind::Word, "nothing is forwarded"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_has_no_name_twice() {
        let names: Vec<String> = KEYWORDS
            .iter()
            .map(|row| row.name.to_ascii_lowercase())
            .collect();
        let mut sorted = names.clone();
        sorted.sort();
        assert_eq!(names, sorted);
        let mut all: Vec<String> = KEYWORDS
            .iter()
            .flat_map(|row| std::iter::once(&row.name).chain(row.aliases))
            .map(|name| name.to_ascii_lowercase())
            .collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
