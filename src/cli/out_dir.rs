//! A directory with what each host printed, in files of its own.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::model::{CommandEnd, CommandResult, Output};

/// Such a directory.
pub(super) struct OutDir(PathBuf);

const CODES: &str = "exit-codes.tsv";
const STREAMS: [&str; 2] = ["stdout", "stderr"];

impl OutDir {
    /// Makes it, unless it is there. The list of exit codes of an earlier run goes: it stands there when this one is over.
    pub(super) fn open(dir: &Path) -> Result<Self, String> {
        make(dir)?;
        let made = Self(dir.to_owned());
        made.remove(CODES)?;
        Ok(made)
    }

    /// Writes a host's output, byte for byte.
    pub(super) fn keep(&self, result: &CommandResult) -> Result<(), String> {
        let [stdout, stderr] = names(&result.host);
        self.write(&stdout, |file| give(&result.stdout, file))?;
        self.write(&stderr, |file| give(&result.stderr, file))
    }

    /// Writes how it ended on each host, a line each: name, outcome, exit code. What an earlier run left of hosts that
    /// were not begun goes.
    pub(super) fn finish(&self, results: &[CommandResult]) -> Result<(), String> {
        for result in results.iter().filter(|result| result.tries == 0) {
            names(&result.host)
                .iter()
                .try_for_each(|name| self.remove(name))?;
        }
        self.write(CODES, |file| {
            file.write_all(b"host\toutcome\texit_code\n")?;
            for result in results {
                let code = match result.end {
                    CommandEnd::Exited(code) => code.to_string(),
                    _ => String::new(),
                };
                writeln!(file, "{}\t{}\t{code}", result.host, result.end.id())?;
            }
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> Result<(), String> {
        let path = self.0.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!(
                "{}: {}",
                path.display(),
                super::beside::why(&error)
            )),
            _ => Ok(()),
        }
    }

    /// Writes a file beside its place and puts it there: what stood there is replaced, whoever owned it, and a link is
    /// not followed.
    fn write(
        &self,
        name: &str,
        fill: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<(), String> {
        let path = self.0.join(name);
        let beside = self
            .0
            .join(format!(".clawfleet-new.{}", std::process::id()));
        let written = create(&beside).and_then(|file| {
            let mut file = BufWriter::new(file);
            fill(&mut file)?;
            file.flush()?;
            fs::rename(&beside, &path)
        });
        written.map_err(|error| {
            let _ = fs::remove_file(&beside);
            format!("{}: {}", path.display(), super::beside::why(&error))
        })
    }
}

/// Makes a directory, with those above it, for the user alone.
pub(super) fn make(dir: &Path) -> Result<(), String> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| format!("{}: {}", dir.display(), super::beside::why(&error)))
}

fn names(host: &str) -> [String; 2] {
    STREAMS.map(|stream| format!("{}.{stream}", file_name(host)))
}

fn give(output: &Output, file: &mut dyn io::Write) -> io::Result<()> {
    output.kept.give(&mut |data| file.write_all(data))
}

/// A host's name as a file's: whatever it holds, it stays in its directory and is no hidden file. Different
/// names have different files.
pub(super) fn file_name(host: &str) -> String {
    host.chars()
        .enumerate()
        .map(|(at, c)| match c {
            c if c.is_alphanumeric() || "_-:".contains(c) || (c == '.' && at > 0) => c.to_string(),
            c => c
                .to_string()
                .bytes()
                .map(|byte| format!("%{byte:02X}"))
                .collect(),
        })
        .collect()
}

fn create(path: &Path) -> io::Result<File> {
    // What a run of this number left when it was killed.
    let _ = fs::remove_file(path);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_the_directory() {
        let cases = [
            ("VM151", "VM151"),
            ("..", "%2E."),
            ("../x", "%2E.%2Fx"),
            (".bashrc", "%2Ebashrc"),
            ("a/b\n", "a%2Fb%0A"),
            ("fe80::1", "fe80::1"),
            ("größe", "größe"),
            ("%2F", "%252F"),
        ];
        for (host, wanted) in cases {
            assert_eq!(file_name(host), wanted);
        }
    }
}
