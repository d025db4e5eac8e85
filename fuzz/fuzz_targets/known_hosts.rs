//! A known_hosts file.
#![no_main]

use clawfleet::ssh::KnownHosts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let path = std::env::temp_dir().join(format!("clawfleet-fuzz-{}", std::process::id()));
    std::fs::write(&path, data).expect("a temporary file");
    let _ = KnownHosts::load(std::slice::from_ref(&path));
    let _ = std::fs::remove_file(&path);
});
