//! One known_hosts file, read once and indexed.
//!
//! A key that a server shows is looked up by the key first, and only the names of its lines are
//! compared. So a hashed file costs one hash for a known host, and not one for each of its lines.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::RwLock;

use russh::keys::Algorithm;
use russh::keys::ssh_key::public::KeyData;

use super::Place;
use super::line::{Line, LineFault, Marker, Names, parse_key};

/// The largest file that is read, in bytes: 100,000 hashed lines take about 20 MB.
const MAX_BYTES: u64 = 64 << 20;

/// How many lines are named that make no sense; a file that is no known_hosts has many.
const NOTED: usize = 20;

/// A line that was understood.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) marker: Marker,
    pub(super) algorithm: Algorithm,
    pub(super) line: usize,
    names: Names,
}

/// A file and its index.
#[derive(Debug, Default)]
pub(super) struct KeyFile {
    path: PathBuf,
    entries: Vec<Entry>,
    by_key: HashMap<KeyData, Vec<usize>>,
    by_name: HashMap<String, Vec<usize>>,
    /// Lists with wildcards or negation, which must be tried one by one.
    patterns: Vec<usize>,
    hashed: Vec<usize>,
    hashed_authorities: Vec<usize>,
    /// The types of the keys of hashed names.
    hashed_algorithms: Vec<Algorithm>,
    notes: Vec<String>,
    unreadable: bool,
    /// Keys that this run added to the file after it was read.
    added: RwLock<HashMap<String, Vec<(KeyData, usize)>>>,
}

impl KeyFile {
    /// Reads a file; one that does not exist is empty.
    pub(super) fn read(path: &Path) -> Self {
        match read_capped(path) {
            Ok(bytes) => Self::parse(path, &bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::parse(path, b""),
            Err(error) => Self {
                path: path.to_owned(),
                notes: vec![format!("{}: {error}", path.display())],
                unreadable: true,
                ..Self::default()
            },
        }
    }

    /// Reads the bytes of a file.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Self {
        let mut file = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        let mut skipped = 0;
        for (place, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = String::from_utf8_lossy(line);
            if let Err(fault) = file.add_line(&line, place + 1) {
                skipped += 1;
                if skipped <= NOTED {
                    let line = place + 1;
                    let note = format!("{}:{line}: line skipped: {fault}", path.display());
                    file.notes.push(note);
                }
            }
        }
        if skipped > NOTED {
            let more = skipped - NOTED;
            file.notes
                .push(format!("{}: {more} more lines skipped", path.display()));
        }
        file
    }

    /// What was wrong with the file: a host that it vouches for would look unknown.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether nobody knows what is in the file.
    pub(super) fn is_unreadable(&self) -> bool {
        self.unreadable
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn add_line(&mut self, text: &str, line: usize) -> Result<(), LineFault> {
        let Some(fields) = Line::split(text)? else {
            return Ok(());
        };
        let names = Names::parse(fields.names)?;
        let key = parse_key(fields.key)?;
        let entry = Entry {
            marker: fields.marker,
            algorithm: key.algorithm(),
            line,
            names,
        };
        self.index_names(&entry);
        self.by_key.entry(key).or_default().push(self.entries.len());
        self.entries.push(entry);
        Ok(())
    }

    fn index_names(&mut self, entry: &Entry) {
        let number = self.entries.len();
        match &entry.names {
            Names::Plain(names) => {
                for name in names {
                    self.by_name.entry(name.clone()).or_default().push(number);
                }
            }
            Names::Patterns(_) => self.patterns.push(number),
            Names::Hashed(_) => {
                self.hashed.push(number);
                if entry.marker == Marker::Authority {
                    self.hashed_authorities.push(number);
                }
                if entry.marker == Marker::Key && !self.hashed_algorithms.contains(&entry.algorithm)
                {
                    self.hashed_algorithms.push(entry.algorithm.clone());
                }
            }
        }
    }

    fn at(&self, line: usize) -> Place {
        Place {
            file: self.path.clone(),
            line,
        }
    }

    pub(super) fn place(&self, entry: &Entry) -> Place {
        self.at(entry.line)
    }

    /// Finds a line with this key, this marker and this name.
    pub(super) fn find(&self, marker: Marker, name: &str, key: &KeyData) -> Option<Place> {
        self.numbered(self.by_key.get(key).map(Vec::as_slice).unwrap_or_default())
            .find(|entry| entry.marker == marker && entry.names.matches(name))
            .map(|entry| self.place(entry))
            .or_else(|| match marker {
                Marker::Key => self.find_added(name, key),
                _ => None,
            })
    }

    fn find_added(&self, name: &str, key: &KeyData) -> Option<Place> {
        let added = self.added.read().ok()?;
        let (_, line) = added.get(name)?.iter().find(|(with, _)| with == key)?;
        Some(self.at(*line))
    }

    /// The lines of this name and marker, without hashed ones.
    pub(super) fn shown<'a>(
        &'a self,
        marker: Marker,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Entry> {
        let plain = self.by_name.get(name).map(Vec::as_slice);
        let patterns = self
            .numbered(&self.patterns)
            .filter(move |entry| entry.marker == marker && entry.names.matches(name));
        self.numbered(plain.unwrap_or_default())
            .filter(move |entry| entry.marker == marker)
            .chain(patterns)
    }

    /// The hashed lines of this name and marker, at the price of a hash for each line.
    pub(super) fn hidden<'a>(
        &'a self,
        marker: Marker,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Entry> {
        let numbers = match marker {
            Marker::Authority => &self.hashed_authorities,
            _ => &self.hashed,
        };
        self.numbered(numbers)
            .filter(move |entry| entry.marker == marker && entry.names.matches(name))
    }

    /// The keys of a name, hashed ones too, in the order of their lines. It looks at every line.
    pub(super) fn keys_of(&self, name: &str) -> Vec<(&KeyData, Place)> {
        let mut found: Vec<(&KeyData, Place)> = self
            .by_key
            .iter()
            .flat_map(|(key, numbers)| {
                self.numbered(numbers)
                    .filter(|entry| entry.marker == Marker::Key && entry.names.matches(name))
                    .map(move |entry| (key, self.place(entry)))
            })
            .collect();
        found.sort_by_key(|(_, at)| at.line);
        found
    }

    /// The types and places of keys that were added to the file for this name.
    pub(super) fn added(&self, name: &str) -> Vec<(Algorithm, Place)> {
        let Ok(added) = self.added.read() else {
            return Vec::new();
        };
        let lines = added.get(name).map(Vec::as_slice).unwrap_or_default();
        lines
            .iter()
            .map(|(key, line)| (key.algorithm(), self.at(*line)))
            .collect()
    }

    /// Takes note of a key that was added to the file.
    pub(super) fn add(&self, name: &str, key: &KeyData, line: usize) {
        if let Ok(mut added) = self.added.write() {
            let lines = added.entry(name.to_owned()).or_default();
            lines.push((key.clone(), line));
        }
    }

    /// The types of the keys of hashed names.
    pub(super) fn hashed_algorithms(&self) -> &[Algorithm] {
        &self.hashed_algorithms
    }

    fn numbered<'a>(&'a self, numbers: &'a [usize]) -> impl Iterator<Item = &'a Entry> {
        numbers
            .iter()
            .filter_map(|number| self.entries.get(*number))
    }
}

/// Reads a file that may be a pipe, as far as is sane.
pub(super) fn read_capped(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "is larger than 64 MiB",
        ));
    }
    Ok(bytes)
}
