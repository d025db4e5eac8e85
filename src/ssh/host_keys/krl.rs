//! Key revocation lists (OpenSSH's PROTOCOL.krl).

use std::collections::{HashMap, HashSet};

use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::sha2::{Digest as _, Sha256};
use russh::keys::{Certificate, ssh_encoding::Encode as _};
use sha1::Sha1;

use super::line::parse_blob;
use super::reader::Reader;

const MAGIC: &[u8] = b"SSHKRL\n\0";
const FORMAT: u32 = 1;

// Sections of the file.
const CERTIFICATES: u8 = 1;
const KEYS: u8 = 2;
const SHA1S: u8 = 3;
const SIGNATURE: u8 = 4;
const SHA256S: u8 = 5;
const EXTENSION: u8 = 255;

// Sections of the certificates of one authority.
const SERIALS: u8 = 0x20;
const SERIAL_RANGE: u8 = 0x21;
const SERIAL_BITMAP: u8 = 0x22;
const KEY_IDS: u8 = 0x23;
const CERTIFICATE_EXTENSION: u8 = 0x39;

/// The largest bitmap that OpenSSH reads, in bytes.
const MAX_BITMAP: usize = 2048;

/// What a list revokes.
#[derive(Debug, Default)]
pub(super) struct Krl {
    /// By the key of the authority as it is sent; empty for all authorities.
    certificates: HashMap<Vec<u8>, Certificates>,
    keys: HashSet<Vec<u8>>,
    sha1s: HashSet<[u8; 20]>,
    sha256s: HashSet<[u8; 32]>,
}

/// Revoked certificates of one authority. Kept as they are written: a bitmap of 2 KB would be
/// 64 KB of numbers.
#[derive(Debug, Default)]
struct Certificates {
    serials: HashSet<u64>,
    ranges: Vec<(u64, u64)>,
    bitmaps: Vec<(u64, Vec<u8>)>,
    key_ids: HashSet<Vec<u8>>,
}

impl Krl {
    /// Reads a list, if it is one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Result<Self, String>> {
        let bytes = bytes.strip_prefix(MAGIC)?;
        Some(Self::parse_body(Reader::new(bytes)))
    }

    fn parse_body(mut reader: Reader<'_>) -> Result<Self, String> {
        let format = reader.u32().ok_or_else(cut)?;
        if format != FORMAT {
            return Err(format!("a KRL of the unknown format {format}"));
        }
        // Version, date and flags; a reserved string and a comment.
        reader.take(3 * 8).ok_or_else(cut)?;
        reader.string().ok_or_else(cut)?;
        reader.string().and_then(c_string).ok_or_else(cut)?;
        let mut krl = Self::default();
        while !reader.is_empty() {
            let section = reader.u8().ok_or_else(cut)?;
            let content = Reader::new(reader.string().ok_or_else(cut)?);
            match section {
                CERTIFICATES => krl.add_certificates(content)?,
                KEYS => krl
                    .keys
                    .extend(strings(content)?.into_iter().map(<[u8]>::to_vec)),
                SHA1S => krl.sha1s.extend(hashes(content)?),
                SHA256S => krl.sha256s.extend(hashes(content)?),
                // OpenSSH checks signatures of nobody in particular; the file's place vouches for
                // it. The content was the signer's key, and the signature follows.
                SIGNATURE => {
                    reader.string().ok_or_else(cut)?;
                }
                EXTENSION => check_extension(content)?,
                other => return Err(format!("a KRL with the unknown section {other}")),
            }
        }
        Ok(krl)
    }

    fn add_certificates(&mut self, mut reader: Reader<'_>) -> Result<(), String> {
        let authority = reader.string().ok_or_else(cut)?;
        reader.string().ok_or_else(cut)?;
        let authority = if authority.is_empty() {
            Vec::new()
        } else {
            let (_, key) = parse_blob(authority)
                .map_err(|fault| format!("a KRL with an authority of which {fault}"))?;
            blob(&key).ok_or_else(cut)?
        };
        let certificates = self.certificates.entry(authority).or_default();
        while !reader.is_empty() {
            let section = reader.u8().ok_or_else(cut)?;
            let content = Reader::new(reader.string().ok_or_else(cut)?);
            certificates.add(section, content)?;
        }
        Ok(())
    }

    pub(super) fn revokes_key(&self, key: &KeyData) -> bool {
        let Some(blob) = blob(key) else {
            return true;
        };
        let sha256: [u8; 32] = Sha256::digest(&blob).into();
        let sha1: [u8; 20] = Sha1::digest(&blob).into();
        self.sha1s.contains(&sha1) || self.sha256s.contains(&sha256) || self.keys.contains(&blob)
    }

    /// Whether a certificate is revoked by its serial number or key id.
    pub(super) fn revokes_certificate(&self, certificate: &Certificate) -> bool {
        let Some(authority) = blob(certificate.signature_key()) else {
            return true;
        };
        [authority, Vec::new()]
            .iter()
            .filter_map(|authority| self.certificates.get(authority))
            .any(|revoked| revoked.contain(certificate))
    }
}

impl Certificates {
    fn add(&mut self, section: u8, mut reader: Reader<'_>) -> Result<(), String> {
        match section {
            SERIALS => {
                while !reader.is_empty() {
                    let serial = reader.u64().ok_or_else(cut)?;
                    self.serials.insert(not_zero(serial)?);
                }
            }
            SERIAL_RANGE => {
                let range = (reader.u64().ok_or_else(cut)?, reader.u64().ok_or_else(cut)?);
                if not_zero(range.0)? > range.1 {
                    return Err("a KRL with a range of serial numbers that ends first".into());
                }
                self.ranges.push(range);
            }
            SERIAL_BITMAP => {
                let offset = reader.u64().ok_or_else(cut)?;
                self.bitmaps
                    .push(bitmap(offset, reader.string().ok_or_else(cut)?)?);
            }
            KEY_IDS => {
                for id in strings(reader)? {
                    let id = c_string(id).ok_or("a KRL with a malformed key id")?;
                    self.key_ids.insert(id.to_vec());
                }
                return Ok(());
            }
            CERTIFICATE_EXTENSION => return check_extension(reader),
            other => return Err(format!("a KRL with the unknown section {other:#x}")),
        }
        if reader.is_empty() {
            Ok(())
        } else {
            Err(cut())
        }
    }

    fn contain(&self, certificate: &Certificate) -> bool {
        let serial = certificate.serial();
        self.key_ids.contains(certificate.key_id().as_bytes())
            // Zero is the number of all certificates that got none.
            || (serial != 0
                && (self.serials.contains(&serial)
                    || self
                        .ranges
                        .iter()
                        .any(|(first, last)| (*first..=*last).contains(&serial))
                    || self.bitmaps.iter().any(|(offset, bits)| {
                        serial.checked_sub(*offset).is_some_and(|bit| is_set(bits, bit))
                    })))
    }
}

/// Reads a bitmap, a number whose bit N stands for the serial number N after the offset.
fn bitmap(offset: u64, number: &[u8]) -> Result<(u64, Vec<u8>), String> {
    if number.first().is_some_and(|first| *first >= 0x80) {
        return Err("a KRL with a negative bitmap".into());
    }
    let leading = number.iter().take_while(|byte| **byte == 0).count();
    let bits = number.get(leading..).unwrap_or_default();
    if bits.len() > MAX_BITMAP {
        return Err("a KRL with a bitmap that is too long".into());
    }
    let Some(first) = bits.first() else {
        return Ok((offset, Vec::new()));
    };
    let highest = bits.len() as u64 * 8 - 1 - u64::from(first.leading_zeros());
    if offset.checked_add(highest).is_none() || (offset == 0 && is_set(bits, 0)) {
        return Err("a KRL with a bitmap of impossible serial numbers".into());
    }
    Ok((offset, bits.to_vec()))
}

fn is_set(bits: &[u8], bit: u64) -> bool {
    usize::try_from(bit / 8)
        .ok()
        .and_then(|byte| bits.iter().rev().nth(byte))
        .is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
}

fn not_zero(serial: u64) -> Result<u64, String> {
    if serial == 0 {
        return Err("a KRL with the serial number 0, which is none".into());
    }
    Ok(serial)
}

fn strings(mut reader: Reader<'_>) -> Result<Vec<&[u8]>, String> {
    let mut strings = Vec::new();
    while !reader.is_empty() {
        strings.push(reader.string().ok_or_else(cut)?);
    }
    Ok(strings)
}

fn hashes<const N: usize>(reader: Reader<'_>) -> Result<Vec<[u8; N]>, String> {
    strings(reader)?
        .into_iter()
        .map(|hash| {
            hash.try_into()
                .map_err(|_| "a KRL with a hash of a wrong length".into())
        })
        .collect()
}

/// A string of C's: it may end with a zero, and has no other.
fn c_string(bytes: &[u8]) -> Option<&[u8]> {
    let text = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    (!text.contains(&0)).then_some(text)
}

/// No extension is known; only one that may be ignored is.
fn check_extension(mut reader: Reader<'_>) -> Result<(), String> {
    let name = reader.string().and_then(c_string).ok_or_else(cut)?;
    let critical = reader.u8().ok_or_else(cut)?;
    reader.string().ok_or_else(cut)?;
    if !reader.is_empty() {
        return Err(cut());
    }
    if critical != 0 {
        let name = String::from_utf8_lossy(name);
        return Err(format!(
            "a KRL with the unknown critical extension `{name}`"
        ));
    }
    Ok(())
}

fn cut() -> String {
    "a KRL that is cut off or malformed".into()
}

/// A key as it is sent. One that cannot be is of no type that a host could show.
fn blob(key: &KeyData) -> Option<Vec<u8>> {
    key.encode_vec().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap();
        [&length.to_be_bytes(), bytes].concat()
    }

    fn section(kind: u8, content: &[u8]) -> Vec<u8> {
        [vec![kind], string(content)].concat()
    }

    /// A section about certificates of all authorities.
    fn certificates(kind: u8, content: &[u8]) -> Vec<u8> {
        let head = [string(b""), string(b"")].concat();
        section(CERTIFICATES, &[head, section(kind, content)].concat())
    }

    fn serials(numbers: &[u64]) -> Vec<u8> {
        numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
    }

    fn bits(offset: u64, number: &[u8]) -> Vec<u8> {
        [serials(&[offset]), string(number)].concat()
    }

    fn parse(sections: &[Vec<u8>]) -> Result<Krl, String> {
        let head = [
            &FORMAT.to_be_bytes()[..],
            &[0; 24],
            &string(b""),
            &string(b"comment"),
        ];
        let bytes = [MAGIC, &head.concat(), &sections.concat()].concat();
        Krl::parse(&bytes).unwrap()
    }

    #[test]
    fn what_is_not_understood_refuses_the_list() {
        let critical = [string(b"x"), vec![1], string(b"")].concat();
        let long = [&[1][..], &[0; MAX_BITMAP]].concat();
        let cases = [
            (section(6, b""), "unknown section 6"),
            (section(SHA1S, &string(&[0; 19])), "wrong length"),
            (section(SHA256S, &string(&[0; 20])), "wrong length"),
            (section(KEYS, &[0, 0, 0, 9]), "cut off"),
            (section(EXTENSION, &critical), "critical extension `x`"),
            (
                section(EXTENSION, &[critical.clone(), vec![0]].concat()),
                "cut off",
            ),
            (section(SIGNATURE, b"key"), "cut off"),
            (vec![KEYS, 0, 0], "cut off"),
            (certificates(0x24, b""), "unknown section 0x24"),
            (certificates(SERIALS, &[0; 8]), "serial number 0"),
            (certificates(SERIALS, &[1; 7]), "cut off"),
            (certificates(SERIAL_RANGE, &serials(&[2, 1])), "ends first"),
            (
                certificates(SERIAL_RANGE, &serials(&[0, 1])),
                "serial number 0",
            ),
            (certificates(SERIAL_RANGE, &serials(&[1, 2, 3])), "cut off"),
            (certificates(SERIAL_BITMAP, &bits(1, &[0x80])), "negative"),
            (certificates(SERIAL_BITMAP, &bits(1, &long)), "too long"),
            (certificates(SERIAL_BITMAP, &bits(0, &[1])), "impossible"),
            (
                certificates(SERIAL_BITMAP, &bits(u64::MAX, &[2])),
                "impossible",
            ),
            (certificates(KEY_IDS, &string(b"a\0b")), "malformed key id"),
            (
                certificates(CERTIFICATE_EXTENSION, &critical),
                "critical extension `x`",
            ),
            (
                section(CERTIFICATES, &[string(b"key"), string(b"")].concat()),
                "authority",
            ),
        ];
        for (bytes, wanted) in cases {
            let why = parse(std::slice::from_ref(&bytes)).unwrap_err();
            assert!(why.contains(wanted), "{bytes:?}: {why}");
        }
    }

    #[test]
    fn what_may_be_ignored_is() {
        let harmless = [string(b"x"), vec![0], string(b"y")].concat();
        let signature = [section(SIGNATURE, b"key"), string(b"signature")].concat();
        let krl = parse(&[
            section(EXTENSION, &harmless),
            certificates(CERTIFICATE_EXTENSION, &harmless),
            certificates(SERIAL_BITMAP, &bits(u64::MAX, &[1])),
            certificates(SERIAL_BITMAP, &bits(9, &[])),
            signature.clone(),
            signature,
        ]);
        assert!(krl.is_ok(), "{krl:?}");
        assert!(Krl::parse(b"ssh-ed25519 AAAA").is_none());
        assert!(Krl::parse(MAGIC).unwrap().is_err());
    }

    #[test]
    fn a_bitmap_counts_from_its_last_bit() {
        let (offset, bits) = bitmap(100, &[0, 0b1000_0001 >> 1, 0b0000_0101]).unwrap();
        let set: Vec<u64> = (0..40).filter(|bit| is_set(&bits, *bit)).collect();
        assert_eq!((offset, set), (100, vec![0, 2, 14]));
        assert!(!is_set(&bits, u64::MAX));
    }
}
