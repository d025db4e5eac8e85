//! Trouble with our own keys.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::fake::{self, Behaviour};
use crate::support::lab::{Lab, set_mode};
use crate::support::program;
use crate::support::report::Checked;

const SOON: Duration = Duration::from_secs(3);

fn identity(path: &Path) -> String {
    format!("identity: {}", path.display())
}

/// A host with that identity between healthy ones: it must fail at auth, and never be dialled.
#[track_caller]
fn check_unusable(lab: &mut Lab, path: &Path, words: &[&str]) {
    let server = lab.fake(Behaviour::default());
    let checked = lab.check_bad(server.port, &identity(path));
    checked
        .bad()
        .is("auth-failed")
        .at("auth")
        .says(&[&path.display().to_string()])
        .says(words);
    checked.bad().took_at_most(SOON);
    assert_eq!(server.accepted(), 0, "there was nothing to log in with");
}

#[test]
fn an_identity_that_is_missing_is_named() {
    let mut lab = Lab::new();
    let path = lab.path("no/such/key");
    check_unusable(&mut lab, &path, &["no such file"]);
}

#[test]
fn an_identity_that_others_may_read_is_not_used() {
    let mut lab = Lab::new();
    let path = lab.keygen("open", &["-t", "ed25519"]);
    set_mode(&path, 0o644);
    check_unusable(&mut lab, &path, &["0644", "chmod 600"]);
}

#[test]
fn an_identity_that_the_group_may_read_is_not_used() {
    let mut lab = Lab::new();
    let path = lab.keygen("shared", &["-t", "ed25519"]);
    set_mode(&path, 0o640);
    check_unusable(&mut lab, &path, &["0640", "chmod 600"]);
}

#[test]
fn an_identity_that_is_no_key_is_named() {
    let mut lab = Lab::new();
    let path = lab.write("text", "this is no key\n");
    set_mode(&path, 0o600);
    check_unusable(&mut lab, &path, &["not a private key"]);
}

#[test]
fn an_identity_that_is_the_public_half_is_named() {
    let mut lab = Lab::new();
    let path = lab.keygen("pair", &["-t", "ed25519"]).with_extension("pub");
    // A public key may be read by everybody.
    set_mode(&path, 0o644);
    check_unusable(&mut lab, &path, &["is a public key", "ssh-add"]);
}

#[test]
fn an_identity_that_is_a_directory_is_named() {
    let mut lab = Lab::new();
    let path = lab.path("dir");
    std::fs::create_dir(&path).unwrap();
    check_unusable(&mut lab, &path, &["not a file"]);
}

#[test]
fn an_identity_that_is_cut_off_is_named() {
    let mut lab = Lab::new();
    let whole = lab.keygen("whole", &["-t", "ed25519"]);
    let text = std::fs::read(&whole).unwrap();
    let path = lab.write("cut", &text[..text.len() / 2]);
    set_mode(&path, 0o600);
    check_unusable(&mut lab, &path, &["not a private key"]);
}

#[test]
fn an_encrypted_identity_without_a_terminal_says_so() {
    let mut lab = Lab::new();
    let path = lab.keygen("locked", &["-t", "ed25519"]);
    encrypt(&lab, &path);
    check_unusable(&mut lab, &path, &["encrypted", "no terminal", "ssh-add"]);
}

#[test]
fn the_next_identity_is_used_where_the_first_cannot_be() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    let settings = format!(
        "identity: [{}, {}]",
        lab.path("missing").display(),
        lab.path("key").display()
    );
    lab.check_odd(server.port, &settings);
}

#[test]
fn a_refused_login_names_the_keys_that_were_not_offered() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    let stranger = lab.write_key("stranger", &fake::new_key());
    let missing = lab.path("missing");
    let settings = format!("identity: [{}, {}]", missing.display(), stranger.display());
    let checked = lab.check_bad(server.port, &settings);
    let words = [
        missing.display().to_string(),
        stranger.display().to_string(),
    ];
    checked
        .bad()
        .is("auth-failed")
        .at("auth")
        .says(&[&words[0], &words[1], "not offered"]);
}

#[track_caller]
fn check_logs_in(args: &[&str]) {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    let path = lab.keygen("other", args);
    lab.check_odd(server.port, &identity(&path));
}

#[test]
fn an_rsa_key_logs_in() {
    check_logs_in(&["-t", "rsa", "-b", "2048"]);
}

#[test]
fn an_rsa_key_in_the_old_pem_format_logs_in() {
    check_logs_in(&["-t", "rsa", "-b", "2048", "-m", "PEM"]);
}

#[test]
fn an_ecdsa_key_logs_in() {
    check_logs_in(&["-t", "ecdsa", "-b", "256"]);
}

#[test]
fn an_ecdsa_key_of_521_bits_logs_in() {
    check_logs_in(&["-t", "ecdsa", "-b", "521"]);
}

#[test]
fn an_ed25519_key_made_by_ssh_keygen_logs_in() {
    check_logs_in(&["-t", "ed25519"]);
}

/// Encrypts a key file in place.
fn encrypt(lab: &Lab, path: &Path) {
    lab.tool(
        Command::new("ssh-keygen")
            .args(["-q", "-p", "-P", "", "-N", "open sesame", "-f"])
            .arg(path),
    );
}

/// An agent of one test's own.
struct Agent {
    pid: Pid,
    socket: PathBuf,
}

impl Agent {
    fn start(lab: &Lab) -> Self {
        let socket = lab.path("agent");
        // It returns when the socket is there, and tells the process that it leaves behind.
        let told = lab.tool(Command::new("ssh-agent").arg("-s").arg("-a").arg(&socket));
        let pid = told
            .split("SSH_AGENT_PID=")
            .nth(1)
            .unwrap()
            .split(';')
            .next()
            .unwrap();
        Self {
            pid: Pid::from_raw(pid.parse().unwrap()).unwrap(),
            socket,
        }
    }

    fn add(&self, lab: &Lab, key: &Path) {
        lab.tool(
            Command::new("ssh-add")
                .arg("-q")
                .arg(key)
                .env("SSH_AUTH_SOCK", &self.socket),
        );
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to do.
        let _ = kill_process(self.pid, Signal::TERM);
    }
}

/// Checks the lab with an agent's socket in the environment.
fn check_with_agent(lab: &Lab, socket: &Path) -> Checked {
    let mut command = lab.command(&["--format", "json", "check", "all"]);
    command.env("SSH_AUTH_SOCK", socket);
    Checked::of(program::run(command), &lab.names())
}

#[test]
fn an_encrypted_identity_is_used_from_the_agent_that_has_it() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    let path = lab.keygen("locked", &["-t", "ed25519"]);
    let agent = Agent::start(&lab);
    agent.add(&lab, &path);
    encrypt(&lab, &path);
    lab.add("bad", server.port, &identity(&path));
    let checked = check_with_agent(&lab, &agent.socket);
    checked.exits(0).bad().is_observed_in_full();
}

#[test]
fn an_encrypted_identity_without_its_public_half_is_used_from_the_agent() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    let path = lab.keygen("locked", &["-t", "ed25519"]);
    let agent = Agent::start(&lab);
    agent.add(&lab, &path);
    encrypt(&lab, &path);
    std::fs::remove_file(path.with_extension("pub")).unwrap();
    lab.add("bad", server.port, &identity(&path));
    let checked = check_with_agent(&lab, &agent.socket);
    checked.exits(0).bad().is_observed_in_full();
}

#[test]
fn an_rsa_key_in_the_agent_logs_in() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    let path = lab.keygen("rsa", &["-t", "rsa", "-b", "2048"]);
    let agent = Agent::start(&lab);
    agent.add(&lab, &path);
    std::fs::remove_file(&path).unwrap();
    lab.add("bad", server.port, &identity(&path));
    let checked = check_with_agent(&lab, &agent.socket);
    checked.exits(0).bad().is_observed_in_full();
}

#[test]
fn an_agent_that_is_gone_is_no_obstacle() {
    let mut lab = Lab::new();
    lab.add_healthy(&["good"]);
    let checked = check_with_agent(&lab, &lab.path("no-agent"));
    checked.exits(0).host("good").is_observed_in_full();
}

#[test]
fn an_agent_that_never_answers_is_given_up() {
    let mut lab = Lab::new();
    lab.add_healthy(&["good"]);
    let socket = lab.path("agent");
    // Connections are taken by the system and wait here for ever.
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let checked = check_with_agent(&lab, &socket);
    checked.exits(0).host("good").is_observed_in_full();
    checked.within(Duration::from_secs(8));
}

#[test]
fn a_public_key_names_the_agents_key() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    let path = lab.keygen("pair", &["-t", "ed25519"]);
    let agent = Agent::start(&lab);
    agent.add(&lab, &path);
    std::fs::remove_file(&path).unwrap();
    let settings = format!(
        "{}, ssh: {{options: {{IdentitiesOnly: \"yes\"}}}}",
        identity(&path.with_extension("pub"))
    );
    lab.add("bad", server.port, &settings);
    let checked = check_with_agent(&lab, &agent.socket);
    checked.exits(0).bad().is_observed_in_full();
}

#[test]
fn a_key_that_one_hosts_agent_holds_is_read_for_the_other_host() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::default());
    let path = lab.keygen("pair", &["-t", "ed25519"]);
    let agent = Agent::start(&lab);
    agent.add(&lab, &path);
    lab.add("with", server.port, &identity(&path));
    let without = format!(
        "{}, ssh: {{options: {{IdentityAgent: none}}}}",
        identity(&path)
    );
    lab.add("bad", server.port, &without);
    let checked = check_with_agent(&lab, &agent.socket);
    checked.exits(0).bad().is_observed_in_full();
}
