//! The script itself, read by the shells of this machine: whatever words it carries, the program gets them.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use clawfleet::command::{Body, Marks, Part, RunScript};
use clawfleet::probe::Nonce;
use proptest::prelude::*;

const SHELLS: [&[&str]; 5] = [
    &["sh", "-s"],
    &["bash", "-s"],
    &["dash", "-s"],
    &["busybox", "sh", "-s"],
    &["ksh", "-s"],
];

/// Runs a script as a host does, and returns what its command printed.
fn run(shell: &[&str], body: Body, environment: &[(String, Vec<u8>)]) -> Option<Vec<u8>> {
    let (nonce, cookie) = (Nonce::new(11), Nonce::new(12));
    let script = RunScript {
        nonce: &nonce,
        cookie: &cookie,
        body: &body,
        environment,
        limit_s: Some(20),
        grace_s: 1,
        input: None,
    };
    let mut child = Command::new(shell[0])
        .args(&shell[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    // It stays open: its end would be the word to stop.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&script.compose()).unwrap();
    let mut all = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut all).unwrap();
    assert!(child.wait().unwrap().success(), "{shell:?}");
    let mut marks = Marks::new(&nonce);
    let mut output = Vec::new();
    for part in marks.hear(&all) {
        if let Part::Output(data) = part {
            output.extend(data);
        }
    }
    output.extend(marks.finish());
    Some(output)
}

/// Words without NUL, rich in what shells care for.
fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = prop_oneof![
        1..=255_u8,
        prop::sample::select(b"'\"\\$`!*?[]{}~#&;|<>()\n\t -=%".to_vec()),
    ];
    prop::collection::vec(prop::collection::vec(byte, 0..12), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_words_reach_the_program(words in words(), value in prop::collection::vec(1..=255_u8, 0..12)) {
        let mut wanted = Vec::new();
        for word in &words {
            wanted.extend(word);
            wanted.push(0);
        }
        let print = [b"printf".to_vec(), br"%s\0".to_vec()];
        let program: Vec<Vec<u8>> = print.into_iter().chain(words.iter().cloned()).collect();
        let environment = vec![("A_1".to_owned(), value.clone())];
        for shell in SHELLS {
            if let Some(got) = run(shell, Body::Program(program.clone()), &[]) {
                prop_assert_eq!(&got, &wanted, "{:?}", shell);
            }
            let script = Body::Script {
                text: b"printf '%s\\0' \"$@\"; printf %s \"$A_1\"".to_vec(),
                arguments: words.clone(),
            };
            if let Some(got) = run(shell, script, &environment) {
                let with_value = [wanted.as_slice(), &value].concat();
                prop_assert_eq!(&got, &with_value, "{:?}", shell);
            }
        }
    }
}
