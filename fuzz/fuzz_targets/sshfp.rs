//! An answer of a name server with fingerprints.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = clawfleet::ssh::read_answer("a.example", data);
});
