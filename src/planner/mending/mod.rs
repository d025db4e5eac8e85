//! Plans that mend what a diagnosis found: for each gateway, the remedy of its root finding and of what lasts
//! beside it. What has no remedy here is left alone, and said so.

mod config;
mod json5;
mod need;
mod pair;

use std::collections::BTreeSet;
use std::sync::Arc;

use config::ModelChange;
pub use config::is_model;
use need::{Need, Wish, merge};
pub use pair::{Contest, Keep, Keeping};

use super::{Hardening, held, refused, standing};
use crate::diagnose::diagnose;
use crate::model::{
    Act, Class, Evidence, Facts, Finding, Gateway, Host, Planned, Process, Remedy, Severity,
    Subject, Unit, UnitOwner, UnitPlan, UnitScope,
};
use crate::rollout::{Beside, Planning, Survey, SurveyTarget};

/// What is wanted of all hosts.
#[derive(Debug, Clone)]
pub struct Mending {
    /// The classes that are mended; none is all of them.
    pub classes: BTreeSet<Class>,
    /// Which of two units is kept where the inventory does not say it.
    pub keeping: Keeping,
    /// Programs that are no gateways, and are ended where they hold a gateway's port: by name or by path.
    pub ended: BTreeSet<String>,
    /// The model that a gateway is to use whose own cannot be used.
    pub model: Option<String>,
    /// How weak units are hardened.
    pub hardening: Arc<Hardening>,
}

impl Planning for Mending {
    fn targets(&self, host: &Host, facts: &Facts) -> Vec<Result<SurveyTarget, Planned>> {
        let (needs, mut left) = self.needs(host, facts);
        let mut targets: Vec<Result<SurveyTarget, Planned>> = needs
            .iter()
            .map(|need| Ok(self.target(host, facts, need)))
            .collect();
        targets.extend(left.drain(..).map(Err));
        if targets.is_empty() {
            targets.push(Err(Planned::Nothing {
                unit: host.service.unit.clone(),
                why: "there is nothing to mend".into(),
            }));
        }
        targets
    }

    fn plan(
        &self,
        host: &Host,
        facts: &Facts,
        target: &SurveyTarget,
        survey: Result<Survey, String>,
    ) -> Planned {
        self.planned(host, facts, target, survey)
            .unwrap_or_else(|planned| planned)
    }
}

impl Mending {
    fn target(&self, host: &Host, facts: &Facts, need: &Need<'_>) -> SurveyTarget {
        let owner = UnitOwner::of(&need.unit.scope);
        let by_root = need.by_root(facts);
        let mut target = SurveyTarget {
            unit: need.unit.name.clone(),
            owner: owner.clone(),
            port: need.port,
            name: format!("{}.d/{}", need.unit.name, crate::unit::DROP_IN),
            text: None,
            properties: Vec::new(),
            beside: Beside::default(),
        };
        if need.harden && !by_root {
            let wanted = self
                .hardening
                .targets(host, &need.mended(facts))
                .into_iter();
            let wanted = wanted.filter_map(Result::ok);
            if let Some(found) = wanted.into_iter().find(|found| {
                found.unit == target.unit && found.owner == owner && found.text.is_some()
            }) {
                target = found;
            }
        }
        for wish in &need.acts {
            match wish {
                Wish::End { process, .. } => target.beside.processes.push(process.pid),
                Wish::Retire(unit) => target.beside.files.push(unit.fragment_path.clone()),
                Wish::Configure { path, uid, .. } => {
                    target.beside.texts.push(((*path).to_owned(), *uid));
                }
                Wish::Linger { .. } | Wish::Mode { .. } => {}
            }
        }
        target.beside.by_root = by_root;
        target
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
        let (needs, _) = self.needs(host, facts);
        let need = needs
            .into_iter()
            .find(|need| need.unit.name == unit && need.unit.scope == scope)
            .ok_or_else(|| refused(Some(unit), "the unit is gone", None))?;
        if need.restart && survey.inside {
            return Err(refused(
                Some(unit),
                "this session runs inside the unit, and its restart would end it",
                Some("run clawfleet from another host"),
            ));
        }
        if need.restart && !survey.managed {
            return Err(refused(
                Some(unit),
                format!(
                    "no manager of {} runs, so nobody can start it",
                    target.owner
                ),
                Some("switch lingering on first: `loginctl enable-linger USER`"),
            ));
        }
        let by_root = need.by_root(facts);
        let mended = need.mended(facts);
        let acts = need
            .acts
            .iter()
            .map(|wish| wish.act(need.port, unit, &survey))
            .collect::<Result<Vec<Act>, Planned>>()?;
        let mut plan = UnitPlan {
            host: host.name.clone(),
            unit: unit.to_owned(),
            owner: target.owner.clone(),
            port: need.port,
            files: Vec::new(),
            settings: Vec::new(),
            exposure: None,
            enable: need.enable,
            restart: need.restart,
            before: standing(facts, unit, &scope).0,
            notes: need.notes,
            remedy: None,
        };
        let mut classes: Vec<String> = need.classes.iter().map(|class| class.id().into()).collect();
        if need.harden {
            match self.hardening.plan(host, &mended, target, Ok(survey)) {
                _ if target.text.is_none() => {
                    classes.retain(|class| !hardens_id(class));
                    plan.notes.push(
                        "its settings are left as they are: `clawfleet harden` for them".into(),
                    );
                }
                Planned::Change(hardened) => {
                    plan.files = hardened.files;
                    plan.settings = hardened.settings;
                    plan.exposure = hardened.exposure;
                    plan.notes.extend(
                        hardened
                            .notes
                            .into_iter()
                            .filter(|note| !note.starts_with("not restarted")),
                    );
                }
                Planned::Refused(refusal) if acts.is_empty() && !need.restart => {
                    return Err(Planned::Refused(refusal));
                }
                _ => classes.retain(|class| !hardens_id(class)),
            }
        }
        let empty = plan.files.is_empty() && acts.is_empty() && classes.is_empty();
        if empty && !plan.restart && !plan.enable {
            return Err(Planned::Nothing {
                unit: unit.to_owned(),
                why: plan.notes.join("; "),
            });
        }
        plan.remedy = Some(Remedy {
            classes,
            acts,
            by_root,
        });
        Ok(Planned::Change(Box::new(plan)))
    }

    /// What the units of a host need, and what is left alone.
    fn needs<'a>(&self, host: &Host, facts: &'a Facts) -> (Vec<Need<'a>>, Vec<Planned>) {
        if !facts.units_complete {
            let why = "not every manager of units could be asked";
            let hint = "log in as root, or with `become: sudo`";
            return (Vec::new(), vec![refused(None, why, Some(hint))]);
        }
        let mut needs: Vec<Need<'a>> = Vec::new();
        let mut left = Vec::new();
        for finding in diagnose(host, facts) {
            // A consequence goes with its cause.
            if finding.cause.is_some() || !self.wants(finding.class) {
                continue;
            }
            let gateway = facts
                .gateways
                .iter()
                .find(|gateway| Some(gateway.port) == finding.gateway);
            let Some(gateway) = gateway else { continue };
            match self.remedy(host, facts, gateway, &finding) {
                Ok(Some(need)) => merge(&mut needs, need),
                Ok(None) => {}
                Err(planned) => left.push(planned),
            }
        }
        // What is put aside needs nothing more.
        let retired: Vec<(String, UnitScope)> = needs
            .iter()
            .flat_map(|need| &need.acts)
            .filter_map(|wish| match wish {
                Wish::Retire(unit) => Some((unit.name.clone(), unit.scope.clone())),
                _ => None,
            })
            .collect();
        needs.retain(|need| {
            !retired
                .iter()
                .any(|(name, scope)| *name == need.unit.name && *scope == need.unit.scope)
        });
        // While a gateway is left alone with something worse, its settings are, too.
        let alone: BTreeSet<&str> = left.iter().filter_map(unit_of).collect();
        needs.retain(|need| {
            need.restart || !need.acts.is_empty() || !alone.contains(need.unit.name.as_str())
        });
        (needs, left)
    }

    fn wants(&self, class: Class) -> bool {
        self.classes.is_empty() || self.names(class)
    }

    fn names(&self, class: Class) -> bool {
        self.classes.contains(&class)
    }

    /// Whether the operator named the program that a process runs.
    fn ends(&self, process: &Process) -> bool {
        let program = process.argv.first().map_or("", String::as_str);
        let name = program.rsplit('/').next().unwrap_or(program);
        [program, name, &process.comm]
            .into_iter()
            .any(|name| !name.is_empty() && self.ended.contains(name))
    }

    /// Names the gateways of a host whose units contend, and nobody said which one stays.
    pub fn contests(&self, host: &Host, facts: &Facts) -> Vec<Contest> {
        if !facts.units_complete || !self.wants(Class::DuplicateUnit) {
            return Vec::new();
        }
        let findings = diagnose(host, facts);
        let duplicate = |gateway: &&Gateway| {
            findings.iter().any(|finding| {
                finding.class == Class::DuplicateUnit && finding.gateway == Some(gateway.port)
            })
        };
        let gateways = facts.gateways.iter().filter(duplicate);
        gateways
            .filter_map(|gateway| self.keeping.contest(host, gateway))
            .collect()
    }

    /// A configuration is changed only where the class is named: it is the user's own text.
    fn model<'a>(
        &self,
        gateway: &'a Gateway,
        finding: &Finding,
    ) -> Result<Option<Need<'a>>, Planned> {
        let name = gateway.name();
        if !self.names(Class::ModelSkipped) {
            if finding.severity < Severity::Warning {
                return Ok(None);
            }
            return Err(Planned::Nothing {
                unit: name.to_owned(),
                why: "model-skipped: a configuration is changed only with --class model-skipped"
                    .into(),
            });
        }
        let Some(config) = gateway.config.known() else {
            return Ok(None);
        };
        let listed = finding.evidence.iter().find_map(|evidence| match evidence {
            Evidence::NotListed { model, .. } => Some(model),
            _ => None,
        });
        let change = match (listed, &self.model) {
            (Some(_), Some(_)) => return Ok(None),
            (Some(model), None) => ModelChange::List(model.clone()),
            (None, Some(model)) => ModelChange::Primary(model.clone()),
            (None, None) => {
                let why = "model-skipped: the configured model cannot be used, and nobody says which one is to be";
                let hint = "name it: --model PROVIDER/MODEL";
                return Err(refused(Some(name), why, Some(hint)));
            }
        };
        let unit = only_unit(gateway, finding)?;
        Ok(Some(Need {
            unit,
            port: gateway.port,
            classes: BTreeSet::from([Class::ModelSkipped]),
            acts: vec![Wish::Configure {
                path: &config.path,
                uid: config.uid,
                change,
            }],
            // Some versions take it up by themselves, some by a restart of their own: this way it is certain.
            restart: true,
            enable: false,
            harden: false,
            notes: Vec::new(),
        }))
    }

    fn remedy<'a>(
        &self,
        host: &Host,
        facts: &'a Facts,
        gateway: &'a Gateway,
        finding: &Finding,
    ) -> Result<Option<Need<'a>>, Planned> {
        let unit = || -> Result<&'a Unit, Planned> {
            match &finding.subject {
                Subject::Unit { name, scope } => gateway
                    .units
                    .iter()
                    .find(|unit| unit.name == *name && unit.scope == *scope),
                _ => None,
            }
            .ok_or_else(|| {
                refused(
                    None,
                    format!("{}: no unit serves port {}", finding.class, gateway.port),
                    Some("clawfleet starts no gateway without a unit; `clawfleet harden --shape unit` writes one"),
                )
            })
        };
        let unmasked = |unit: &'a Unit| -> Result<&'a Unit, Planned> {
            if unit.load_state != "masked" {
                return Ok(unit);
            }
            let why = format!("{}: the unit is masked", finding.class);
            let hint = "somebody wanted it never to run; `systemctl unmask` it first";
            Err(refused(Some(&unit.name), why, Some(hint)))
        };
        let need = |unit: &'a Unit| Need {
            unit,
            port: gateway.port,
            classes: BTreeSet::from([finding.class]),
            acts: Vec::new(),
            restart: false,
            enable: false,
            harden: false,
            notes: Vec::new(),
        };
        let started = |unit: &'a Unit| Need {
            restart: true,
            enable: unit.unit_file_state == "disabled",
            ..need(unit)
        };
        Ok(Some(match finding.class {
            Class::OrphanHoldsPort | Class::LeftoverProcess => {
                let unit = unmasked(unit()?)?;
                let Some(process) = held_by(facts, finding) else {
                    return Err(refused(
                        Some(&unit.name),
                        format!("{}: the process was not seen", finding.class),
                        None,
                    ));
                };
                Need {
                    acts: vec![Wish::End {
                        process,
                        foreign: false,
                    }],
                    ..started(unit)
                }
            }
            Class::ForeignProcessOnPort => {
                let process = held_by(facts, finding);
                let Some(process) = process.filter(|process| self.ends(process)) else {
                    return Err(left_alone(finding));
                };
                Need {
                    acts: vec![Wish::End {
                        process,
                        foreign: true,
                    }],
                    ..started(unmasked(only_unit(gateway, finding)?)?)
                }
            }
            // Both are read from the journal, where they stay for a day: what is done is not judged by them.
            Class::RestartedFromInside if self.names(finding.class) => Need {
                classes: BTreeSet::new(),
                notes: vec![INSIDE.into()],
                ..started(unmasked(unit()?)?)
            },
            Class::RestartedFromInside => {
                return Err(Planned::Nothing {
                    unit: gateway.name().to_owned(),
                    why: format!("{INSIDE}; `clawfleet restart` is the way that does not"),
                });
            }
            Class::ModelSkipped => return self.model(gateway, finding),
            Class::GatewayDown | Class::RestartLoop => started(unmasked(unit()?)?),
            Class::DuplicateUnit => return self.keeping.one_of_two(host, facts, gateway).map(Some),
            Class::DaemonReloadNeeded => need(unit()?),
            Class::NoLinger => {
                let unit = unit()?;
                let UnitScope::User { user, uid } = &unit.scope else {
                    return Ok(None);
                };
                Need {
                    acts: vec![Wish::Linger { user, uid: *uid }],
                    ..need(unit)
                }
            }
            Class::UnitWeak | Class::StartLimitUnreachable => Need {
                harden: true,
                ..need(unit()?)
            },
            Class::SecretsReadable => {
                let Some(unit) = gateway.units.iter().find(|unit| unit.claims_port()) else {
                    return Ok(None);
                };
                let modes = finding
                    .evidence
                    .iter()
                    .filter_map(|evidence| match evidence {
                        Evidence::Mode { path, .. } => {
                            facts.modes.iter().find(|file| file.path == *path)
                        }
                        _ => None,
                    });
                Need {
                    acts: modes
                        .map(|file| Wish::Mode {
                            path: &file.path,
                            uid: file.uid,
                            mode: file.mode,
                        })
                        .collect(),
                    ..need(unit)
                }
            }
            _ if finding.severity == Severity::Critical => return Err(left_alone(finding)),
            _ => return Ok(None),
        }))
    }
}

/// Why a restart from within a session of the gateway's own is no restart.
const INSIDE: &str = "restarted-from-inside: a restart that is asked for in a session of the gateway's own ends with that session, half done";

/// The one unit that is there for a port.
fn only_unit<'a>(gateway: &'a Gateway, finding: &Finding) -> Result<&'a Unit, Planned> {
    let mut claims = gateway
        .units
        .iter()
        .filter(|unit| unit.claims_port() && unit.exists());
    match (claims.next(), claims.next()) {
        (Some(unit), None) => Ok(unit),
        _ => {
            let why = format!(
                "{}: not exactly one unit claims port {}",
                finding.class, gateway.port
            );
            Err(refused(Some(gateway.name()), why, None))
        }
    }
}

/// The process that a finding says holds the port.
fn held_by<'a>(facts: &'a Facts, finding: &Finding) -> Option<&'a Process> {
    finding.evidence.iter().find_map(|evidence| match evidence {
        Evidence::PortHolder { process, .. } => facts.process(process.pid),
        _ => None,
    })
}

fn left_alone(finding: &Finding) -> Planned {
    let name = match &finding.subject {
        Subject::Unit { name, .. } => Some(name.as_str()),
        _ => None,
    };
    let why = format!("{}: {}", finding.class, alone(finding.class));
    let hint = format!("`clawfleet explain {}`", finding.class);
    refused(name, why, Some(&hint))
}

/// Why a class has no remedy here.
fn alone(class: Class) -> &'static str {
    match class {
        Class::TrueCrash => "the gateway crashes by itself, and a restart mends no crash",
        Class::ConfigError => "its configuration has to be mended first",
        Class::ForeignProcessOnPort => {
            "what holds the port is no gateway, and is ended only where --end names its program"
        }
        Class::GatewayHung => {
            "it may be saved by `clawfleet restart`, once somebody has looked at it"
        }
        _ => "there is no remedy that could be applied unasked",
    }
}

fn hardens_id(class: &str) -> bool {
    class == Class::UnitWeak.id() || class == Class::StartLimitUnreachable.id()
}

fn unit_of(planned: &Planned) -> Option<&str> {
    match planned {
        Planned::Refused(refusal) => refusal.unit.as_deref(),
        _ => None,
    }
}

/// Which of the findings that a plan mends are still there.
pub fn still_found(host: &Host, plan: &UnitPlan, facts: &Facts) -> Option<String> {
    let remedy = plan.remedy.as_ref()?;
    let left: Vec<&str> = diagnose(host, facts)
        .iter()
        .filter(|finding| finding.gateway == Some(plan.port) && finding.severity != Severity::Info)
        .map(|finding| finding.class.id())
        .filter(|id| remedy.classes.iter().any(|class| class == id))
        .collect();
    (!left.is_empty()).then(|| format!("still found: {}", left.join(", ")))
}
