//! A list of fingerprints that somebody vouches for.
#![no_main]

use clawfleet::ssh::{ServerName, Vouchers};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(vouchers) = Vouchers::parse(text) {
        let _ = vouchers.claims(&["VM151"], &ServerName::new("10.0.0.151", 22));
    }
    let _ = Vouchers::claims_of_one(text);
});
