//! Fingerprints in DNS (SSHFP, RFC 4255), and whether they are signed.
//!
//! Signatures are the resolver's to check: its word (the AD bit) counts only from this machine
//! itself, and only if resolv.conf says `trust-ad`. From farther away anybody on the way could have
//! said it. A resolver library that checks signatures by itself is fifty crates more.

mod message;
mod resolver;

pub use resolver::{Resolver, SshfpAnswer};

use crate::model::Claim;

/// Reads an answer to the question number 0 for a name, as it comes from the network. `None` if it
/// is none.
pub fn read_answer(name: &str, message: &[u8]) -> Option<Vec<Claim>> {
    let question = message::question(0, name)?;
    message::answer(&question, message).map(|answer| answer.claims)
}
