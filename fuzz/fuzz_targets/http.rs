//! What a port answers.
#![no_main]

use clawfleet::probe::{
    Nonce, greeting, is_challenge, is_gateway_body, may_name_version, models, page_version,
    parse_on_host, readiness, wants_tls,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = is_gateway_body(data);
    let _ = readiness(data);
    let _ = may_name_version(data);
    let _ = page_version(data);
    let _ = models(200, data);
    let _ = wants_tls(400, data);
    let text = String::from_utf8_lossy(data);
    let _ = is_challenge(&text);
    let _ = greeting(&text);
    let _ = parse_on_host(&text, &Nonce::new(1));
});
