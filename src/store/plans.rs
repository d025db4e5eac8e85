//! Plans in files of the operator's: `--out plan.json` and `--plan plan.json`.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use super::file;
use crate::model::{Plan, escape_json, sanitize, shorten};

/// The schema of plans that this program writes and reads.
pub(super) const SCHEMA: &str = "clawfleet.plan/1";

/// The largest plan, in bytes: thousands of hosts with a unit file each take a tenth of it.
pub(super) const MAX_PLAN: u64 = 64 << 20;

/// What every version of a plan has.
#[derive(Deserialize)]
struct Head {
    schema: Option<String>,
}

/// Writes a plan to a file that only its user may read, whole or not at all. A plan that stands
/// there is replaced; anything else is left alone, and so is what a link leads to.
///
/// # Errors
/// A sentence for the operator.
pub fn write_plan_file(path: &Path, plan: &Plan) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(&error)),
        Ok(_) => {
            let old = file::read(path, MAX_PLAN).map_err(|error| {
                failed(&format!("{error}; name a file that does not exist yet"))
            })?;
            let head: Option<Head> = serde_json::from_slice(&old).ok();
            let schema = head.and_then(|head| head.schema).unwrap_or_default();
            if !schema.starts_with("clawfleet.plan/") {
                return Err(failed(
                    &"it exists and is no plan, so it is not overwritten; remove it or name another file",
                ));
            }
        }
    }
    let mut text = serde_json::to_string_pretty(plan).map_err(|error| failed(&error))?;
    text = escape_json(&text);
    text.push('\n');
    if text.len() as u64 > MAX_PLAN {
        let mib = MAX_PLAN >> 20;
        return Err(failed(&format!(
            "the plan is larger than the {mib} MiB that are read again; plan fewer hosts at once"
        )));
    }
    file::replace_durably(path, text.as_bytes()).map_err(|error| failed(&error))
}

/// Reads a plan from a file. Whether what it says can be done is for
/// `rollout::validate` to judge: nothing of it may be believed before.
///
/// # Errors
/// A sentence for the operator, with the line of damaged JSON.
pub fn read_plan_file(path: &Path) -> Result<Plan, String> {
    let text =
        file::read(path, MAX_PLAN).map_err(|error| format!("{}: {error}", path.display()))?;
    parse(&text).map_err(|why| format!("{}: {why}", path.display()))
}

/// Reads a plan, its schema first: what a later version has is no damage.
pub(super) fn parse(text: &[u8]) -> Result<Plan, String> {
    let damaged = |error: serde_json::Error| {
        let words = error.to_string();
        // An error may quote what stands in the file.
        let words = shorten(&sanitize(&words), 300).into_owned();
        format!("it is no plan, or damaged: {words}")
    };
    let head: Head = serde_json::from_slice(text).map_err(damaged)?;
    match head.schema.as_deref() {
        Some(SCHEMA) => serde_json::from_slice(text).map_err(damaged),
        Some(other) => Err(format!(
            "its schema is `{}`, and this program reads `{SCHEMA}`",
            shorten(&sanitize(other), 60)
        )),
        None => Err(format!("it has no `schema`, so it is no plan (`{SCHEMA}`)")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::model::{Purpose, RestartWhen, Standing, UnitOwner, UnitPlan};

    /// A plan for some hosts.
    pub(in crate::store) fn plan(run: &str, inventory: &str, hosts: &[&str]) -> Plan {
        Plan {
            schema: SCHEMA.to_owned(),
            run: run.to_owned(),
            made_at: "2026-11-21T12:03:01Z".to_owned(),
            made_by: "ops@bastion".to_owned(),
            inventory: inventory.to_owned(),
            purpose: Purpose::Harden {
                profile: "baseline".to_owned(),
            },
            restart: RestartWhen::IfChanged,
            unseen: Vec::new(),
            units: hosts
                .iter()
                .map(|host| UnitPlan {
                    host: (*host).to_owned(),
                    unit: "openclaw-gateway.service".to_owned(),
                    owner: UnitOwner::System,
                    port: 18789,
                    files: Vec::new(),
                    settings: Vec::new(),
                    exposure: None,
                    enable: false,
                    restart: true,
                    before: Standing::Well,
                    notes: vec!["\u{9b}2J".to_owned()],
                    remedy: None,
                })
                .collect(),
        }
    }

    fn one() -> Plan {
        plan("20261121-120301-5f3a9c", "/etc/i.yaml", &["VM151"])
    }

    #[test]
    fn a_plan_comes_back_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.json");
        write_plan_file(&path, &one()).unwrap();
        assert_eq!(read_plan_file(&path).unwrap(), one());
        assert_eq!(
            path.metadata().unwrap().permissions().mode() & 0o7777,
            0o600
        );
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains('\u{9b}') && text.contains("\\u009b"));
        // One plan may take another's place, and nothing is left beside it.
        let other = plan("20261121-120302-5f3a9c", "/etc/i.yaml", &["VM152"]);
        write_plan_file(&path, &other).unwrap();
        assert_eq!(read_plan_file(&path).unwrap(), other);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_plan_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("inventory.yaml");
        for text in [
            "hosts: {VM151: {}}",
            "",
            "{}",
            "{\"schema\": \"clawfleet.report/1\"}",
        ] {
            fs::write(&path, text).unwrap();
            let error = write_plan_file(&path, &one()).unwrap_err();
            assert!(error.contains("is no plan"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let link = dir.path().join("link.json");
        let target = dir.path().join("target.json");
        write_plan_file(&target, &one()).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let error = write_plan_file(&link, &one()).unwrap_err();
        assert!(error.contains("symbolic link"), "{error}");
        assert!(read_plan_file(&link).unwrap_err().contains("symbolic link"));
        assert!(
            write_plan_file(dir.path(), &one())
                .unwrap_err()
                .contains("not a file")
        );
        assert!(write_plan_file(&dir.path().join("no/plan.json"), &one()).is_err());
    }

    #[test]
    fn damage_is_told_with_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.json");
        write_plan_file(&path, &one()).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        let said = |text: &str| {
            fs::write(&path, text).unwrap();
            read_plan_file(&path).unwrap_err()
        };
        let why = said(&whole[..whole.len() / 2]);
        assert!(
            why.starts_with(&path.display().to_string()) && why.contains(" at line "),
            "{why}"
        );
        let why = said(&whole.replace("\"port\": 18789", "\"port\": 70000"));
        assert!(why.contains("u16") && why.contains(" at line "), "{why}");
        let why = said(&whole.replace("plan/1", "plan/2"));
        assert!(
            why.ends_with(
                "its schema is `clawfleet.plan/2`, and this program reads `clawfleet.plan/1`"
            ),
            "{why}"
        );
        assert!(said("{}").contains("no `schema`"));
        assert!(said("").contains("damaged"));
        assert!(said(&"[".repeat(100_000)).contains("damaged"));
        let why = said("{\"schema\": \"\u{9b}2J\"}");
        assert!(!why.contains('\u{9b}'), "{why}");
        let missing = read_plan_file(&dir.path().join("none.json")).unwrap_err();
        assert!(missing.contains("none.json"), "{missing}");
    }

    #[test]
    fn what_is_too_large_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.json");
        fs::File::create(&path)
            .unwrap()
            .set_len(MAX_PLAN + 1)
            .unwrap();
        let error = read_plan_file(&path).unwrap_err();
        assert!(error.contains("larger than 64 MiB"), "{error}");
    }
}
