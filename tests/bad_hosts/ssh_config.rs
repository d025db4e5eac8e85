//! Connections as OpenSSH's files have them.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::support::fake::{self, Behaviour, Forward};
use crate::support::lab::{Lab, Server};
use crate::support::program;

/// A lab whose hosts are described by an ssh_config alone.
fn with_config(lab: &Lab, text: &str) -> String {
    let path = lab.write("ssh_config", text);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, mode).unwrap();
    format!("ssh: {{config: {}}}", path.display())
}

fn check_named(lab: &Lab, hosts: &str) -> crate::support::report::Checked {
    let inventory = lab.write("named.yaml", hosts);
    let mut command = program::clawfleet(lab.home());
    command
        .arg("-i")
        .arg(inventory)
        .args(["--format", "json", "check", "all"]);
    let names: Vec<String> = ["one", "two"]
        .iter()
        .filter(|name| hosts.contains(&format!("{name}:")))
        .map(|name| (*name).to_owned())
        .collect();
    crate::support::report::Checked::of(program::run(command), &names)
}

fn block(lab: &Lab, port: u16) -> String {
    format!(
        "HostName 127.0.0.1\nPort {port}\nUser tester\nIdentityFile {key}\nUserKnownHostsFile {known}\n",
        key = lab.path("key").display(),
        known = lab.path("known_hosts").display(),
    )
}

#[test]
fn an_alias_of_the_file_is_enough() {
    let lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    let ssh = with_config(&lab, &format!("Host one\n{}", block(&lab, server.port)));
    let hosts = format!("defaults: {{role: none, {ssh}}}\nhosts: {{one: {{}}}}\n");
    let checked = check_named(&lab, &hosts);
    checked.exits(0).host("one").is_observed_in_full();
}

#[test]
fn a_jump_of_the_file_is_taken_and_shared() {
    let lab = Lab::new();
    let jump = lab.fake(Behaviour {
        forward: Forward::Connect,
        ..Behaviour::default()
    });
    let (one, two) = (
        lab.fake(Behaviour::default()),
        lab.fake(Behaviour::default()),
    );
    let ssh = with_config(
        &lab,
        &format!(
            "Host one\n{}ProxyJump jump\nHost two\n{}ProxyJump jump\nHost jump\n{}",
            block(&lab, one.port),
            block(&lab, two.port),
            block(&lab, jump.port)
        ),
    );
    let hosts = format!("defaults: {{role: none, {ssh}}}\nhosts: {{one: {{}}, two: {{}}}}\n");
    let checked = check_named(&lab, &hosts);
    checked.exits(0).host("two").is_observed_in_full();
    assert_eq!(jump.accepted(), 1);
}

#[test]
fn a_proxy_command_carries_the_connection() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    let command = "bash -c 'exec 3<>/dev/tcp/%h/%p; cat <&3 & cat >&3; kill $!'";
    let settings = format!("ssh: {{options: {{ProxyCommand: \"{command}\"}}}}");
    lab.add("one", server.port, &settings);
    lab.check().exits(0).host("one").is_observed_in_full();
}

#[test]
fn a_proxy_command_that_fails_is_quoted() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    let command = "sh -c 'echo no way through >&2; exit 1'";
    let settings =
        format!("ssh: {{options: {{ProxyCommand: \"{command}\"}}}}, timeouts: {{host: 3s}}");
    lab.add("one", server.port, &settings);
    let checked = lab.check();
    checked.exits(3).host("one").is("unreachable").at("banner");
    checked
        .host("one")
        .says(&["ProxyCommand", "no way through"]);
    assert_eq!(server.accepted(), 0);
}

#[test]
fn a_new_key_is_taken_where_the_settings_say_so_and_a_changed_one_never() {
    let mut lab = Lab::new();
    let key = fake::new_key();
    let server = lab.fake_with_key(Behaviour::default(), key.clone());
    let settings = "ssh: {options: {StrictHostKeyChecking: accept-new, HashKnownHosts: \"no\"}}";
    lab.add("one", server.port, settings);
    let first = lab.check();
    first.exits(0).host("one").is_observed_in_full();
    assert!(
        first.run.stderr.contains("taken on trust"),
        "{}",
        first.run.stderr
    );
    let known = std::fs::read_to_string(lab.path("known_hosts")).unwrap();
    let written = known.lines().last().unwrap();
    assert!(written.starts_with(&format!("[127.0.0.1]:{} ssh-ed25519 ", server.port)));
    // The second run knows it.
    let second = lab.check();
    second.exits(0);
    assert!(!second.run.stderr.contains("taken on trust"));
    // Another key at the same place is refused, also by `no`.
    for word in ["accept-new", "no", "off"] {
        let mut lab = Lab::new();
        let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
        lab.trust(server.port, fake::new_key().public_key());
        let settings = format!("ssh: {{options: {{StrictHostKeyChecking: \"{word}\"}}}}");
        lab.add("one", server.port, &settings);
        lab.check()
            .exits(3)
            .host("one")
            .is("host-key-rejected")
            .says(&["HOST KEY CHANGED"]);
    }
}

/// Puts a server in front of another; what it does first is the test's.
fn in_front<W: Future<Output = ()> + Send + 'static>(
    lab: &Lab,
    port: u16,
    first: impl Fn() -> W + Send + Sync + 'static,
) -> Server {
    let first = Arc::new(first);
    lab.raw(move |mut stream| {
        let first = Arc::clone(&first);
        async move {
            first().await;
            let mut onward = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
        }
    })
}

#[test]
fn a_key_is_not_new_if_another_one_came_in_during_the_run() {
    let mut lab = Lab::new();
    let behaviour = Behaviour {
        login: fake::Login::Refuse,
        ..Behaviour::default()
    };
    let server = lab.fake_with_key(behaviour, fake::new_key());
    let line = fake::new_key().public_key().to_openssh().unwrap();
    let text = format!("one {line}\n");
    let file = lab.path("known_hosts");
    let front = in_front(&lab, server.port, move || {
        std::fs::write(&file, &text).unwrap();
        std::future::ready(())
    });
    lab.add(
        "one",
        front.port,
        "ssh: {options: {StrictHostKeyChecking: accept-new, HostKeyAlias: one}}",
    );
    let checked = lab.check();
    checked
        .exits(3)
        .host("one")
        .is("host-key-rejected")
        .at("host-key")
        .says(&["HOST KEY CHANGED", "known_hosts:1"]);
}

#[test]
fn of_two_hosts_with_one_alias_only_one_can_bring_a_new_key() {
    for writable in [true, false] {
        let mut lab = Lab::new();
        let known = lab.path("known_hosts");
        for name in ["one", "two"] {
            let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
            // Both are on their way before either shows its key.
            let front = in_front(&lab, server.port, || {
                tokio::time::sleep(Duration::from_millis(200))
            });
            let settings =
                "ssh: {options: {StrictHostKeyChecking: accept-new, HostKeyAlias: both}}";
            lab.add(name, front.port, settings);
        }
        if !writable {
            // A lock that is a directory cannot be taken.
            std::fs::create_dir(known.with_file_name("known_hosts.lock")).unwrap();
        }
        let checked = lab.check();
        checked.exits(3);
        let rejected = ["one", "two"]
            .iter()
            .filter(|name| checked.host(name).0["outcome"] == "host-key-rejected")
            .count();
        assert_eq!(rejected, 1, "{}", checked.run.out());
    }
}

#[test]
fn what_is_not_supported_and_matters_names_file_line_and_remedy() {
    let cases = [
        ("Host *\nBindInterface eth0\n", ":2", "BindInterface"),
        (
            "Host *\n  KnownHostsCommand /bin/x\n",
            ":2",
            "KnownHostsCommand",
        ),
        ("Match exec true\nUser x\n", ":1", "match_exec"),
        ("Host *\nProxyJmp x\n", ":2", "ProxyJump"),
        ("Host *\nPort many\n", ":2", "Port"),
    ];
    for (text, line, word) in cases {
        let mut lab = Lab::new();
        let server = lab.fake(Behaviour::default());
        let ssh = with_config(&lab, text);
        lab.add("one", server.port, &ssh);
        let run = program::run(lab.command(&["check", "all"]));
        let place = format!("{}{line}", lab.path("ssh_config").display());
        run.exits(78).complains(&[&place, word]);
        assert_eq!(server.accepted(), 0, "{text}");
    }
}

#[test]
fn the_connection_is_shown_with_its_origins() {
    let mut lab = Lab::new();
    let ssh = with_config(&lab, "Host one\nProxyJump gate\nHost gate\nUser keeper\n");
    lab.add("one", 2222, &ssh);
    let run = program::run(lab.command(&["inventory", "show", "one", "--ssh"]));
    run.exits(0);
    let out = run.out();
    for wanted in [
        "one  keeper@gate:22 -> tester@127.0.0.1:2222",
        "ssh_config:2",
        "host one, line",
        "built in",
    ] {
        assert!(out.contains(wanted), "`{wanted}` is not in\n{out}");
    }
}

#[test]
fn a_jump_that_is_a_host_of_the_inventory_is_that_host() {
    let mut lab = Lab::new();
    let jump = lab.fake(Behaviour {
        forward: Forward::Connect,
        ..Behaviour::default()
    });
    let server = lab.fake(Behaviour::default());
    lab.add("gate", jump.port, "");
    lab.add("one", server.port, "ssh: {jump: gate}");
    let checked = lab.check();
    checked.exits(0).host("one").is_observed_in_full();
    // Once as itself, once as the way to the other.
    assert_eq!(jump.accepted(), 2);
}

#[test]
fn a_secret_of_the_environment_goes_to_no_host_and_to_no_proxy() {
    let mut lab = Lab::new();
    let behaviour = Behaviour::default();
    let server = lab.fake(behaviour.clone());
    let script = lab.write_program(
        "proxy",
        "proxy",
        "#!/bin/bash\nenv >\"$HOME/proxy-env\"\nexec 3<>/dev/tcp/$1/$2; cat <&3 & cat >&3; kill $!\n",
    );
    let settings = format!(
        "password: {{env: LOGIN_SECRET}}, ssh: {{options: {{SendEnv: \"*\", SetEnv: SET_BY=us, ProxyCommand: \"{}/proxy %h %p\"}}}}",
        script.display()
    );
    lab.add("one", server.port, &settings);
    let mut command = lab.command(&["--format", "json", "check", "all"]);
    command.env("LOGIN_SECRET", "sesame").env("HARMLESS", "yes");
    program::run(command).exits(0);
    let sent = behaviour.environment.lock().unwrap().clone();
    let names: Vec<&str> = sent.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        names.contains(&"HARMLESS") && names.contains(&"SET_BY"),
        "{names:?}"
    );
    assert!(!names.contains(&"LOGIN_SECRET"), "{names:?}");
    let proxy = std::fs::read_to_string(lab.path("proxy-env")).unwrap();
    assert!(proxy.contains("HARMLESS=yes"));
    assert!(!proxy.contains("sesame"), "{proxy}");
}

#[test]
fn connect_timeout_limits_the_wait_for_the_first_line_behind_a_proxy() {
    let mut lab = Lab::new();
    let settings = "ssh: {options: {ProxyCommand: sleep 30, ConnectTimeout: 1}}";
    lab.add("one", 22, settings);
    let checked = lab.check();
    checked.exits(3).host("one").is("timed-out").at("banner");
    checked.within(Duration::from_secs(5));
}

#[test]
fn a_proxy_command_that_ends_without_a_word_is_not_taken_for_a_busy_server() {
    let mut lab = Lab::new();
    lab.add("one", 22, "ssh: {options: {ProxyCommand: \"true\"}}");
    let checked = lab.check();
    checked
        .exits(3)
        .host("one")
        .is("unreachable")
        .at("banner")
        .says(&["without a word, 4 times"]);
}
