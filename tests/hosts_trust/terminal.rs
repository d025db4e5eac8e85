//! Questions at a pseudo-terminal, which `script` of util-linux makes.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::known_hosts;
use crate::support::fake::{self, Behaviour};
use crate::support::lab::{Lab, fingerprint};
use crate::support::program::STUCK;

/// What Ctrl-C sends.
const CTRL_C: &str = "\u{3}";

/// Runs `hosts trust all` at a terminal and types an answer to each question. Returns the exit
/// code and the screen.
fn at_a_terminal(lab: &Lab, answers: &[&str]) -> (Option<i32>, String) {
    let command = lab.command(&["hosts", "trust", "all"]);
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut child = Command::new("script")
        .args(["-qefc", &format!("exec {}", words.join(" ")), "/dev/null"])
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
    let (show, shown) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = screen.read(&mut chunk) {
            let _ = show.send(String::from_utf8_lossy(&chunk[..read]).into_owned());
        }
    });
    let mut all = String::new();
    let begin = Instant::now();
    let mut keyboard = child.stdin.take().unwrap();
    let mut answers = answers.iter();
    let mut questions = 0;
    let code = loop {
        assert!(begin.elapsed() < STUCK, "stuck: {all}");
        if let Ok(text) = shown.recv_timeout(Duration::from_millis(10)) {
            all += &text;
        }
        if all.matches("[yes/no]").count() > questions {
            questions += 1;
            let answer = answers.next().expect("a question too many");
            let end = if *answer == CTRL_C { "" } else { "\n" };
            write!(keyboard, "{answer}{end}").unwrap();
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
    };
    while let Ok(text) = shown.recv_timeout(Duration::from_millis(200)) {
        all += &text;
    }
    assert_eq!(answers.next(), None, "{all}");
    (code, all)
}

#[test]
fn yes_enrols() {
    let mut lab = Lab::new();
    let key = fake::new_key();
    let print = fingerprint(key.public_key());
    let server = lab.fake_with_key(Behaviour::default(), key);
    lab.add("new", server.port, "");
    let (code, screen) = at_a_terminal(&lab, &["perhaps", "yes"]);
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains(&print), "{screen}");
    assert!(
        screen.contains("Enrol these (1 key of 1 host)?"),
        "{screen}"
    );
    assert_eq!(known_hosts(&lab).lines().count(), 1);
    lab.check().exits(0);
}

#[test]
fn no_enrols_nothing_and_each_group_is_asked_once() {
    let mut lab = Lab::new();
    for number in 1..=3 {
        let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
        lab.add(&format!("new{number}"), server.port, "");
    }
    let rsa = lab.keygen("rsa", &["-t", "rsa"]);
    let rsa = russh::keys::load_secret_key(rsa, None).unwrap();
    let known = fake::new_key();
    let public = known.public_key().clone();
    let server = lab.fake_with_keys(Behaviour::default(), vec![known, rsa]);
    lab.trust(server.port, &public);
    lab.add("known", server.port, "");
    let (code, screen) = at_a_terminal(&lab, &["no", "yes"]);
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("3 keys of 3 hosts"), "{screen}");
    let text = known_hosts(&lab);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("ssh-rsa"), "{text}");
}

#[test]
fn ctrl_c_at_a_question_ends_the_run_and_enrols_nothing() {
    let mut lab = Lab::new();
    let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
    lab.add("new", server.port, "");
    let (code, screen) = at_a_terminal(&lab, &[CTRL_C]);
    assert_eq!(code, Some(130), "{screen}");
    assert_eq!(known_hosts(&lab), "");
}

#[test]
fn an_answer_that_is_none_is_a_no_in_the_end() {
    let mut lab = Lab::new();
    let server = lab.fake_with_key(Behaviour::default(), fake::new_key());
    lab.add("new", server.port, "");
    let (code, screen) = at_a_terminal(&lab, &["", "what", "SHA256:"]);
    assert_eq!(code, Some(1), "{screen}");
    assert_eq!(known_hosts(&lab), "");
}
