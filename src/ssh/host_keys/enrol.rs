//! Writing keys into known_hosts.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use russh::keys::PublicKey;
use russh::keys::ssh_key::public::KeyData;

use super::key_file::KeyFile;
use super::line::{HashedName, Line, Marker, Names, parse_key};
use super::replace::rewrite;
use super::verdict::Place;

/// How long another writer may hold the file.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// What ssh never writes as a name: it would mean something else in a file.
const NOT_IN_NAMES: &[char] = &['@', '?', '*', '#', '|', '!', ',', '\'', '"', '\\'];

/// A key and the names that it is enrolled for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// Names as [`ServerName::entries`](super::ServerName::entries) gives them.
    pub names: Vec<String>,
    /// The key.
    pub key: PublicKey,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Enrolled {
    /// Where each entry is now, be it new or not; in the order of the entries.
    pub places: Vec<Place>,
    /// How many lines were added.
    pub added: usize,
    /// Lines of the old file that lost a name or were removed.
    pub removed: Vec<usize>,
}

/// Why a file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// A name that cannot stand in a file.
    #[error("`{0}` cannot be written as a name")]
    BadName(String),
    /// Somebody else is writing.
    #[error("{} is locked by another process, and was for {} s", .file.display(), .waited.as_secs())]
    Locked {
        /// The file that the other one holds.
        file: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The file changed whenever it was about to be replaced.
    #[error("{} is written to all the time", .0.display())]
    Restless(PathBuf),
    /// The way to the file leads through a directory where anybody can put another link.
    #[error("{} is reached by a link through {}, where anybody may write", .file.display(), .directory.display())]
    SharedDirectory {
        /// The file as it is named.
        file: PathBuf,
        /// The directory.
        directory: PathBuf,
    },
    /// A device, a pipe or a directory.
    #[error("{} is no regular file", .0.display())]
    NotAFile(PathBuf),
    /// The system says no.
    #[error("{}: {source}", .file.display())]
    Io {
        /// What it was about.
        file: PathBuf,
        /// Its words.
        source: io::Error,
    },
}

impl EnrolError {
    /// An error of the system about a file.
    pub(super) fn io(file: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let file = file.to_owned();
        move |source| Self::Io { file, source }
    }
}

/// Adds keys to a file, which is replaced as a whole or not at all. Other keys of the names in
/// `replace` go: a line of several names loses just that name, and all other lines stay as they
/// are, as do lines with a marker or with a pattern. What is there already is not added again.
///
/// Waits for other writers for some seconds, so it has no place in asynchronous code.
pub fn enrol(
    file: &Path,
    entries: &[NewEntry],
    hash: bool,
    replace: &[String],
) -> Result<Enrolled, EnrolError> {
    let entries: Vec<NewEntry> = entries.iter().map(checked).collect::<Result<_, _>>()?;
    let replace: BTreeSet<String> = replace
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .collect();
    rewrite(file, LOCK_WAIT, |old| {
        let mut edit = Edit::new(file);
        edit.remove(old, &replace, &entries);
        for entry in &entries {
            edit.append(entry, hash)?;
        }
        Ok((edit.text, edit.done))
    })
}

fn checked(entry: &NewEntry) -> Result<NewEntry, EnrolError> {
    let names = entry
        .names
        .iter()
        .map(|name| check_name(name))
        .collect::<Result<_, _>>()?;
    Ok(NewEntry {
        names,
        key: entry.key.clone(),
    })
}

/// Lets only names pass that a line can hold. Brackets are for a port.
fn check_name(name: &str) -> Result<String, EnrolError> {
    let bad = || EnrolError::BadName(name.to_owned());
    let bare = match name.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.rsplit_once("]:").ok_or_else(bad)?;
            port.parse::<u16>().map_err(|_| bad())?;
            host
        }
        None => name,
    };
    let strange = |c: char| {
        c.is_whitespace() || c.is_control() || c == '[' || c == ']' || NOT_IN_NAMES.contains(&c)
    };
    if bare.is_empty() || bare.contains(strange) {
        return Err(bad());
    }
    Ok(name.to_ascii_lowercase())
}

/// A file on its way to its new text.
struct Edit<'a> {
    file: &'a Path,
    text: Vec<u8>,
    done: Enrolled,
    /// The file as it was after names were removed; what is appended is not in it.
    kept: KeyFile,
}

impl<'a> Edit<'a> {
    fn new(file: &'a Path) -> Self {
        Self {
            file,
            text: Vec::new(),
            done: Enrolled::default(),
            kept: KeyFile::default(),
        }
    }

    /// Copies the old text without the replaced names.
    fn remove(&mut self, old: &[u8], replace: &BTreeSet<String>, entries: &[NewEntry]) {
        for (number, line) in old.split_inclusive(|byte| *byte == b'\n').enumerate() {
            match without_names(line, replace, entries) {
                Some(rest) => {
                    self.text.extend(rest);
                    self.done.removed.push(number + 1);
                }
                None => self.text.extend_from_slice(line),
            }
        }
        self.kept = KeyFile::parse(self.file, &self.text);
    }

    /// Appends a key for the names that do not have it.
    fn append(&mut self, entry: &NewEntry, hash: bool) -> Result<(), EnrolError> {
        let key = entry.key.key_data();
        let (mut at, mut missing) = (None, Vec::new());
        for name in &entry.names {
            match self.kept.find(Marker::Key, name, key) {
                Some(place) => at = at.or(Some(place)),
                None => missing.push(name),
            }
        }
        let names: Vec<String> = if hash {
            let hashed = missing.iter().map(|name| self.hashed(name));
            hashed.collect::<Result<_, _>>()?
        } else if missing.is_empty() {
            Vec::new()
        } else {
            vec![
                missing
                    .iter()
                    .map(|name| name.as_str())
                    .collect::<Vec<_>>()
                    .join(","),
            ]
        };
        for names in names {
            let place = self.append_line(&names, &entry.key)?;
            at = at.or(Some(place));
        }
        for name in missing {
            let line = at.as_ref().map_or(0, |place| place.line);
            self.kept.add(name, key, line);
        }
        self.done.places.extend(at);
        Ok(())
    }

    fn hashed(&self, name: &str) -> Result<String, EnrolError> {
        let mut salt = [0; 20];
        getrandom::fill(&mut salt)
            .map_err(|error| EnrolError::io(self.file)(io::Error::other(error)))?;
        HashedName::new(name, salt)
            .map(|hashed| hashed.to_string())
            .ok_or_else(|| EnrolError::BadName(name.to_owned()))
    }

    fn append_line(&mut self, names: &str, key: &PublicKey) -> Result<Place, EnrolError> {
        let key = PublicKey::new(key.key_data().clone(), "")
            .to_openssh()
            .map_err(|error| EnrolError::io(self.file)(io::Error::other(error)))?;
        if self.text.last().is_some_and(|last| *last != b'\n') {
            self.text.push(b'\n');
        }
        let before = self.text.iter().filter(|byte| **byte == b'\n').count();
        self.text
            .extend_from_slice(format!("{names} {}\n", key.trim_end()).as_bytes());
        self.done.added += 1;
        Ok(Place {
            file: self.file.to_owned(),
            line: before + 1,
        })
    }
}

/// Returns a line without the replaced names, and nothing of it if it has no others. `None` if the
/// line stays as it is.
fn without_names(line: &[u8], replace: &BTreeSet<String>, entries: &[NewEntry]) -> Option<Vec<u8>> {
    if replace.is_empty() {
        return None;
    }
    let text = std::str::from_utf8(line).ok()?;
    let fields = Line::split(text).ok()??;
    if fields.marker != Marker::Key {
        return None;
    }
    let going = replaced_names(fields.names, replace)?;
    let key = parse_key(fields.key).ok()?;
    let going: Vec<&String> = going
        .into_iter()
        .filter(|name| !is_wanted(entries, name, &key))
        .collect();
    if going.is_empty() {
        return None;
    }
    Some(rest_of(text, fields.names, &going).unwrap_or_default())
}

/// The replaced names among those of a line.
fn replaced_names<'a>(names: &str, replace: &'a BTreeSet<String>) -> Option<Vec<&'a String>> {
    match Names::parse(names).ok()? {
        Names::Hashed(hashed) => Some(replace.iter().filter(|name| hashed.is(name)).collect()),
        Names::Plain(names) | Names::Patterns(names) => {
            Some(names.iter().filter_map(|name| replace.get(name)).collect())
        }
    }
}

/// Whether a name and its key would only be added again.
fn is_wanted(entries: &[NewEntry], name: &String, key: &KeyData) -> bool {
    entries
        .iter()
        .any(|entry| entry.key.key_data() == key && entry.names.contains(name))
}

/// A line without some of its names, if any other is left that could match.
fn rest_of(text: &str, names: &str, going: &[&String]) -> Option<Vec<u8>> {
    let stays = |name: &&str| !going.iter().any(|gone| gone.eq_ignore_ascii_case(name));
    let left: Vec<&str> = names.split(',').filter(stays).collect();
    if names.starts_with('|')
        || left
            .iter()
            .all(|name| name.is_empty() || name.starts_with('!'))
    {
        return None;
    }
    let (before, after) = text.split_once(names)?;
    Some([before, &left.join(","), after].concat().into_bytes())
}
