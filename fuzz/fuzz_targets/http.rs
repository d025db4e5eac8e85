//! What a port answers.
#![no_main]

use clawfleet::probe::{Nonce, is_gateway_body, parse_on_host};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = is_gateway_body(data);
    let _ = parse_on_host(&String::from_utf8_lossy(data), &Nonce::new(1));
});
