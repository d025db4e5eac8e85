//! Plans that put back what a run replaced.

use super::{held, refused, standing};
use crate::model::{
    Act, Facts, FileChange, Host, Plan, Planned, Remedy, RestartWhen, Standing, UnitOwner, UnitPlan,
};
use crate::rollout::{Beside, Planning, Survey, SurveyTarget};
use crate::unit::{self, InForce};

/// A run that is taken back.
#[derive(Debug)]
pub struct Reversal {
    /// What it planned, without the units that it did not change.
    pub plan: Plan,
    /// When units are restarted.
    pub restart: RestartWhen,
}

impl Planning for Reversal {
    fn targets(&self, host: &Host, _: &Facts) -> Vec<Result<SurveyTarget, Planned>> {
        // Backwards: what was done last is taken back first.
        let mut units: Vec<&UnitPlan> = self.units(host).collect();
        units.reverse();
        let acts = units.iter().flat_map(|unit| {
            let acts = unit.remedy.iter().flat_map(|remedy| &remedy.acts);
            acts.map(|act| Err(self.by_hand(unit, act)))
        });
        let acts: Vec<Result<SurveyTarget, Planned>> = acts.collect();
        units
            .iter()
            .flat_map(|unit| unit.files.iter().rev().map(move |file| (*unit, file)))
            .map(|(unit, file)| {
                let text = file.before.as_ref().map(|before| before.text.clone());
                let after = file.after.as_ref().map(|after| after.text.as_str());
                let settings = unit::settings(after.unwrap_or_default());
                Ok(SurveyTarget {
                    unit: unit.unit.clone(),
                    owner: unit.owner.clone(),
                    port: unit.port,
                    name: relative(&unit.unit, &file.path),
                    text,
                    properties: unit::shown_names(&settings),
                    beside: Beside::default(),
                })
            })
            .chain(acts)
            .collect()
    }

    fn plan(
        &self,
        host: &Host,
        facts: &Facts,
        target: &SurveyTarget,
        survey: Result<Survey, String>,
    ) -> Planned {
        let name = Some(target.unit.as_str());
        let survey = match survey {
            Ok(survey) => survey,
            Err(why) => return refused(name, why, None),
        };
        if let Some(held) = held(&target.unit, &survey) {
            return held;
        }
        let Some(done) = self
            .units(host)
            .find(|unit| unit.unit == target.unit && unit.owner == target.owner)
        else {
            return refused(name, "that run did not plan it", None);
        };
        let Some(file) = done
            .files
            .iter()
            .find(|file| relative(&done.unit, &file.path) == target.name)
        else {
            return refused(name, "that run did not plan it", None);
        };
        if let Some(why) = survey.planned.unsound {
            return refused(name, why, None);
        }
        let found = survey.planned.content;
        let is = |content: &Option<crate::model::FileContent>| {
            found.as_ref().map(|found| &found.digest)
                == content.as_ref().map(|content| &content.digest)
        };
        if is(&file.before) {
            return Planned::Nothing {
                unit: target.unit.clone(),
                why: "it is what it was before that run".into(),
            };
        }
        if !is(&file.after) {
            return refused(
                name,
                format!("{} was changed after that run", survey.planned.path),
                Some(
                    "look at it and decide by hand; clawfleet overwrites no change that it does not know",
                ),
            );
        }
        let (standing, trouble) = standing(facts, &target.unit, &target.owner.scope());
        if file.before.is_none() && target.name == target.unit {
            // That run made the unit: it is stopped before it goes.
            let digest = found.map(|found| found.digest).unwrap_or_default();
            return Planned::Change(Box::new(UnitPlan {
                host: host.name.clone(),
                unit: target.unit.clone(),
                owner: target.owner.clone(),
                port: target.port,
                files: Vec::new(),
                settings: Vec::new(),
                exposure: None,
                enable: false,
                restart: false,
                before: standing,
                notes: Vec::new(),
                remedy: Some(Remedy {
                    classes: Vec::new(),
                    acts: vec![Act::Retire {
                        unit: target.unit.clone(),
                        owner: target.owner.clone(),
                        path: survey.planned.path,
                        digest,
                    }],
                    by_root: false,
                }),
            }));
        }
        let settings = unit::settings(
            file.after
                .as_ref()
                .map(|after| after.text.as_str())
                .unwrap_or_default(),
        );
        // What was brought by a restart goes with one.
        let by_restart = settings.iter().any(|setting| {
            unit::needs_restart(&setting.key)
                && !matches!(unit::in_force(setting, &survey.shown), InForce::No { .. })
        });
        let wants = match self.restart {
            RestartWhen::Never => false,
            RestartWhen::IfChanged => by_restart,
            RestartWhen::Always => true,
        };
        let mut notes = Vec::new();
        let restart = wants && standing == Standing::Well && survey.managed;
        if restart && survey.inside {
            return refused(
                name,
                "this session runs inside the unit, and its restart would end it",
                Some("run clawfleet from another host, or with --restart never"),
            );
        }
        if wants && !restart {
            let why = trouble.unwrap_or_else(|| "it does not run".into());
            notes.push(format!("not restarted: {why}"));
        }
        Planned::Change(Box::new(UnitPlan {
            host: host.name.clone(),
            unit: target.unit.clone(),
            owner: target.owner.clone(),
            port: target.port,
            files: vec![FileChange {
                path: survey.planned.path,
                before: found,
                after: file.before.clone(),
            }],
            settings: Vec::new(),
            exposure: survey.exposure,
            enable: false,
            restart,
            before: standing,
            notes,
            remedy: None,
        }))
    }
}

impl Reversal {
    fn units<'a>(&'a self, host: &'a Host) -> impl Iterator<Item = &'a UnitPlan> {
        self.plan.units.iter().filter(|unit| unit.host == host.name)
    }

    /// What a fix did beside files is taken back by hand: the commands are said.
    fn by_hand(&self, unit: &UnitPlan, act: &Act) -> Planned {
        let hint = match act {
            Act::EndProcess(_) => "a process that was ended does not come back".to_owned(),
            Act::Linger { user, .. } => format!("loginctl disable-linger {user}"),
            Act::Configure { path, .. } => format!(
                "a copy of {path} is below runs/{}/{} where clawfleet keeps its runs on the host (config.*)",
                self.plan.run, unit.unit
            ),
            Act::Mode { path, before, .. } => format!("chmod {before:o} {path}"),
            Act::Retire {
                unit: name,
                owner,
                path,
                ..
            } => {
                let file = path.rsplit('/').next().unwrap_or_default();
                let (aside, manager) = match owner {
                    UnitOwner::System => ("/var/lib/clawfleet/aside", "systemctl"),
                    UnitOwner::User { .. } => {
                        ("~/.local/state/clawfleet/aside", "systemctl --user")
                    }
                };
                format!(
                    "mv {aside}/{}-{file} {path} && {manager} daemon-reload && {manager} enable --now {name}",
                    self.plan.run
                )
            }
        };
        refused(
            Some(&unit.unit),
            format!("a rollback does not take this back: {act}"),
            Some(&hint),
        )
    }
}

/// A file's name below the directory of units.
fn relative(unit: &str, path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    if name == unit {
        name.to_owned()
    } else {
        format!("{unit}.d/{name}")
    }
}
