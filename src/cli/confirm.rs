//! Questions on the terminal. Each distinct change is asked about once.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use super::context::Context;
use super::error::CliError;
use super::rollout::Draft;
use crate::fleet::{Cancel, CancelLevel};
use crate::model::Planned;
use crate::model::nodeset;
use crate::report::{PlanGroup, plan_groups, render_group, render_group_details, render_plan_head};

/// What the operator wants.
pub(super) enum Choice {
    /// To go on with what is left in the draft.
    Go {
        /// How many units were left out.
        declined: usize,
    },
    /// Nothing at all.
    Quit,
    /// To leave: Ctrl-C.
    Interrupted,
}

/// What came of a question.
pub(super) enum Answer {
    Line(String),
    /// There is nobody any more.
    Nobody,
    Interrupted,
}

/// Whether there is somebody to ask.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks about each distinct change; what is not agreed to is taken out of the draft.
pub(super) async fn ask(
    context: &Context,
    draft: &mut Draft,
    cancel: &Cancel,
) -> Result<Choice, CliError> {
    let view = context.stderr_view();
    let report = draft.report();
    let groups = plan_groups(&report);
    context.show(&render_plan_head(&report, view));
    let mut agreed: BTreeSet<usize> = BTreeSet::new();
    let mut all = false;
    for group in &groups {
        context.show(&render_group(&report, group, view));
        if all {
            agreed.extend(&group.entries);
            continue;
        }
        let mut entries = group.entries.clone();
        loop {
            let question = format!(
                "\nChange {}? [y]es, [n]o, [a]ll that follow, [d]etails, [e]dit the hosts, [q]uit: ",
                names(draft, &entries)
            );
            let answer = match line(question, cancel).await {
                Answer::Line(answer) => answer,
                Answer::Nobody => return Ok(Choice::Quit),
                Answer::Interrupted => return Ok(Choice::Interrupted),
            };
            match answer.trim() {
                "y" | "yes" => {
                    agreed.extend(&entries);
                    break;
                }
                "n" | "no" => break,
                "a" | "all" => {
                    agreed.extend(&entries);
                    all = true;
                    break;
                }
                "q" | "quit" => return Ok(Choice::Quit),
                "d" | "details" => {
                    let part = PlanGroup {
                        entries: entries.clone(),
                        ..group.clone()
                    };
                    context.show(&render_group_details(&report, &part, view));
                }
                "e" | "edit" => {
                    let question = "Which of them (e.g. VM[151-153]): ".to_owned();
                    let text = match line(question, cancel).await {
                        Answer::Line(text) => text,
                        Answer::Nobody => return Ok(Choice::Quit),
                        Answer::Interrupted => return Ok(Choice::Interrupted),
                    };
                    match chosen(draft, &group.entries, text.trim()) {
                        Ok(left) => entries = left,
                        Err(why) => context.show(&format!("{why}\n")),
                    }
                }
                _ => context.show("Please answer with one of these letters.\n"),
            }
        }
    }
    let planned = draft.plan.units.len();
    let mut kept = Vec::new();
    for (at, (_, planned)) in draft.entries.iter().enumerate() {
        if let Planned::Change(unit) = planned
            && agreed.contains(&at)
        {
            kept.push(unit.as_ref().clone());
        }
    }
    draft.plan.units = kept;
    Ok(Choice::Go {
        declined: planned - draft.plan.units.len(),
    })
}

fn names(draft: &Draft, entries: &[usize]) -> String {
    nodeset::fold(
        entries
            .iter()
            .filter_map(|index| draft.entries.get(*index))
            .map(|(name, _)| name.as_str()),
    )
}

/// The entries of a group that a node set names.
fn chosen(draft: &Draft, entries: &[usize], text: &str) -> Result<Vec<usize>, String> {
    let wanted: BTreeSet<String> = nodeset::expand(text)
        .map_err(|error| format!("{text}: {error}"))?
        .into_iter()
        .collect();
    let of = |index: &usize| draft.entries.get(*index).map(|(name, _)| name.clone());
    let here: BTreeSet<String> = entries.iter().filter_map(of).collect();
    if let Some(stranger) = wanted.iter().find(|name| !here.contains(*name)) {
        return Err(format!("{stranger} is not among {}", names(draft, entries)));
    }
    Ok(entries
        .iter()
        .copied()
        .filter(|index| of(index).is_some_and(|name| wanted.contains(&name)))
        .collect())
}

/// Asks a question that is answered with yes or no; everything else is no.
pub(super) async fn yes_or_no(question: String, cancel: &Cancel) -> bool {
    match line(format!("{question} [y/N] "), cancel).await {
        Answer::Line(answer) => matches!(answer.trim(), "y" | "yes"),
        Answer::Nobody | Answer::Interrupted => false,
    }
}

/// Asks for a line.
pub(super) async fn line(question: String, cancel: &Cancel) -> Answer {
    // The connections of the run live on meanwhile. Nobody waits for this thread in the end.
    let reading = tokio::task::spawn_blocking(move || {
        let mut stderr = io::stderr();
        stderr.write_all(question.as_bytes()).ok()?;
        stderr.flush().ok()?;
        let mut text = String::new();
        let read = io::stdin().lock().read_line(&mut text).ok()?;
        (read > 0).then_some(text)
    });
    let mut level = cancel.subscribe();
    let interrupted = level.wait_for(|level| *level != CancelLevel::Run);
    tokio::select! {
        read = reading => match read {
            Ok(Some(text)) => Answer::Line(text),
            _ => {
                // The prompt stands on an open line.
                let _ = writeln!(io::stderr());
                Answer::Nobody
            }
        },
        _ = interrupted => {
            let _ = writeln!(io::stderr());
            Answer::Interrupted
        }
    }
}
