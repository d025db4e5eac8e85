//! What commands print, kept in a bounded memory: what is more goes to a file that has no name.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use sha2::{Digest as _, Sha256};

use crate::model::{Kept, Output};

/// How much of one stream stays in memory, in bytes.
const OF_ONE: usize = 64 << 10;

/// How much of all streams together stays in memory, in bytes.
const OF_ALL: usize = 16 << 20;

/// After how many bytes in the file the disk is looked at, and how much of it stays free (at most a twentieth of
/// it), in bytes.
const LOOKED: u64 = 16 << 20;
const LEFT: u64 = 1 << 30;

/// How much is read of the file at once, in bytes.
const PIECE: usize = 64 << 10;

/// The file that outputs are spilled to. It is made when it is needed, for the user alone, and loses its name
/// at once: however the program ends, nothing is left of it.
#[derive(Debug)]
pub struct Spill {
    dir: std::path::PathBuf,
    file: OnceLock<Result<File, String>>,
    /// Where the next bytes go.
    end: AtomicU64,
    /// What streams hold in memory together.
    held: AtomicUsize,
}

impl Spill {
    /// Names the directory, which may not be there yet.
    pub fn new(dir: &Path) -> Arc<Self> {
        Arc::new(Self {
            dir: dir.to_owned(),
            file: OnceLock::new(),
            end: AtomicU64::new(0),
            held: AtomicUsize::new(0),
        })
    }

    fn file(&self) -> io::Result<&File> {
        let made = self
            .file
            .get_or_init(|| nameless(&self.dir).map_err(|error| error.to_string()));
        made.as_ref()
            .map_err(|why| io::Error::other(format!("{}: {why}", self.dir.display())))
    }

    /// Writes a piece. Returns where it is.
    fn write(&self, data: &[u8]) -> io::Result<Extent> {
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let file = self.file()?;
        let at = self.end.fetch_add(length, Ordering::Relaxed);
        if at / LOOKED != (at + length) / LOOKED {
            self.leaves_room(file)?;
        }
        file.write_all_at(data, at)?;
        Ok(Extent { at, length })
    }

    /// The disk is not ours alone: whatever hosts print, others have room on it.
    fn leaves_room(&self, file: &File) -> io::Result<()> {
        let disk = rustix::fs::fstatvfs(file)?;
        let (free, all) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
        if free >= LEFT.min(all / 20) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::StorageFull,
            format!(
                "{}: the disk is nearly full ({} MiB are left to others)",
                self.dir.display(),
                free >> 20
            ),
        ))
    }
}

/// Makes a file that only this process can reach.
pub(super) fn nameless(dir: &Path) -> io::Result<File> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let path = dir.join(format!(".output.{:016x}", u64::from_le_bytes(random)));
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[derive(Debug, Clone, Copy)]
struct Extent {
    at: u64,
    length: u64,
}

/// One stream while it comes.
#[derive(Debug)]
pub(super) struct Capture {
    spill: Arc<Spill>,
    digest: Sha256,
    length: u64,
    extents: Vec<Extent>,
    memory: Vec<u8>,
}

impl Capture {
    pub(super) fn new(spill: &Arc<Spill>) -> Self {
        Self {
            spill: Arc::clone(spill),
            digest: Sha256::new(),
            length: 0,
            extents: Vec::new(),
            memory: Vec::new(),
        }
    }

    /// Takes a piece.
    pub(super) fn take(&mut self, data: &[u8]) -> io::Result<()> {
        self.digest.update(data);
        self.length += u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.memory.extend_from_slice(data);
        let held = self.spill.held.fetch_add(data.len(), Ordering::Relaxed) + data.len();
        if self.memory.len() >= OF_ONE || held >= OF_ALL {
            let extent = self.spill.write(&self.memory)?;
            match self.extents.last_mut() {
                Some(last) if last.at + last.length == extent.at => last.length += extent.length,
                _ => self.extents.push(extent),
            }
            self.spill
                .held
                .fetch_sub(self.memory.len(), Ordering::Relaxed);
            self.memory = Vec::new();
        }
        Ok(())
    }

    /// Returns what came.
    pub(super) fn finish(mut self) -> Output {
        self.memory.shrink_to_fit();
        Output {
            length: self.length,
            digest: self.digest.finalize().into(),
            kept: Arc::new(Stored {
                spill: self.spill,
                extents: self.extents,
                memory: self.memory,
            }),
        }
    }
}

/// A stream that came.
#[derive(Debug)]
struct Stored {
    spill: Arc<Spill>,
    extents: Vec<Extent>,
    memory: Vec<u8>,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.spill
            .held
            .fetch_sub(self.memory.len(), Ordering::Relaxed);
    }
}

impl Kept for Stored {
    fn give(&self, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut piece = Vec::new();
        for extent in &self.extents {
            let (mut at, end) = (extent.at, extent.at + extent.length);
            while at < end {
                let want = usize::try_from(end - at).map_or(PIECE, |left| left.min(PIECE));
                piece.resize(want, 0);
                self.spill.file()?.read_exact_at(&mut piece, at)?;
                take(&piece)?;
                at += u64::try_from(want).unwrap_or(u64::MAX);
            }
        }
        if self.memory.is_empty() {
            return Ok(());
        }
        take(&self.memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_and_little_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let spill = Spill::new(&dir.path().join("state"));
        let mut outputs = Vec::new();
        let mut captures: Vec<Capture> = (0..40).map(|_| Capture::new(&spill)).collect();
        for round in 0..100_u32 {
            for (index, capture) in captures.iter_mut().enumerate() {
                let line = format!("{index} {round} ").repeat(800);
                capture.take(line.as_bytes()).unwrap();
            }
            assert!(spill.held.load(Ordering::Relaxed) <= OF_ALL);
        }
        for capture in captures {
            assert!(capture.memory.len() <= OF_ONE);
            outputs.push(capture.finish());
        }
        for (index, output) in outputs.iter().enumerate() {
            let mut wanted = String::new();
            for round in 0..100_u32 {
                wanted += &format!("{index} {round} ").repeat(800);
            }
            let mut text = Vec::new();
            output
                .kept
                .give(&mut |piece| {
                    text.extend_from_slice(piece);
                    Ok(())
                })
                .unwrap();
            assert_eq!(text, wanted.as_bytes());
            assert_eq!(output.length, wanted.len() as u64);
            let digest: [u8; 32] = Sha256::digest(&text).into();
            assert_eq!(output.digest, digest);
        }
        // The file has no name, and nobody else may open it.
        assert_eq!(
            std::fs::read_dir(dir.path().join("state")).unwrap().count(),
            0
        );
        use std::os::unix::fs::PermissionsExt as _;
        let mode = spill
            .file()
            .unwrap()
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(outputs);
        assert_eq!(spill.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_state_directory_that_cannot_be_is_an_error_and_no_loss() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let spill = Spill::new(&dir.path().join("file/state"));
        let mut capture = Capture::new(&spill);
        capture.take(b"small").unwrap();
        assert!(capture.take(&vec![0; OF_ONE]).is_err());
    }
}
