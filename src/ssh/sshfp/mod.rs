//! Fingerprints in DNS (SSHFP, RFC 4255), and whether they are signed.
//!
//! Signatures are the resolver's to check: its word (the AD bit) counts only from this machine
//! itself, and only if resolv.conf says `trust-ad`. From farther away anybody on the way could have
//! said it. A resolver library that checks signatures by itself is fifty crates more.

mod message;
mod resolver;

pub use resolver::{Resolver, SshfpAnswer};
