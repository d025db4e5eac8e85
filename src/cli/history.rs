//! `clawfleet history`: what happened to hosts, what differed between runs, and what was done from this
//! bastion.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::args::Format;
use super::args_history::{DiffArgs, HistoryArgs, HistoryCommand, RunName, RunsArgs};
use super::args_watch::PruneArgs;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::rollout;
use crate::inventory::{Inventory, did_you_mean};
use crate::model::{Chronicle, Class, KeptRun, nodeset};
use crate::report::{
    HistoryReport, RolloutReport, RunDiff, render_history, render_history_json, render_kept_runs,
    render_kept_runs_json, render_rollout, render_rollout_json, render_run_diff,
    render_run_diff_json, render_runs, render_runs_json,
};
use crate::store::{self, Extent, History, HistoryFault, RunWanted, Span};

pub(super) fn run(context: &Context, args: &HistoryArgs) -> Result<Exit, CliError> {
    let text = match &args.command {
        Some(HistoryCommand::Prune(args)) => prune(context, *args)?,
        Some(HistoryCommand::Runs(args)) => runs(context, *args)?,
        Some(HistoryCommand::Diff(args)) => diff(context, args)?,
        None if args.rollouts => rollouts(context, &args.selectors)?,
        None => happened(context, args)?,
    };
    context.print(&text)?;
    Ok(Exit::Clean)
}

/// What is kept, opened for an inventory.
pub(super) struct Kept {
    inventory: Inventory,
    path: PathBuf,
    /// `None` where nothing was ever kept.
    history: Option<History>,
    pub(super) extent: Extent,
}

impl Kept {
    pub(super) fn open(context: &Context) -> Result<Self, CliError> {
        let (inventory, path) = context.load_inventory()?;
        let history = match History::open_existing(state_dir(context)?) {
            Ok(history) => Some(history),
            Err(HistoryFault::Absent { .. }) => None,
            Err(why) => return Err(fault(why)),
        };
        let extent = history.as_ref().map(|history| history.extent(&path));
        Ok(Self {
            inventory,
            history,
            extent: extent.transpose().map_err(fault)?.unwrap_or_default(),
            path,
        })
    }

    /// Says that nothing is kept, where that is so.
    pub(super) fn nothing(&self) -> Option<String> {
        if self.extent.runs > 0 {
            return None;
        }
        let mut said = format!(
            "no run of {} is kept yet; `clawfleet check` begins its history",
            self.path.display()
        );
        if self.extent.elsewhere > 0 {
            said += &format!(
                " ({} runs of other inventories are kept; -i names one)",
                self.extent.elsewhere
            );
        }
        Some(said + "\n")
    }

    /// What was kept since a time of the hosts that selectors mean; of all that the inventory has, where there
    /// are none. A host that left the inventory has a history as long as it is kept.
    pub(super) fn chronicle(
        &mut self,
        context: &Context,
        selectors: &[String],
        since: Timestamp,
    ) -> Result<Chronicle, CliError> {
        let known = |inventory: &Inventory, name: &String| inventory.index_of(name).is_some();
        let left: BTreeSet<String> = self.extent.hosts.iter().cloned().collect();
        let left: BTreeSet<String> = left
            .into_iter()
            .filter(|name| !known(&self.inventory, name))
            .collect();
        let all = selectors.is_empty();
        let mut names = match all {
            true => self
                .inventory
                .hosts
                .iter()
                .map(|host| host.name.clone())
                .collect(),
            false => self.selected(context, selectors, &left)?,
        };
        if all {
            names.extend(left.iter().cloned());
        }
        let mut chronicle = self.of(Span::Since(since), &names)?;
        for host in &mut chronicle.hosts {
            host.left = left.contains(&host.name);
        }
        let gone = |wanted: bool| {
            let hosts = chronicle.hosts.iter().filter(|host| host.left);
            let asked =
                hosts.filter(|host| host.looks(&chronicle.runs).next().is_some() || !wanted);
            nodeset::fold(asked.map(|host| host.name.as_str()))
        };
        let said = match (all, gone(all)) {
            (_, names) if names.is_empty() => None,
            (true, names) => Some(format!(
                "left out, for the inventory does not have them any more: {names} (name them to see them)"
            )),
            (false, names) => Some(format!("the inventory does not have {names} any more")),
        };
        if let Some(said) = said {
            context.note(&said);
        }
        if all {
            chronicle.hosts.retain(|host| !host.left);
        }
        Ok(chronicle)
    }

    fn of(&self, span: Span, hosts: &[String]) -> Result<Chronicle, CliError> {
        match &self.history {
            Some(history) => history.chronicle(&self.path, span, hosts).map_err(fault),
            None => Ok(Chronicle::default()),
        }
    }

    fn selected(
        &mut self,
        context: &Context,
        selectors: &[String],
        left: &BTreeSet<String>,
    ) -> Result<Vec<String>, CliError> {
        let names = |inventory: &Inventory, selected: Vec<usize>| {
            let hosts = selected.into_iter();
            let hosts = hosts.filter_map(|index| inventory.hosts.get(index));
            hosts.map(|host| host.name.clone()).collect()
        };
        let refused = match context.select(&self.inventory, &self.path, selectors) {
            Ok(selected) => return Ok(names(&self.inventory, selected)),
            Err(refused) => refused,
        };
        // Only names and patterns can mean a host that left: it has no groups and no labels.
        let Some(template) = self.inventory.hosts.first().cloned() else {
            return Err(refused);
        };
        for name in left {
            let mut host = template.clone();
            host.name.clone_from(name);
            host.labels.clear();
            self.inventory.hosts.push(host);
        }
        match context.select(&self.inventory, &self.path, selectors) {
            Ok(selected) => Ok(names(&self.inventory, selected)),
            Err(_) => Err(refused),
        }
    }

    /// The number of a run, or a sentence about why there is none.
    fn find(&self, name: RunName, now: Timestamp) -> Result<i64, CliError> {
        let wanted = match name {
            RunName::Number(id) => RunWanted::Number(id),
            RunName::Last(before) => RunWanted::Last(before),
            RunName::At(moment) => RunWanted::Before(moment.at(now)),
        };
        let found = self.history.as_ref();
        let found = found.map(|history| history.find_run(&self.path, wanted));
        if let Some(id) = found.transpose().map_err(fault)?.flatten() {
            return Ok(id);
        }
        let said = match wanted {
            RunWanted::Number(id) => format!("no run {id} of this inventory is kept"),
            RunWanted::Last(before) => format!(
                "there is no run {before} before the last: {} are kept",
                self.extent.runs
            ),
            RunWanted::Before(at) => {
                format!("no run began before {}", at.strftime("%Y-%m-%d %H:%M UTC"))
            }
        };
        Err(CliError::Usage {
            message: said,
            hint: Some(self.ends()),
        })
    }

    fn ends(&self) -> String {
        let (Some(first), Some(last)) = (self.extent.first, self.extent.last) else {
            return "`clawfleet check` begins a history".into();
        };
        let run =
            |(id, at): (i64, Timestamp)| format!("{id} ({})", at.strftime("%Y-%m-%d %H:%M UTC"));
        format!(
            "`clawfleet history runs` lists them; the first is {}, the last {}",
            run(first),
            run(last)
        )
    }
}

fn state_dir(context: &Context) -> Result<&Path, CliError> {
    let dir = context.kept_in();
    dir.ok_or_else(|| CliError::Machine("HOME is not set: there is no history".into()))
}

fn fault(fault: HistoryFault) -> CliError {
    CliError::Machine(fault.to_string())
}

fn json(error: serde_json::Error) -> CliError {
    CliError::Machine(format!("as JSON: {error}"))
}

fn happened(context: &Context, args: &HistoryArgs) -> Result<String, CliError> {
    let classes = classes(&args.classes)?;
    let mut kept = Kept::open(context)?;
    let now = Timestamp::now();
    let since = args.since.at(now);
    let chronicle = kept.chronicle(context, &args.selectors, since)?;
    let report = HistoryReport {
        chronicle: &chronicle,
        classes: &classes,
        since,
        begins: kept.extent.first.map(|(_, at)| at),
        last: kept.extent.last,
        now,
    };
    match context.format {
        Format::Table => Ok(kept
            .nothing()
            .unwrap_or_else(|| render_history(&report, context.view))),
        Format::Json | Format::Ndjson => render_history_json(&report).map_err(json),
    }
}

/// The classes by their ids. One that is not known is most often a slip.
fn classes(named: &[String]) -> Result<BTreeSet<String>, CliError> {
    let known = |id: &&String| Class::from_id(id).is_some() || id.starts_with("custom/");
    match named.iter().find(|id| !known(id)) {
        Some(id) => Err(CliError::Usage {
            message: format!("no class is called `{id}`"),
            hint: did_you_mean(id, Class::ALL.iter().map(|class| class.id())).or_else(|| {
                Some("`clawfleet explain` lists them; checks of your own are custom/NAME".into())
            }),
        }),
        None => Ok(named.iter().cloned().collect()),
    }
}

fn runs(context: &Context, args: RunsArgs) -> Result<String, CliError> {
    let kept = Kept::open(context)?;
    let since = args.since.at(Timestamp::now());
    let runs = kept.of(Span::Since(since), &[])?.runs;
    match context.format {
        Format::Table => Ok(kept
            .nothing()
            .unwrap_or_else(|| render_kept_runs(&runs, context.view))),
        Format::Json | Format::Ndjson => render_kept_runs_json(&runs).map_err(json),
    }
}

fn diff(context: &Context, args: &DiffArgs) -> Result<String, CliError> {
    let kept = Kept::open(context)?;
    if let Some(nothing) = kept.nothing() {
        return Err(CliError::Usage {
            message: nothing.trim_end().to_owned(),
            hint: None,
        });
    }
    let now = Timestamp::now();
    let (from, to) = (kept.find(args.from, now)?, kept.find(args.to, now)?);
    let span = Span::Runs(from.min(to), from.max(to));
    let chronicle = kept.of(span, &kept.extent.hosts)?;
    let run = |id: i64| -> Result<&KeptRun, CliError> {
        let run = chronicle.runs.iter().find(|run| run.id == id);
        run.ok_or_else(|| CliError::Machine(format!("run {id} was just removed as old")))
    };
    let diff = RunDiff {
        chronicle: &chronicle,
        from: run(from)?,
        to: run(to)?,
    };
    match context.format {
        Format::Table => Ok(render_run_diff(&diff, context.view)),
        Format::Json | Format::Ndjson => render_run_diff_json(&diff).map_err(json),
    }
}

fn prune(context: &Context, args: PruneArgs) -> Result<String, CliError> {
    let keep = store::Keep {
        age: args.keep,
        bytes: args.max_size,
    };
    let pruned = History::open_existing(state_dir(context)?)
        .and_then(|mut history| history.prune(keep, Timestamp::now()))
        .map_err(fault)?;
    Ok(match context.format {
        Format::Table => format!(
            "removed {} runs and {} records; the history holds {} kB, before {} kB\n",
            pruned.runs,
            pruned.rows,
            pruned.bytes_after / 1000,
            pruned.bytes_before / 1000
        ),
        Format::Json | Format::Ndjson => format!(
            "{{\"bytes_after\": {}, \"bytes_before\": {}, \"records\": {}, \"runs\": {}, \"schema\": \"clawfleet.pruned/1\"}}\n",
            pruned.bytes_after, pruned.bytes_before, pruned.rows, pruned.runs
        ),
    })
}

/// The rollouts, or one of them in full.
fn rollouts(context: &Context, named: &[String]) -> Result<String, CliError> {
    match named {
        [] => {}
        [run] => return rollout_in_full(context, run),
        _ => {
            return Err(CliError::Usage {
                message: "--rollouts shows all of them, or one in full".into(),
                hint: Some("name one run, or none".into()),
            });
        }
    }
    let list = store::list_runs(context.state_dir()).map_err(CliError::Machine)?;
    for trouble in &list.unreadable {
        context.note(trouble);
    }
    match context.format {
        Format::Table => Ok(render_runs(&list.runs, context.view)),
        Format::Json | Format::Ndjson => render_runs_json(&list.runs).map_err(json),
    }
}

fn rollout_in_full(context: &Context, run: &str) -> Result<String, CliError> {
    let stored = rollout::stored(context, run)?;
    let report = RolloutReport {
        run: &stored.plan.run,
        purpose: &stored.plan.purpose,
        results: &stored.results,
        stopped: None,
        elapsed_ms: 0,
    };
    match context.format {
        Format::Table => Ok(render_rollout(&report, context.view)),
        Format::Json | Format::Ndjson => render_rollout_json(&report).map_err(json),
    }
}
