//! DNS messages, as far as a question for SSHFP needs them (RFC 1035, RFC 6891, RFC 4255).

use std::fmt::Write as _;

use base64ct::{Base64Unpadded, Encoding as _};

use crate::model::{Claim, KeyKind};

/// The type of a record with a fingerprint.
const SSHFP: u16 = 44;
/// The type of a record with another name.
const CNAME: u16 = 5;
/// The type of the record that extends a question.
const OPT: u16 = 41;
/// The class of all of them.
const IN: u16 = 1;
/// The largest answer that is taken over UDP: no network on the way splits it.
pub(super) const LARGEST_UDP: u16 = 1232;
/// How many pointers a name may have; every sane one has a few.
const MAX_POINTERS: usize = 32;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 255;

const RESPONSE: u16 = 0x8000;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const AUTHENTIC: u16 = 0x0020;
const CODE: u16 = 0x000f;

/// Makes a question. It asks for the AD bit (RFC 6840, 5.7). `None` for what is no name in DNS.
pub(super) fn question(id: u16, name: &str) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(64);
    for word in [id, RECURSION_DESIRED | AUTHENTIC, 1, 0, 0, 1] {
        message.extend(word.to_be_bytes());
    }
    let before = message.len();
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok()?;
        if !(1..=63).contains(&length) {
            return None;
        }
        message.push(length);
        message.extend(label.bytes());
    }
    message.push(0);
    if message.len() - before > LONGEST_NAME {
        return None;
    }
    for word in [SSHFP, IN] {
        message.extend(word.to_be_bytes());
    }
    // An empty name, the type, the size that is taken, no flags, no options.
    message.push(0);
    for word in [OPT, LARGEST_UDP, 0, 0, 0] {
        message.extend(word.to_be_bytes());
    }
    Some(message)
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Whether the rest must be asked for over TCP.
    pub(super) truncated: bool,
    /// Whether the server says that it checked the signatures.
    pub(super) authentic: bool,
    /// The code: 0 for an answer, 3 for a name that does not exist.
    pub(super) code: u16,
    /// The records with fingerprints.
    pub(super) claims: Vec<Claim>,
}

/// Reads an answer to a question; `None` if it is none.
pub(super) fn answer(question: &[u8], message: &[u8]) -> Option<Answer> {
    let mut reader = Reader { message, at: 0 };
    let mut asked = Reader {
        message: question,
        at: 0,
    };
    let (id, flags) = (reader.u16()?, reader.u16()?);
    let (questions, answers) = (reader.u16()?, reader.u16()?);
    reader.skip(4)?;
    if Some(id) != asked.u16() || flags & RESPONSE == 0 || questions != 1 {
        return None;
    }
    asked.skip(10)?;
    let name = asked.name()?;
    if reader.name()? != name || (reader.u16()?, reader.u16()?) != (SSHFP, IN) {
        return None;
    }
    let mut answer = Answer {
        truncated: flags & TRUNCATED != 0,
        authentic: flags & AUTHENTIC != 0,
        code: flags & CODE,
        claims: Vec::new(),
    };
    if answer.truncated {
        return Some(answer);
    }
    // The name, and the names that it leads to.
    let mut names = vec![name];
    for _ in 0..answers {
        let owner = reader.name()?;
        let (kind, class) = (reader.u16()?, reader.u16()?);
        reader.skip(4)?;
        let length = usize::from(reader.u16()?);
        let start = reader.at;
        let data = reader.take(length)?;
        if class != IN || !names.contains(&owner) {
            continue;
        }
        match kind {
            CNAME => {
                let mut target = Reader { message, at: start };
                names.push(target.name()?);
            }
            SSHFP => answer.claims.extend(claim(data)),
            _ => {}
        }
    }
    Some(answer)
}

/// Reads a record. Kinds of key and of digest that are not known are passed over.
fn claim(data: &[u8]) -> Option<Claim> {
    let (head, digest) = data.split_at_checked(2)?;
    let kind = match head.first()? {
        1 => KeyKind::Rsa,
        3 => KeyKind::Ecdsa,
        4 => KeyKind::Ed25519,
        _ => return None,
    };
    let (name, length) = match head.get(1)? {
        1 => ("SHA1", 20),
        2 => ("SHA256", 32),
        _ => return None,
    };
    (digest.len() == length).then(|| Claim {
        kind: Some(kind),
        fingerprint: format!("{name}:{}", Base64Unpadded::encode_string(digest)),
        revoked: false,
    })
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.message.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.take(length).map(|_| ())
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// Reads a name in lower case. A pointer leads backwards, and there are only so many.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut after = None;
        let mut pointers = 0;
        loop {
            let length = self.u8()?;
            match length >> 6 {
                0 if length == 0 => break,
                0 => {
                    for byte in self.take(usize::from(length))? {
                        let byte = byte.to_ascii_lowercase();
                        if byte.is_ascii_graphic() && byte != b'.' && byte != b'\\' {
                            name.push(char::from(byte));
                        } else {
                            // Writing to a String cannot fail.
                            let _ = write!(name, "\\{byte:03}");
                        }
                    }
                    name.push('.');
                    if name.len() > 4 * LONGEST_NAME {
                        return None;
                    }
                }
                3 => {
                    let low = usize::from(self.u8()?);
                    let target = usize::from(length & 0x3f) << 8 | low;
                    pointers += 1;
                    if pointers > MAX_POINTERS || target + 2 > self.at {
                        return None;
                    }
                    after = after.or(Some(self.at));
                    self.at = target;
                }
                _ => return None,
            }
        }
        self.at = after.unwrap_or(self.at);
        Some(name)
    }
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

    /// An answer with an alias, and a record for what it leads to.
    fn reply(question: &[u8], flags: u16) -> Vec<u8> {
        let mut message = question[..question.len() - 11].to_vec();
        message[2..4].copy_from_slice(&(RESPONSE | flags).to_be_bytes());
        message[6..8].copy_from_slice(&3_u16.to_be_bytes());
        message[10..12].copy_from_slice(&[0, 0]);
        // vm151.example CNAME real.(example)
        message.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 7]);
        let target = message.len();
        message.extend([4, b'R', b'e', b'a', b'l', 0xc0, 18]);
        let pointer = [0xc0, u8::try_from(target).unwrap()];
        message.extend(pointer);
        message.extend([0, 44, 0, 1, 0, 0, 0, 9, 0, 34, 4, 2]);
        message.extend([7; 32]);
        // Somebody else's record.
        message.extend([1, b'x', 0, 0, 44, 0, 1, 0, 0, 0, 9, 0, 22, 1, 1]);
        message.extend([7; 20]);
        message
    }

    #[test]
    fn an_answer_by_another_name_is_read() {
        let question = question(7, "vm151.example.").unwrap();
        let read = answer(&question, &reply(&question, AUTHENTIC)).unwrap();
        assert!(read.authentic && !read.truncated);
        assert_eq!(read.code, 0);
        assert_eq!(read.claims.len(), 1);
        assert_eq!(read.claims[0].kind, Some(KeyKind::Ed25519));
        assert!(read.claims[0].fingerprint.starts_with("SHA256:BwcH"));
    }

    #[test]
    fn what_answers_another_question_is_no_answer() {
        let asked = question(7, "vm151.example").unwrap();
        for other in [question(8, "vm151.example"), question(7, "vm152.example")] {
            assert_eq!(answer(&asked, &reply(&other.unwrap(), 0)), None);
        }
        assert_eq!(answer(&asked, &asked), None);
        assert!(answer(&asked, &reply(&asked, TRUNCATED)).unwrap().truncated);
    }

    #[test]
    fn what_is_no_name_is_not_asked_for() {
        for name in ["", "a..b", &"x".repeat(64), &"x.".repeat(200)] {
            assert_eq!(question(1, name), None, "{name}");
        }
    }

    #[test]
    fn a_name_that_points_to_itself_ends() {
        let asked = question(7, "a").unwrap();
        let mut message = asked.clone();
        message[2] = 0x80;
        message[12..14].copy_from_slice(&[0xc0, 12]);
        assert_eq!(answer(&asked, &message), None);
    }

    proptest! {
        #[test]
        fn anything_may_come_back(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let asked = question(7, "vm151.example").unwrap();
            let mut message = reply(&asked, 0);
            message.truncate(40);
            message.extend(&tail);
            let _ = answer(&asked, &message);
            let _ = answer(&asked, &tail);
        }
    }
}
