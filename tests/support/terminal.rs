//! A pseudo-terminal, which `script` of util-linux makes.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What Ctrl-C sends.
pub(crate) const CTRL_C: &str = "\u{3}";

/// Runs a command at a terminal of 100 columns. Each answer is typed when its prompt has come on the screen
/// since the last one. Returns the exit code and the screen.
pub(crate) fn converse(
    command: &Command,
    answers: &[(&str, &str)],
    within: Duration,
) -> (Option<i32>, String) {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let line = format!("stty cols 100; exec {}", words.join(" "));
    let set = command.get_envs();
    let mut child = Command::new("script")
        .args(["-qefc", &line, "/dev/null"])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("TERM", "xterm")
        .envs(set.filter_map(|(name, value)| Some((name, value?))))
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
    let (mut all, mut read) = (String::new(), 0);
    let begin = Instant::now();
    let mut keyboard = child.stdin.take().unwrap();
    let mut answers = answers.iter();
    let mut next = answers.next();
    let code = loop {
        assert!(begin.elapsed() < within, "stuck: {all}");
        if let Ok(text) = shown.recv_timeout(Duration::from_millis(10)) {
            all += &text;
        }
        if let Some((prompt, answer)) = next
            && let Some(at) = all[read..].find(prompt)
        {
            read += at + prompt.len();
            let end = if *answer == CTRL_C { "" } else { "\n" };
            write!(keyboard, "{answer}{end}").unwrap();
            next = answers.next();
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
    };
    while let Ok(text) = shown.recv_timeout(Duration::from_millis(200)) {
        all += &text;
    }
    assert_eq!(next, None, "never asked: {all}");
    (code, all)
}
