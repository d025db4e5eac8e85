//! Which algorithms there are: ours, those that want to be named, and those that only OpenSSH has.

use crate::model::{ListMatch, matches_list};

/// The algorithms of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// The keyword that chooses among them.
    pub keyword: &'static str,
    /// What is offered when nothing is said, the preferred first.
    pub default: &'static [&'static str],
    /// What is offered only if it is named: too old to be offered to everybody.
    pub by_name: &'static [&'static str],
    /// What OpenSSH knows and we do not have. Naming it is no mistake.
    pub foreign: &'static [&'static str],
    /// Whether patterns may stand for names, as with kinds of key.
    pub patterns: bool,
}

impl Family {
    /// Returns every name that we have.
    pub fn supported(&self) -> impl Iterator<Item = &'static str> {
        self.default.iter().chain(self.by_name).copied()
    }

    /// Finds the family that a keyword chooses from.
    pub fn of(keyword: &str) -> Option<&'static Self> {
        FAMILIES.iter().find(|family| family.keyword == keyword)
    }

    /// Returns a name that neither we nor OpenSSH know.
    pub(super) fn stranger<'a>(&self, spec: &'a str) -> Option<&'a str> {
        let list = match spec.strip_prefix('-') {
            Some(_) => return None,
            None => spec.strip_prefix(['+', '^']).unwrap_or(spec),
        };
        if list.is_empty() {
            return Some(list);
        }
        // OpenSSH stops at an empty name and takes what it had read.
        list.split(',')
            .take_while(|name| !name.is_empty())
            .find(|name| !self.knows(name))
    }

    fn knows(&self, name: &str) -> bool {
        let mut all = self.supported().chain(self.foreign.iter().copied());
        if !self.patterns {
            return all.any(|known| known == name);
        }
        // Short names of kinds of key pass the check, though they name nothing.
        SHORT.iter().any(|short| short.eq_ignore_ascii_case(name))
            || all.any(|known| matches_list([name], known) != ListMatch::No)
    }

    /// Makes the list that a specification means here. `None` is an empty one.
    pub(super) fn list(&self, spec: &str) -> Option<Vec<String>> {
        let all: Vec<&str> = self.supported().collect();
        assemble(spec, self.default, &all).filter(|list| !list.is_empty())
    }
}

/// Makes a list from a specification as OpenSSH writes them: names, or a change of the default list by
/// `+` (append), `-` (remove, with patterns) or `^` (put first). What is not among `all` is dropped; `None` is
/// what OpenSSH refuses: a negated name, or nothing left.
pub fn assemble(spec: &str, default: &[&str], all: &[&str]) -> Option<Vec<String>> {
    if let Some(patterns) = spec.strip_prefix('-') {
        let kept = default
            .iter()
            .filter(|name| matches_list(patterns.split(','), name) != ListMatch::Yes);
        return Some(kept.map(|name| (*name).to_owned()).collect());
    }
    let named = |list: &str| -> Vec<String> { list.split(',').map(str::to_owned).collect() };
    let own = || default.iter().map(|name| (*name).to_owned());
    let wanted: Vec<String> = if let Some(list) = spec.strip_prefix('+') {
        own().chain(named(list)).collect()
    } else if let Some(list) = spec.strip_prefix('^') {
        named(list).into_iter().chain(own()).collect()
    } else if spec.is_empty() {
        own().collect()
    } else {
        named(spec)
    };
    let mut list: Vec<String> = Vec::new();
    for pattern in &wanted {
        if pattern.starts_with('!') {
            return None;
        }
        for name in all {
            let new = !list.iter().any(|known| known == name);
            if new && matches_list([pattern.as_str()], name) == ListMatch::Yes {
                list.push((*name).to_owned());
            }
        }
    }
    (!list.is_empty()).then_some(list)
}

/// Short names of kinds of key.
const SHORT: [&str; 6] = ["RSA", "DSA", "ECDSA", "ED25519", "ECDSA-SK", "ED25519-SK"];

/// The families, in the order of the tables of docs/ssh.md.
pub static FAMILIES: [Family; 6] = [
    Family {
        keyword: "KexAlgorithms",
        default: &[
            "mlkem768x25519-sha256",
            "curve25519-sha256",
            "curve25519-sha256@libssh.org",
            "diffie-hellman-group-exchange-sha256",
            "diffie-hellman-group18-sha512",
            "diffie-hellman-group17-sha512",
            "diffie-hellman-group16-sha512",
            "diffie-hellman-group15-sha512",
            "diffie-hellman-group14-sha256",
        ],
        by_name: &[
            "ecdh-sha2-nistp256",
            "ecdh-sha2-nistp384",
            "ecdh-sha2-nistp521",
            "diffie-hellman-group-exchange-sha1",
            "diffie-hellman-group14-sha1",
            "diffie-hellman-group1-sha1",
        ],
        foreign: &[
            "sntrup761x25519-sha512",
            "sntrup761x25519-sha512@openssh.com",
        ],
        patterns: false,
    },
    Family {
        keyword: "Ciphers",
        default: &[
            "chacha20-poly1305@openssh.com",
            "aes256-gcm@openssh.com",
            "aes256-ctr",
            "aes192-ctr",
            "aes128-ctr",
        ],
        by_name: &[
            "aes128-gcm@openssh.com",
            "aes256-cbc",
            "aes192-cbc",
            "aes128-cbc",
        ],
        foreign: &["3des-cbc", "rijndael-cbc@lysator.liu.se"],
        patterns: false,
    },
    Family {
        keyword: "MACs",
        default: &[
            "hmac-sha2-512-etm@openssh.com",
            "hmac-sha2-256-etm@openssh.com",
            "hmac-sha2-512",
            "hmac-sha2-256",
        ],
        by_name: &["hmac-sha1-etm@openssh.com", "hmac-sha1"],
        foreign: &[
            "umac-64-etm@openssh.com",
            "umac-128-etm@openssh.com",
            "umac-64@openssh.com",
            "umac-128@openssh.com",
            "hmac-sha1-96",
            "hmac-md5",
            "hmac-md5-96",
            "hmac-sha1-96-etm@openssh.com",
            "hmac-md5-etm@openssh.com",
            "hmac-md5-96-etm@openssh.com",
        ],
        patterns: false,
    },
    Family {
        keyword: "HostKeyAlgorithms",
        default: &[
            "ssh-ed25519-cert-v01@openssh.com",
            "ecdsa-sha2-nistp256-cert-v01@openssh.com",
            "ecdsa-sha2-nistp384-cert-v01@openssh.com",
            "ecdsa-sha2-nistp521-cert-v01@openssh.com",
            "rsa-sha2-512-cert-v01@openssh.com",
            "rsa-sha2-256-cert-v01@openssh.com",
            "ssh-ed25519",
            "ecdsa-sha2-nistp256",
            "ecdsa-sha2-nistp384",
            "ecdsa-sha2-nistp521",
            "rsa-sha2-512",
            "rsa-sha2-256",
        ],
        by_name: &["ssh-rsa", "ssh-rsa-cert-v01@openssh.com"],
        foreign: &[
            "sk-ssh-ed25519@openssh.com",
            "sk-ssh-ed25519-cert-v01@openssh.com",
            "sk-ecdsa-sha2-nistp256@openssh.com",
            "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
            "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
            "ssh-dss",
            "ssh-dss-cert-v01@openssh.com",
        ],
        patterns: true,
    },
    Family {
        keyword: "PubkeyAcceptedAlgorithms",
        default: &[
            "ssh-ed25519-cert-v01@openssh.com",
            "ecdsa-sha2-nistp256-cert-v01@openssh.com",
            "ecdsa-sha2-nistp384-cert-v01@openssh.com",
            "ecdsa-sha2-nistp521-cert-v01@openssh.com",
            "sk-ssh-ed25519-cert-v01@openssh.com",
            "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
            "rsa-sha2-512-cert-v01@openssh.com",
            "rsa-sha2-256-cert-v01@openssh.com",
            "ssh-ed25519",
            "ecdsa-sha2-nistp256",
            "ecdsa-sha2-nistp384",
            "ecdsa-sha2-nistp521",
            "sk-ssh-ed25519@openssh.com",
            "sk-ecdsa-sha2-nistp256@openssh.com",
            "rsa-sha2-512",
            "rsa-sha2-256",
        ],
        by_name: &["ssh-rsa", "ssh-rsa-cert-v01@openssh.com"],
        foreign: &[
            "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
            "ssh-dss",
            "ssh-dss-cert-v01@openssh.com",
        ],
        patterns: true,
    },
    // Only checked: whoever allows fewer is refused, because nobody here would heed it.
    Family {
        keyword: "CASignatureAlgorithms",
        default: &[
            "ssh-ed25519",
            "ecdsa-sha2-nistp256",
            "ecdsa-sha2-nistp384",
            "ecdsa-sha2-nistp521",
            "rsa-sha2-512",
            "rsa-sha2-256",
        ],
        by_name: &[],
        foreign: &[
            "sk-ssh-ed25519@openssh.com",
            "sk-ecdsa-sha2-nistp256@openssh.com",
            "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
            "ssh-dss",
            "ssh-rsa",
        ],
        patterns: true,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_assembled_as_openssh_does() {
        let (default, all) = (["a", "b1", "b2"], ["a", "b1", "b2", "old"]);
        let cases: [(&str, Option<&[&str]>); 10] = [
            ("", Some(&["a", "b1", "b2"])),
            ("b2,a", Some(&["b2", "a"])),
            ("+old", Some(&["a", "b1", "b2", "old"])),
            ("+a,none", Some(&["a", "b1", "b2"])),
            ("-b*", Some(&["a"])),
            ("-*", Some(&[])),
            ("^old,b2", Some(&["old", "b2", "a", "b1"])),
            ("b*,old", Some(&["b1", "b2", "old"])),
            ("none", None),
            ("!a", None),
        ];
        for (spec, wanted) in cases {
            let wanted: Option<Vec<String>> =
                wanted.map(|list| list.iter().map(|name| (*name).to_owned()).collect());
            assert_eq!(assemble(spec, &default, &all), wanted, "{spec}");
        }
    }

    #[test]
    fn a_name_that_nobody_knows_is_found() {
        let ciphers = Family::of("Ciphers").unwrap();
        assert_eq!(ciphers.stranger("+3des-cbc,rot13"), Some("rot13"));
        assert_eq!(ciphers.stranger("-rot*"), None);
        assert_eq!(ciphers.stranger("aes*"), Some("aes*"));
        let keys = Family::of("HostKeyAlgorithms").unwrap();
        assert_eq!(keys.stranger("ssh-*,rsa"), None);
        assert_eq!(keys.stranger("x-*"), Some("x-*"));
    }
}
