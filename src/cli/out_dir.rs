//! A directory with what each host printed, in files of its own.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::model::{CommandResult, Output};

/// Such a directory.
pub(super) struct OutDir(PathBuf);

impl OutDir {
    /// Makes it, unless it is there.
    pub(super) fn open(dir: &Path) -> Result<Self, String> {
        fs::create_dir_all(dir)
            .map_err(|error| format!("{}: {}", dir.display(), super::beside::why(&error)))?;
        Ok(Self(dir.to_owned()))
    }

    /// Writes a host's output, byte for byte.
    pub(super) fn keep(&self, result: &CommandResult) -> Result<(), String> {
        for (ending, output) in [("stdout", &result.stdout), ("stderr", &result.stderr)] {
            let path = self.0.join(format!("{}.{ending}", file_name(&result.host)));
            write(&path, output).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// Writes how it ended on each host, a line each: name, outcome, exit code.
    pub(super) fn keep_codes(&self, results: &[CommandResult]) -> Result<(), String> {
        let path = self.0.join("exit-codes.tsv");
        let mut text = String::from("host\toutcome\texit_code\n");
        for result in results {
            let code = match result.end {
                crate::model::CommandEnd::Exited(code) => code.to_string(),
                _ => String::new(),
            };
            text += &format!("{}\t{}\t{code}\n", result.host, result.end.id());
        }
        create(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| format!("{}: {error}", path.display()))
    }
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

/// Opens a file to be written anew; not what a link in its place leads to.
fn create(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path)
}

fn write(path: &Path, output: &Output) -> io::Result<()> {
    let mut file = BufWriter::new(create(path)?);
    output.kept.give(&mut |data| file.write_all(data))?;
    file.flush()
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
