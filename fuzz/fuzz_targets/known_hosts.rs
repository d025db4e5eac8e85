//! A known_hosts file, and what it says about some servers.
#![no_main]

use clawfleet::ssh::{KnownHosts, ServerName};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let known = KnownHosts::parse(&String::from_utf8_lossy(data));
    for server in [
        ServerName::new("h1", 22),
        ServerName::new("a.ex.com", 2222),
        ServerName::new("::1", 22).with_alias(Some("alias")),
    ] {
        let shown = known.algorithms(&server);
        let scanned = known.algorithms_by_scan(&server);
        assert_eq!(shown.certificates, scanned.certificates);
    }
});
