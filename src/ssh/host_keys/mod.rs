//! What vouches for a host's key: OpenSSH's known_hosts, host certificates and revocation lists.
//!
//! russh has a reader of known_hosts that accepts revoked and negated keys, so all of this is ours.
//! Facts are those of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT", and of OpenSSH's PROTOCOL.certkeys
//! and PROTOCOL.krl. Nothing here says a word to operators: a verdict carries what they need.

mod certificate;
mod enrol;
mod key_file;
mod known_hosts;
mod krl;
mod line;
mod reader;
mod replace;
mod revoked;
mod server;
mod store;
mod verdict;
mod voucher;

#[cfg(test)]
mod against_openssh;

pub use certificate::CertificateFault;
pub(super) use enrol::enrol_first;
pub use enrol::{EnrolError, Enrolled, NewEntry, enrol};
pub use known_hosts::{KnownAlgorithms, KnownHosts};
pub use revoked::RevokedKeys;
pub use server::ServerName;
pub use store::HostKeyStore;
pub use verdict::{KeyVerdict, Place, RevokedBy, RevokedThing};
pub use voucher::{VoucherFault, Vouchers};
