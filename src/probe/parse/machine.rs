//! The machine: its clock, its login, its disks, what is installed.

use super::super::frame::Frame;
use crate::model::{Disk, FileMode, Login, Package, SystemFacts};

/// How much of each kind is kept.
const MAX_MODES: usize = 128;
const MAX_DISKS: usize = 32;
const MAX_PACKAGES: usize = 16;

/// Reads a `hello` frame.
pub(super) fn system(frame: &Frame<'_>) -> SystemFacts {
    let text = |key: &str| frame.get(key).map(|text| text.trim_matches('"').to_owned());
    let whole_seconds = |key: &str| {
        frame
            .get(key)
            .and_then(|text| text.split('.').next())
            .and_then(|text| text.parse().ok())
    };
    SystemFacts {
        os: text("os"),
        kernel: text("kernel"),
        systemd: whole_seconds("systemd").and_then(|version| u32::try_from(version).ok()),
        hostname: text("hostname"),
        uptime_s: whole_seconds("uptime"),
        clock_s: whole_seconds("clock"),
        clock_ahead_s: None,
        login: Login {
            user: text("user").unwrap_or_default(),
            uid: frame.get("uid").and_then(|uid| uid.parse().ok()),
            journal: frame.get("journal") == Some("yes"),
            sees_processes: frame.get("sees_processes").map(|sees| sees == "yes"),
        },
    }
}

/// Reads an `installed` frame: `ROOT VERSION SECONDS`.
pub(super) fn packages(frame: &Frame<'_>) -> Vec<Package> {
    let package = |text: &str| {
        let mut words = text.split(' ');
        Some(Package {
            root: words.next()?.to_owned(),
            version: words.next().filter(|word| !word.is_empty())?.to_owned(),
            changed_s: words.next()?.parse().ok()?,
        })
    };
    frame
        .all("installed")
        .filter_map(package)
        .take(MAX_PACKAGES)
        .collect()
}

/// Reads a `modes` frame: `OCTAL UID GID SECONDS PATH`.
pub(super) fn modes(frame: &Frame<'_>) -> Vec<FileMode> {
    let mode = |text: &str| {
        let mut words = text.splitn(5, ' ');
        Some(FileMode {
            mode: u32::from_str_radix(words.next()?, 8).ok()?,
            uid: words.next()?.parse().ok()?,
            gid: words.next()?.parse().ok()?,
            changed_s: words.next()?.parse().ok()?,
            path: words.next()?.to_owned(),
        })
    };
    frame.all("mode").filter_map(mode).take(MAX_MODES).collect()
}

/// Reads a `disks` frame: `SIZE USED FREE MOUNT` in KiB.
pub(super) fn disks(frame: &Frame<'_>) -> Vec<Disk> {
    let disk = |text: &str| {
        let mut words = text.splitn(4, ' ');
        let size_kib = words.next()?.parse().ok()?;
        words.next()?;
        Some(Disk {
            size_kib,
            free_kib: words.next()?.parse().ok()?,
            mount: words.next()?.to_owned(),
        })
    };
    frame.all("disk").filter_map(disk).take(MAX_DISKS).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::{Nonce, split};
    use super::*;

    #[test]
    fn lines_of_stat_df_and_package() {
        let nonce = Nonce::new(1);
        let n = nonce.as_str();
        let text = format!(
            "@{n} x\ninstalled=/opt/openclaw 2026.9.6 1700000000\ninstalled=/opt/none  1\nmode=600 0 0 17 /a b/c\n\
             mode=9 0 0 1 /x\ndisk=100 90 10 /var/lib x\ndisk=nonsense\n"
        );
        let frames = split(&text, &nonce);
        let frame = &frames.frames[0];
        assert_eq!(packages(frame).len(), 1);
        assert_eq!(packages(frame)[0].version, "2026.9.6");
        assert_eq!(modes(frame).len(), 1);
        assert_eq!(
            (modes(frame)[0].mode, modes(frame)[0].path.as_str()),
            (0o600, "/a b/c")
        );
        assert_eq!(disks(frame).len(), 1);
        assert_eq!(
            (disks(frame)[0].free_kib, disks(frame)[0].mount.as_str()),
            (10, "/var/lib x")
        );
    }
}
