//! Plans that mend what a diagnosis found: for each gateway, the remedy of its root finding and of what lasts
//! beside it. What has no remedy here is left alone, and said so.

use std::collections::BTreeSet;

use super::{Hardening, held, refused, standing};
use crate::diagnose::diagnose;
use crate::model::{
    Act, Class, EndedProcess, Evidence, Facts, Finding, Gateway, Host, Planned, Process, Remedy,
    ScopeWanted, Severity, Standing, Subject, Unit, UnitOwner, UnitPlan, UnitScope,
};
use crate::rollout::{Beside, Survey, SurveyTarget};

/// What is wanted of all hosts.
#[derive(Debug)]
pub struct Mending {
    /// The classes that are mended; none is all of them.
    pub classes: BTreeSet<Class>,
    /// Which of two units is kept where the inventory does not say it.
    pub keep: Option<Keep>,
    /// How weak units are hardened.
    pub hardening: Hardening,
}

/// Which of two units is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// The system's.
    System,
    /// The user's, of whichever user.
    User,
}

/// What one unit needs.
struct Need<'a> {
    unit: &'a Unit,
    port: u16,
    classes: BTreeSet<Class>,
    acts: Vec<Wish<'a>>,
    restart: bool,
    enable: bool,
    harden: bool,
    notes: Vec<String>,
}

/// An act before its details were looked at on the host.
enum Wish<'a> {
    End(&'a Process),
    Retire(&'a Unit),
    Linger { user: &'a str, uid: u32 },
    Mode { path: &'a str, uid: u32, mode: u32 },
}

impl Mending {
    /// Names what is looked at on a host, or why nothing is.
    pub fn targets(&self, host: &Host, facts: &Facts) -> Vec<Result<SurveyTarget, Planned>> {
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
                Wish::End(process) => target.beside.processes.push(process.pid),
                Wish::Retire(unit) => target.beside.files.push(unit.fragment_path.clone()),
                Wish::Linger { .. } | Wish::Mode { .. } => {}
            }
        }
        target.beside.by_root = by_root;
        target
    }

    /// Plans for one unit.
    pub fn plan(
        &self,
        host: &Host,
        facts: &Facts,
        target: &SurveyTarget,
        survey: Result<Survey, String>,
    ) -> Planned {
        self.planned(host, facts, target, survey)
            .unwrap_or_else(|planned| planned)
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
        // While a gateway is left alone with something worse, its settings are, too.
        let alone: BTreeSet<&str> = left.iter().filter_map(unit_of).collect();
        needs.retain(|need| {
            need.restart || !need.acts.is_empty() || !alone.contains(need.unit.name.as_str())
        });
        (needs, left)
    }

    fn wants(&self, class: Class) -> bool {
        self.classes.is_empty() || self.classes.contains(&class)
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
                let process = finding.evidence.iter().find_map(|evidence| match evidence {
                    Evidence::PortHolder { process, .. } => facts.process(process.pid),
                    _ => None,
                });
                let Some(process) = process else {
                    return Err(refused(
                        Some(&unit.name),
                        format!("{}: the process was not seen", finding.class),
                        None,
                    ));
                };
                Need {
                    acts: vec![Wish::End(process)],
                    ..started(unit)
                }
            }
            Class::GatewayDown | Class::RestartLoop => started(unmasked(unit()?)?),
            Class::DuplicateUnit => return self.one_of_two(host, facts, gateway).map(Some),
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
            _ if finding.severity == Severity::Critical => {
                let name = match &finding.subject {
                    Subject::Unit { name, .. } => Some(name.as_str()),
                    _ => None,
                };
                let why = format!("{}: {}", finding.class, alone(finding.class));
                let hint = format!("`clawfleet explain {}`", finding.class);
                return Err(refused(name, why, Some(&hint)));
            }
            _ => return Ok(None),
        }))
    }

    /// Two units want one port: which one stays?
    fn one_of_two<'a>(
        &self,
        host: &Host,
        facts: &'a Facts,
        gateway: &'a Gateway,
    ) -> Result<Need<'a>, Planned> {
        let claims: Vec<&Unit> = gateway
            .units
            .iter()
            .filter(|unit| unit.claims_port() && unit.exists())
            .collect();
        let service = host
            .services()
            .find(|service| service.port == gateway.port)
            .unwrap_or(&host.service);
        let keeps = |unit: &&&Unit| match (service.scope, &self.keep, &unit.scope) {
            (ScopeWanted::System, _, scope) | (ScopeWanted::Auto, Some(Keep::System), scope) => {
                *scope == UnitScope::System
            }
            (ScopeWanted::User, _, UnitScope::User { user, .. }) => {
                service.owner.as_ref().is_none_or(|owner| owner == user)
            }
            (ScopeWanted::Auto, Some(Keep::User), UnitScope::User { .. }) => true,
            _ => false,
        };
        let chosen: Vec<&&Unit> = claims.iter().filter(keeps).collect();
        let names: Vec<String> = claims
            .iter()
            .map(|unit| format!("{} ({})", unit.name, UnitOwner::of(&unit.scope)))
            .collect();
        let [kept] = chosen.as_slice() else {
            let why = format!(
                "duplicate-unit: {} claim port {}, and nobody says which one stays",
                names.join(" and "),
                gateway.port
            );
            let hint = "set service.scope (and service.owner) in the inventory, or say --keep system or --keep user";
            return Err(refused(None, why, Some(hint)));
        };
        let others: Vec<&Unit> = claims
            .iter()
            .copied()
            .filter(|unit| (&unit.name, &unit.scope) != (&kept.name, &kept.scope))
            .collect();
        if others.is_empty() {
            let why = "duplicate-unit: another manager of services starts a gateway on this port";
            let hint = "`clawfleet explain duplicate-unit` tells how to find it";
            return Err(refused(Some(&kept.name), why, Some(hint)));
        }
        let (now, _) = standing(facts, &kept.name, &kept.scope);
        Ok(Need {
            unit: kept,
            port: gateway.port,
            classes: BTreeSet::from([Class::DuplicateUnit]),
            acts: others.into_iter().map(Wish::Retire).collect(),
            // One that the other restarted again and again may serve just now; a start by hand ends its count.
            restart: now != Standing::Well || kept.n_restarts.is_some_and(|count| count > 0),
            enable: kept.unit_file_state == "disabled",
            harden: false,
            notes: Vec::new(),
        })
    }
}

impl Need<'_> {
    /// The facts as they will be: without the units that are put aside.
    fn mended(&self, facts: &Facts) -> Facts {
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

    /// Whether something in it is not the unit's owner's to do, and root's to do at all.
    fn by_root(&self, facts: &Facts) -> bool {
        let UnitScope::User { uid: own, .. } = &self.unit.scope else {
            return false;
        };
        let login_is_root = facts.system.login.uid == Some(0);
        self.acts.iter().any(|wish| match wish {
            Wish::End(process) => process.uid != Some(*own),
            Wish::Retire(unit) => unit.scope != self.unit.scope,
            Wish::Linger { .. } => login_is_root,
            Wish::Mode { uid, .. } => uid != own,
        })
    }
}

impl Wish<'_> {
    fn act(&self, port: u16, unit: &str, survey: &Survey) -> Result<Act, Planned> {
        match self {
            Self::End(process) => {
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
            Self::Mode { path, uid, mode } => Ok(Act::Mode {
                path: (*path).to_owned(),
                uid: *uid,
                before: *mode,
                after: mode & 0o770,
            }),
        }
    }
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

/// Why a class has no remedy here.
fn alone(class: Class) -> &'static str {
    match class {
        Class::TrueCrash => "the gateway crashes by itself, and a restart mends no crash",
        Class::ConfigError => "its configuration has to be mended first",
        Class::ForeignProcessOnPort => "what holds the port is no gateway, and is not ended",
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

/// Needs of one unit become one.
fn merge<'a>(needs: &mut Vec<Need<'a>>, need: Need<'a>) {
    let same = |other: &&mut Need<'a>| {
        other.unit.name == need.unit.name && other.unit.scope == need.unit.scope
    };
    match needs.iter_mut().find(same) {
        Some(other) => {
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

/// Which of the findings that a plan mends are still there.
pub fn still_found(host: &Host, plan: &UnitPlan, facts: &Facts) -> Option<String> {
    let remedy = plan.remedy.as_ref()?;
    let left: Vec<&str> = diagnose(host, facts)
        .iter()
        .filter(|finding| finding.gateway == Some(plan.port))
        .map(|finding| finding.class.id())
        .filter(|id| remedy.classes.iter().any(|class| class == id))
        .collect();
    (!left.is_empty()).then(|| format!("still found: {}", left.join(", ")))
}
