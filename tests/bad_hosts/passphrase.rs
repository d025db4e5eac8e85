//! Passphrases, typed at a pseudo-terminal that `script` of util-linux makes.

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::termios::{LocalModes, tcgetattr};

use crate::support::fake::Behaviour;
use crate::support::lab::Lab;
use crate::support::program::STUCK;

const PASSPHRASE: &str = "open sesame";

/// A program at a terminal.
struct Terminal {
    child: Child,
    shown: std::thread::JoinHandle<String>,
    tty: PathBuf,
}

/// Starts the program of the lab at a terminal, its standard output in a file.
fn start(lab: &Lab, output: &Path) -> Terminal {
    let command = lab.command(&["--format", "json", "check", "all"]);
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let tty = lab.path("tty");
    let line = format!(
        "tty >{tty}.new && mv {tty}.new {tty}; exec {} >{}",
        words.join(" "),
        output.display(),
        tty = tty.display()
    );
    let mut child = Command::new("script")
        .args(["-qefc", &line, "/dev/null"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", lab.home())
        .env("XDG_STATE_HOME", lab.path("state"))
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("`script` of util-linux is needed");
    let mut screen = child.stdout.take().unwrap();
    let shown = std::thread::spawn(move || {
        let mut all = Vec::new();
        screen.read_to_end(&mut all).unwrap();
        String::from_utf8_lossy(&all).into_owned()
    });
    Terminal { child, shown, tty }
}

impl Terminal {
    /// Types a line when it is asked for: the sign is that the terminal no longer shows what is
    /// typed. What is typed before that is thrown away.
    fn answer(&mut self, line: &str) {
        let begin = Instant::now();
        loop {
            assert!(begin.elapsed() < STUCK, "nobody asked for a passphrase");
            if let Ok(name) = std::fs::read_to_string(&self.tty)
                && let Ok(tty) = std::fs::File::open(name.trim())
                && !tcgetattr(&tty)
                    .unwrap()
                    .local_modes
                    .contains(LocalModes::ECHO)
            {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Returns the exit code and what was on the screen.
    fn finish(mut self) -> (Option<i32>, String) {
        let begin = Instant::now();
        while begin.elapsed() < STUCK {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), self.shown.join().unwrap());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.child.kill().unwrap();
        panic!("stuck; the screen: {}", self.shown.join().unwrap());
    }
}

struct Locked {
    lab: Lab,
    key: PathBuf,
}

/// Two hosts with the same encrypted key, and a healthy one with another.
fn locked() -> Locked {
    let mut lab = Lab::new();
    let key = lab.keygen("locked", &["-t", "ed25519"]);
    lab.tool(
        Command::new("ssh-keygen")
            .args(["-q", "-p", "-P", "", "-N", PASSPHRASE, "-f"])
            .arg(&key),
    );
    let server = lab.fake(Behaviour::default());
    lab.add_healthy(&["good"]);
    for name in ["bad1", "bad2"] {
        lab.add(name, server.port, &format!("identity: {}", key.display()));
    }
    Locked { lab, key }
}

/// Answers the one prompt and returns the exit code, the screen and the report.
fn check(locked: &Locked, answer: &str) -> (Option<i32>, String, serde_json::Value) {
    let output = locked.lab.path("out.json");
    let mut terminal = start(&locked.lab, &output);
    terminal.answer(answer);
    let (code, screen) = terminal.finish();
    let json = serde_json::from_slice(&std::fs::read(&output).unwrap()).unwrap();
    (code, screen, json)
}

#[test]
fn a_passphrase_is_asked_once_for_all_hosts_and_not_shown() {
    let locked = locked();
    let (code, screen, json) = check(&locked, PASSPHRASE);
    assert_eq!(code, Some(0), "{json:#}\n{screen}");
    for host in json["hosts"].as_array().unwrap() {
        assert_eq!(host["outcome"], "observed", "{host:#}");
    }
    assert!(
        screen.contains(&format!("Passphrase for {}", locked.key.display())),
        "{screen}"
    );
    assert!(!screen.contains(PASSPHRASE), "{screen}");
}

#[test]
fn a_wrong_passphrase_fails_the_hosts_that_need_the_key_and_no_other() {
    let locked = locked();
    let (code, screen, json) = check(&locked, "abracadabra");
    assert_eq!(code, Some(3), "{json:#}\n{screen}");
    assert!(!screen.contains("abracadabra"), "{screen}");
    let hosts = json["hosts"].as_array().unwrap();
    assert_eq!(hosts[0]["outcome"], "observed", "{:#}", hosts[0]);
    for host in &hosts[1..] {
        assert_eq!(host["outcome"], "auth-failed", "{host:#}");
        assert_eq!(host["error"]["stage"], "auth");
        let message = host["error"]["message"].as_str().unwrap();
        assert!(message.contains("passphrase does not open it"), "{message}");
        assert!(
            message.contains(&locked.key.display().to_string()),
            "{message}"
        );
    }
}
