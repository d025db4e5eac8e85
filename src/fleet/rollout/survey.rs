//! Looking at hosts for a plan. Nothing is written there.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::fleet::dispatcher::run_errand;
use crate::fleet::worker::{AnyTransport, Errand, RunSecrets};
use crate::fleet::{Cancel, Limits, remote};
use crate::model::{Facts, FleetEvent, Host, HostObservation, Planned};
use crate::rollout::{self, Planning, Survey, SurveyRequest, SurveyTarget};
use crate::ssh::Session;

/// How long one look may take: systemd-analyze takes a second on a slow host.
const LIMIT: Duration = Duration::from_secs(60);

/// Probes every host, looks at the units that are planned for, and plans. The plans of a host that was not
/// seen in full are empty; its observation says why.
pub async fn survey(
    hosts: &[Arc<Host>],
    transport: Arc<AnyTransport>,
    limits: Limits,
    secrets: Arc<RunSecrets>,
    planning: Arc<dyn Planning>,
    cancel: &Cancel,
    watch: impl FnMut(FleetEvent<'_>),
) -> Vec<(HostObservation, Vec<Planned>)> {
    let errand = Arc::new(LookAndPlan(planning));
    run_errand(hosts, transport, limits, secrets, errand, cancel, watch).await
}

struct LookAndPlan(Arc<dyn Planning>);

impl Errand for LookAndPlan {
    type Found = Vec<Planned>;

    async fn go<S: Session>(
        &self,
        host: &Host,
        session: &S,
        facts: &Facts,
        run: &RunSecrets,
    ) -> Vec<Planned> {
        let mut plans = Vec::new();
        for target in self.0.targets(host, facts) {
            plans.push(match target {
                Err(planned) => planned,
                Ok(target) => self.plan(host, session, facts, run, target).await,
            });
        }
        plans
    }
}

impl LookAndPlan {
    async fn plan<S: Session>(
        &self,
        host: &Host,
        session: &S,
        facts: &Facts,
        run: &RunSecrets,
        mut target: SurveyTarget,
    ) -> Planned {
        let mut survey = look(host, session, &target, run).await;
        let refined = match &survey {
            Ok(survey) => self.0.refined(host, facts, &target, survey),
            Err(_) => None,
        };
        match refined {
            Some(Err(planned)) => return planned,
            Some(Ok(better)) => {
                target = better;
                survey = look(host, session, &target, run).await;
            }
            None => {}
        }
        self.0.plan(host, facts, &target, survey)
    }
}

async fn look<S: Session>(
    host: &Host,
    session: &S,
    target: &SurveyTarget,
    run: &RunSecrets,
) -> Result<Survey, String> {
    let (nonce, dialogue) = (remote::nonce()?, remote::nonce()?);
    let request = SurveyRequest {
        unit: &target.unit,
        owner: &target.owner,
        name: &target.name,
        text: target.text.as_deref().unwrap_or_default(),
        properties: &target.properties,
        beside: &target.beside,
    };
    let script = rollout::survey_script(request, &host.privilege, &nonce, &dialogue);
    let password = run.become_password(host);
    let output = remote::run(session, &script, password, Instant::now() + LIMIT).await;
    rollout::parse_survey(&output.stdout, &nonce)
}
