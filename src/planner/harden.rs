//! Plans that harden units.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{held, refused, standing};
use crate::model::{
    Facts, FileChange, FileContent, Gateway, Host, Planned, RestartWhen, Role, ScopeWanted,
    ServiceSpec, SettingChange, Shape, Standing, Unit, UnitFile, UnitOwner, UnitPlan, UnitScope,
};
use crate::rollout::{Beside, Planning, Survey, SurveyTarget, digest};
use crate::unit::{self, InForce, RenderRequest, Rendered, Templates, UnitSetting};

/// What is wanted of all hosts.
#[derive(Debug)]
pub struct Hardening {
    /// Templates by the directory that the inventory or the operator names; `None` has the built-in ones.
    pub templates: BTreeMap<Option<PathBuf>, Templates>,
    /// A directory for all hosts, before the inventory's.
    pub template_dir: Option<PathBuf>,
    /// A profile for all hosts, before the inventory's.
    pub profile: Option<String>,
    /// A shape for all hosts, before the inventory's.
    pub shape: Option<Shape>,
    /// When units are restarted.
    pub restart: RestartWhen,
}

/// The text of the unit's own file.
fn existing(survey: &Survey) -> Option<&str> {
    let fragment = survey.fragment.as_ref()?;
    Some(fragment.content.as_ref()?.text.as_str())
}

/// A unit that is to be hardened.
struct Wanted<'a> {
    name: &'a str,
    scope: UnitScope,
    port: u16,
    gateway: &'a Gateway,
    unit: Option<&'a Unit>,
}

impl Planning for Hardening {
    fn targets(&self, host: &Host, facts: &Facts) -> Vec<Result<SurveyTarget, Planned>> {
        if host.role == Role::None {
            return vec![Err(Planned::Nothing {
                unit: host.service.unit.clone(),
                why: "the inventory expects no gateway here".into(),
            })];
        }
        if !facts.units_complete {
            return vec![Err(refused(
                None,
                "not every manager of units could be asked",
                Some("log in as root, or with `become: sudo`"),
            ))];
        }
        self.wanted(host, facts)
            .into_iter()
            .map(|wanted| {
                let wanted = wanted?;
                let mut target = SurveyTarget {
                    unit: wanted.name.to_owned(),
                    owner: UnitOwner::of(&wanted.scope),
                    port: wanted.port,
                    name: self.file_name(host, wanted.name),
                    properties: Vec::new(),
                    text: None,
                    beside: Beside::default(),
                };
                // What a whole unit takes over stands in the file that it replaces.
                if self.shape(host) == Shape::DropIn || wanted.unit.is_none() {
                    let rendered = self.rendered(host, facts, &wanted, None)?;
                    target.properties = unit::shown_names(&rendered.settings);
                    target.text = Some(rendered.text);
                }
                Ok(target)
            })
            .collect()
    }

    fn refined(
        &self,
        host: &Host,
        facts: &Facts,
        target: &SurveyTarget,
        survey: &Survey,
    ) -> Option<Result<SurveyTarget, Planned>> {
        if target.text.is_some() {
            return None;
        }
        let scope = target.owner.scope();
        let wanted = self
            .wanted(host, facts)
            .into_iter()
            .filter_map(Result::ok)
            .find(|wanted| wanted.name == target.unit && wanted.scope == scope)?;
        let rendered = self.rendered(host, facts, &wanted, existing(survey));
        Some(rendered.map(|rendered| SurveyTarget {
            properties: unit::shown_names(&rendered.settings),
            text: Some(rendered.text),
            ..target.clone()
        }))
    }

    fn plan(
        &self,
        host: &Host,
        facts: &Facts,
        target: &SurveyTarget,
        survey: Result<Survey, String>,
    ) -> Planned {
        match self.planned(host, facts, target, survey) {
            Ok(planned) | Err(planned) => planned,
        }
    }
}

impl Hardening {
    /// Returns the profile that a host gets.
    pub fn profile<'a>(&'a self, host: &'a Host) -> &'a str {
        self.profile.as_deref().unwrap_or(&host.harden.profile)
    }

    fn shape(&self, host: &Host) -> Shape {
        self.shape.unwrap_or(host.harden.shape)
    }

    fn file_name(&self, host: &Host, unit: &str) -> String {
        match self.shape(host) {
            Shape::DropIn => format!("{unit}.d/{}", unit::DROP_IN),
            Shape::Full => unit.to_owned(),
        }
    }

    /// The units of a host: one for each gateway that the inventory names, and each that was found.
    fn wanted<'a>(&self, host: &'a Host, facts: &'a Facts) -> Vec<Result<Wanted<'a>, Planned>> {
        facts
            .gateways
            .iter()
            .filter_map(|gateway| {
                let service = host
                    .services()
                    .find(|service| service.port == gateway.port)
                    .unwrap_or(&host.service);
                self.wanted_of(host, service, gateway)
            })
            .collect()
    }

    fn wanted_of<'a>(
        &self,
        host: &'a Host,
        service: &'a ServiceSpec,
        gateway: &'a Gateway,
    ) -> Option<Result<Wanted<'a>, Planned>> {
        let of_scope = |unit: &&Unit| match (service.scope, &unit.scope) {
            (ScopeWanted::Auto, _) | (ScopeWanted::System, UnitScope::System) => true,
            (ScopeWanted::User, UnitScope::User { user, .. }) => {
                service.owner.as_ref().is_none_or(|owner| owner == user)
            }
            _ => false,
        };
        let units: Vec<&Unit> = gateway
            .units
            .iter()
            .filter(|unit| unit.exists() && unit.load_state != "masked")
            .collect();
        let claiming: Vec<&&Unit> = units.iter().filter(|unit| unit.claims_port()).collect();
        if claiming.len() > 1 {
            let names: Vec<String> = claiming
                .iter()
                .map(|unit| format!("{} ({})", unit.name, UnitOwner::of(&unit.scope)))
                .collect();
            return Some(Err(refused(
                None,
                format!("{} claim port {}", names.join(" and "), gateway.port),
                Some("keep one of them first: `clawfleet explain duplicate-unit`"),
            )));
        }
        let chosen = claiming
            .first()
            .map(|unit| **unit)
            .into_iter()
            .chain(units.iter().copied())
            .find(of_scope);
        if let Some(unit) = chosen {
            return Some(Ok(Wanted {
                name: &unit.name,
                scope: unit.scope.clone(),
                port: gateway.port,
                gateway,
                unit: Some(unit),
            }));
        }
        if let Some(other) = units.first() {
            return Some(Err(refused(
                Some(&other.name),
                format!(
                    "the unit belongs to {}, and the inventory wants another scope",
                    UnitOwner::of(&other.scope)
                ),
                Some("set service.scope and service.owner in the inventory"),
            )));
        }
        // A gateway that was found without a unit is not ours to give one.
        gateway.named.as_ref()?;
        if self.shape(host) == Shape::DropIn {
            return Some(Err(refused(
                Some(&service.unit),
                "there is no such unit, and a drop-in needs one",
                Some("`--shape unit` writes a whole unit"),
            )));
        }
        Some(Ok(Wanted {
            name: &service.unit,
            scope: UnitScope::System,
            port: service.port,
            gateway,
            unit: None,
        }))
    }

    /// Renders what a unit gets. Without the text of its own file only a drop-in can be rendered in full.
    fn rendered(
        &self,
        host: &Host,
        facts: &Facts,
        wanted: &Wanted<'_>,
        existing: Option<&str>,
    ) -> Result<Rendered, Planned> {
        let dir = self
            .template_dir
            .as_ref()
            .or(host.harden.template_dir.as_ref());
        let file = wanted.unit.and_then(|unit| unit.file.as_ref());
        let state_dir = file.map(|file| file.state_dir.as_str());
        let config_path = file.map(|file| file.config_path.as_str());
        let given = |path: Option<&'_ str>| path.filter(|path| !path.is_empty()).map(str::to_owned);
        let (state_dir, config_path) = (given(state_dir), given(config_path));
        let home = state_dir
            .as_deref()
            .and_then(|dir| dir.rsplit_once('/'))
            .map(|(home, _)| home.to_owned());
        let version = installed(facts, wanted.gateway);
        let templates = self.templates.get(&dir.cloned());
        let Some(templates) = templates else {
            return Err(refused(
                Some(wanted.name),
                "its templates were not read",
                None,
            ));
        };
        unit::render(
            templates,
            &RenderRequest {
                profile: self.profile(host),
                shape: self.shape(host),
                scope: &wanted.scope,
                unit: wanted.name,
                gateway_version: version.as_deref(),
                systemd: facts.system.systemd,
                port: wanted.port,
                home: home.as_deref(),
                state_dir: state_dir.as_deref(),
                config_path: config_path.as_deref(),
                existing,
                workspace: workspace(wanted.gateway),
                starts_with_more: file.is_some_and(UnitFile::starts_with_more),
                vars: &host.vars,
            },
        )
        .map_err(|fault| {
            refused(
                Some(wanted.name),
                fault.to_string(),
                fault.hint.as_deref().or(Some(
                    "`clawfleet harden --list-profiles` lists the variables; `vars:` in the inventory sets them",
                )),
            )
        })
    }

    fn planned(
        &self,
        host: &Host,
        facts: &Facts,
        target: &SurveyTarget,
        survey: Result<Survey, String>,
    ) -> Result<Planned, Planned> {
        let unit = target.unit.as_str();
        let survey = survey.map_err(|why| refused(Some(unit), why, None))?;
        if let Some(held) = held(unit, &survey) {
            return Err(held);
        }
        let scope = target.owner.scope();
        let wanted = self
            .wanted(host, facts)
            .into_iter()
            .filter_map(Result::ok)
            .find(|wanted| wanted.name == unit && wanted.scope == scope)
            .ok_or_else(|| refused(Some(unit), "the unit is gone", None))?;
        let taken_over = match self.shape(host) {
            Shape::DropIn => None,
            Shape::Full => existing(&survey),
        };
        let rendered = self.rendered(host, facts, &wanted, taken_over)?;
        sound(unit, &survey, &rendered)?;
        let before = survey.planned.content.clone();
        let after = FileContent {
            digest: digest(&rendered.text),
            text: rendered.text.clone(),
            // Whoever kept a file from others keeps it so.
            mode: before.as_ref().map_or(0o644, |before| before.mode & 0o644),
            uid: survey.writer.0,
            gid: survey.writer.1,
        };
        let same_text = before
            .as_ref()
            .is_some_and(|before| before.digest == after.digest && before.mode == after.mode);
        let view = SettingsView::of(&rendered, &survey, taken_over);
        if same_text {
            return settled(unit, &view, &survey);
        }
        if view.all_in_force() {
            return Err(Planned::Nothing {
                unit: unit.to_owned(),
                why: "systemd has every setting in force already, though the files differ".into(),
            });
        }
        let (standing, trouble) = standing(facts, unit, &scope);
        let mut notes = Vec::new();
        let wants_restart = match self.restart {
            RestartWhen::Never => false,
            RestartWhen::IfChanged => view.changes.iter().any(|change| change.by_restart),
            RestartWhen::Always => true,
        };
        let restart = match standing {
            Standing::Absent => self.restart != RestartWhen::Never,
            Standing::Well => wants_restart,
            Standing::Ill | Standing::Off => false,
        };
        if wants_restart && !restart {
            notes.push(match trouble {
                Some(why) => format!(
                    "not restarted, since its gateway is not well: {why}; what needs a restart waits for the next one"
                ),
                None => "not restarted, since it is switched off".to_owned(),
            });
        }
        if !wants_restart && view.changes.iter().any(|change| change.by_restart) {
            notes.push("some settings reach the gateway only with its next restart".to_owned());
        }
        if restart && survey.inside {
            return Err(refused(
                Some(unit),
                "this session runs inside the unit, and its restart would end it",
                Some("run clawfleet from another host, or with --restart never"),
            ));
        }
        if !survey.managed {
            notes.push(format!(
                "no manager of {} runs now: the settings are in force from its next start on",
                target.owner
            ));
        }
        Ok(Planned::Change(Box::new(UnitPlan {
            host: host.name.clone(),
            unit: unit.to_owned(),
            owner: target.owner.clone(),
            port: target.port,
            files: vec![FileChange {
                path: survey.planned.path.clone(),
                before,
                after: Some(after),
            }],
            settings: view.changes,
            exposure: survey.exposure,
            enable: standing == Standing::Absent,
            restart: restart && survey.managed,
            before: standing,
            notes,
            remedy: None,
        })))
    }
}

/// The version of the gateway that a unit starts: what is installed, else what runs.
fn installed(facts: &Facts, gateway: &Gateway) -> Option<String> {
    crate::diagnose::installed_version(facts, gateway)
}

/// Where the gateway's agents work, where its configuration names a place.
fn workspace(gateway: &Gateway) -> Option<&str> {
    gateway.config.known()?.workspace.as_deref()
}

/// What forbids a plan, whatever it would be.
fn sound(unit: &str, survey: &Survey, rendered: &Rendered) -> Result<(), Planned> {
    if let Some(why) = &survey.planned.unsound {
        return Err(refused(
            Some(unit),
            why.clone(),
            Some("put a plain file or directory in its place; clawfleet follows no links here"),
        ));
    }
    let old = survey.planned.content.as_ref();
    if old.is_some_and(|old| unit::lines_with_secrets(&old.text))
        || unit::lines_with_secrets(&rendered.text)
    {
        return Err(refused(
            Some(unit),
            format!(
                "{} holds a secret, and plans are kept on the bastion",
                survey.planned.path
            ),
            Some("move the token to the gateway's configuration, or use the shape drop-in"),
        ));
    }
    Ok(())
}

/// The file is there already: is it in force, too?
fn settled(unit: &str, view: &SettingsView, survey: &Survey) -> Result<Planned, Planned> {
    if view.changes.is_empty() || !survey.managed {
        return Err(Planned::Nothing {
            unit: unit.to_owned(),
            why: "it is as wanted".into(),
        });
    }
    let names: Vec<String> = view
        .changes
        .iter()
        .map(|change| format!("{}={}", change.name, change.now))
        .collect();
    Err(refused(
        Some(unit),
        format!(
            "{} is as wanted, and systemd has other values in force: {}",
            survey.planned.path,
            names.join(", ")
        ),
        Some(
            "look for a drop-in that comes after it: `systemctl cat`; or `systemctl daemon-reload` was forgotten",
        ),
    ))
}

/// The longest value that is shown of what systemd says, in characters.
const LONGEST_VALUE: usize = 2000;

/// What the rendered settings change in systemd's eyes.
struct SettingsView {
    changes: Vec<SettingChange>,
    unknown: bool,
}

impl SettingsView {
    /// What a whole unit takes over as it stood changes nothing, even where something overrides it.
    fn of(rendered: &Rendered, survey: &Survey, taken_over: Option<&str>) -> Self {
        let taken_over = unit::settings(taken_over.unwrap_or_default());
        let old = survey
            .planned
            .content
            .as_ref()
            .map(|old| unit::settings(&old.text))
            .unwrap_or_default();
        let mut changes = Vec::new();
        let mut unknown = !survey.managed;
        for setting in &rendered.settings {
            let by_restart = unit::needs_restart(&setting.key);
            match unit::in_force(setting, &survey.shown) {
                InForce::Yes => {}
                InForce::No { .. } if taken_over.contains(setting) => {}
                InForce::No { now, then } => changes.push(SettingChange {
                    name: setting.key.clone(),
                    now: crate::model::shorten(&now, LONGEST_VALUE).into(),
                    then,
                    by_restart,
                }),
                // What cannot be compared is taken as it was written before.
                InForce::Unknown if old.contains(setting) => {}
                InForce::Unknown => {
                    unknown = true;
                    changes.push(SettingChange {
                        name: setting.key.clone(),
                        now: "?".into(),
                        then: setting.value.clone(),
                        by_restart,
                    });
                }
            }
        }
        // What our own file set and sets no more falls back to what the unit says without it.
        for setting in old {
            let same =
                |other: &UnitSetting| other.section == setting.section && other.key == setting.key;
            if !setting.value.is_empty() && !rendered.settings.iter().any(same) {
                changes.push(SettingChange {
                    by_restart: unit::needs_restart(&setting.key),
                    name: setting.key,
                    now: setting.value,
                    then: "as without it".into(),
                });
            }
        }
        changes.sort();
        changes.dedup();
        Self { changes, unknown }
    }

    fn all_in_force(&self) -> bool {
        self.changes.is_empty() && !self.unknown
    }
}
