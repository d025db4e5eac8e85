//! The audit log: what was decided and done to hosts, when and by whom.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::file;
use crate::model::{RunId, escape_json};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditEvent {
    /// A plan was made and kept.
    Planned,
    /// The operator agreed to it, or to a part of it.
    Approved,
    /// The operator did not.
    Declined,
    /// The run begins to change hosts, or goes on with it.
    Started,
    /// A unit is about to be changed. It is written before the host is asked for anything.
    UnitStarted,
    /// A unit is done; `outcome` says how it ended.
    UnitEnded,
    /// No more units are begun, for the reason in `why`.
    Stopped,
    /// The run is over.
    Ended,
}

/// One line of the log. What does not apply is left out of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Who: `user@bastion`.
    pub who: String,
    /// Which run.
    pub run: RunId,
    /// What happened.
    pub event: AuditEvent,
    /// To which host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// To which unit, with whose manager it belongs to: `openclaw-gateway.service (system)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Which files it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<AuditFile>,
    /// How it ended: the id of a [`RolloutEnd`](crate::model::RolloutEnd).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Why, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A file of an event. No text of it is kept here, only what it can be told by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFile {
    /// Its path.
    pub path: String,
    /// SHA-256 of what stood there, in hex; nothing where there was no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// SHA-256 of what stands there now, or shall; nothing where there is no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Adds a line to `audit.jsonl`; it is on the disk when this returns. Several processes may do so at
/// once. Nothing in a line could be obeyed by a terminal that shows it.
///
/// # Errors
/// A sentence for the operator. Whoever wants to change a host then must not.
pub fn append_audit(dir: &Path, record: &AuditRecord) -> Result<(), String> {
    let path = dir.join("audit.jsonl");
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let line = serde_json::to_string(record).map_err(|error| failed(&error))?;
    file::make_dir(dir)
        .and_then(|()| file::append_line(&path, &escape_json(&line)))
        .map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;

    fn record(why: &str) -> AuditRecord {
        AuditRecord {
            at: "2026-11-21T12:03:01Z".to_owned(),
            who: "ops@bastion".to_owned(),
            run: "20261121-120301-5f3a9c".to_owned(),
            event: AuditEvent::UnitEnded,
            host: Some("VM151".to_owned()),
            unit: Some("openclaw-gateway.service (system)".to_owned()),
            files: vec![AuditFile {
                path: "/etc/systemd/system/openclaw-gateway.service.d/50-clawfleet.conf".to_owned(),
                before: None,
                after: Some("0".repeat(64)),
            }],
            outcome: Some("rolled-back".to_owned()),
            why: Some(why.to_owned()),
        }
    }

    fn read(dir: &Path) -> Vec<Result<AuditRecord, String>> {
        let text = std::fs::read(dir.join("audit.jsonl")).unwrap();
        file::lines(&text)
            .map(|line| serde_json::from_slice(line).map_err(|error| error.to_string()))
            .collect()
    }

    #[test]
    fn a_record_is_one_harmless_line() {
        let dir = tempfile::tempdir().unwrap();
        let evil = record("a\n{\"at\":\u{1b}[2J\u{9b}\u{202e}");
        append_audit(dir.path(), &evil).unwrap();
        append_audit(dir.path(), &record("x")).unwrap();
        let path = dir.path().join("audit.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(
            !text
                .chars()
                .any(|c| c != '\n' && crate::model::is_unsafe(c))
        );
        assert_eq!(read(dir.path()), [Ok(evil), Ok(record("x"))]);
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn a_torn_line_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("audit.jsonl"), "{\"at\":\"2026").unwrap();
        append_audit(dir.path(), &record("x")).unwrap();
        let records = read(dir.path());
        assert!(records[0].is_err());
        assert_eq!(records[1..], [Ok(record("x"))]);
    }

    #[test]
    fn a_link_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        std::fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, dir.path().join("audit.jsonl")).unwrap();
        let error = append_audit(dir.path(), &record("x")).unwrap_err();
        assert!(error.contains("symbolic link"), "{error}");
        assert_eq!(std::fs::read(target).unwrap(), b"");
    }

    const LINES: usize = 200;

    /// Marks the directory of the test below.
    const HERE: &str = "many-lines-are-written-here";

    /// The other process of [`processes_do_not_tear_each_others_lines`]; alone it does nothing.
    #[test]
    fn a_writer_of_many_lines() {
        if !Path::new(HERE).exists() {
            return;
        }
        let who = std::process::id();
        for line in 0..LINES {
            // Lines of several pages.
            let why = format!("{who} {line} {}", "x".repeat(line * 97));
            append_audit(Path::new("."), &record(&why)).unwrap();
        }
    }

    #[test]
    fn processes_do_not_tear_each_others_lines() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(HERE), "").unwrap();
        let writers: Vec<_> = (0..4)
            .map(|_| {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "store::audit::tests::a_writer_of_many_lines"])
                    .current_dir(dir.path())
                    .stdout(std::process::Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for mut writer in writers {
            assert!(writer.wait().unwrap().success());
        }
        let records = read(dir.path());
        assert_eq!(records.len(), 4 * LINES);
        assert_eq!(records.iter().find(|record| record.is_err()), None);
    }
}
