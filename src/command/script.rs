//! Composing what is sent to `sh -s`.

use crate::probe::Nonce;

const BASE: &str = include_str!("scripts/base.sh");
const RUN: &str = include_str!("scripts/run.sh");
const PUT: &str = include_str!("scripts/put.sh");
const GET: &str = include_str!("scripts/get.sh");

/// A time that never comes, in seconds.
const NEVER_S: u64 = 2_000_000_000;

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A program and its arguments, byte for byte.
    Program(Vec<Vec<u8>>),
    /// A line for the host's `sh`.
    Line(Vec<u8>),
    /// A script, and its arguments.
    Script {
        /// Its text. It holds no NUL.
        text: Vec<u8>,
        /// Its arguments.
        arguments: Vec<Vec<u8>>,
    },
}

/// What a host is asked to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunScript<'a> {
    /// Marks what the script says; no command learns it.
    pub nonce: &'a Nonce,
    /// Stands in the environment of the command and all that it starts.
    pub cookie: &'a Nonce,
    /// What is run.
    pub body: &'a Body,
    /// Variables for its environment. Names are made of letters, digits and `_`.
    pub environment: &'a [(String, Vec<u8>)],
    /// How long it may run, in seconds.
    pub limit_s: Option<u64>,
    /// How long it has between the polite and the other signal, in seconds.
    pub grace_s: u64,
    /// How much input follows the script, in bytes; `None` where there is none.
    pub input: Option<u64>,
}

impl RunScript<'_> {
    /// Returns the script.
    pub fn compose(&self) -> Vec<u8> {
        let mut script = Words::default();
        script.set("clawfleet_n", self.nonce.as_str());
        script.set("clawfleet_cookie", self.cookie.as_str());
        script.set(
            "clawfleet_limit",
            self.limit_s.unwrap_or(NEVER_S).min(NEVER_S).to_string(),
        );
        script.set("clawfleet_grace", self.grace_s.to_string());
        let size = self
            .input
            .map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
        script.set("clawfleet_size", size);
        script.raw("clawfleet_environment() {\n:\n");
        for (name, value) in self.environment {
            script.set(name, value);
            script.raw(format!("export {name}\n"));
        }
        script.raw("}\n");
        let (launch, words) = self.body.words();
        if let Body::Script { text, .. } = self.body {
            script.set("clawfleet_body", text);
        }
        script.raw("clawfleet_command() {\n");
        script.raw(launch);
        for word in words {
            script.raw(" ");
            script.word(&word);
        }
        script.raw("\n}\n");
        script.raw(BASE);
        script.raw(RUN);
        script.0
    }
}

impl Body {
    /// The function that becomes the command, and the words that it is given.
    fn words(&self) -> (&'static str, Vec<Vec<u8>>) {
        match self {
            Self::Program(words) => ("clawfleet_launch", words.clone()),
            Self::Line(line) => (
                "clawfleet_launch",
                vec![b"sh".to_vec(), b"-c".to_vec(), line.clone()],
            ),
            Self::Script { text, arguments } => {
                let mut words = interpreter(text);
                words.push(b"/dev/fd/9".to_vec());
                words.extend(arguments.iter().cloned());
                ("clawfleet_launch_script", words)
            }
        }
    }
}

/// Returns the words that run a script, as the kernel reads its first line: a program and at most one
/// argument. A script without such a line is for `sh`.
pub fn interpreter(text: &[u8]) -> Vec<Vec<u8>> {
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Some(line) = first.strip_prefix(b"#!") else {
        return vec![b"sh".to_vec()];
    };
    let line = line.trim_ascii();
    let blank = line.iter().position(u8::is_ascii_whitespace);
    let (program, argument) = line.split_at(blank.unwrap_or(line.len()));
    let words = [program, argument.trim_ascii()];
    let words: Vec<Vec<u8>> = words
        .into_iter()
        .filter(|word| !word.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    if words.is_empty() {
        return vec![b"sh".to_vec()];
    }
    words
}

/// What a host is asked to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutScript<'a> {
    /// Marks what the script says.
    pub nonce: &'a Nonce,
    /// A word for the file's first name.
    pub fresh: &'a Nonce,
    /// Where it goes: a file's name, or a directory.
    pub destination: &'a [u8],
    /// Its name in a directory.
    pub name: &'a [u8],
    /// Whether the destination must be a directory.
    pub into: bool,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub digest: &'a str,
    /// Its permissions.
    pub mode: u32,
}

impl PutScript<'_> {
    /// Returns the script.
    pub fn compose(&self) -> Vec<u8> {
        let mut script = Words::default();
        script.set("clawfleet_n", self.nonce.as_str());
        script.set(
            "clawfleet_new",
            format!(".clawfleet-new.{}", self.fresh.as_str()),
        );
        script.set("clawfleet_dest", operand(self.destination));
        script.set("clawfleet_name", self.name);
        script.set("clawfleet_into", if self.into { "yes" } else { "no" });
        script.set("clawfleet_size", self.size.to_string());
        script.set("clawfleet_digest", self.digest);
        script.set("clawfleet_mode", format!("{:03o}", self.mode & 0o777));
        script.raw(BASE);
        script.raw(PUT);
        script.0
    }
}

/// What a host is asked to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetScript<'a> {
    /// Marks what the script says.
    pub nonce: &'a Nonce,
    /// Which file.
    pub source: &'a [u8],
    /// The most that is taken, in bytes.
    pub most: u64,
}

impl GetScript<'_> {
    /// Returns the script.
    pub fn compose(&self) -> Vec<u8> {
        let mut script = Words::default();
        script.set("clawfleet_n", self.nonce.as_str());
        script.set("clawfleet_source", operand(self.source));
        script.set("clawfleet_most", self.most.to_string());
        script.raw(BASE);
        script.raw(GET);
        script.0
    }
}

/// A path that no program takes for an option, and no redirection for something else.
fn operand(path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"-") {
        return [b"./", path].concat();
    }
    path.to_vec()
}

/// Shell text in the making. Values may hold any byte but NUL; names are ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(Vec<u8>);

impl Words {
    /// Adds text as it stands.
    fn raw(&mut self, text: impl AsRef<[u8]>) {
        self.0.extend_from_slice(text.as_ref());
    }

    /// Adds a word, quoted by the one rule that holds in every POSIX shell.
    pub fn word(&mut self, value: &[u8]) {
        self.0.push(b'\'');
        for byte in value {
            match byte {
                b'\'' => self.raw(r"'\''"),
                other => self.0.push(*other),
            }
        }
        self.0.push(b'\'');
    }

    /// Sets a variable.
    fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.raw(name);
        self.raw("=");
        self.word(value.as_ref());
        self.raw("\n");
    }

    /// Returns the text.
    pub fn bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_run_as_the_kernel_would() {
        let cases: [(&str, &[&str]); 7] = [
            ("echo 1\n", &["sh"]),
            ("#!/bin/bash\n", &["/bin/bash"]),
            (
                "#! /usr/bin/env  python3 -u \nx",
                &["/usr/bin/env", "python3 -u"],
            ),
            ("#!/bin/sh -eu\r\n", &["/bin/sh", "-eu"]),
            ("#!\n", &["sh"]),
            ("", &["sh"]),
            ("# !/bin/bash\n", &["sh"]),
        ];
        for (text, wanted) in cases {
            let words = interpreter(text.as_bytes());
            let words: Vec<String> = words
                .into_iter()
                .map(|word| String::from_utf8(word).unwrap_or_default())
                .collect();
            assert_eq!(words, wanted, "{text:?}");
        }
    }

    #[test]
    fn no_path_is_an_option() {
        assert_eq!(operand(b"-rf"), b"./-rf");
        assert_eq!(operand(b"a/-rf"), b"a/-rf");
    }
}
