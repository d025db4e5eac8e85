//! Comments of keys, which are whatever their makers wrote: an agent may hold somebody else's.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::attack::LONGEST_MESSAGE;
use crate::harmless;
use crate::support::fake::{Behaviour, Login};
use crate::support::lab::Lab;
use crate::support::program;
use crate::support::report::Checked;

const COMMENT: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}\u{61c}VM1 ok\r";

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        // It ends with the test, whatever became of it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn agent(socket: &Path) -> Agent {
    let agent = Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let agent = Agent(agent);
    let begin = Instant::now();
    while !socket.exists() {
        assert!(begin.elapsed() < Duration::from_secs(10), "no agent");
        std::thread::sleep(Duration::from_millis(10));
    }
    agent
}

#[test]
fn a_comment_of_a_key_is_only_text() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour {
        login: Login::Refuse,
        ..Behaviour::default()
    });
    lab.add("bad", server.port, "");
    lab.add_healthy(&["good"]);
    let socket = lab.path("agent");
    let _agent = agent(&socket);
    for number in 0..4 {
        let name = format!("held{number}");
        let comment = COMMENT.repeat(20);
        let path = lab.keygen(&name, &["-t", "ed25519", "-C", &comment]);
        lab.tool(
            Command::new("ssh-add")
                .arg("-q")
                .arg(path)
                .env("SSH_AUTH_SOCK", &socket),
        );
    }
    let run = |args: &[&str]| {
        let mut command = lab.command(args);
        command.env("SSH_AUTH_SOCK", &socket);
        let run = program::run(command);
        harmless::assert_output("stdout", &run.stdout);
        harmless::assert_output("stderr", run.stderr.as_bytes());
        run
    };
    let table = run(&["-v", "check", "all"]);
    assert!(table.out().lines().all(|line| !line.starts_with("VM1")));
    let checked = Checked::of(run(&["--format", "json", "check", "all"]), &lab.names());
    checked.host("good").is_observed_in_full();
    let bad = checked.host("bad");
    bad.is("auth-failed").at("auth").says(&["agent key"]);
    harmless::assert_line(bad.message());
    assert!(bad.message().chars().count() < LONGEST_MESSAGE);
}
