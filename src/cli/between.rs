//! What a rollout asks of the controller on its way: whether a unit is as it should be, and what follows a batch.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::args::{Pause, RolloutArgs};
use super::confirm;
use super::ground::Ground;
use crate::fleet;
use crate::fleet::rollout::{Between, Judge, Seen, Sick};
use crate::model::{Class, Host, Plan, RolloutEnd, Standing, UnitPlan, UnitResult};
use crate::planner;
use crate::rollout::Health;

/// Puts the pure judge before the rollout.
pub(super) struct PlanJudge {
    pub(super) hosts: HashMap<String, Arc<Host>>,
}

impl Judge for PlanJudge {
    fn properties(&self, plan: &UnitPlan) -> Vec<String> {
        planner::properties(plan)
    }

    fn stop_within(&self, plan: &UnitPlan) -> std::time::Duration {
        planner::stop_within(plan)
    }

    fn health(&self, plan: &UnitPlan, seen: Seen<'_>) -> Health {
        let Seen {
            facts,
            shown,
            main_pid_before,
            undone,
        } = seen;
        let health = planner::health(plan, facts, shown, main_pid_before, undone);
        // A fix has mended what it was made for.
        let left = match (&health, self.hosts.get(&plan.host)) {
            (Health::Well { .. }, Some(host)) if !undone => planner::still_found(host, plan, facts),
            _ => None,
        };
        left.map_or(health, Health::NotYet)
    }
}

/// What says that a gateway does not do its work. Other findings were there before, or are no matter of a
/// rollout.
const OF_LIFE: [Class; 9] = [
    Class::OrphanHoldsPort,
    Class::DuplicateUnit,
    Class::LeftoverProcess,
    Class::ForeignProcessOnPort,
    Class::RestartLoop,
    Class::TrueCrash,
    Class::ConfigError,
    Class::GatewayDown,
    Class::GatewayHung,
];

/// After each batch it is checked, and then the operator is waited for.
pub(super) struct BetweenBatches<'a> {
    pub(super) ground: &'a Ground,
    pub(super) args: &'a RolloutArgs,
    pub(super) plan: &'a Plan,
    pub(super) hosts: &'a HashMap<String, Arc<Host>>,
}

impl BetweenBatches<'_> {
    /// The gateways' ports on a host that this run has to keep well: those that were, or that it mended.
    fn ports(&self, host: &str) -> BTreeSet<u16> {
        let units = self.plan.units.iter().filter(|unit| unit.host == host);
        units
            .filter(|unit| unit.before == Standing::Well || unit.restart)
            .filter(|unit| !planner::goes(unit))
            .map(|unit| unit.port)
            .collect()
    }
}

impl Between for BetweenBatches<'_> {
    async fn check(&mut self, results: &[UnitResult]) -> Vec<Sick> {
        let applied: BTreeSet<&str> = results
            .iter()
            .filter(|result| result.end == RolloutEnd::Applied)
            .map(|result| result.host.as_str())
            .filter(|host| !self.ports(host).is_empty())
            .collect();
        let applied: Vec<Arc<Host>> = applied
            .into_iter()
            .filter_map(|name| self.hosts.get(name).cloned())
            .collect();
        let observations = fleet::run(
            &applied,
            Arc::clone(&self.ground.transport),
            self.ground.limits,
            Arc::clone(&self.ground.secrets),
            &self.ground.cancel,
            |_| {},
        )
        .await;
        let judged = applied.iter().zip(observations);
        judged
            .filter_map(|(host, observation)| {
                let ports = self.ports(&host.name);
                let report = crate::diagnose::judge(host, observation);
                let worst = report.findings.iter().find(|finding| {
                    OF_LIFE.contains(&finding.class)
                        && finding.gateway.is_none_or(|port| ports.contains(&port))
                });
                let (why, seen) = match (report.observation.outcome.facts(), worst) {
                    (None, _) => ("it could not be looked at", false),
                    (_, Some(finding)) => (finding.class.id(), true),
                    _ => return None,
                };
                Some(Sick {
                    host: host.name.clone(),
                    why: why.to_owned(),
                    seen,
                })
            })
            .collect()
    }

    async fn pause(&mut self, batch: usize) -> Option<String> {
        match self.args.pause {
            None => None,
            Some(Pause::For(time)) => {
                let mut cancelled = self.ground.cancel.subscribe();
                tokio::select! {
                    () = tokio::time::sleep(time) => {}
                    _ = cancelled.changed() => {}
                }
                None
            }
            Some(Pause::Ask) => {
                self.ground.transport.ssh.close().await;
                let question = format!("Batch {batch} is done. Go on?");
                let go = confirm::yes_or_no(question, &self.ground.cancel).await;
                (!go).then(|| "the operator stopped after this batch".to_owned())
            }
        }
    }
}
