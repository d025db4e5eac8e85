//! The machine against a host that loses connections, answers late, undoes by itself and goes ill.

use std::time::Duration;

use proptest::prelude::*;

use super::machine::{Action, Answer, Health, Input, Record, Terms, Way};
use crate::model::{RolloutEnd, RolloutStep, Standing};

const UNDO_AFTER: Duration = Duration::from_secs(120);

fn terms(armed: bool) -> Terms {
    Terms {
        undo_after: armed.then_some(UNDO_AFTER),
        settle: Duration::from_secs(10),
        well_within: Duration::from_secs(40),
        stop_within: Duration::ZERO,
        before: Standing::Well,
    }
}

/// What goes wrong with one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The host never heard of it.
    LostBefore,
    /// The host did it, and the answer was lost.
    LostAfter,
    /// The step itself fails on the host.
    Breaks,
    /// It takes long.
    Slow,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        1 => Just(Fault::LostBefore),
        1 => Just(Fault::LostAfter),
        1 => Just(Fault::Breaks),
        1 => Just(Fault::Slow),
    ]
}

/// A host as the scripts make it.
#[derive(Debug)]
struct Sim {
    now: Duration,
    record: Record,
    new_files: bool,
    kept: bool,
    armed_until: Option<Duration>,
    arms: bool,
    /// Whether the new settings make the gateway ill, and since when after the apply.
    ill_with_new: Option<Duration>,
    applied_at: Duration,
    generation: u32,
}

impl Sim {
    fn new(arms: bool, ill_with_new: Option<Duration>) -> Self {
        Self {
            now: Duration::ZERO,
            record: Record::Absent,
            new_files: false,
            kept: false,
            armed_until: None,
            arms,
            ill_with_new,
            applied_at: Duration::ZERO,
            generation: 1,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        if self.armed_until.is_some_and(|until| self.now >= until) {
            self.undo();
        }
    }

    fn undo(&mut self) {
        if self.kept || self.record == Record::Absent {
            return;
        }
        self.generation += u32::from(self.new_files);
        self.new_files = false;
        self.armed_until = None;
        self.record = Record::Undone;
    }

    fn does(&mut self, step: RolloutStep, breaks: bool) -> Answer {
        match step {
            RolloutStep::Prepare if breaks => Answer::Refused(RolloutEnd::Failed("full".into())),
            RolloutStep::Prepare => {
                if self.record == Record::Absent {
                    self.record = Record::Prepared;
                    self.armed_until = self.arms.then(|| self.now + UNDO_AFTER);
                }
                Answer::Prepared
            }
            RolloutStep::Apply => match &self.record {
                Record::Prepared if breaks => {
                    self.new_files = true;
                    self.record = Record::Applying;
                    Answer::Broke("read-only".into())
                }
                Record::Prepared => {
                    self.new_files = true;
                    self.record = Record::Applied;
                    self.applied_at = self.now;
                    self.generation += 1;
                    Answer::Applied
                }
                other => Answer::Found(other.clone()),
            },
            RolloutStep::Disarm => {
                if self.record == Record::Applied && !breaks {
                    self.kept = true;
                    self.armed_until = None;
                    self.record = Record::Kept;
                }
                Answer::Found(self.record.clone())
            }
            RolloutStep::Undo => {
                if !breaks {
                    self.undo();
                }
                Answer::Found(self.record.clone())
            }
            RolloutStep::Look => Answer::Found(self.record.clone()),
            RolloutStep::Verify | RolloutStep::VerifyUndo => {
                let expected = if step == RolloutStep::Verify {
                    Record::Applied
                } else {
                    Record::Undone
                };
                if self.record != expected {
                    return Answer::Found(self.record.clone());
                }
                Answer::Seen(self.health())
            }
        }
    }

    fn health(&self) -> Health {
        let ill = self.new_files
            && self
                .ill_with_new
                .is_some_and(|after| self.now >= self.applied_at + after);
        if ill {
            Health::Bad("dead".into())
        } else {
            Health::Well {
                generation: (self.generation, 0),
            }
        }
    }
}

/// Drives a way to its end. Returns it, and the steps that were done.
fn drive(sim: &mut Sim, faults: &[Fault], armed: bool) -> (RolloutEnd, Vec<RolloutStep>) {
    let mut way = Way::new(terms(armed));
    let mut input = Input::Begin;
    let mut steps = Vec::new();
    let mut faults = faults.iter().copied();
    for _ in 0..2000 {
        match way.step(input, sim.now) {
            Action::End(end) => return (end, steps),
            Action::Wait(time) => {
                sim.pass(time);
                input = Input::Waited;
            }
            Action::Do(step) => {
                steps.push(step);
                let fault = faults.next().unwrap_or(Fault::None);
                sim.pass(Duration::from_millis(200));
                let answer = match fault {
                    Fault::LostBefore => Answer::Lost("cut".into()),
                    Fault::LostAfter => {
                        sim.does(step, false);
                        Answer::Lost("cut".into())
                    }
                    Fault::Slow => {
                        sim.pass(Duration::from_secs(25));
                        sim.does(step, false)
                    }
                    Fault::Breaks => sim.does(step, true),
                    Fault::None => sim.does(step, false),
                };
                input = Input::Answer(answer);
            }
        }
    }
    panic!("the way does not end: {steps:?}");
}

#[test]
fn a_good_rollout_is_five_steps_and_a_second_look() {
    let mut sim = Sim::new(true, None);
    let (end, steps) = drive(&mut sim, &[], true);
    assert_eq!(end, RolloutEnd::Applied);
    assert_eq!(steps.first(), Some(&RolloutStep::Prepare));
    assert_eq!(steps.last(), Some(&RolloutStep::Disarm));
    let verified = steps.iter().filter(|step| **step == RolloutStep::Verify);
    assert!(verified.count() >= 2, "{steps:?}");
    assert!(sim.kept && sim.new_files && sim.armed_until.is_none());
}

#[test]
fn a_gateway_that_dies_while_it_settles_is_rolled_back() {
    for after in [0, 5, 9] {
        let mut sim = Sim::new(true, Some(Duration::from_secs(after)));
        let (end, _) = drive(&mut sim, &[], true);
        assert_eq!(
            end,
            RolloutEnd::RolledBack("dead".into()),
            "after {after} s"
        );
        assert!(!sim.new_files && !sim.kept);
    }
}

#[test]
fn a_restart_while_it_settles_is_a_failure() {
    let mut way = Way::new(terms(true));
    let seen = |generation| Input::Answer(Answer::Seen(Health::Well { generation }));
    let at = Duration::from_secs;
    way.step(Input::Begin, at(0));
    way.step(Input::Answer(Answer::Prepared), at(1));
    way.step(Input::Answer(Answer::Applied), at(2));
    assert!(matches!(way.step(seen((10, 0)), at(3)), Action::Wait(_)));
    assert_eq!(
        way.step(Input::Waited, at(9)),
        Action::Do(RolloutStep::Verify)
    );
    assert_eq!(
        way.step(seen((11, 1)), at(9)),
        Action::Do(RolloutStep::Undo)
    );
}

#[test]
fn a_host_that_is_gone_is_looked_for_until_its_undo_is_over_and_then_unknown() {
    let mut way = Way::new(terms(true));
    let mut now = Duration::ZERO;
    way.step(Input::Begin, now);
    way.step(Input::Answer(Answer::Prepared), now);
    let mut action = way.step(Input::Answer(Answer::Lost("cut".into())), now);
    let mut looks = 0;
    let end = loop {
        match action {
            Action::End(end) => break end,
            Action::Wait(time) => {
                now += time;
                action = way.step(Input::Waited, now);
            }
            Action::Do(step) => {
                assert_eq!(step, RolloutStep::Look);
                looks += 1;
                now += Duration::from_secs(5);
                action = way.step(Input::Answer(Answer::Lost("no route".into())), now);
            }
        }
    };
    assert!(
        matches!(&end, RolloutEnd::Unknown(why) if why.contains("no route")),
        "{end:?}"
    );
    assert!(now > UNDO_AFTER, "{now:?}");
    assert!(looks > 5, "{looks}");
}

#[test]
fn leaving_says_when_the_undo_is_due() {
    let mut way = Way::new(terms(true));
    assert!(matches!(
        way.step(Input::Leave, Duration::ZERO),
        Action::End(RolloutEnd::NotAttempted(_))
    ));
    let mut way = Way::new(terms(true));
    way.step(Input::Begin, Duration::ZERO);
    let end = way.step(Input::Leave, Duration::from_secs(20));
    assert_eq!(
        end,
        Action::End(RolloutEnd::Unknown(
            "left in the middle; its undo is due within 100 s".into()
        ))
    );
}

#[test]
fn a_host_that_was_told_to_prepare_may_not_say_that_it_drifted_after_it_prepared() {
    let mut way = Way::new(terms(true));
    let now = Duration::ZERO;
    way.step(Input::Begin, now);
    way.step(Input::Answer(Answer::Prepared), now);
    // Nonsense: the host is asked what is true.
    let refused = Input::Answer(Answer::Refused(RolloutEnd::Drifted("x".into())));
    assert!(matches!(way.step(refused, now), Action::Wait(_)));
    assert_eq!(way.step(Input::Waited, now), Action::Do(RolloutStep::Look));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever goes wrong and whenever: what is said at the end is true of the host, and a host that
    /// nobody confirmed is what it was once its undo's time is over.
    #[test]
    fn what_is_said_is_true(
        faults in proptest::collection::vec(fault(), 0..40),
        ill in proptest::option::of(0_u64..15),
    ) {
        let mut sim = Sim::new(true, ill.map(Duration::from_secs));
        let (end, steps) = drive(&mut sim, &faults, true);
        match &end {
            RolloutEnd::Applied => {
                prop_assert!(sim.kept && sim.new_files && sim.armed_until.is_none(), "{sim:?}");
            }
            RolloutEnd::RolledBack(_) => {
                prop_assert!(!sim.new_files && !sim.kept, "{sim:?}");
            }
            RolloutEnd::Failed(_) | RolloutEnd::NotReached(_) => {
                prop_assert!(!sim.new_files, "{sim:?}");
                prop_assert!(!steps.contains(&RolloutStep::Apply));
            }
            RolloutEnd::Unknown(_) | RolloutEnd::RollbackFailed(_) => {}
            other => prop_assert!(false, "{other:?}"),
        }
        // Nobody comes back to it.
        sim.pass(Duration::from_secs(3600));
        prop_assert!(sim.kept || !sim.new_files, "{end:?} left {sim:?}");
        prop_assert!(sim.armed_until.is_none());
        // Once an undo began, nothing was kept.
        let undo = steps.iter().position(|step| *step == RolloutStep::Undo);
        if let Some(undo) = undo {
            prop_assert!(!steps.iter().skip(undo).any(|step| *step == RolloutStep::Disarm));
        }
    }

    /// A way ends whatever a hostile host answers, and counts as applied only where the host
    /// said that it was kept.
    #[test]
    fn nonsense_ends_too(answers in proptest::collection::vec(0_usize..12, 0..400)) {
        let mut way = Way::new(terms(true));
        let mut now = Duration::ZERO;
        let mut input = Input::Begin;
        let mut last = None;
        let mut answers = answers.into_iter().cycle();
        let mut ended = None;
        for _ in 0..5000 {
            match way.step(input, now) {
                Action::End(end) => {
                    ended = Some(end);
                    break;
                }
                Action::Wait(time) => {
                    now += time;
                    input = Input::Waited;
                }
                Action::Do(_) => {
                    now += Duration::from_millis(100);
                    let answer = match answers.next().unwrap_or(7) {
                        0 => Answer::Prepared,
                        1 => Answer::Applied,
                        2 => Answer::Broke("x".into()),
                        3 => Answer::Seen(Health::Well { generation: (1, 1) }),
                        4 => Answer::Seen(Health::NotYet("x".into())),
                        5 => Answer::Seen(Health::Bad("x".into())),
                        6 => Answer::Found(Record::Absent),
                        7 => Answer::Lost("x".into()),
                        8 => Answer::Found(Record::Kept),
                        9 => Answer::Found(Record::Applied),
                        10 => Answer::Found(Record::Undone),
                        _ => Answer::Refused(RolloutEnd::Applied),
                    };
                    last = Some(answer.clone());
                    input = Input::Answer(answer);
                }
            }
        }
        prop_assert!(ended.is_some(), "it does not end");
        if ended == Some(RolloutEnd::Applied) {
            prop_assert_eq!(last, Some(Answer::Found(Record::Kept)));
        }
    }
}

/// Up to the first verification, at 2 s.
fn applied(terms: Terms) -> Way {
    let mut way = Way::new(terms);
    let at = Duration::from_secs;
    way.step(Input::Begin, at(0));
    way.step(Input::Answer(Answer::Prepared), at(1));
    let action = way.step(Input::Answer(Answer::Applied), at(2));
    assert_eq!(action, Action::Do(RolloutStep::Verify));
    way
}

/// What a look says at a time, and what follows; pauses pass.
fn looked(way: &mut Way, health: Health, second: u64) -> Action {
    let now = Duration::from_secs(second);
    match way.step(Input::Answer(Answer::Seen(health)), now) {
        Action::Wait(_) => way.step(Input::Waited, now),
        other => other,
    }
}

fn well() -> Health {
    Health::Well { generation: (5, 0) }
}

#[test]
fn what_could_not_be_looked_at_is_no_failure() {
    let mut way = applied(terms(true));
    let again = Action::Do(RolloutStep::Verify);
    assert_eq!(looked(&mut way, well(), 3), again);
    assert_eq!(looked(&mut way, Health::Unseen("slow".into()), 6), again);
    assert_eq!(
        looked(&mut way, well(), 14),
        Action::Do(RolloutStep::Disarm)
    );
    // For ever it may not be so.
    let mut way = applied(terms(true));
    assert_eq!(looked(&mut way, Health::Unseen("slow".into()), 30), again);
    let undo = Action::Do(RolloutStep::Undo);
    assert_eq!(looked(&mut way, Health::Unseen("slow".into()), 60), undo);
    // Once well, it has to stay so.
    let mut way = applied(terms(true));
    assert_eq!(looked(&mut way, well(), 3), again);
    assert_eq!(looked(&mut way, Health::NotYet("gone".into()), 6), undo);
}

#[test]
fn an_old_process_has_its_own_time_to_end() {
    let long = Terms {
        stop_within: Duration::from_secs(300),
        ..terms(true)
    };
    assert_eq!(
        long.armed_for(),
        Some(UNDO_AFTER + Duration::from_secs(300))
    );
    let again = Action::Do(RolloutStep::Verify);
    let undo = Action::Do(RolloutStep::Undo);
    let stopping = || Health::Stopping("its old process has not ended yet".into());
    let mut way = applied(long);
    assert_eq!(looked(&mut way, stopping(), 100), again);
    // From then on it has the usual time to become well.
    assert_eq!(
        looked(&mut way, Health::NotYet("starting".into()), 130),
        again
    );
    assert_eq!(
        looked(&mut way, Health::NotYet("starting".into()), 145),
        undo
    );
    let mut way = applied(long);
    assert_eq!(looked(&mut way, stopping(), 345), undo);
    let mut way = applied(terms(true));
    assert_eq!(looked(&mut way, stopping(), 30), again);
    assert_eq!(looked(&mut way, stopping(), 43), undo);
}
