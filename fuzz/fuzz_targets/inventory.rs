//! An inventory: valid, or an error with a place; never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match clawfleet::inventory::parse(text, "fuzz.yaml", "/root") {
        Ok(inventory) => assert!(!inventory.hosts.is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
