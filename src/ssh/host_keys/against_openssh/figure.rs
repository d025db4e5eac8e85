//! What a large file costs.

use std::time::Instant;

use russh::keys::PublicKey;

use super::super::*;
use super::Lab;

/// Prints what a large file costs; `cargo test --release -- --ignored --nocapture a_large_file`.
#[test]
#[ignore = "a figure"]
fn a_large_file_of_hashed_names_costs_little() {
    const LINES: usize = 20_000;
    const HOSTS: usize = 1_000;
    let lab = Lab::new();
    let key = |number: usize| {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        let pair = russh::keys::ssh_key::private::Ed25519Keypair::from_seed(&seed);
        PublicKey::from(russh::keys::ssh_key::public::Ed25519PublicKey::from(&pair))
    };
    let keys: Vec<PublicKey> = (0..LINES).map(key).collect();
    let entries: Vec<NewEntry> = keys
        .iter()
        .enumerate()
        .map(|(number, key)| NewEntry {
            names: vec![format!("host{number}.ex.com")],
            key: key.clone(),
        })
        .collect();
    let timed = |what: &str, start: Instant| {
        println!("{what}: {:.1} ms", start.elapsed().as_secs_f64() * 1e3)
    };
    let path = lab.path("known_hosts");
    let start = Instant::now();
    enrol(&path, &entries, true, &[]).unwrap();
    timed("enrol 20,000 lines at once", start);
    let start = Instant::now();
    let known = HostKeyStore::default().open_files([&path], None);
    timed("read and index 20,000 hashed lines", start);
    let servers: Vec<ServerName> = (0..HOSTS)
        .map(|number| ServerName::new(&format!("host{}.ex.com", number * 20), 22))
        .collect();
    let start = Instant::now();
    for (number, server) in servers.iter().enumerate() {
        known.algorithms(server);
        assert!(known.check_key(server, &keys[number * 20]).is_trusted());
    }
    timed("1,000 known hosts", start);
    let stranger = key(LINES);
    let start = Instant::now();
    for server in &servers {
        assert!(!known.check_key(server, &stranger).is_trusted());
    }
    timed("1,000 hosts with another key", start);
    let start = Instant::now();
    for number in 0..20 {
        assert_eq!(
            lab.lines(&format!("host{number}.ex.com"), "known_hosts")
                .len(),
            1
        );
    }
    timed("20 of ssh-keygen -F", start);
}
