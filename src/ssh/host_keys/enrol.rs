//! Writing keys into known_hosts.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use russh::keys::PublicKey;
use russh::keys::ssh_key::public::KeyData;

use super::key_file::KeyFile;
use super::known_hosts::KnownHosts;
use super::line::{HashedName, Line, Marker, Names, parse_key};
use super::replace::rewrite;
use super::server::ServerName;
use super::verdict::{KeyVerdict, Place};

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
    #[error("another process holds {}, and did for {} s", .file.display(), .waited.as_secs())]
    Locked {
        /// The lock that the other one holds.
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
    /// A key was to be the first one of its server, and the file says otherwise.
    #[error("something else is known of the server by now")]
    NotNew(Box<KeyVerdict>),
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

/// Adds the key of a server of which nothing is known, and nothing if that is no longer so: others
/// write to the file between the verdict and this, and only under its lock it stands still. A key
/// that is there by now is as good.
pub(in crate::ssh) fn enrol_first(
    file: &Path,
    server: &ServerName,
    key: &PublicKey,
    hash: bool,
) -> Result<Enrolled, EnrolError> {
    let entry = checked(&NewEntry {
        names: server.entries(),
        key: key.clone(),
    })?;
    rewrite(file, LOCK_WAIT, |old| {
        let verdict = KnownHosts::of_file(KeyFile::parse(file, old)).check_key(server, key);
        if !matches!(
            verdict,
            KeyVerdict::Known { .. } | KeyVerdict::Unknown { .. }
        ) {
            return Err(EnrolError::NotNew(Box::new(verdict)));
        }
        let mut edit = Edit::new(file);
        edit.remove(old, &BTreeSet::new(), &[]);
        edit.append(&entry, hash)?;
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
    /// How many lines the text has.
    lines: usize,
    done: Enrolled,
    /// The file as it was after names were removed; what is appended is not in it.
    kept: KeyFile,
}

impl<'a> Edit<'a> {
    fn new(file: &'a Path) -> Self {
        Self {
            file,
            text: Vec::new(),
            lines: 0,
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
        self.lines = self.text.split_inclusive(|byte| *byte == b'\n').count();
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
        self.lines += 1;
        self.text
            .extend_from_slice(format!("{names} {}\n", key.trim_end()).as_bytes());
        self.done.added += 1;
        Ok(Place {
            file: self.file.to_owned(),
            line: self.lines,
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;

    const A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const B: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";

    fn entry(names: &[&str], key: &str) -> NewEntry {
        NewEntry {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            key: PublicKey::from_openssh(key).unwrap(),
        }
    }

    fn hashed(name: &str) -> String {
        HashedName::new(name, [7; 20]).unwrap().to_string()
    }

    /// A file of known_hosts in a directory of its own.
    struct Lab(TempDir);

    impl Lab {
        fn new(text: impl AsRef<[u8]>) -> Self {
            let lab = Self(tempfile::tempdir().unwrap());
            fs::write(lab.file(), text).unwrap();
            lab
        }

        fn file(&self) -> PathBuf {
            self.0.path().join("known_hosts")
        }

        fn text(&self) -> String {
            fs::read_to_string(self.file()).unwrap()
        }

        /// Nothing but the file and its lock may stay behind.
        fn is_tidy(&self) -> bool {
            fs::read_dir(self.0.path()).unwrap().count() == 2
        }
    }

    #[test]
    fn keys_are_appended_and_not_twice() {
        let lab = Lab::new("# no end of line");
        let done = enrol(&lab.file(), &[entry(&["H1", "[h2]:2222"], A)], false, &[]).unwrap();
        assert_eq!(lab.text(), format!("# no end of line\nh1,[h2]:2222 {A}\n"));
        assert_eq!((done.added, done.places[0].line), (1, 2));
        let entries = [
            entry(&["h2"], A),
            entry(&["h1", "h3"], A),
            entry(&["h2"], A),
        ];
        let done = enrol(&lab.file(), &entries, false, &[]).unwrap();
        let lines: Vec<usize> = done.places.iter().map(|place| place.line).collect();
        assert_eq!((done.added, lines), (2, vec![3, 2, 3]));
        assert_eq!(
            lab.text(),
            format!("# no end of line\nh1,[h2]:2222 {A}\nh2 {A}\nh3 {A}\n")
        );
        let inode = fs::metadata(lab.file()).unwrap().ino();
        let done = enrol(&lab.file(), &entries, true, &[]).unwrap();
        assert_eq!(done.added, 0);
        assert_eq!(fs::metadata(lab.file()).unwrap().ino(), inode);
        assert!(lab.is_tidy());
    }

    #[test]
    fn a_first_key_is_added_only_where_nothing_else_is_known() {
        let (key, h1) = (PublicKey::from_openssh(A).unwrap(), hashed("h1"));
        let cases = [
            (String::new(), true),
            (format!("h2 {B}\n@cert-authority h2 {B}\n"), true),
            (format!("@revoked h1 {B}\n"), true),
            (format!("h1 {A}\nh1 {B}\n"), true),
            (format!("h1 {B}\n"), false),
            (format!("{h1} {B}\n"), false),
            (format!("h* {B}\n"), false),
            (format!("@revoked h1 {A}\n"), false),
            // As for ssh, an authority vouches for certificates and says nothing of plain keys.
            (format!("@cert-authority h* {B}\n"), true),
        ];
        for (text, taken) in cases {
            let lab = Lab::new(&text);
            let server = ServerName::new("h1", 22);
            match enrol_first(&lab.file(), &server, &key, false) {
                Ok(done) => assert_eq!((done.places.len(), taken), (1, true), "{text}"),
                Err(EnrolError::NotNew(_)) => {
                    assert!(!taken, "{text}");
                    assert_eq!(lab.text(), text);
                }
                Err(other) => unreachable!("{other}"),
            }
        }
    }

    #[test]
    fn a_replaced_name_leaves_all_else_as_it_was() {
        // A line, and what is left of it without h1; "" if nothing is.
        let h1 = hashed("h1");
        let cases = [
            (format!("h1 {B}\n"), ""),
            (format!("  H1\t{B} comment\r\n"), ""),
            (format!("{h1} {B}\n"), ""),
            (
                format!("h0,h1,h2 {B} c o\n"),
                &format!("h0,h2 {B} c o\n")[..],
            ),
            (format!(" h1,h2\t {B}\r\n"), &format!(" h2\t {B}\r\n")),
            (format!("h1,*.ex.com {B}\n"), &format!("*.ex.com {B}\n")),
            (format!("h1,!h2 {B}\n"), ""),
        ];
        for (line, rest) in &cases {
            let lab = Lab::new(format!("# h1\n{line}h9 {A}\n"));
            let replace = ["H1".to_owned()];
            let done = enrol(&lab.file(), &[entry(&["h1"], A)], false, &replace).unwrap();
            assert_eq!(
                lab.text(),
                format!("# h1\n{rest}h9 {A}\nh1 {A}\n"),
                "{line}"
            );
            assert_eq!((done.added, done.removed), (1, vec![2]), "{line}");
        }
    }

    #[test]
    fn what_is_not_the_names_own_stays() {
        let lines = [
            format!("h2 {B}\n"),
            format!("{} {B}\n", hashed("h2")),
            format!("[h1]:2222 {B}\n"),
            format!("h* {B}\n"),
            format!("!h1,h* {B}\n"),
            format!("@revoked h1 {B}\n"),
            format!("@cert-authority h1 {B}\n"),
            "h1 ssh-ed25519 garbage\n".into(),
            "\n \t\n#h1\nh1\n".into(),
        ];
        let mut text = lines.concat().into_bytes();
        text.extend_from_slice(b"\xff\xfe h1\r\n");
        let lab = Lab::new(&text);
        let done = enrol(&lab.file(), &[entry(&["h1"], A)], false, &["h1".into()]).unwrap();
        text.extend_from_slice(format!("h1 {A}\n").as_bytes());
        assert_eq!(fs::read(lab.file()).unwrap(), text);
        assert_eq!(done.removed, [0; 0]);
        // The new key's own line is not replaced by itself.
        let inode = fs::metadata(lab.file()).unwrap().ino();
        enrol(&lab.file(), &[entry(&["h1"], A)], false, &["h1".into()]).unwrap();
        assert_eq!(fs::metadata(lab.file()).unwrap().ino(), inode);
    }

    #[test]
    fn names_that_would_mean_something_else_are_refused() {
        for name in [
            "", "a b", "a,b", "*", "!a", "#a", "@revoked", "|1|a", "a\n", "[a]", "[a]:x", "a]:22",
            "a\u{1b}", "'a'",
        ] {
            let lab = Lab::new("");
            let error = enrol(&lab.file(), &[entry(&[name], A)], false, &[]).unwrap_err();
            assert!(matches!(error, EnrolError::BadName(_)), "{name}: {error}");
        }
    }

    #[test]
    fn a_new_file_is_its_owners_alone() {
        let lab = Lab::new("");
        let file = lab.0.path().join("home/.ssh/known_hosts");
        enrol(&file, &[entry(&["h1"], A)], false, &[]).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(file.parent().unwrap()), 0o700);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        enrol(&file, &[entry(&["h2"], A)], false, &[]).unwrap();
        assert_eq!(mode(&file), 0o644);
    }

    #[test]
    fn links_are_followed_but_not_through_shared_directories() {
        let lab = Lab::new("");
        let dir = lab.0.path();
        fs::create_dir(dir.join("real")).unwrap();
        let link = dir.join("link");
        symlink("second", &link).unwrap();
        symlink(dir.join("real/hosts"), dir.join("second")).unwrap();
        for name in ["h1", "h2"] {
            enrol(&link, &[entry(&[name], A)], false, &[]).unwrap();
        }
        let text = fs::read_to_string(dir.join("real/hosts")).unwrap();
        assert_eq!(text, format!("h1 {A}\nh2 {A}\n"));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let open = fs::Permissions::from_mode(0o1777);
        fs::set_permissions(dir.join("real"), open).unwrap();
        let error = enrol(&link, &[entry(&["h3"], A)], false, &[]).unwrap_err();
        assert!(
            matches!(error, EnrolError::SharedDirectory { .. }),
            "{error}"
        );
        symlink("loop", dir.join("loop")).unwrap();
        assert!(enrol(&dir.join("loop"), &[], false, &[]).is_err());
        for no_file in [dir, Path::new("/dev/null")] {
            let error = enrol(no_file, &[entry(&["h3"], A)], false, &[]).unwrap_err();
            assert!(matches!(error, EnrolError::NotAFile(_)), "{error}");
        }
    }

    #[test]
    fn a_failure_leaves_the_old_file_whole() {
        let lab = Lab::new("old\n");
        let fail = |_: &[u8]| Err::<(Vec<u8>, ()), _>(EnrolError::BadName("x".into()));
        assert!(rewrite(&lab.file(), LOCK_WAIT, fail).is_err());
        // The file changes whenever the new one is ready.
        let file = lab.file();
        let restless = rewrite(&file, LOCK_WAIT, |old| {
            let more = [old, b"more\n".as_slice()].concat();
            fs::write(&file, &more).unwrap();
            Ok((b"new\n".to_vec(), ()))
        });
        assert!(matches!(restless, Err(EnrolError::Restless(_))));
        assert!(lab.text().starts_with("old\nmore\n"));
        assert!(lab.is_tidy());
    }

    #[test]
    fn lines_that_are_appended_without_a_lock_stay() {
        let lab = Lab::new("old\n");
        let (file, mut late) = (lab.file(), true);
        rewrite(&file, LOCK_WAIT, |old| {
            if std::mem::take(&mut late) {
                fs::write(&file, "old\nlate\n").unwrap();
            }
            Ok(([old, b"new\n"].concat(), ()))
        })
        .unwrap();
        assert_eq!(lab.text(), "old\nlate\nnew\n");
    }

    #[test]
    fn a_held_lock_is_waited_for_and_named() {
        let lab = Lab::new("");
        let held = fs::File::create(lab.0.path().join("known_hosts.lock")).unwrap();
        held.lock().unwrap();
        let wait = Duration::from_millis(50);
        let error = rewrite(&lab.file(), wait, |_| Ok((b"x".to_vec(), ()))).unwrap_err();
        assert!(error.to_string().contains("known_hosts.lock"), "{error}");
        assert_eq!(lab.text(), "");
        let later = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(held);
        });
        rewrite(&lab.file(), LOCK_WAIT, |_| Ok((b"x".to_vec(), ()))).unwrap();
        later.join().unwrap();
    }

    #[test]
    fn writers_at_once_lose_nothing() {
        let lab = Lab::new("# head\n");
        let file = lab.file();
        let script = r#"for n in $(seq 20); do
            flock "$0.lock" sh -c 'echo "other$1 $2" >>"$0"' "$0" "$n" "$1"; done"#;
        let mut others = Command::new("sh")
            .args(["-c", script])
            .arg(&file)
            .arg(A)
            .spawn()
            .unwrap();
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let file = &file;
                scope.spawn(move || {
                    for n in 0..15 {
                        let name = format!("h{thread}-{n}");
                        let replace = [name.clone()];
                        enrol(file, &[entry(&[&name], A)], n % 2 == 0, &replace).unwrap();
                    }
                });
            }
        });
        assert!(others.wait().unwrap().success());
        let known = KeyFile::parse(&file, &fs::read(&file).unwrap());
        let key = PublicKey::from_openssh(A).unwrap();
        let is_there = |name: &str| known.find(Marker::Key, name, key.key_data()).is_some();
        for thread in 0..6 {
            assert!((0..15).all(|n| is_there(&format!("h{thread}-{n}"))));
        }
        assert!((1..=20).all(|n| is_there(&format!("other{n}"))));
        assert_eq!(lab.text().lines().count(), 1 + 90 + 20);
        assert!(lab.is_tidy());
    }
}
