//! Files that other programs read: replaced whole, and readable for them.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::file;

/// The mode of a new file: node_exporter, a CI server and a web server are other users.
const MODE: u32 = 0o644;

/// Looks whether a file can be put there, by making another one beside it and taking it away again.
///
/// # Errors
/// A sentence for the operator, without the path.
pub fn can_publish(path: &Path) -> Result<(), String> {
    let dir = file::parent(path);
    match fs::metadata(&dir) {
        Ok(data) if data.is_dir() => {}
        Ok(_) => return Err(format!("{} is no directory", dir.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!("there is no directory {}", dir.display()));
        }
        Err(error) => return Err(format!("{}: {error}", dir.display())),
    }
    if path.file_name().is_none() {
        return Err("it names no file".into());
    }
    // The new file takes the name's place: a device or a link would be gone.
    match path.symlink_metadata() {
        Ok(data) if data.is_dir() => return Err("it is a directory".into()),
        Ok(data) if data.is_symlink() => {
            return Err(
                "it is a symbolic link, and a link would be replaced; name its target".into(),
            );
        }
        Ok(data) if !data.is_file() => return Err("it is no regular file".into()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.to_string()),
        Ok(_) | Err(_) => {}
    }
    file::can_make_beside(path)
        .map_err(|error| format!("no file can be made in {}: {error}", dir.display()))
}

/// Puts a file there, whole or not at all, and onto the disk. A new one may be read by everybody; one
/// that takes another's place has its mode and, where that is allowed, its owner.
///
/// # Errors
/// A sentence for the operator, without the path.
pub fn publish(path: &Path, text: &[u8]) -> Result<(), String> {
    let before = path.symlink_metadata().ok().filter(fs::Metadata::is_file);
    file::replace_readable(path, text, |new| {
        let mode = match &before {
            Some(before) => {
                let (owner, group) = (before.uid(), before.gid());
                let owner = rustix::fs::Uid::from_raw(owner);
                let group = rustix::fs::Gid::from_raw(group);
                // Only root may give a file away. The mode then holds for our own user.
                let _ = rustix::fs::fchown(new, Some(owner), Some(group));
                before.mode() & 0o777
            }
            None => MODE,
        };
        new.set_permissions(fs::Permissions::from_mode(mode))
    })
    .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_readable_and_an_old_one_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.prom");
        can_publish(&path).unwrap();
        assert!(!path.exists());
        publish(&path, b"one").unwrap();
        assert_eq!(mode(&path), 0o644);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        can_publish(&path).unwrap();
        publish(&path, b"two").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("target"), &link).unwrap();
        for (path, words) in [
            (dir.path().to_owned(), "directory"),
            (link, "symbolic link"),
            ("/dev/null".into(), "no regular file"),
            (dir.path().join("no/such"), "there is no directory"),
            ("/".into(), "names no file"),
        ] {
            let why = can_publish(&path).unwrap_err();
            assert!(why.contains(words), "{}: {why}", path.display());
        }
    }
}
