//! New keys: which are written, where, and how.

use std::process::Command;

use russh::keys::PrivateKey;
use tokio::io::AsyncWriteExt as _;

use crate::support::fake::{self, Behaviour, Forward};
use crate::support::lab::{Lab, fingerprint, set_mode};
use crate::support::program;
use crate::{known_hosts, trust};

/// Makes a key of any kind, as `ssh-keygen` does.
fn key_of_kind(lab: &Lab, kind: &str) -> PrivateKey {
    let path = lab.keygen(&format!("host-{kind}"), &["-t", kind]);
    russh::keys::load_secret_key(path, None).unwrap()
}

#[test]
fn new_hosts_are_enrolled_with_every_kind_of_key_and_a_second_run_writes_nothing() {
    let mut lab = Lab::new();
    let keys: Vec<PrivateKey> = ["ed25519", "ecdsa", "rsa"]
        .map(|kind| key_of_kind(&lab, kind))
        .into();
    let prints: Vec<String> = keys
        .iter()
        .map(|key| fingerprint(key.public_key()))
        .collect();
    let server = lab.fake_with_keys(Behaviour::default(), keys);
    lab.add("three", server.port, "");
    let other = lab.fake_with_key(Behaviour::default(), fake::new_key());
    lab.add("one", other.port, "");
    let run = trust(&lab, &["--yes", "--unvouched"]);
    run.exits(0).complains(&[
        "New keys that nobody vouches for",
        "ED25519",
        "ECDSA",
        "RSA",
    ]);
    for print in &prints {
        run.complains(&[print]);
    }
    let file = lab.path("known_hosts");
    assert_eq!(
        run.out(),
        format!("enrolled 4 keys of 2 hosts in {}\n", file.display())
    );
    // ssh's own tools find the same.
    let name = format!("[127.0.0.1]:{}", server.port);
    let mut found = Command::new("ssh-keygen");
    let found = lab.tool(found.args(["-l", "-F", &name, "-f"]).arg(&file));
    for print in &prints {
        assert!(found.contains(print), "{found}");
    }
    lab.check().exits(0).host("three").is_observed_in_full();
    let before = known_hosts(&lab);
    let again = trust(&lab, &[]);
    again.exits(0);
    assert_eq!(again.out(), "2 hosts: all keys are known\n");
    assert_eq!(known_hosts(&lab), before);
}

#[test]
fn ssh_itself_takes_what_was_enrolled() {
    let mut lab = Lab::new();
    let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
    lab.add("new", server.port, "");
    trust(&lab, &["--yes", "--unvouched"]).exits(0);
    let known = format!("UserKnownHostsFile={}", lab.path("known_hosts").display());
    let said = lab.tool(
        Command::new("ssh")
            .args(["-F", "none", "-o", "BatchMode=yes", "-o", &known])
            .args(["-o", "StrictHostKeyChecking=yes", "-i"])
            .arg(lab.path("key"))
            .args([
                "-p",
                &server.port.to_string(),
                "tester@127.0.0.1",
                "echo",
                "in",
            ]),
    );
    assert_eq!(said, "in\n");
}

#[test]
fn without_a_terminal_nothing_is_asked_and_nothing_is_written() {
    let mut lab = Lab::new();
    let key = fake::new_key();
    let print = fingerprint(key.public_key());
    let server = lab.fake_with_key(Behaviour::default(), key);
    lab.add("new", server.port, "");
    let run = trust(&lab, &[]);
    run.exits(64)
        .prints_nothing()
        .complains(&[&print, "no terminal", "--yes --unvouched"]);
    assert_eq!(known_hosts(&lab), "");
    // `--yes` alone takes only what somebody vouches for.
    trust(&lab, &["--yes"])
        .exits(1)
        .prints_nothing()
        .complains(&["nobody vouches for them"]);
    assert_eq!(known_hosts(&lab), "");
    // A selector must be given, and --unvouched is nothing without --yes.
    program::run(lab.command(&["hosts", "trust"])).exits(64);
    trust(&lab, &["--unvouched"]).exits(64);
}

#[test]
fn nobody_logs_in() {
    let mut lab = Lab::new();
    let behaviour = Behaviour {
        greeting: Some("welcome".to_owned()),
        ..Behaviour::default()
    };
    let passwords = std::sync::Arc::clone(&behaviour.passwords);
    let server = lab.fake_with_key(behaviour, fake::new_key());
    lab.add(
        "new",
        server.port,
        "password: {command: \"touch asked; echo x\"}",
    );
    trust(&lab, &["--yes", "--unvouched"]).exits(0);
    assert!(passwords.lock().unwrap().is_empty());
    assert!(!lab.path("asked").exists());
    // One connection for each kind of key.
    assert_eq!(server.accepted(), 3);
}

#[test]
fn names_are_hashed_aliased_and_have_their_port() {
    let mut lab = Lab::new();
    lab.write(
        ".ssh/config",
        "Host hashed\n HashKnownHosts yes\nHost *\n HashKnownHosts no\nHost alias\n HostKeyAlias cluster\n",
    );
    let mut names = vec!["cluster".to_owned()];
    for name in ["plain", "alias", "hashed"] {
        let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
        lab.add(name, server.port, "");
        if name != "alias" {
            names.push(format!("[127.0.0.1]:{}", server.port));
        }
    }
    trust(&lab, &["--yes", "--unvouched"]).exits(0);
    let text = known_hosts(&lab);
    assert_eq!(text.lines().count(), 3, "{text}");
    assert_eq!(text.matches("[127.0.0.1]:").count(), 1, "{text}");
    assert_eq!(text.matches("cluster ssh-ed25519").count(), 1, "{text}");
    assert_eq!(text.matches("|1|").count(), 1, "{text}");
    for name in names {
        let mut find = Command::new("ssh-keygen");
        let found = lab.tool(find.args(["-F", &name, "-f"]).arg(lab.path("known_hosts")));
        assert!(found.contains("ssh-ed25519"), "{name}: {found}");
    }
    let checked = lab.check();
    checked.exits(0);
    trust(&lab, &[]).exits(0);
}

#[test]
fn fifty_hosts_are_looked_at_at_once() {
    let mut lab = Lab::new();
    for number in 1..=50 {
        let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
        lab.add(&format!("host{number}"), server.port, "");
    }
    let run = trust(&lab, &["--yes", "--unvouched"]);
    run.exits(0);
    assert!(
        run.out().contains("enrolled 50 keys of 50 hosts"),
        "{}",
        run.out()
    );
    assert_eq!(known_hosts(&lab).lines().count(), 50);
    // Fifty probes of this machine at once would take longer than the look.
    trust(&lab, &[]).exits(0).complains(&[]);
}

#[test]
fn hosts_that_share_a_key_are_one_row() {
    let mut lab = Lab::new();
    let key = fake::new_key();
    let print = fingerprint(key.public_key());
    for number in 1..=5 {
        let server = lab.fake_with_key(Behaviour::default(), key.clone());
        lab.add(&format!("VM{number}"), server.port, "");
    }
    let run = trust(&lab, &["--yes", "--unvouched"]);
    run.exits(0).complains(&["VM[1-5]"]);
    assert_eq!(run.stderr.matches(&print).count(), 1, "{}", run.stderr);
}

#[test]
fn hosts_that_are_not_reached_are_told_and_the_others_go_on() {
    let mut lab = Lab::new();
    let port = lab.closed_port();
    lab.add("down", port, "");
    let hostile = lab.raw(|mut stream| async move {
        // It may be hung up on at any moment.
        let _ = stream
            .write_all(b"HTTP/1.0 400 \x1b[2J\x1b]0;owned\x07\r\n\r\n")
            .await;
    });
    lab.add("hostile", hostile.port, "");
    let silent = lab.raw(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    });
    lab.add("silent", silent.port, "timeouts: {kex: 1}");
    let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
    lab.add("new", server.port, "");
    let run = trust(&lab, &["--yes", "--unvouched"]);
    run.exits(3).complains(&[
        "3 hosts not seen",
        "connection refused",
        "no SSH server",
        "no SSH banner",
    ]);
    assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
    assert!(
        run.out().contains("enrolled 1 key of 1 host"),
        "{}",
        run.out()
    );
}

#[test]
fn host_key_algorithms_say_which_kinds_are_asked_for() {
    let mut lab = Lab::new();
    lab.write(".ssh/config", "HostKeyAlgorithms rsa-sha2-512\n");
    let keys = ["ed25519", "rsa"]
        .map(|kind| key_of_kind(&lab, kind))
        .into();
    let server = lab.fake_with_keys(Behaviour::default(), keys);
    lab.add("both", server.port, "");
    let only = lab.fake_with_key(Behaviour::default(), fake::new_key());
    lab.add("only", only.port, "");
    let run = trust(&lab, &["--yes", "--unvouched"]);
    run.exits(3).complains(&["HostKeyAlgorithms"]);
    let text = known_hosts(&lab);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("ssh-rsa"), "{text}");
}

#[test]
fn another_kind_of_key_of_a_known_host_is_a_question_of_its_own() {
    let mut lab = Lab::new();
    let keys: Vec<PrivateKey> = ["ed25519", "rsa"]
        .map(|kind| key_of_kind(&lab, kind))
        .into();
    let known = keys[0].public_key().clone();
    let server = lab.fake_with_keys(Behaviour::default(), keys);
    lab.trust(server.port, &known);
    lab.add("known", server.port, "");
    let run = trust(&lab, &["--yes", "--unvouched"]);
    run.exits(0).complains(&["More kinds of key"]);
    assert!(
        run.out().contains("enrolled 1 key of 1 host"),
        "{}",
        run.out()
    );
    assert_eq!(known_hosts(&lab).lines().count(), 2);
}

#[test]
fn a_host_with_a_certificate_needs_no_key() {
    let mut lab = Lab::new();
    let authority = lab.keygen("authority", &["-t", "ed25519"]);
    let host = lab.keygen("host", &["-t", "ed25519"]);
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-q", "-h", "-I", "host", "-n", "127.0.0.1", "-s"]);
    lab.tool(sign.arg(&authority).arg(host.with_extension("pub")));
    let certificate = std::fs::read_to_string(lab.path("host-cert.pub")).unwrap();
    let key = russh::keys::load_secret_key(&host, None).unwrap();
    let config = russh::server::Config {
        certificates: vec![certificate.parse().unwrap()],
        keys: vec![key],
        ..russh::server::Config::default()
    };
    let server = lab.fake_with_config(Behaviour::default(), config.into());
    let authority = std::fs::read_to_string(authority.with_extension("pub")).unwrap();
    let authority = russh::keys::PublicKey::from_openssh(&authority).unwrap();
    lab.known_hosts_line("@cert-authority ", server.port, &authority);
    lab.add("certified", server.port, "");
    let run = trust(&lab, &[]);
    run.exits(0);
    assert_eq!(run.out(), "1 host: all keys are known\n");
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_host_behind_a_proxy_command_is_enrolled() {
    let mut lab = Lab::new();
    let key = fake::new_key();
    let jump = lab.fake(Behaviour {
        forward: Forward::Connect,
        ..Behaviour::default()
    });
    let server = lab.fake_with_key(Behaviour::default(), key);
    let forward = format!(
        "ssh -F none -i {key} -o UserKnownHostsFile={known} -p {jump} -W 127.0.0.1:{port} tester@127.0.0.1",
        key = lab.path("key").display(),
        known = lab.path("known_hosts").display(),
        jump = jump.port,
        port = server.port
    );
    lab.write(
        ".ssh/config",
        format!(
            "Host proxied\n HashKnownHosts no\n ProxyCommand {forward}\n HostName far.example\n"
        ),
    );
    lab.add_at("proxied", "far.example", 22, "");
    trust(&lab, &["--yes", "--unvouched"]).exits(0);
    let text = known_hosts(&lab);
    assert!(text.contains("\nfar.example ssh-ed25519"), "{text}");
    lab.check().exits(0);
}

#[test]
fn a_file_that_cannot_be_written_is_said_and_nothing_is_lost() {
    let mut lab = Lab::new();
    let dir = lab.path("not-a-file");
    std::fs::create_dir(&dir).unwrap();
    let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
    lab.add(
        "new",
        server.port,
        &format!("known_hosts: {}", dir.display()),
    );
    let run = trust(&lab, &["--yes", "--unvouched"]);
    run.exits(2).complains(&["REFUSED", "cannot be read"]);
}

#[test]
fn a_file_that_is_not_written_keeps_no_other_from_it() {
    let mut lab = Lab::new();
    let shared = lab.path("shared");
    std::fs::create_dir(&shared).unwrap();
    set_mode(&shared, 0o777);
    // Anybody could have put the link there.
    let link = shared.join("known_hosts");
    std::os::unix::fs::symlink(lab.path("elsewhere"), &link).unwrap();
    for (name, settings) in [
        ("bad", format!("known_hosts: {}", link.display())),
        ("good", String::new()),
    ] {
        let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
        lab.add(name, server.port, &settings);
    }
    let run = trust(&lab, &["--yes", "--unvouched"]);
    run.exits(70)
        .complains(&["that file is as it was", "where anybody may write"]);
    assert!(
        run.out().contains("enrolled 1 key of 1 host"),
        "{}",
        run.out()
    );
    assert_eq!(known_hosts(&lab).lines().count(), 1);
    assert!(!lab.path("elsewhere").exists());
}

#[test]
fn a_file_that_is_not_there_is_made() {
    let mut lab = Lab::new();
    let file = lab.path("new/place/known_hosts");
    let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
    lab.add(
        "new",
        server.port,
        &format!("known_hosts: {}", file.display()),
    );
    trust(&lab, &["--yes", "--unvouched"]).exits(0);
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 1);
    lab.check().exits(0);
}
