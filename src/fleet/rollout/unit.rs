//! One unit's way on a real host: the machine's steps, carried out.

use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep};

use super::line::{Line, Trouble};
use super::{Crew, Seen};
use crate::fleet::CancelLevel;
use crate::fleet::worker::{AnyTransport, RunSecrets};
use crate::model::{Host, RolloutEnd, RolloutStep, TransportKind, UnitPlan, UnitResult};
use crate::rollout::{
    self, Action, Answer, Health, Input, Record, StepAnswer, StepRequest, Terms, Way,
};
use crate::ssh::Transport;

/// How long a step may take on the host. An undo waits for others to end.
const STEP_LIMIT: Duration = Duration::from_secs(90);

/// What one unit's way needs.
pub(super) struct Errand<'a> {
    pub(super) host: &'a Host,
    pub(super) plan: &'a UnitPlan,
    pub(super) run_id: &'a str,
    pub(super) crew: &'a Crew,
    pub(super) secrets: &'a RunSecrets,
    pub(super) handshakes: &'a Semaphore,
    pub(super) cancel: watch::Receiver<CancelLevel>,
}

/// Carries a unit's plan out.
pub(super) async fn roll(
    errand: Errand<'_>,
    transport: &AnyTransport,
    on_step: impl FnMut(RolloutStep),
) -> UnitResult {
    match errand.host.transport {
        TransportKind::Ssh => errand.go(&transport.ssh, on_step).await,
        TransportKind::Local => errand.go(&transport.local, on_step).await,
    }
}

impl Errand<'_> {
    async fn go<T: Transport>(
        mut self,
        transport: &T,
        mut on_step: impl FnMut(RolloutStep),
    ) -> UnitResult {
        let begin = Instant::now();
        let times = self.crew.times;
        let terms = Terms {
            undo_after: times.undo_after,
            settle: times.settle,
            well_within: times.well_within,
            stop_within: self.crew.judge.stop_within(self.plan),
            before: self.plan.before,
        };
        let mut way = Way::new(terms);
        let mut work = Work {
            line: Line::new(self.host, transport, self.handshakes, self.secrets),
            plan: self.plan,
            run_id: self.run_id,
            crew: self.crew,
            armed_for: terms.armed_for(),
            properties: self.crew.judge.properties(self.plan),
            main_pid_before: None,
        };
        let mut input = Input::Begin;
        let end: RolloutEnd = loop {
            let action = way.step(input, begin.elapsed());
            tracing::debug!(host = %self.host.name, unit = %self.plan.unit, ?action, "rollout");
            input = match action {
                Action::End(end) => break end,
                Action::Wait(time) => tokio::select! {
                    () = sleep(time) => Input::Waited,
                    () = left(&mut self.cancel) => Input::Leave,
                },
                Action::Do(step) => {
                    on_step(step);
                    tokio::select! {
                        answer = work.perform(step) => Input::Answer(answer),
                        () = left(&mut self.cancel) => Input::Leave,
                    }
                }
            };
        };
        let commands = work.line.commands;
        work.line.hang_up().await;
        UnitResult {
            host: self.plan.host.clone(),
            unit: self.plan.unit.clone(),
            owner: self.plan.owner.clone(),
            end,
            elapsed_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
            commands,
        }
    }
}

/// Ends when the operator leaves.
async fn left(cancel: &mut watch::Receiver<CancelLevel>) {
    if cancel
        .wait_for(|level| *level == CancelLevel::Leave)
        .await
        .is_err()
    {
        // Nobody is left who could ask for it.
        std::future::pending::<()>().await;
    }
}

struct Work<'a, T: Transport> {
    line: Line<'a, T>,
    plan: &'a UnitPlan,
    run_id: &'a str,
    crew: &'a Crew,
    armed_for: Option<Duration>,
    properties: Vec<String>,
    main_pid_before: Option<u32>,
}

impl<T: Transport> Work<'_, T> {
    async fn perform(&mut self, step: RolloutStep) -> Answer {
        match step {
            RolloutStep::Verify => self.verify(Record::Applied).await,
            RolloutStep::VerifyUndo => self.verify(Record::Undone).await,
            RolloutStep::Prepare => match self.ask(step).await {
                Ok(answered) => answered.answer,
                // Nothing was sent, so nothing was changed.
                Err(Trouble::NotAsked(why)) => Answer::Refused(RolloutEnd::NotReached(why)),
                Err(Trouble::Lost(why)) => Answer::Lost(why),
            },
            RolloutStep::Look => {
                self.line.hang_up().await;
                self.answer_of(step).await
            }
            RolloutStep::Apply | RolloutStep::Disarm | RolloutStep::Undo => {
                self.answer_of(step).await
            }
        }
    }

    async fn answer_of(&mut self, step: RolloutStep) -> Answer {
        match self.ask(step).await {
            Ok(answered) => {
                if step == RolloutStep::Apply {
                    self.main_pid_before = answered.main_pid.or(self.main_pid_before);
                }
                answered.answer
            }
            Err(trouble) => Answer::Lost(trouble.into_words()),
        }
    }

    async fn ask(&mut self, step: RolloutStep) -> Result<StepAnswer, Trouble> {
        let (plan, run, crew) = (self.plan, self.run_id, self.crew);
        let properties = std::mem::take(&mut self.properties);
        let request = StepRequest {
            run,
            who: &crew.who,
            step,
            plan,
            undo_after_s: self.armed_for.map(|time| time.as_secs()),
            properties: &properties,
        };
        let privilege = self.line.privilege();
        let output = self
            .line
            .run(STEP_LIMIT, |nonce, dialogue| {
                rollout::step_script(request, privilege, nonce, dialogue)
            })
            .await;
        self.properties = properties;
        let (output, nonce) = output?;
        Ok(rollout::parse_step(&output, &nonce))
    }

    /// Looks at the gateway over a fresh connection, and at the host's own record of the run.
    async fn verify(&mut self, expected: Record) -> Answer {
        self.line.hang_up().await;
        let looked = match self.ask(RolloutStep::Look).await {
            Ok(looked) => looked,
            Err(trouble) => return Answer::Lost(trouble.into_words()),
        };
        match looked.answer {
            Answer::Found(record) if record == expected => {}
            other => return other,
        }
        self.main_pid_before = self.main_pid_before.or(looked.main_pid);
        let facts = match self.line.probe().await {
            Ok(facts) => facts,
            Err(Trouble::Lost(why)) => {
                // It answered a moment ago: it is slow, and not gone.
                return Answer::Seen(Health::Unseen(format!("it could not be looked at: {why}")));
            }
            Err(Trouble::NotAsked(why)) => return Answer::Lost(why),
        };
        Answer::Seen(self.crew.judge.health(
            self.plan,
            Seen {
                facts: &facts,
                shown: &looked.shown,
                main_pid_before: self.main_pid_before,
                undone: expected == Record::Undone,
            },
        ))
    }
}
