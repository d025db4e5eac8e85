//! Lists of fingerprints that somebody vouches with: what `ssh-keygen -lf` prints, `NAME SHA256:…`,
//! and lines of known_hosts or public keys.

use std::fmt;

use base64ct::{Base64Unpadded, Encoding as _};
use russh::keys::HashAlg;

use super::line::{Line, Marker, Names, parse_key, split_word};
use super::server::ServerName;
use crate::model::nodeset;
use crate::model::{Claim, KeyKind};

/// How the one kind of fingerprint begins that vouches for anything.
const SHA256: &str = "SHA256:";
/// The bytes of a SHA-256.
const SHA256_BYTES: usize = 32;
/// What `ssh-keygen -l` prints of a key without a comment.
const NO_COMMENT: &str = "no comment";

/// Claims, each about some hosts.
#[derive(Debug, Default)]
pub struct Vouchers(Vec<(Whom, Claim)>);

/// Whom a claim is about.
#[derive(Debug)]
enum Whom {
    /// These names, in lower case, as they were written and as a node set.
    Listed(Vec<String>),
    /// The names of a line of known_hosts.
    Line(Names),
    /// No name was written.
    Unsaid,
}

/// A line that says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoucherFault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: &'static str,
}

impl fmt::Display for VoucherFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl Vouchers {
    /// Reads a list in which every line names its hosts.
    ///
    /// # Errors
    /// The first line that says nothing: half a list would vouch for half of what was meant.
    pub fn parse(text: &str) -> Result<Self, VoucherFault> {
        let mut vouchers = Self::default();
        for (number, line) in text.lines().enumerate() {
            let fault = |why| VoucherFault {
                line: number + 1,
                why,
            };
            match voucher(line).map_err(fault)? {
                Some((Whom::Unsaid, _)) => return Err(fault("it names no host")),
                found => vouchers.0.extend(found),
            }
        }
        Ok(vouchers)
    }

    /// Reads what is said of one host: names in it mean nothing.
    ///
    /// # Errors
    /// The first line that says nothing.
    pub fn claims_of_one(text: &str) -> Result<Vec<Claim>, VoucherFault> {
        let mut claims = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let found = voucher(line).map_err(|why| VoucherFault {
                line: number + 1,
                why,
            })?;
            claims.extend(found.map(|(_, claim)| claim));
        }
        Ok(claims)
    }

    /// Returns what is said of a host, by any of its names; by its name without the port only if
    /// nothing is said of the others, as ssh does.
    pub fn claims(&self, names: &[&str], server: &ServerName) -> Vec<Claim> {
        let mut all: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        all.extend(server.entries());
        let mut claims = self.about(&all);
        if claims.is_empty()
            && let Some(bare) = server.without_port()
        {
            claims = self.about(&[bare.to_owned()]);
        }
        claims
    }

    fn about(&self, names: &[String]) -> Vec<Claim> {
        let is_about = |whom: &Whom| match whom {
            Whom::Listed(listed) => names.iter().any(|name| listed.contains(name)),
            Whom::Line(line) => names.iter().any(|name| line.matches(name)),
            Whom::Unsaid => false,
        };
        let mine = self.0.iter().filter(|(whom, _)| is_about(whom));
        mine.map(|(_, claim)| claim.clone()).collect()
    }
}

/// Reads a line. An empty one, a comment and an authority vouch for no key.
fn voucher(line: &str) -> Result<Option<(Whom, Claim)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.iter().position(|word| word.starts_with(SHA256)) {
        Some(at) => fingerprint_line(&words, at).map(Some),
        None => key_line(line),
    }
}

/// `256 SHA256:… NAME (ED25519)`, or `NAME SHA256:…`.
fn fingerprint_line(words: &[&str], at: usize) -> Result<(Whom, Claim), &'static str> {
    let print = words.get(at).copied().unwrap_or_default();
    let digest = print.strip_prefix(SHA256).unwrap_or_default();
    let digest = digest.trim_end_matches('=');
    let mut bytes = [0; SHA256_BYTES];
    let length = Base64Unpadded::decode(digest, &mut bytes).map(<[u8]>::len);
    if length != Ok(SHA256_BYTES) {
        return Err("malformed SHA256 fingerprint");
    }
    let (before, after) = (words.get(..at), words.get(at + 1..));
    let (before, mut after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let mut kind = None;
    if let [rest @ .., last] = after
        && let Some(word) = last
            .strip_prefix('(')
            .and_then(|word| word.strip_suffix(')'))
    {
        // A kind that is not known here fits no key, and must contradict none.
        kind = Some(KeyKind::from_word(word).unwrap_or(KeyKind::Other));
        after = rest;
    }
    let after = after.join(" ");
    let whom = match before {
        [] => named(&after),
        [bits] if bits.parse::<u32>().is_ok() => named(&after),
        [name] => named(name),
        [name, word] => {
            kind = Some(KeyKind::from_word(word).ok_or("unknown kind of key")?);
            named(name)
        }
        _ => return Err("too many words before the fingerprint"),
    };
    let claim = Claim {
        kind,
        fingerprint: format!("{SHA256}{digest}"),
        revoked: false,
    };
    Ok((whom, claim))
}

/// Whom a name, a node set or the comment of a key (`root@NAME`) is about.
fn named(text: &str) -> Whom {
    let text = text.to_ascii_lowercase();
    if text.is_empty() || text == NO_COMMENT {
        return Whom::Unsaid;
    }
    let bare = text
        .rsplit_once('@')
        .map_or(text.as_str(), |(_, name)| name);
    let mut names = vec![text.clone(), bare.to_owned()];
    names.extend(bare.split(',').map(str::to_owned));
    // What is no node set is a name all the same: `[10.0.0.1]:2222`.
    names.extend(nodeset::expand(bare).unwrap_or_default());
    Whom::Listed(names)
}

/// `NAMES TYPE BASE64` with a marker or without, or `TYPE BASE64`.
fn key_line(line: &str) -> Result<Option<(Whom, Claim)>, &'static str> {
    let claim = |key: &str, revoked| -> Result<Claim, &'static str> {
        let key = parse_key(key).map_err(|_| "it holds no fingerprint and no key")?;
        Ok(Claim {
            kind: KeyKind::from_word(key.algorithm().as_str()),
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            revoked,
        })
    };
    if KeyKind::from_word(split_word(line).map_or(line, |(word, _)| word)).is_some() {
        return Ok(Some((Whom::Unsaid, claim(line, false)?)));
    }
    let fields = Line::split(line).map_err(|_| "it holds no fingerprint and no key")?;
    let Some(fields) = fields.filter(|fields| fields.marker != Marker::Authority) else {
        return Ok(None);
    };
    let names = Names::parse(fields.names).map_err(|_| "malformed names")?;
    let claim = claim(fields.key, fields.marker == Marker::Revoked)?;
    Ok(Some((Whom::Line(names), claim)))
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PRINT: &str = "SHA256:z3uZDCHDzQtkTzRP8mlJ3ATkwnTXKhbXwv8w4zRzNhs";
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILtx5AlSfRjFxVjVjYUGZuLFRZzg6g0uZ0lJf7Z0qd9l";

    fn server() -> ServerName {
        ServerName::new("10.0.0.1", 2222)
    }

    fn about(text: &str, names: &[&str]) -> usize {
        Vouchers::parse(text)
            .unwrap()
            .claims(names, &server())
            .len()
    }

    #[test]
    fn every_usual_way_to_write_it_is_read() {
        let lines = [
            format!("VM151 {PRINT}"),
            format!("vm[150-152] {PRINT}"),
            format!("vm150,vm151 {PRINT}"),
            format!("vm151 ed25519 {PRINT}"),
            format!("256 {PRINT} root@vm151 (ED25519)"),
            format!("256 {PRINT} vm151,10.0.0.9 (ED25519)"),
            format!("[10.0.0.1]:2222 {PRINT}"),
            format!("[10.0.0.1]:2222 {KEY} comment"),
            format!("vm15? {KEY}"),
            format!("@revoked vm151 {KEY}"),
        ];
        for line in lines {
            assert_eq!(about(&line, &["VM151"]), 1, "{line}");
        }
        let nobody = format!("# a comment\n\n@cert-authority * {KEY}\nvm152 {PRINT}\n");
        assert_eq!(about(&nobody, &["VM151"]), 0);
    }

    #[test]
    fn what_says_nothing_is_a_fault_with_its_line() {
        let cases = [
            (format!("256 {PRINT} no comment (RSA)"), "names no host"),
            (PRINT.to_owned(), "names no host"),
            ("vm151 SHA256:short".to_owned(), "malformed SHA256"),
            ("vm151 MD5:00:11".to_owned(), "no fingerprint and no key"),
            (format!("vm151 zsa {PRINT}"), "unknown kind"),
            (KEY.to_owned(), "names no host"),
        ];
        for (line, why) in cases {
            let fault = Vouchers::parse(&format!("\n{line}\n")).unwrap_err();
            assert_eq!(fault.line, 2);
            assert!(fault.why.contains(why), "{line}: {fault}");
        }
    }

    #[test]
    fn what_is_said_of_one_host_needs_no_name() {
        let text = format!("{PRINT}\n256 {PRINT} no comment (ECDSA)\n{KEY}\nother {KEY}\n");
        let claims = Vouchers::claims_of_one(&text).unwrap();
        let kinds: Vec<_> = claims.iter().map(|claim| claim.kind).collect();
        let ed = Some(KeyKind::Ed25519);
        assert_eq!(kinds, [None, Some(KeyKind::Ecdsa), ed, ed]);
        assert_eq!(claims[0].fingerprint, PRINT);
    }

    proptest! {
        #[test]
        fn anything_may_be_in_a_list(text in "(\\PC|[ \n\t@,=:]|SHA256:|ssh-rsa ){0,60}") {
            let _ = Vouchers::parse(&text);
            let _ = Vouchers::claims_of_one(&text);
        }
    }
}
