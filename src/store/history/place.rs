//! Where the database may stand: its locks and its shared memory work on one machine only.

use std::path::Path;

use super::HistoryFault;

/// File systems that several machines can have at once, by the number that the kernel gives them.
const NETWORKED: [(u32, &str); 10] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x0bd0_0bd0, "Lustre"),
];

/// Refuses a directory that another machine may have as well. What cannot be told is let through.
pub(super) fn must_be_local(dir: &Path) -> Result<(), HistoryFault> {
    let Ok(about) = rustix::fs::statfs(dir) else {
        return Ok(());
    };
    match networked(about.f_type) {
        Some(kind) => Err(HistoryFault::Shared {
            dir: dir.display().to_string(),
            kind,
        }),
        None => Ok(()),
    }
}

/// The name of a network file system; `None` for all others.
fn networked(number: impl TryInto<i128>) -> Option<&'static str> {
    let number = number.try_into().ok()?;
    // Some of them are negative where the field is 32 bits wide.
    let number = number & 0xffff_ffff;
    let known = NETWORKED.iter();
    known
        .map(|(known, name)| (i128::from(*known), *name))
        .find_map(|(known, name)| (known == number).then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known() {
        assert_eq!(networked(0x6969_i64), Some("NFS"));
        assert_eq!(networked(0xff53_4d42_u32.cast_signed()), Some("CIFS"));
        assert_eq!(networked(0xef53_i64), None);
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(must_be_local(dir.path()), Ok(()));
        let fault = HistoryFault::Shared {
            dir: "/mnt/x".into(),
            kind: "NFS",
        };
        assert!(fault.to_string().contains("XDG_STATE_HOME"));
    }
}
