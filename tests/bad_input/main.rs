//! Bad input, each kind with its exit code and with words that help; and good input, understood.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod bombs;
mod checks;
mod files;
mod good;
mod meaning;
mod notify;
mod outputs;
mod selectors;
mod usage;
mod yaml;

use std::path::{Path, PathBuf};

use support::program::{self, Finished};
use tempfile::TempDir;

/// A directory that is the program's home and where it runs.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// A desk with this inventory.
    fn with(inventory: &str) -> Self {
        let desk = Self::new();
        desk.write("inventory.yaml", inventory);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn home(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs the program here.
    fn run(&self, args: &[&str]) -> Finished {
        program::run_with(self.home(), args)
    }
}

/// Asserts that an inventory is refused at that place, with these words, and with nothing on
/// stdout. The place is `LINE:COLUMN`, or empty where there is none.
#[track_caller]
fn refuses(inventory: &str, place: &str, words: &[&str]) {
    let desk = Desk::with(inventory);
    let run = desk.run(&["inventory", "list"]);
    run.exits(78).prints_nothing();
    let begin = match place {
        "" => "error: inventory.yaml: ".to_owned(),
        place => format!("error: inventory.yaml:{place}: "),
    };
    assert!(
        run.stderr.starts_with(&begin),
        "not `{begin}`: {}",
        run.stderr
    );
    run.complains(words);
    // Words of the parser's own, for programmers.
    for jargon in [
        "Policy", "Options", "u16", "u32", "budget", "Anchor", "Spanned", "struct", "visitor",
    ] {
        assert!(
            !run.stderr.contains(jargon),
            "`{jargon}` helps no operator: {}",
            run.stderr
        );
    }
}
