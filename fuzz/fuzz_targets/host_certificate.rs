//! A host certificate as a server sends it, judged by a file that trusts one authority.
#![no_main]

use std::sync::OnceLock;

use clawfleet::ssh::{KnownHosts, ServerName};
use libfuzzer_sys::fuzz_target;

/// The authority of the corpus, for which nothing else was ever signed.
const AUTHORITY: &str = include_str!("../corpus/authority.pub");
/// When the corpus is valid.
const NOW: u64 = 1_800_000_000;

fuzz_target!(|data: &[u8]| {
    static KNOWN: OnceLock<KnownHosts> = OnceLock::new();
    let known = KNOWN.get_or_init(|| KnownHosts::parse(&format!("@cert-authority h1 {AUTHORITY}")));
    let server = ServerName::new("h1", 22);
    if let Ok(verdict) = known.check_certificate_blob(&server, data, NOW) {
        let _ = format!("{verdict:?}");
    }
});
