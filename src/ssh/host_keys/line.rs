//! One line of known_hosts: a marker, names and a key.

use std::fmt;
use std::sync::OnceLock;

use base64ct::{Base64, Encoding as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::Algorithm;
use russh::keys::ssh_key::public::KeyData;
use sha1::Sha1;

use super::reader::Reader;
use crate::model::{ListMatch, matches_list};

/// How a hashed name begins: HMAC-SHA1 is the only method there is.
const HASH_MAGIC: &str = "|1|";
/// The bytes of a SHA-1, and of a salt.
const SHA1_BYTES: usize = 20;
/// ssh gives up on a list with a longer name.
const LONGEST_NAME: usize = 1022;
/// ssh takes no smaller RSA key, in bits.
const SMALLEST_RSA: u32 = 1024;

/// What a line says about its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// It is a host's.
    Key,
    /// It signs certificates of hosts (`@cert-authority`).
    Authority,
    /// It must not be used (`@revoked`).
    Revoked,
}

/// Why a line is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineFault {
    /// Neither `@revoked` nor `@cert-authority`, or both.
    Marker,
    /// Nothing follows the names.
    Truncated,
    /// A hashed name that is none.
    Hash,
    /// A name that is too long for ssh.
    LongName,
    /// A type of key that is not known.
    Algorithm,
    /// A key that is not of its type, or is no base64.
    Key,
    /// An RSA key that ssh would not take.
    ShortRsa,
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Marker => "unknown marker",
            Self::Truncated => "the line ends before its key",
            Self::Hash => "malformed hash of a name",
            Self::LongName => "a name is too long",
            Self::Algorithm => "unknown type of key",
            Self::Key => "malformed key",
            Self::ShortRsa => "the RSA key has less than 1024 bits",
        })
    }
}

/// The fields of a line, not yet read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) marker: Marker,
    pub(super) names: &'a str,
    /// Type, base64 and comment.
    pub(super) key: &'a str,
}

impl<'a> Line<'a> {
    /// Splits a line. A comment and an empty line are nothing.
    pub(super) fn split(line: &'a str) -> Result<Option<Self>, LineFault> {
        let line = line.trim_matches(['\n', '\r', ' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let (marker, line) = split_marker(line)?;
        let (names, key) = split_word(line).ok_or(LineFault::Truncated)?;
        if key.starts_with('#') {
            return Err(LineFault::Truncated);
        }
        Ok(Some(Self { marker, names, key }))
    }
}

/// Splits off a marker. ssh overlooks one before a tab if a blank follows later in the line; that
/// would let a revoked key pass, so here a tab is as good as a blank.
fn split_marker(line: &str) -> Result<(Marker, &str), LineFault> {
    if !line.starts_with('@') {
        return Ok((Marker::Key, line));
    }
    let (word, rest) = split_word(line).ok_or(LineFault::Marker)?;
    let marker = match word {
        "@revoked" => Marker::Revoked,
        "@cert-authority" => Marker::Authority,
        _ => return Err(LineFault::Marker),
    };
    if rest.starts_with('@') {
        return Err(LineFault::Marker);
    }
    Ok((marker, rest))
}

/// Splits off a word, if another follows.
pub(super) fn split_word(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.split_once([' ', '\t'])?;
    let rest = rest.trim_start_matches([' ', '\t']);
    (!rest.is_empty()).then_some((word, rest))
}

/// Whom a line is about.
#[derive(Debug)]
pub(super) enum Names {
    /// Names without wildcards, in lower case.
    Plain(Vec<String>),
    /// Patterns, in lower case.
    Patterns(Vec<String>),
    /// One name that is not shown.
    Hashed(HashedName),
}

impl Names {
    pub(super) fn parse(text: &str) -> Result<Self, LineFault> {
        if text.starts_with('|') {
            return HashedName::parse(text).map(Self::Hashed);
        }
        let names: Vec<String> = text
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_ascii_lowercase)
            .collect();
        if names.iter().any(|name| name.len() > LONGEST_NAME) {
            return Err(LineFault::LongName);
        }
        Ok(if text.contains(['*', '?', '!']) {
            Self::Patterns(names)
        } else {
            Self::Plain(names)
        })
    }

    /// Whether the line is about this name.
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Plain(names) => names.iter().any(|plain| plain == name),
            Self::Patterns(list) => {
                matches_list(list.iter().map(String::as_str), name) == ListMatch::Yes
            }
            Self::Hashed(hashed) => hashed.is(name),
        }
    }
}

/// A name that only who knows it can recognise.
#[derive(Debug)]
pub(super) struct HashedName {
    salt: [u8; SHA1_BYTES],
    hash: [u8; SHA1_BYTES],
    /// The salt after its half of the work, which is the same for all names. Made for the first
    /// name that is tried, because most lines are never tried.
    salted: OnceLock<Option<Box<Hmac<Sha1>>>>,
}

impl HashedName {
    /// Hides a name behind a salt.
    pub(super) fn new(name: &str, salt: [u8; SHA1_BYTES]) -> Option<Self> {
        let mut hashed = Self {
            salt,
            hash: [0; SHA1_BYTES],
            salted: OnceLock::new(),
        };
        hashed.hash = hashed.digest(name)?;
        Some(hashed)
    }

    fn parse(text: &str) -> Result<Self, LineFault> {
        let (salt, hash) = text
            .strip_prefix(HASH_MAGIC)
            .and_then(|rest| rest.split_once('|'))
            .ok_or(LineFault::Hash)?;
        let bytes = |text: &str| {
            let mut bytes = [0; SHA1_BYTES];
            let length = Base64::decode(text, &mut bytes).map(<[u8]>::len);
            (length == Ok(SHA1_BYTES))
                .then_some(bytes)
                .ok_or(LineFault::Hash)
        };
        Ok(Self {
            salt: bytes(salt)?,
            hash: bytes(hash)?,
            salted: OnceLock::new(),
        })
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.digest(name) == Some(self.hash)
    }

    fn digest(&self, name: &str) -> Option<[u8; SHA1_BYTES]> {
        let salted = self.salted.get_or_init(|| {
            let mac = Hmac::<Sha1>::new_from_slice(&self.salt);
            mac.ok().map(Box::new)
        });
        let mut mac = Hmac::clone(salted.as_deref()?);
        mac.update(name.as_bytes());
        Some(mac.finalize().into_bytes().into())
    }
}

impl fmt::Display for HashedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let salt = Base64::encode_string(&self.salt);
        let hash = Base64::encode_string(&self.hash);
        write!(f, "{HASH_MAGIC}{salt}|{hash}")
    }
}

/// Reads a key as its type and base64; what follows is a comment. Only plain keys: the library
/// would follow a certificate into the certificate of its signer, and so on without an end.
pub(super) fn parse_key(text: &str) -> Result<KeyData, LineFault> {
    let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
    let algorithm = words.next().ok_or(LineFault::Truncated)?;
    let base64 = words.next().ok_or(LineFault::Truncated)?;
    let blob = Base64::decode_vec(base64.trim_end_matches('\r')).map_err(|_| LineFault::Key)?;
    let (name, key) = parse_blob(&blob)?;
    if name != algorithm {
        return Err(LineFault::Key);
    }
    Ok(key)
}

/// Reads a plain key as it is sent; returns the name of its type, too.
pub(super) fn parse_blob(blob: &[u8]) -> Result<(&str, KeyData), LineFault> {
    let mut reader = Reader::new(blob);
    let name = reader.string().ok_or(LineFault::Key)?;
    let name = std::str::from_utf8(name).map_err(|_| LineFault::Algorithm)?;
    let algorithm = match Algorithm::new(name) {
        Ok(Algorithm::Other(_) | Algorithm::Rsa { hash: Some(_) }) | Err(_) => {
            return Err(LineFault::Algorithm);
        }
        Ok(algorithm) => algorithm,
    };
    let mut rest = reader.rest();
    let key = KeyData::decode_as(&mut rest, algorithm).map_err(|_| LineFault::Key)?;
    if !rest.is_empty() {
        return Err(LineFault::Key);
    }
    match key.rsa() {
        Some(rsa) if rsa.key_size() < SMALLEST_RSA => Err(LineFault::ShortRsa),
        _ => Ok((name, key)),
    }
}
