//! Host keys that are about to be enrolled: what is known of each, who vouches for it, and which
//! question it belongs to.
//!
//! It stands here because `ssh` sees the keys, `report` shows them and `cli` asks about them, and
//! this is the one room that all three may use.

use std::collections::{BTreeMap, BTreeSet};

/// A kind of host key, as people choose them; curves and signatures make no other kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// `ssh-ed25519`.
    Ed25519,
    /// `ecdsa-sha2-*`.
    Ecdsa,
    /// `ssh-rsa`.
    Rsa,
    /// Any other.
    Other,
}

impl KeyKind {
    /// Returns OpenSSH's word for it.
    pub fn id(self) -> &'static str {
        match self {
            Self::Ed25519 => "ED25519",
            Self::Ecdsa => "ECDSA",
            Self::Rsa => "RSA",
            Self::Other => "other",
        }
    }

    /// Reads OpenSSH's word for it, or the name of an algorithm.
    pub fn from_word(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        match word.as_str() {
            "ed25519" | "ssh-ed25519" => Some(Self::Ed25519),
            "rsa" | "ssh-rsa" | "rsa-sha2-256" | "rsa-sha2-512" => Some(Self::Rsa),
            "ecdsa" => Some(Self::Ecdsa),
            curve if curve.starts_with("ecdsa-sha2-") => Some(Self::Ecdsa),
            _ => None,
        }
    }
}

/// What a source says of a host: its key is this one, or must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The kind of key, if the source tells.
    pub kind: Option<KeyKind>,
    /// The key's fingerprint, `SHA256:` or `SHA1:` in front.
    pub fingerprint: String,
    /// Whether the key is revoked.
    pub revoked: bool,
}

/// How a source's claims and a key go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agreement {
    /// The source names this key.
    Same,
    /// It names others in its place, or says that it is revoked.
    Other(Vec<String>),
}

/// Compares what a source claims of a host with all the keys that the host showed. A source that
/// says nothing of a key is `None` there.
///
/// A claim that tells no kind contradicts only where no key of the host fits any such claim: a list
/// with one fingerprint a host says nothing of the host's other keys.
pub fn compare_claims(claims: &[Claim], keys: &[(KeyKind, String)]) -> Vec<Option<Agreement>> {
    let fits = |claim: &Claim, (kind, print): &(KeyKind, String)| {
        claim.fingerprint == *print && claim.kind.is_none_or(|claimed| claimed == *kind)
    };
    let (revoked, valid): (Vec<&Claim>, Vec<&Claim>) =
        claims.iter().partition(|claim| claim.revoked);
    let mut without_kind = valid.iter().filter(|claim| claim.kind.is_none());
    let one_fits = without_kind.any(|claim| keys.iter().any(|key| fits(claim, key)));
    keys.iter()
        .map(|key| {
            if revoked.iter().any(|claim| fits(claim, key)) {
                return Some(Agreement::Other(vec!["that it is revoked".to_owned()]));
            }
            if valid.iter().any(|claim| fits(claim, key)) {
                return Some(Agreement::Same);
            }
            let against = valid.iter().filter(|claim| match claim.kind {
                Some(kind) => kind == key.0,
                None => !one_fits,
            });
            let prints: BTreeSet<String> = against.map(|claim| claim.fingerprint.clone()).collect();
            (!prints.is_empty()).then(|| Agreement::Other(prints.into_iter().collect()))
        })
        .collect()
}

/// A key that was known until now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldKey {
    /// Its kind.
    pub kind: KeyKind,
    /// Its SHA-256 fingerprint.
    pub fingerprint: String,
    /// Its file and line.
    pub at: String,
}

/// What the known_hosts files say of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStanding {
    /// It is known.
    Known,
    /// Nothing is known of the host.
    New,
    /// The host showed a known key, and this one of another kind.
    NewKind,
    /// Other keys are known for the host.
    Changed(Vec<OldKey>),
    /// It cannot be enrolled; the text says why.
    Refused(String),
}

/// What a source says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice {
    /// The source, for people.
    pub source: String,
    /// Its word.
    pub says: Says,
}

/// A source's word on a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// This is the host's key.
    Vouches,
    /// The same, and it proves nothing; the text says why.
    Unproven(&'static str),
    /// The host's key is another; the texts say which.
    Contradicts(Vec<String>),
}

/// A key that a host showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownKey {
    /// The host.
    pub host: String,
    /// The kind of key.
    pub kind: KeyKind,
    /// Its SHA-256 fingerprint.
    pub fingerprint: String,
    /// What is known of it.
    pub standing: KeyStanding,
    /// What sources say of it; those that say nothing are not here.
    pub voices: Vec<Voice>,
}

impl ShownKey {
    /// Whether a source vouches for it.
    pub fn is_vouched(&self) -> bool {
        let mut voices = self.voices.iter();
        voices.any(|voice| voice.says == Says::Vouches)
    }

    fn is_contradicted(&self) -> bool {
        let mut voices = self.voices.iter();
        voices.any(|voice| matches!(voice.says, Says::Contradicts(_)))
    }
}

/// Keys that belong to one question, or to one refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyGroup {
    /// A source says that the host's key is another.
    Contradicted,
    /// Revoked, or nobody can know.
    Refused,
    /// Other keys are known, and nobody said to replace them.
    Changed,
    /// Replaces other keys; a source vouches for it.
    VouchedReplacement,
    /// Replaces other keys; nobody vouches for it.
    UnvouchedReplacement,
    /// New, and a source vouches for it.
    VouchedNew,
    /// New, and nobody vouches for it.
    UnvouchedNew,
    /// Another kind of key of a known host; nobody vouches for it.
    UnvouchedKind,
}

impl KeyGroup {
    /// Whether the operator may be asked about it.
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Contradicted | Self::Refused | Self::Changed)
    }

    /// Whether a source vouches for its keys.
    pub fn is_vouched(self) -> bool {
        matches!(self, Self::VouchedReplacement | Self::VouchedNew)
    }

    /// Whether known keys go.
    pub fn replaces(self) -> bool {
        matches!(self, Self::VouchedReplacement | Self::UnvouchedReplacement)
    }
}

/// Sorts the keys of hosts into questions. Known keys are in none, unless a source contradicts them.
///
/// A host is judged as a whole: who is in between shows several keys, and one that is contradicted,
/// revoked or changed says so of all of them.
pub fn group_keys(
    hosts: impl IntoIterator<Item = Vec<ShownKey>>,
    replace: bool,
) -> BTreeMap<KeyGroup, Vec<ShownKey>> {
    let mut groups: BTreeMap<KeyGroup, Vec<ShownKey>> = BTreeMap::new();
    for keys in hosts {
        let whole = whole_host(&keys, replace);
        let open = keys
            .into_iter()
            .filter(|key| key.standing != KeyStanding::Known || key.is_contradicted());
        for key in open {
            let group = whole.unwrap_or_else(|| group_of(&key));
            let group = match (group, key.is_vouched()) {
                (KeyGroup::UnvouchedReplacement, true) => KeyGroup::VouchedReplacement,
                (group, _) => group,
            };
            groups.entry(group).or_default().push(key);
        }
    }
    groups
}

fn whole_host(keys: &[ShownKey], replace: bool) -> Option<KeyGroup> {
    let any = |wanted: fn(&ShownKey) -> bool| keys.iter().any(wanted);
    if any(ShownKey::is_contradicted) {
        Some(KeyGroup::Contradicted)
    } else if any(|key| matches!(key.standing, KeyStanding::Refused(_))) {
        Some(KeyGroup::Refused)
    } else if any(|key| matches!(key.standing, KeyStanding::Changed(_))) {
        Some(if replace {
            KeyGroup::UnvouchedReplacement
        } else {
            KeyGroup::Changed
        })
    } else {
        None
    }
}

fn group_of(key: &ShownKey) -> KeyGroup {
    match (&key.standing, key.is_vouched()) {
        (_, true) => KeyGroup::VouchedNew,
        (KeyStanding::NewKind, false) => KeyGroup::UnvouchedKind,
        (_, false) => KeyGroup::UnvouchedNew,
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn claim(kind: Option<KeyKind>, print: &str) -> Claim {
        Claim {
            kind,
            fingerprint: print.to_owned(),
            revoked: false,
        }
    }

    fn shown(keys: &[(KeyKind, &str)]) -> Vec<(KeyKind, String)> {
        keys.iter()
            .map(|(kind, print)| (*kind, (*print).to_owned()))
            .collect()
    }

    fn key(standing: KeyStanding, says: &[Says]) -> ShownKey {
        ShownKey {
            host: "a".to_owned(),
            kind: KeyKind::Rsa,
            fingerprint: "SHA256:x".to_owned(),
            standing,
            voices: says
                .iter()
                .map(|says| Voice {
                    source: "s".to_owned(),
                    says: says.clone(),
                })
                .collect(),
        }
    }

    fn other(prints: &[&str]) -> Option<Agreement> {
        let prints = prints.iter().map(|print| (*print).to_owned());
        Some(Agreement::Other(prints.collect()))
    }

    #[test]
    fn a_claim_of_a_kind_contradicts_keys_of_that_kind_only() {
        let keys = shown(&[(KeyKind::Ed25519, "a"), (KeyKind::Rsa, "b")]);
        let claims = [claim(Some(KeyKind::Ed25519), "z")];
        assert_eq!(compare_claims(&claims, &keys), [other(&["z"]), None]);
        let claims = [
            claim(Some(KeyKind::Ed25519), "z"),
            claim(Some(KeyKind::Ed25519), "a"),
        ];
        assert_eq!(
            compare_claims(&claims, &keys),
            [Some(Agreement::Same), None]
        );
    }

    #[test]
    fn a_claim_without_a_kind_contradicts_where_none_fits() {
        let keys = shown(&[(KeyKind::Ed25519, "a"), (KeyKind::Rsa, "b")]);
        let fits = compare_claims(&[claim(None, "b")], &keys);
        assert_eq!(fits, [None, Some(Agreement::Same)]);
        let none = compare_claims(&[claim(None, "z")], &keys);
        assert_eq!(none, [other(&["z"]), other(&["z"])]);
        assert_eq!(compare_claims(&[], &keys), [None, None]);
    }

    #[test]
    fn a_revoked_key_is_contradicted_though_it_is_named_as_well() {
        let keys = shown(&[(KeyKind::Rsa, "b")]);
        let mut revoked = claim(Some(KeyKind::Rsa), "b");
        revoked.revoked = true;
        let claims = [claim(None, "b"), revoked];
        assert!(matches!(
            compare_claims(&claims, &keys)[0],
            Some(Agreement::Other(_))
        ));
    }

    #[test]
    fn one_bad_key_speaks_for_the_whole_host() {
        let vouched = || key(KeyStanding::New, &[Says::Vouches]);
        let changed = || key(KeyStanding::Changed(Vec::new()), &[]);
        let against = Says::Contradicts(Vec::new());
        let cases = [
            (
                vec![vouched(), key(KeyStanding::New, &[against])],
                false,
                vec![KeyGroup::Contradicted],
            ),
            (
                vec![vouched(), key(KeyStanding::Refused(String::new()), &[])],
                false,
                vec![KeyGroup::Refused],
            ),
            (vec![vouched(), changed()], false, vec![KeyGroup::Changed]),
            (
                vec![vouched(), changed()],
                true,
                vec![KeyGroup::VouchedReplacement, KeyGroup::UnvouchedReplacement],
            ),
            (
                vec![vouched(), key(KeyStanding::New, &[])],
                true,
                vec![KeyGroup::VouchedNew, KeyGroup::UnvouchedNew],
            ),
            (
                vec![key(KeyStanding::Known, &[]), key(KeyStanding::NewKind, &[])],
                true,
                vec![KeyGroup::UnvouchedKind],
            ),
            (vec![key(KeyStanding::Known, &[])], true, vec![]),
        ];
        for (keys, replace, wanted) in cases {
            let groups = group_keys([keys.clone()], replace);
            assert_eq!(groups.into_keys().collect::<Vec<_>>(), wanted, "{keys:?}");
        }
    }

    #[test]
    fn what_is_unproven_does_not_vouch() {
        assert!(!key(KeyStanding::New, &[Says::Unproven("unsigned")]).is_vouched());
    }
}
