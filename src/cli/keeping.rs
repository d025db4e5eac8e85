//! Asks which of two units stays, where neither the inventory nor the command line says it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::confirm::{self, Answer};
use super::context::Context;
use super::ground::Ground;
use super::rollout::{self, Looked};
use crate::model::{Host, nodeset, sanitize};
use crate::planner::{Contest, Keep, Mending};

/// What came of a question.
enum Decision {
    Keep(Keep),
    /// Neither: they are left alone.
    Neither,
    Interrupted,
}

/// Asks once for each pair of units, whatever the number of hosts, and looks again at those that got an answer.
/// Says whether to go on: the operator may have left.
pub(super) async fn decide(
    context: &Context,
    ground: &Ground,
    mending: Arc<Mending>,
    looked: &mut [Looked],
) -> bool {
    let mut contests: BTreeMap<Contest, Vec<usize>> = BTreeMap::new();
    for (at, (host, (observation, _))) in ground.hosts.iter().zip(&*looked).enumerate() {
        let facts = observation.outcome.facts();
        for contest in facts.map_or_else(Vec::new, |facts| mending.contests(host, facts)) {
            contests.entry(contest).or_default().push(at);
        }
    }
    if contests.is_empty() {
        return true;
    }
    // What is known of one answer is known by the next question.
    let mut mending = Arc::unwrap_or_clone(mending);
    let mut decided: Vec<usize> = Vec::new();
    for (contest, at) in &contests {
        let hosts: Vec<&Arc<Host>> = at.iter().filter_map(|at| ground.hosts.get(*at)).collect();
        let keep = match ask(context, ground, contest, &hosts).await {
            Decision::Keep(keep) => keep,
            Decision::Neither => continue,
            Decision::Interrupted => return false,
        };
        for host in &hosts {
            let of = (host.name.clone(), contest.port);
            mending.keeping.answers.insert(of, keep.clone());
        }
        decided.extend(at);
    }
    decided.sort_unstable();
    decided.dedup();
    let hosts: Vec<Arc<Host>> = decided
        .iter()
        .filter_map(|at| ground.hosts.get(*at).cloned())
        .collect();
    let again = rollout::look_and_plan(context, ground, &hosts, Arc::new(mending)).await;
    for (at, new) in decided.into_iter().zip(again) {
        if let Some(old) = looked.get_mut(at) {
            *old = new;
        }
    }
    true
}

async fn ask(
    context: &Context,
    ground: &Ground,
    contest: &Contest,
    hosts: &[&Arc<Host>],
) -> Decision {
    let names = nodeset::fold(hosts.iter().map(|host| host.name.as_str()));
    let mut text = format!("\n{names}: these units want port {}:\n", contest.port);
    for (number, (unit, owner)) in contest.units.iter().enumerate() {
        text += &format!("  {}  {} ({owner})\n", number + 1, sanitize(unit));
    }
    context.show(&text);
    loop {
        let question =
            "Which one stays? The others are stopped, disabled and put aside. [n]one of them: ";
        let answer = match confirm::line(question.to_owned(), &ground.cancel).await {
            Answer::Line(answer) => answer,
            Answer::Nobody => return Decision::Neither,
            Answer::Interrupted => return Decision::Interrupted,
        };
        let answer = answer.trim();
        if matches!(answer, "n" | "no" | "none") {
            return Decision::Neither;
        }
        let number = answer.parse::<usize>().ok();
        let chosen = number.and_then(|number| contest.units.get(number.checked_sub(1)?));
        match chosen {
            Some((unit, owner)) => {
                return Decision::Keep(Keep::Unit {
                    unit: unit.clone(),
                    owner: owner.clone(),
                });
            }
            None => context.show("Please answer with one of the numbers, or with n.\n"),
        }
    }
}
