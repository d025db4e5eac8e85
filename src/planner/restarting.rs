//! Plans that restart gateways, out of band: their manager does it, so that it dies with no session.

use super::{held, refused, standing};
use crate::model::{Facts, Host, Planned, Remedy, Standing, Unit, UnitOwner, UnitPlan};
use crate::rollout::{Beside, Planning, Survey, SurveyTarget};

/// What is wanted of all hosts: that their gateways are restarted.
#[derive(Debug, Clone, Copy)]
pub struct Restarting;

impl Planning for Restarting {
    fn targets(&self, host: &Host, facts: &Facts) -> Vec<Result<SurveyTarget, Planned>> {
        if !facts.units_complete {
            let why = "not every manager of units could be asked";
            let hint = "log in as root, or with `become: sudo`";
            return vec![Err(refused(None, why, Some(hint)))];
        }
        let mut targets = Vec::new();
        for gateway in &facts.gateways {
            let claims: Vec<&Unit> = gateway
                .units
                .iter()
                .filter(|unit| unit.claims_port() && unit.exists())
                .collect();
            match claims.as_slice() {
                [] if gateway.named.is_none() => {}
                [] => targets.push(Err(refused(
                    Some(&host.service.unit),
                    format!("no unit serves port {}", gateway.port),
                    Some("`clawfleet check` says what there is"),
                ))),
                [unit] => targets.push(Ok(SurveyTarget {
                    unit: unit.name.clone(),
                    owner: UnitOwner::of(&unit.scope),
                    port: gateway.port,
                    name: format!("{}.d/{}", unit.name, crate::unit::DROP_IN),
                    text: None,
                    properties: Vec::new(),
                    beside: Beside::default(),
                })),
                more => targets.push(Err(refused(
                    more.first().map(|unit| unit.name.as_str()),
                    format!("{} units claim port {}", more.len(), gateway.port),
                    Some("`clawfleet fix --class duplicate-unit` keeps one of them"),
                ))),
            }
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
        let unit = target.unit.as_str();
        let survey = match survey {
            Ok(survey) => survey,
            Err(why) => return refused(Some(unit), why, None),
        };
        if let Some(held) = held(unit, &survey) {
            return held;
        }
        if survey.inside {
            return refused(
                Some(unit),
                "this session runs inside the unit, and its restart would end it",
                Some("run clawfleet on the host itself: it leaves the unit before it restarts it"),
            );
        }
        if !survey.managed {
            let why = format!(
                "no manager of {} runs, so nobody can restart it",
                target.owner
            );
            return refused(Some(unit), why, None);
        }
        let (before, trouble) = standing(facts, unit, &target.owner.scope());
        if matches!(before, Standing::Off | Standing::Absent) {
            return refused(
                Some(unit),
                "it is switched off, and a restart would start it",
                Some("`clawfleet fix --class gateway-down` starts what should run"),
            );
        }
        Planned::Change(Box::new(UnitPlan {
            host: host.name.clone(),
            unit: unit.to_owned(),
            owner: target.owner.clone(),
            port: target.port,
            files: Vec::new(),
            settings: Vec::new(),
            exposure: None,
            enable: false,
            restart: true,
            before,
            notes: trouble
                .map(|why| format!("its gateway is not well now: {why}"))
                .into_iter()
                .collect(),
            remedy: Some(Remedy {
                classes: Vec::new(),
                acts: Vec::new(),
                by_root: false,
            }),
        }))
    }
}
