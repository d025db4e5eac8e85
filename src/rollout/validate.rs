//! Whether a plan can be one of ours. Plans are read from files that others may have written, so
//! nothing in them is believed: what a host is asked to do comes from here.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::model::{
    Act, FileChange, FileContent, Plan, Purpose, SettingChange, UnitOwner, UnitPlan, is_unsafe,
    sanitize, shorten,
};

/// The schema of plans that this program understands.
pub const SCHEMA: &str = "clawfleet.plan/1";

/// The longest text of a file, in bytes. The longest generated unit seen has 3 KB.
pub const MAX_TEXT: usize = 64 << 10;

/// The most units of a plan, files of a unit, settings of a unit and notes of a unit.
const MOST_UNITS: usize = 100_000;
const MOST_FILES: usize = 64;
const MOST_SETTINGS: usize = 256;
const MOST_NOTES: usize = 64;
/// The most acts of a fix of one unit: the longest that is planned has four.
const MOST_ACTS: usize = 32;

/// The longest path and name in bytes, as Linux has them (PATH_MAX with its NUL, NAME_MAX).
const LONGEST_PATH: usize = 4095;
const LONGEST_NAME: usize = 255;

/// The longest configuration that is changed, in bytes; the survey reads no more.
const MAX_CONFIG: usize = 256 << 10;

/// The longest remark or value of a setting, in bytes.
const LONGEST_REMARK: usize = 16 << 10;

/// Where the system manager's units stand (systemd.unit(5), "Unit File Load Path").
const SYSTEM_DIRS: [&str; 5] = [
    "/etc/systemd/system/",
    "/run/systemd/system/",
    "/usr/local/lib/systemd/system/",
    "/usr/lib/systemd/system/",
    "/lib/systemd/system/",
];

/// Whether a text has the shape of a run's name: `20261121-120301-5f3a9c`.
pub fn is_run_id(text: &str) -> bool {
    let mut parts = text.split('-');
    let digits = |part: Option<&str>, count: usize, fine: fn(&u8) -> bool| {
        part.is_some_and(|part| part.len() == count && part.as_bytes().iter().all(fine))
    };
    digits(parts.next(), 8, u8::is_ascii_digit)
        && digits(parts.next(), 6, u8::is_ascii_digit)
        && digits(parts.next(), 6, |byte| {
            byte.is_ascii_digit() || (b'a'..=b'f').contains(byte)
        })
        && parts.next().is_none()
}

/// Whether a path is absolute, as short as it can be (no `.`, `..`, `//` or `/` at its end), and
/// holds nothing that a terminal, a script's line or a list with tabs could take for its own.
pub fn is_normal_path(path: &str) -> bool {
    path.len() <= LONGEST_PATH
        && !path.chars().any(is_unsafe)
        && path.strip_prefix('/').is_some_and(|rest| {
            rest.split('/').all(|part| {
                !part.is_empty() && part != "." && part != ".." && part.len() <= LONGEST_NAME
            })
        })
}

/// Whether a text names a service as systemd allows it (systemd.unit(5)); one that begins with a
/// dash could pass for an option.
pub fn is_unit_name(name: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b":_.@\\-".contains(&byte);
    name.len() <= LONGEST_NAME
        && name.bytes().all(fine)
        && !name.starts_with(['-', '.'])
        && name
            .strip_suffix(".service")
            .is_some_and(|stem| !stem.is_empty())
}

/// Returns SHA-256 of a text in lower-case hex, as plans have it.
pub fn digest(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// Judges a plan as if an enemy had written it.
///
/// # Errors
/// A sentence: which part of the plan is wrong, and how.
pub fn validate(plan: &Plan) -> Result<(), String> {
    require(plan.schema == SCHEMA, || {
        format!("its schema is {}, and not `{SCHEMA}`", quoted(&plan.schema))
    })?;
    run_id("its run", &plan.run)?;
    require(plan.made_at.parse::<jiff::Timestamp>().is_ok(), || {
        format!("`made_at` is {}, which is no time", quoted(&plan.made_at))
    })?;
    require(is_line(&plan.made_by, LONGEST_NAME), || {
        format!("`made_by` is {}, which names nobody", quoted(&plan.made_by))
    })?;
    require(is_normal_path(&plan.inventory), || {
        format!(
            "`inventory` is {}, and not an absolute path in its shortest form",
            quoted(&plan.inventory)
        )
    })?;
    match &plan.purpose {
        Purpose::Harden { profile } => require(is_line(profile, LONGEST_NAME), || {
            format!("its profile is {}, which is no name", quoted(profile))
        })?,
        Purpose::Rollback { run } => run_id("the run to roll back", run)?,
        Purpose::Fix | Purpose::Restart => {}
    }
    at_most("the plan", plan.units.len(), MOST_UNITS, "units")?;
    let mut units = BTreeSet::new();
    let mut paths = BTreeSet::new();
    for (index, unit) in plan.units.iter().enumerate() {
        let at = |why: String| {
            let (host, name) = (quoted(&unit.host), quoted(&unit.unit));
            format!("entry {} (host {host}, unit {name}): {why}", index + 1)
        };
        check_unit(unit).map_err(at)?;
        require(units.insert((&unit.host, &unit.owner, &unit.unit)), || {
            at("the same unit has an entry before".to_owned())
        })?;
        for file in &unit.files {
            require(paths.insert((&unit.host, &file.path)), || {
                at(format!(
                    "{} is changed twice on this host",
                    quoted(&file.path)
                ))
            })?;
        }
    }
    Ok(())
}

/// Judges the plan of one unit.
///
/// # Errors
/// As [`validate`].
pub fn check_unit(unit: &UnitPlan) -> Result<(), String> {
    // As the inventory has names.
    let fine = |c: char| c.is_alphanumeric() || "._-:".contains(c);
    let host = &unit.host;
    require(
        !host.is_empty()
            && host.len() <= LONGEST_NAME
            && !host.starts_with('-')
            && host.chars().all(fine),
        || "that is no name of a host".to_owned(),
    )?;
    require(is_unit_name(&unit.unit), || {
        "that is no name of a service".to_owned()
    })?;
    if let UnitOwner::User { name, .. } = &unit.owner {
        require(is_user_name(name), || {
            format!("{} is no name of a user", quoted(name))
        })?;
    }
    require(unit.port != 0, || "no gateway has port 0".to_owned())?;
    at_most("it", unit.files.len(), MOST_FILES, "files")?;
    at_most("it", unit.settings.len(), MOST_SETTINGS, "settings")?;
    at_most("it", unit.notes.len(), MOST_NOTES, "notes")?;
    unit.files.iter().try_for_each(|file| {
        check_file(file, unit).map_err(|why| format!("{}: {why}", quoted(&file.path)))
    })?;
    unit.settings.iter().try_for_each(check_setting)?;
    if let Some(exposure) = unit.exposure {
        let most = exposure.before.max(exposure.after.unwrap_or(0));
        require(most <= 100, || {
            "systemd's exposure goes up to 10.0, so 100 tenths".to_owned()
        })?;
    }
    let notes_fit = unit.notes.iter().all(|note| note.len() <= LONGEST_REMARK);
    require(notes_fit, || "a note is too long".to_owned())?;
    let Some(remedy) = &unit.remedy else {
        return Ok(());
    };
    at_most("it", remedy.acts.len(), MOST_ACTS, "acts")?;
    at_most("it", remedy.classes.len(), MOST_NOTES, "classes")?;
    require(!remedy.by_root || unit.files.is_empty(), || {
        "root writes no files of a user's".to_owned()
    })?;
    require(
        remedy
            .classes
            .iter()
            .all(|class| is_line(class, LONGEST_NAME)),
        || "a class has no name".to_owned(),
    )?;
    remedy.acts.iter().try_for_each(|act| check_act(act, unit))
}

fn is_user_name(name: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.starts_with('-')
        && name.bytes().all(fine)
}

/// What may be done to a host beside files.
fn check_act(act: &Act, unit: &UnitPlan) -> Result<(), String> {
    match act {
        Act::EndProcess(process) => {
            // 1 is the host's manager, and 2 the kernel's.
            require(process.pid > 2 && process.start_ticks > 0, || {
                format!("process {} is none that anybody may end", process.pid)
            })?;
            require(process.port == unit.port, || {
                format!("process {} holds another port", process.pid)
            })?;
            let named = is_place(&process.exe) && is_place(&process.cgroup);
            require(named && is_line(&process.title, LONGEST_REMARK), || {
                format!("process {} is not described in full", process.pid)
            })
        }
        Act::Retire {
            unit: other,
            owner,
            path,
            digest,
        } => {
            require(is_unit_name(other), || {
                format!("{} is no name of a service", quoted(other))
            })?;
            let itself = (other, owner) == (&unit.unit, &unit.owner);
            require(!(itself && (unit.restart || unit.enable)), || {
                "a unit cannot be started and put aside".to_owned()
            })?;
            if let UnitOwner::User { name, .. } = owner {
                require(is_user_name(name), || {
                    format!("{} is no name of a user", quoted(name))
                })?;
            }
            require(
                is_normal_path(path) && is_place_of(path, other, owner),
                || format!("{} is no place of {}", quoted(path), quoted(other)),
            )?;
            require(is_digest(digest), || {
                "the digest is not 64 lower-case hex digits".to_owned()
            })
        }
        Act::Linger { user, .. } => require(is_user_name(user), || {
            format!("{} is no name of a user", quoted(user))
        }),
        Act::Configure {
            path,
            before,
            after,
            splices,
            place,
            shown,
            ..
        } => {
            require(is_normal_path(path), || {
                format!("{} is no path", quoted(path))
            })?;
            require(is_digest(before) && is_digest(after), || {
                "a digest is not 64 lower-case hex digits".to_owned()
            })?;
            let mut from = 0;
            let in_order = splices.iter().all(|splice| {
                let fits = splice.at >= from && is_inserted(&splice.inserted);
                from = splice.at.saturating_add(splice.removed);
                fits && from <= MAX_CONFIG
            });
            require(
                in_order && !splices.is_empty() && splices.len() <= 4,
                || format!("the changes of {} are none of ours", quoted(path)),
            )?;
            let lines = shown.iter().chain([place]);
            require(
                shown.len() <= MOST_NOTES && lines.into_iter().all(|line| is_line(line, 1024)),
                || format!("the changes of {} are not described", quoted(path)),
            )
        }
        Act::Mode {
            path,
            before,
            after,
            ..
        } => {
            require(is_normal_path(path), || {
                format!("{} is no path", quoted(path))
            })?;
            require(
                *before <= 0o7777 && *after <= 0o777 && after & before == *after,
                || format!("permissions of {} are only taken away", quoted(path)),
            )
        }
    }
}

/// What a configuration's change may bring: names of models, and what stands around them.
fn is_inserted(text: &str) -> bool {
    text.len() <= 1024
        && text
            .chars()
            .all(|c| matches!(c, ' '..='~' | '\n' | '\r' | '\t'))
}

/// A path as the kernel says it, which may end in ` (deleted)`.
fn is_place(text: &str) -> bool {
    text.starts_with('/') && is_line(text, LONGEST_PATH)
}

fn is_digest(text: &str) -> bool {
    let hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    text.len() == 64 && text.as_bytes().iter().all(hex)
}

fn check_file(file: &FileChange, unit: &UnitPlan) -> Result<(), String> {
    require(is_normal_path(&file.path), || {
        "that is not an absolute path in its shortest form, without control characters".to_owned()
    })?;
    require(is_place_of(&file.path, &unit.unit, &unit.owner), || {
        format!(
            "that is neither {} itself nor a drop-in of it in a directory of {} units",
            quoted(&unit.unit),
            match unit.owner {
                UnitOwner::System => "system",
                UnitOwner::User { .. } => "user",
            }
        )
    })?;
    require(file.before.is_some() || file.after.is_some(), || {
        "it has neither a before nor an after".to_owned()
    })?;
    let writable = file
        .after
        .as_ref()
        .is_some_and(|after| after.mode & 0o002 != 0);
    require(!writable, || "everybody could write it".to_owned())?;
    let contents = [("before", &file.before), ("after", &file.after)];
    contents.into_iter().try_for_each(|(which, content)| {
        content.as_ref().map_or(Ok(()), |content| {
            check_content(content).map_err(|why| format!("`{which}`: {why}"))
        })
    })
}

/// Whether a file is the unit's own or a drop-in of it, where its manager looks for them. A plan
/// that could name any path would be a way to write any file as root.
fn is_place_of(path: &str, unit: &str, owner: &UnitOwner) -> bool {
    let below = match owner {
        UnitOwner::System => SYSTEM_DIRS.iter().find_map(|dir| path.strip_prefix(dir)),
        // Below the user's configuration, wherever that is.
        UnitOwner::User { .. } => path
            .split_once("/systemd/user/")
            .filter(|(before, _)| !before.is_empty())
            .map(|(_, below)| below),
    };
    // `a@b.service` is made from the file `a@.service`, too.
    let template = unit
        .split_once('@')
        .map(|(stem, _)| format!("{stem}@.service"));
    let is_own = |name: &str| name == unit || template.as_deref() == Some(name);
    below.is_some_and(|below| match below.split_once('/') {
        None => is_own(below),
        Some((dir, name)) => {
            dir.strip_suffix(".d").is_some_and(is_own)
                && !name.contains('/')
                && !name.starts_with('.')
                && name.ends_with(".conf")
        }
    })
}

fn check_content(content: &FileContent) -> Result<(), String> {
    require(content.text.len() <= MAX_TEXT, || {
        format!(
            "the text has {} bytes, and at most {MAX_TEXT} are taken",
            content.text.len()
        )
    })?;
    require(!content.text.contains('\0'), || {
        "the text holds a NUL, which no unit file can".to_owned()
    })?;
    require(content.mode <= 0o777, || {
        format!(
            "the mode is {:o}, and only permissions up to 777 are taken",
            content.mode
        )
    })?;
    require(is_digest(&content.digest), || {
        "the digest is not 64 lower-case hex digits".to_owned()
    })?;
    require(content.digest == digest(&content.text), || {
        "the digest is not that of the text: the plan was edited or damaged".to_owned()
    })
}

fn check_setting(setting: &SettingChange) -> Result<(), String> {
    let name = &setting.name;
    require(
        !name.is_empty()
            && name.len() <= LONGEST_NAME
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        || format!("{} is no name of a setting", quoted(name)),
    )?;
    require(
        setting.now.len().max(setting.then.len()) <= LONGEST_REMARK,
        || format!("a value of {name} is too long"),
    )
}

fn run_id(what: &str, run: &str) -> Result<(), String> {
    require(is_run_id(run), || {
        format!(
            "{what} is {}, and runs are named like 20261121-120301-5f3a9c",
            quoted(run)
        )
    })
}

/// Whether a text is one line, not empty and not too long.
fn is_line(text: &str, longest: usize) -> bool {
    !text.trim().is_empty() && text.len() <= longest && !text.chars().any(is_unsafe)
}

fn at_most(whose: &str, number: usize, most: usize, what: &str) -> Result<(), String> {
    require(number <= most, || {
        format!("{whose} has {number} {what}, and at most {most} are taken")
    })
}

fn require(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

/// What a plan says, fit for a message.
fn quoted(text: &str) -> String {
    format!("`{}`", shorten(&sanitize(text), 80))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Exposure, RestartWhen, Standing};

    fn content(text: &str) -> FileContent {
        FileContent {
            digest: digest(text),
            text: text.to_owned(),
            mode: 0o644,
            uid: 0,
            gid: 0,
        }
    }

    fn plan() -> Plan {
        let unit = |host: &str, owner: UnitOwner, path: &str| UnitPlan {
            host: host.to_owned(),
            unit: "openclaw-gateway.service".to_owned(),
            owner,
            port: 18789,
            files: vec![FileChange {
                path: path.to_owned(),
                before: None,
                after: Some(content("[Service]\nKillMode=control-group\n")),
            }],
            settings: vec![SettingChange {
                name: "KillMode".to_owned(),
                now: "process".to_owned(),
                then: "control-group".to_owned(),
                by_restart: false,
            }],
            exposure: Some(Exposure {
                before: 96,
                after: None,
            }),
            enable: true,
            restart: false,
            before: Standing::Well,
            notes: vec!["a note".to_owned()],
            remedy: None,
        };
        let user = UnitOwner::User {
            name: "claw".to_owned(),
            uid: 1000,
        };
        Plan {
            schema: SCHEMA.to_owned(),
            run: "20261121-120301-5f3a9c".to_owned(),
            made_at: "2026-11-21T12:03:01Z".to_owned(),
            made_by: "ops@bastion".to_owned(),
            inventory: "/etc/clawfleet/inventory.yaml".to_owned(),
            purpose: Purpose::Harden {
                profile: "baseline".to_owned(),
            },
            restart: RestartWhen::IfChanged,
            unseen: Vec::new(),
            units: vec![
                unit(
                    "VM151",
                    UnitOwner::System,
                    "/etc/systemd/system/openclaw-gateway.service.d/50-clawfleet.conf",
                ),
                unit(
                    "VM151",
                    user,
                    "/home/claw/.config/systemd/user/openclaw-gateway.service.d/50-clawfleet.conf",
                ),
            ],
        }
    }

    /// What is said of the plan once it was changed.
    fn said(change: impl FnOnce(&mut Plan)) -> String {
        let mut plan = plan();
        change(&mut plan);
        validate(&plan).err().unwrap_or_else(|| "fine".to_owned())
    }

    fn of_file(change: impl FnOnce(&mut FileChange)) -> String {
        said(|plan| change(&mut plan.units[0].files[0]))
    }

    fn of_content(change: impl FnOnce(&mut FileContent)) -> String {
        of_file(|file| change(file.after.as_mut().unwrap()))
    }

    #[test]
    fn a_plan_of_ours_is_fine() {
        assert_eq!(said(|_| {}), "fine");
        assert_eq!(said(|plan| plan.units.clear()), "fine");
        assert_eq!(
            said(|plan| plan.purpose = Purpose::Rollback {
                run: "20261121-120301-5f3a9c".to_owned()
            }),
            "fine"
        );
    }

    #[test]
    fn heads_that_are_not_ours() {
        let schema = said(|plan| plan.schema = "clawfleet.plan/2".to_owned());
        assert_eq!(
            schema,
            "its schema is `clawfleet.plan/2`, and not `clawfleet.plan/1`"
        );
        for run in [
            "",
            "..",
            "../x",
            "20261121-120301-5f3a9",
            "20261121-120301-5f3a9G",
            "20261121-120301-5f3a9c-",
            "2026112-1120301-5f3a9c",
        ] {
            assert!(
                said(|plan| plan.run = run.to_owned()).starts_with("its run is"),
                "{run}"
            );
            let rollback = Purpose::Rollback {
                run: run.to_owned(),
            };
            assert!(said(|plan| plan.purpose = rollback).starts_with("the run to roll back"));
        }
        assert!(said(|plan| plan.made_at = "yesterday".to_owned()).contains("no time"));
        assert!(said(|plan| plan.made_by = "a\nb".to_owned()).contains("names nobody"));
        assert!(said(|plan| plan.inventory = "inventory.yaml".to_owned()).contains("absolute"));
        let profile = Purpose::Harden {
            profile: "\u{1b}[2J".to_owned(),
        };
        assert!(said(|plan| plan.purpose = profile).contains("profile"));
    }

    #[test]
    fn names_that_are_none() {
        for host in ["", "-oProxyCommand=x", "a b", "a\nb", "a/b", "a,b", "a[1]"] {
            assert!(
                said(|plan| plan.units[0].host = host.to_owned()).contains("no name of a host"),
                "{host}"
            );
        }
        for unit in [
            "",
            ".service",
            "openclaw",
            "a b.service",
            "-H.service",
            "a/b.service",
            "a;b.service",
            "a$b.service",
            "a.service\n",
            "é.service",
            "../a.service",
        ] {
            let why = said(|plan| plan.units[0].unit = unit.to_owned());
            assert!(why.contains("no name of a service"), "{unit}: {why}");
        }
        for name in ["", "-x", "a b", "a\tb", "$(id)", "a/b"] {
            let owner = UnitOwner::User {
                name: name.to_owned(),
                uid: 1,
            };
            assert!(
                said(|plan| plan.units[0].owner = owner).contains("no name of a user"),
                "{name}"
            );
        }
        assert!(said(|plan| plan.units[0].port = 0).contains("port 0"));
        assert!(
            said(|plan| plan.units[0].settings[0].name = "Kill Mode".to_owned())
                .contains("no name of a setting")
        );
        let exposure = Some(Exposure {
            before: 96,
            after: Some(101),
        });
        assert!(said(|plan| plan.units[0].exposure = exposure).contains("10.0"));
    }

    #[test]
    fn paths_that_lead_elsewhere() {
        let dir = "/etc/systemd/system/openclaw-gateway.service.d";
        for path in [
            "".to_owned(),
            "etc/systemd/system/openclaw-gateway.service".to_owned(),
            format!("{dir}/../x.conf"),
            format!("{dir}/./x.conf"),
            format!("{dir}//x.conf"),
            format!("{dir}/"),
            format!("{dir}/a\nb.conf"),
            format!("{dir}/a\tb.conf"),
            format!("{dir}/a\u{9b}b.conf"),
            format!("{dir}/a\u{202e}b.conf"),
            format!("{dir}/{}.conf", "x".repeat(300)),
            format!("/{}", "x/".repeat(3000)),
        ] {
            let why = of_file(|file| file.path.clone_from(&path));
            assert!(why.contains("shortest form"), "{path}: {why}");
        }
        for path in [
            "/root/.ssh/authorized_keys".to_owned(),
            "/etc/shadow".to_owned(),
            "/etc/systemd/system/sshd.service".to_owned(),
            "/etc/systemd/system/sshd.service.d/50-clawfleet.conf".to_owned(),
            "/etc/systemd/user/openclaw-gateway.service".to_owned(),
            format!("{dir}/x"),
            format!("{dir}/.x.conf"),
            format!("{dir}/a/x.conf"),
            "/tmp/etc/systemd/system/openclaw-gateway.service".to_owned(),
        ] {
            let why = of_file(|file| file.path.clone_from(&path));
            assert!(why.contains("neither"), "{path}: {why}");
        }
        assert_eq!(
            of_file(|file| file.path = "/etc/systemd/system/openclaw-gateway.service".to_owned()),
            "fine"
        );
        let instance = |path: &str| {
            said(|plan| {
                plan.units[0].unit = "openclaw-gateway@a.service".to_owned();
                plan.units[0].files[0].path = path.to_owned();
            })
        };
        assert_eq!(
            instance("/etc/systemd/system/openclaw-gateway@.service"),
            "fine"
        );
        assert_eq!(
            instance("/etc/systemd/system/openclaw-gateway@a.service.d/1.conf"),
            "fine"
        );
        assert!(instance("/etc/systemd/system/openclaw-gateway@b.service").contains("neither"));
    }

    #[test]
    fn contents_that_are_not_what_they_say() {
        assert!(of_content(|it| it.text.push('x')).contains("edited or damaged"));
        assert!(of_content(|it| it.digest = it.digest.to_uppercase()).contains("hex digits"));
        assert!(of_content(|it| it.digest.clear()).contains("hex digits"));
        for mode in [0o7777, 0o4755, 0o2755, 0o1755, 0o1000, u32::MAX] {
            let said = of_content(|it| it.mode = mode);
            assert!(
                said.contains("mode") || said.contains("everybody"),
                "{mode:o}: {said}"
            );
        }
        assert_eq!(
            of_content(|it| *it = content(&"x".repeat(MAX_TEXT))),
            "fine"
        );
        assert!(
            of_content(|it| *it = content(&"x".repeat(MAX_TEXT + 1))).contains("at most 65536")
        );
        assert!(of_content(|it| *it = content("a\0b")).contains("NUL"));
        assert!(of_file(|file| file.after = None).contains("neither a before nor an after"));
        assert!(
            of_file(|file| file.before = Some(FileContent {
                mode: 0o4755,
                ..content("")
            }))
            .contains("`before`")
        );
    }

    #[test]
    fn nothing_is_there_twice() {
        let again = said(|plan| plan.units.push(plan.units[0].clone()));
        assert!(
            again.contains("the same unit has an entry before"),
            "{again}"
        );
        let path = said(|plan| {
            let file = plan.units[0].files[0].clone();
            plan.units[0].files.push(file);
        });
        assert!(path.contains("changed twice"), "{path}");
        let many = said(|plan| {
            let unit = &mut plan.units[0];
            unit.notes = vec![String::new(); MOST_NOTES + 1];
        });
        assert!(many.contains("at most 64"), "{many}");
    }

    #[test]
    fn errors_name_the_entry_and_hold_nothing_raw() {
        let why = said(|plan| plan.units[1].host = "\u{1b}[2J\u{202e}x".to_owned());
        assert!(why.starts_with("entry 2 (host `"), "{why}");
        assert!(!why.chars().any(is_unsafe), "{why:?}");
    }

    proptest! {
        #[test]
        fn whatever_passes_is_harmless(path in "(/|\\.\\.|etc|systemd|system|user|openclaw-gateway\\.service|\\.d|a\\.conf|\\PC|\n|\t){0,12}") {
            let mut plan = plan();
            plan.units[0].files[0].path.clone_from(&path);
            if validate(&plan).is_ok() {
                prop_assert!(path.starts_with('/') && !path.contains("..") && !path.contains("//"));
                prop_assert!(!path.chars().any(|c| c.is_control()));
            }
        }

        #[test]
        fn any_json_that_reads_as_a_plan_is_judged_without_a_panic(
            name in "\\PC{0,12}|[a-z@.-]{0,20}", text in ".{0,40}", mode in any::<u32>(), uid in any::<u32>(),
        ) {
            let mut plan = plan();
            let unit = &mut plan.units[1];
            unit.unit = name.clone() + ".service";
            unit.owner = UnitOwner::User { name, uid };
            unit.files[0].before = Some(FileContent { mode, uid, ..content(&text) });
            if validate(&plan).is_ok() {
                prop_assert!(mode <= 0o777);
            }
        }
    }
}
