//! A list of revoked keys: a KRL, or keys one a line.
#![no_main]

use clawfleet::ssh::RevokedKeys;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = RevokedKeys::parse(data);
});
