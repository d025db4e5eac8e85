//! What one unit needs, and the acts that it takes.

use std::collections::BTreeSet;

use super::config::{self, ModelChange};
use crate::model::{Act, Class, EndedProcess, Facts, Planned, Process, Unit, UnitOwner, UnitScope};
use crate::planner::refused;
use crate::rollout::{Survey, digest};

/// What one unit needs.
pub(super) struct Need<'a> {
    pub(super) unit: &'a Unit,
    pub(super) port: u16,
    pub(super) classes: BTreeSet<Class>,
    pub(super) acts: Vec<Wish<'a>>,
    pub(super) restart: bool,
    pub(super) enable: bool,
    pub(super) harden: bool,
    pub(super) notes: Vec<String>,
}

/// An act before its details were looked at on the host.
pub(super) enum Wish<'a> {
    End {
        process: &'a Process,
        /// Whether it is no gateway, and was named by the operator.
        foreign: bool,
    },
    Retire(&'a Unit),
    Linger {
        user: &'a str,
        uid: u32,
    },
    Mode {
        path: &'a str,
        uid: u32,
        mode: u32,
    },
    Configure {
        path: &'a str,
        uid: u32,
        change: ModelChange,
    },
}

impl Need<'_> {
    /// The facts as they will be: without the units that are put aside.
    pub(super) fn mended(&self, facts: &Facts) -> Facts {
        let mut facts = facts.clone();
        let goes = |unit: &Unit| {
            self.acts.iter().any(|wish| match wish {
                Wish::Retire(other) => other.name == unit.name && other.scope == unit.scope,
                _ => false,
            })
        };
        for gateway in &mut facts.gateways {
            gateway.units.retain(|unit| !goes(unit));
        }
        facts
    }

    fn configures(&self) -> bool {
        let mut acts = self.acts.iter();
        acts.any(|wish| matches!(wish, Wish::Configure { .. }))
    }

    /// Whether something in it is not the unit's owner's to do, and root's to do at all.
    pub(super) fn by_root(&self, facts: &Facts) -> bool {
        let UnitScope::User { uid: own, .. } = &self.unit.scope else {
            return false;
        };
        let login_is_root = facts.system.login.uid == Some(0);
        self.acts.iter().any(|wish| match wish {
            Wish::End { process, .. } => process.uid != Some(*own),
            Wish::Retire(unit) => unit.scope != self.unit.scope,
            Wish::Linger { .. } => login_is_root,
            Wish::Mode { uid, .. } | Wish::Configure { uid, .. } => uid != own,
        })
    }
}

impl Wish<'_> {
    fn is_foreign(&self) -> bool {
        matches!(self, Self::End { foreign: true, .. })
    }

    pub(super) fn act(&self, port: u16, unit: &str, survey: &Survey) -> Result<Act, Planned> {
        match self {
            Self::End { process, .. } => {
                let found = survey.processes.iter().find(|found| {
                    found.pid == process.pid && found.start_ticks == process.start_ticks
                });
                let found = found.filter(|found| !found.exe.is_empty() && !found.cgroup.is_empty());
                let (Some(found), Some(uid)) = (found, process.uid) else {
                    return Err(refused(
                        Some(unit),
                        format!(
                            "process {} ended meanwhile, or could not be looked at",
                            process.pid
                        ),
                        Some(
                            "look again: `clawfleet check`; this login may see too little without `become: sudo`",
                        ),
                    ));
                };
                if let (true, Some(service)) = (self.is_foreign(), service_of(&found.cgroup)) {
                    return Err(refused(
                        Some(unit),
                        format!(
                            "process {} belongs to {service}, which would start it again",
                            process.pid
                        ),
                        Some(&format!("stop and disable {service} by hand")),
                    ));
                }
                Ok(Act::EndProcess(EndedProcess {
                    pid: process.pid,
                    start_ticks: process.start_ticks,
                    exe: found.exe.clone(),
                    cgroup: found.cgroup.clone(),
                    uid,
                    port,
                    title: title(process),
                }))
            }
            Self::Retire(other) => {
                let path = other.fragment_path.clone();
                let digest = survey
                    .digests
                    .get(&path)
                    .filter(|digest| digest.len() == 64);
                let Some(digest) = digest else {
                    return Err(refused(
                        Some(unit),
                        format!(
                            "{} of the other unit is no plain file, or could not be read",
                            path
                        ),
                        Some("stop and disable that unit by hand"),
                    ));
                };
                Ok(Act::Retire {
                    unit: other.name.clone(),
                    owner: UnitOwner::of(&other.scope),
                    digest: digest.clone(),
                    path,
                })
            }
            Self::Linger { user, uid } => Ok(Act::Linger {
                user: (*user).to_owned(),
                uid: *uid,
            }),
            Self::Configure { path, uid, change } => configure(unit, (path, *uid), change, survey),
            Self::Mode { path, uid, mode } => Ok(Act::Mode {
                path: (*path).to_owned(),
                uid: *uid,
                before: *mode,
                after: mode & 0o770,
            }),
        }
    }
}

fn configure(
    unit: &str,
    (path, uid): (&str, u32),
    change: &ModelChange,
    survey: &Survey,
) -> Result<Act, Planned> {
    let refused = |why: String, hint| Err(refused(Some(unit), format!("{path}: {why}"), hint));
    let text = match survey.texts.get(path) {
        Some(Ok(text)) => text,
        Some(Err(why)) => return refused(why.clone(), None),
        None => return refused("it could not be read".into(), None),
    };
    match config::edit(text, change) {
        Ok(edit) => Ok(Act::Configure {
            path: path.to_owned(),
            uid,
            before: digest(text),
            after: digest(&edit.text),
            splices: edit.splices,
            place: edit.place,
            shown: edit.shown,
        }),
        Err(why) => refused(why, Some("change it by hand")),
    }
}

/// The service that a cgroup belongs to, if it is one's own; a user's session and manager are none.
fn service_of(cgroup: &str) -> Option<&str> {
    let last = cgroup.rsplit('/').find(|part| !part.is_empty())?;
    let manager = last.starts_with("user@") || last == "init.scope";
    (last.ends_with(".service") && !manager).then_some(last)
}

/// A process for people: what it was started as, without its arguments' secrets.
fn title(process: &Process) -> String {
    let name = |text: &String| text.rsplit('/').next().unwrap_or(text).to_owned();
    let words: Vec<String> = process
        .argv
        .iter()
        .take(3)
        .take_while(|word| !word.starts_with('-'))
        .map(name)
        .collect();
    let words = crate::model::sanitize(&words.join(" ")).into_owned();
    if words.trim().is_empty() {
        crate::model::sanitize(&process.comm).into_owned()
    } else {
        crate::model::shorten(&words, 60).into()
    }
}

/// Needs of one unit become one.
pub(super) fn merge<'a>(needs: &mut Vec<Need<'a>>, need: Need<'a>) {
    let same = |other: &&mut Need<'a>| {
        other.unit.name == need.unit.name && other.unit.scope == need.unit.scope
    };
    match needs.iter_mut().find(same) {
        Some(other) => {
            if other.configures() && need.configures() {
                other.notes.push(
                    "its configuration is changed in one place at a time: run `clawfleet fix` again afterwards".into(),
                );
                return;
            }
            other.classes.extend(need.classes);
            other.acts.extend(need.acts);
            other.restart |= need.restart;
            other.enable |= need.enable;
            other.harden |= need.harden;
            other.notes.extend(need.notes);
        }
        None => needs.push(need),
    }
}
