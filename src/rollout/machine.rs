//! One unit's way through a rollout, as a pure machine: it is told what happened and says what is done next.
//!
//! The rules that it holds, and that its tests prove:
//! - a unit counts as applied only after a fresh connection found it well for the settling time and its
//!   undo was disarmed;
//! - once an undo began, nothing is disarmed any more;
//! - whatever is lost is looked for until the undo's time has passed, and then named for what it is.

use std::time::Duration;

use crate::model::{RolloutEnd, RolloutStep, Standing};

/// How long looking goes on after an undo's time: it restarts a unit, and that takes its own time.
const GRACE: Duration = Duration::from_secs(45);

/// How long before the undo's time nothing is begun any more that it could cross.
const MARGIN: Duration = Duration::from_secs(10);

/// How long to wait before the gateway is looked at again.
const PACE: Duration = Duration::from_secs(2);

/// The longest pause between two looks at a host that does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// How often a host may lose us. A host that answers one question in two would be asked for ever.
const MOST_LOSSES: u32 = 60;

/// What holds for one unit's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// After how long the host undoes by itself; `None` where nothing is armed.
    pub undo_after: Option<Duration>,
    /// How long the gateway has to be well without a restart.
    pub settle: Duration,
    /// How long it may take to become well.
    pub well_within: Duration,
    /// How long its manager lets it end before a restart; that comes on top of the other times.
    pub stop_within: Duration,
    /// What it was like before.
    pub before: Standing,
}

impl Terms {
    /// After how long the host undoes by itself, with the time that the gateway may take to end.
    pub fn armed_for(&self) -> Option<Duration> {
        self.undo_after.map(|time| time + self.stop_within)
    }
}

/// What a fresh connection saw of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// As it should be. The generation tells one start of the process from another.
    Well {
        /// MainPID and NRestarts.
        generation: (u32, u32),
    },
    /// Not yet, and it may still become so.
    NotYet(String),
    /// Not, and waiting does not help.
    Bad(String),
    /// It could not be looked at this time, which says nothing of it.
    Unseen(String),
    /// Its old process is still ending, for which it has a time of its own.
    Stopping(String),
}

/// What a host's own record says of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// There is none.
    Absent,
    /// Being prepared.
    Preparing,
    /// Prepared: nothing is changed.
    Prepared,
    /// The files are being put in their places.
    Applying,
    /// They are there.
    Applied,
    /// The undo is disarmed.
    Kept,
    /// It is again what it was.
    Undone,
    /// The undo did not succeed.
    UndoBroke(String),
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Everything is ready and armed.
    Prepared,
    /// Nothing was changed and nothing is left there, for that reason.
    Refused(RolloutEnd),
    /// The files are in their places.
    Applied,
    /// A step failed in the middle.
    Broke(String),
    /// What the gateway looks like.
    Seen(Health),
    /// The host's own record.
    Found(Record),
    /// The connection did not come about, or was lost: nobody knows what the host did.
    Lost(String),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// It begins.
    Begin,
    /// A step was answered.
    Answer(Answer),
    /// A pause is over.
    Waited,
    /// The operator leaves now.
    Leave,
}

/// What is done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// That step.
    Do(RolloutStep),
    /// Nothing, for so long.
    Wait(Duration),
    /// It is over.
    End(RolloutEnd),
}

/// How many records of its own a host may tell us. An honest one tells two or three.
const MOST_RECORDS: u32 = 60;

/// How often a disarm is tried again.
const MOST_DISARMS: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Doing(RolloutStep),
    /// Between two steps; the one that follows.
    Waiting(RolloutStep),
    Over,
}

/// One unit's way.
#[derive(Debug, Clone)]
pub struct Way {
    terms: Terms,
    phase: Phase,
    /// When the preparation began: the undo's time runs from some moment after it.
    begun: Duration,
    /// Why it is to be undone.
    failure: Option<String>,
    /// Whether the host may have changed something.
    touched: bool,
    /// The last words of a loss.
    lost: Option<String>,
    losses: u32,
    /// Records that the host told.
    records: u32,
    /// Disarms that did not disarm.
    disarms: u32,
    /// Looks since the last answer.
    silent_looks: u32,
    /// Since when the gateway is being looked at.
    verifying_since: Option<Duration>,
    /// Since when it is well, and in which generation.
    well_since: Option<(Duration, (u32, u32))>,
}

impl Way {
    /// Begins a way.
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            phase: Phase::New,
            begun: Duration::ZERO,
            failure: None,
            touched: false,
            lost: None,
            losses: 0,
            records: 0,
            disarms: 0,
            silent_looks: 0,
            verifying_since: None,
            well_since: None,
        }
    }

    /// Goes one step. `now` is a clock that only goes forward. What does not belong to the step
    /// that runs is taken as a lost answer: then the host is asked.
    pub fn step(&mut self, input: Input, now: Duration) -> Action {
        let action = match (self.phase, input) {
            (Phase::Over, _) => return Action::End(RolloutEnd::Unknown("it was over".into())),
            (Phase::New, Input::Leave) => {
                Action::End(RolloutEnd::NotAttempted("the run was stopped".into()))
            }
            (Phase::New, _) => {
                self.begun = now;
                Action::Do(RolloutStep::Prepare)
            }
            (_, Input::Leave) => self.leave(now),
            (Phase::Waiting(step), _) => Action::Do(step),
            (Phase::Doing(step), Input::Answer(answer)) => self.answered(step, answer, now),
            (Phase::Doing(_), Input::Begin | Input::Waited) => self.lose("no answer".into(), now),
        };
        self.phase = match &action {
            Action::Do(step) => Phase::Doing(*step),
            Action::Wait(_) => self.phase,
            Action::End(_) => Phase::Over,
        };
        action
    }

    fn answered(&mut self, step: RolloutStep, answer: Answer, now: Duration) -> Action {
        if !matches!(answer, Answer::Lost(_)) {
            self.silent_looks = 0;
        }
        match (step, answer) {
            (_, Answer::Lost(why)) => self.lose(why, now),
            (RolloutStep::Prepare, Answer::Prepared) => Action::Do(RolloutStep::Apply),
            (RolloutStep::Prepare, Answer::Refused(end)) => match end {
                // Only these say that nothing was changed.
                RolloutEnd::Drifted(_)
                | RolloutEnd::Locked(_)
                | RolloutEnd::NotReached(_)
                | RolloutEnd::Failed(_)
                    if !self.touched =>
                {
                    Action::End(end)
                }
                other => self.lose(other.why().unwrap_or("no answer").to_owned(), now),
            },
            (RolloutStep::Apply, Answer::Applied) => self.verify(now),
            (RolloutStep::Apply, Answer::Broke(why)) => self.undo(why),
            (RolloutStep::Verify, Answer::Seen(health)) => self.judge(health, now),
            (RolloutStep::VerifyUndo, Answer::Seen(health)) => self.judge_undo(health, now),
            // It could not be disarmed: then it is to be undone, before it does so by itself.
            (RolloutStep::Disarm, Answer::Found(Record::Applied))
                if self.disarms > MOST_DISARMS =>
            {
                self.undo("its undo could not be disarmed".into())
            }
            (RolloutStep::Disarm, Answer::Found(Record::Applied)) => {
                self.disarms += 1;
                self.pause(PACE, RolloutStep::Disarm)
            }
            (_, Answer::Found(record)) => self.found(record, now),
            (step, _) => {
                let words = format!("the host answered {} with something else", step.id());
                self.lose(words, now)
            }
        }
    }

    fn verify(&mut self, now: Duration) -> Action {
        self.touched = true;
        self.verifying_since.get_or_insert(now);
        Action::Do(RolloutStep::Verify)
    }

    fn undo(&mut self, why: String) -> Action {
        self.touched = true;
        self.failure.get_or_insert(why);
        self.restart_watch();
        Action::Do(RolloutStep::Undo)
    }

    fn restart_watch(&mut self) {
        self.verifying_since = None;
        self.well_since = None;
    }

    /// When a verification has to be over: in its own time, and clear of the undo's.
    fn verify_until(&self) -> Duration {
        let own = self.verifying_since.unwrap_or_default() + self.terms.well_within;
        self.terms.armed_for().map_or(own, |undo_after| {
            own.min((self.begun + undo_after).saturating_sub(MARGIN))
        })
    }

    /// Whether it was well for the settling time, in one generation.
    fn has_settled(&mut self, generation: (u32, u32), now: Duration) -> Result<bool, String> {
        let (since, first) = *self.well_since.get_or_insert((now, generation));
        if first != generation {
            return Err(format!(
                "the gateway was restarted while it settled: process {} became {}",
                first.0, generation.0
            ));
        }
        Ok(now.saturating_sub(since) >= self.terms.settle)
    }

    fn judge(&mut self, health: Health, now: Duration) -> Action {
        let began = *self.verifying_since.get_or_insert(now);
        match health {
            Health::Bad(why) => self.undo(why),
            // Once it was well, it has to stay so.
            Health::NotYet(why) if self.well_since.is_some() => self.undo(why),
            Health::NotYet(why) | Health::Unseen(why) if now >= self.verify_until() => {
                let waited = now.saturating_sub(began).as_secs();
                self.undo(format!("not well after {waited} s: {why}"))
            }
            Health::NotYet(_) | Health::Unseen(_) => self.pause(PACE, RolloutStep::Verify),
            Health::Stopping(why) if self.well_since.is_some() || now >= self.stop_until() => {
                self.undo(why)
            }
            Health::Stopping(_) => {
                // Its time to become well runs from its end.
                self.verifying_since = Some(now);
                self.pause(PACE, RolloutStep::Verify)
            }
            Health::Well { generation } => match self.has_settled(generation, now) {
                Err(why) => self.undo(why),
                Ok(true) => Action::Do(RolloutStep::Disarm),
                Ok(false) if now >= self.settle_until() => self
                    .undo("there was no time left to see it settle before its undo was due".into()),
                Ok(false) => {
                    let since = self.well_since.map_or(now, |(since, _)| since);
                    let left = (since + self.terms.settle).saturating_sub(now);
                    // Often enough to see a restart, and at the end of the time.
                    self.pause(
                        left.clamp(Duration::from_millis(50), PACE * 3),
                        RolloutStep::Verify,
                    )
                }
            },
        }
    }

    /// Until when an old process may take to end.
    fn stop_until(&self) -> Duration {
        let own = self.begun + self.terms.well_within + self.terms.stop_within;
        own.min(self.settle_until())
    }

    fn settle_until(&self) -> Duration {
        self.terms.armed_for().map_or(Duration::MAX, |undo_after| {
            (self.begun + undo_after).saturating_sub(MARGIN)
        })
    }

    fn judge_undo(&mut self, health: Health, now: Duration) -> Action {
        let why = self.failure.clone().unwrap_or_default();
        let began = *self.verifying_since.get_or_insert(now);
        // What was not well before need not be now.
        if self.terms.before != Standing::Well {
            return Action::End(RolloutEnd::RolledBack(why));
        }
        let out_of_time = now.saturating_sub(began) >= self.terms.well_within;
        let may_stop = self.terms.well_within + self.terms.stop_within;
        let broke = |what: String| {
            Action::End(RolloutEnd::RollbackFailed(format!(
                "{why}; the old files are back, and the gateway is not well: {what}"
            )))
        };
        match health {
            Health::Well { generation } => match self.has_settled(generation, now) {
                Ok(true) => Action::End(RolloutEnd::RolledBack(why)),
                Ok(false) => self.pause(PACE, RolloutStep::VerifyUndo),
                Err(what) if out_of_time => broke(what),
                Err(_) => {
                    self.well_since = None;
                    self.pause(PACE, RolloutStep::VerifyUndo)
                }
            },
            Health::NotYet(what) | Health::Bad(what) | Health::Unseen(what) if out_of_time => {
                broke(what)
            }
            Health::Stopping(what) if now.saturating_sub(began) >= may_stop => broke(what),
            Health::Unseen(_) | Health::Stopping(_) => self.pause(PACE, RolloutStep::VerifyUndo),
            Health::NotYet(_) | Health::Bad(_) => {
                self.well_since = None;
                self.pause(PACE, RolloutStep::VerifyUndo)
            }
        }
    }

    fn found(&mut self, record: Record, now: Duration) -> Action {
        self.records += 1;
        let goes_on = !matches!(
            record,
            Record::Absent | Record::Kept | Record::Undone | Record::UndoBroke(_)
        );
        if goes_on && (self.records > MOST_RECORDS || self.is_late(now) && self.failure.is_none()) {
            self.lost
                .get_or_insert_with(|| "the host says the same again and again".into());
            return Action::End(RolloutEnd::Unknown(self.unknown()));
        }
        let lost = || self.lost.clone().unwrap_or_else(|| "no answer".into());
        match record {
            Record::Absent if self.touched => Action::End(RolloutEnd::Unknown(format!(
                "the host has no record of this run any more ({})",
                lost()
            ))),
            Record::Absent => Action::End(RolloutEnd::Failed(format!(
                "nothing was changed: {}",
                lost()
            ))),
            // The undo was asked for already, and a preparation that is cut off ends by itself.
            Record::Preparing if self.failure.is_some() => self.pause(PACE, RolloutStep::Undo),
            Record::Preparing | Record::Prepared => {
                let why = lost();
                self.undo(why)
            }
            Record::Applying if self.failure.is_none() => {
                let why = format!("lost while the files were put in their places: {}", lost());
                self.undo(why)
            }
            Record::Applied if self.failure.is_none() => self.verify(now),
            Record::Applying | Record::Applied => {
                // The undo was asked for, and did not end yet.
                if self.is_late(now) {
                    let why = self.failure.clone().unwrap_or_default();
                    return Action::End(RolloutEnd::RollbackFailed(format!(
                        "{why}; the undo does not end"
                    )));
                }
                self.pause(PACE, RolloutStep::Undo)
            }
            Record::Kept if self.failure.is_none() => Action::End(RolloutEnd::Applied),
            Record::Kept => Action::End(RolloutEnd::Unknown(format!(
                "{}; and yet the host says that the new files are to stay",
                self.failure.clone().unwrap_or_default()
            ))),
            Record::Undone => {
                self.failure.get_or_insert_with(|| {
                    format!(
                        "the host undid it by itself, nobody disarmed it in time ({})",
                        self.lost.as_deref().unwrap_or("the time was too short")
                    )
                });
                if !self.touched {
                    // Prepared and taken back: the gateway never noticed.
                    return Action::End(RolloutEnd::RolledBack(
                        self.failure.clone().unwrap_or_default(),
                    ));
                }
                self.restart_watch();
                self.verifying_since = Some(now);
                Action::Do(RolloutStep::VerifyUndo)
            }
            Record::UndoBroke(what) => Action::End(RolloutEnd::RollbackFailed(format!(
                "{}; {what}",
                self.failure.clone().unwrap_or_else(lost)
            ))),
        }
    }

    /// Whether the undo's time and its grace are over.
    fn is_late(&self, now: Duration) -> bool {
        let budget = self.terms.armed_for();
        let budget = budget.unwrap_or(self.terms.well_within + self.terms.stop_within);
        now >= self.begun + budget + GRACE + self.terms.stop_within
    }

    fn lose(&mut self, why: String, now: Duration) -> Action {
        let step = match self.phase {
            Phase::Doing(step) | Phase::Waiting(step) => step,
            Phase::New | Phase::Over => RolloutStep::Prepare,
        };
        // From the apply on nobody knows whether something was changed.
        if !matches!(step, RolloutStep::Prepare | RolloutStep::Look) {
            self.touched = true;
        }
        self.losses += 1;
        self.lost = Some(why);
        if self.is_late(now) || self.losses > MOST_LOSSES {
            return Action::End(RolloutEnd::Unknown(self.unknown()));
        }
        self.silent_looks += 1;
        let pause = Duration::from_secs(1 << self.silent_looks.min(4)).min(LONGEST_PAUSE);
        self.pause(pause, RolloutStep::Look)
    }

    fn unknown(&self) -> String {
        let lost = self.lost.as_deref().unwrap_or("no answer");
        match (self.terms.armed_for(), &self.failure) {
            (Some(after), _) => format!(
                "not reached any more: {lost}; its undo was due {} s after it was begun, and nobody saw what came of it",
                after.as_secs()
            ),
            (None, _) => format!("not reached any more: {lost}; nothing was armed to undo it"),
        }
    }

    fn leave(&mut self, now: Duration) -> Action {
        let words = match self.terms.armed_for() {
            Some(after) => {
                let due = (self.begun + after).saturating_sub(now).as_secs();
                format!("left in the middle; its undo is due within {due} s")
            }
            None => "left in the middle, and nothing is armed to undo it".into(),
        };
        Action::End(RolloutEnd::Unknown(words))
    }

    fn pause(&mut self, time: Duration, then: RolloutStep) -> Action {
        self.phase = Phase::Waiting(then);
        Action::Wait(time)
    }
}
