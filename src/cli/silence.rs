//! `clawfleet silence`: what is known and worked on is not told again for a while.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::args_watch::SilenceArgs;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::machine;
use crate::model::{Class, Silence, nodeset};
use crate::report::sanitize;
use crate::store::{History, KeptSilence};

pub(super) fn run(context: &Context, args: &SilenceArgs) -> Result<Exit, CliError> {
    let (inventory, path) = context.load_inventory()?;
    let dir = context
        .kept_in()
        .ok_or_else(|| CliError::Machine("HOME is not set: there is no history".into()))?;
    let fault = |fault: crate::store::HistoryFault| CliError::Machine(fault.to_string());
    let mut history = History::open(dir).map_err(fault)?;
    let now = jiff::Timestamp::now();
    if args.list {
        let all = history.silences(&path, now).map_err(fault)?;
        context.print(&table(&all))?;
        return Ok(Exit::Clean);
    }
    if let Some(id) = args.end {
        if !history.end_silence(&path, id, now).map_err(fault)? {
            return Err(usage(
                format!("there is no silence {id} that is not over"),
                "`clawfleet silence --list` shows them",
            ));
        }
        context.print(&format!("silence {id} is over\n"))?;
        return Ok(Exit::Clean);
    }
    let selected = context.select(&inventory, &path, &args.selectors)?;
    let hosts: BTreeSet<String> = selected
        .into_iter()
        .filter_map(|index| inventory.hosts.get(index))
        .map(|host| host.name.clone())
        .collect();
    let classes = match args.classes.as_slice() {
        [] => {
            let open = history.open_findings(&path).map_err(fault)?;
            let there = open.into_keys().filter(|key| hosts.contains(&key.host));
            there.map(|key| key.class).collect()
        }
        named => named_classes(named)?,
    };
    if classes.is_empty() {
        return Err(usage(
            "nothing was found on these hosts that could be silenced".into(),
            "name what is to come with --class, e.g. --class not-observed,gateway-down",
        ));
    }
    let (Some(time), Some(why)) = (args.for_time, &args.why) else {
        return Err(usage(
            "a silence needs --for and --why".into(),
            "--for 2h --why TEXT",
        ));
    };
    let until = now
        .checked_add(time)
        .map_err(|_| usage("that is too long".into(), "--for 2h"))?;
    let mut kept = KeptSilence {
        id: 0,
        silence: Silence {
            hosts,
            classes,
            until,
        },
        made_at: now,
        made_by: machine::who(),
        why: why.clone(),
    };
    kept.id = history.add_silence(&path, &kept).map_err(fault)?;
    context.print(&table(std::slice::from_ref(&kept)))?;
    Ok(Exit::Clean)
}

fn usage(message: String, hint: &str) -> CliError {
    CliError::Usage {
        message,
        hint: Some(hint.to_owned()),
    }
}

fn named_classes(named: &[String]) -> Result<BTreeSet<String>, CliError> {
    let known = |id: &String| Class::from_id(id).is_some() || id.starts_with("custom/");
    match named.iter().find(|id| !known(id)) {
        Some(id) => Err(usage(
            format!("there is no class {id}"),
            "`clawfleet explain` lists them",
        )),
        None => Ok(named.iter().cloned().collect()),
    }
}

/// A line for each silence.
pub(super) fn table(all: &[KeptSilence]) -> String {
    if all.is_empty() {
        return "nothing is silenced\n".to_owned();
    }
    let mut out = String::new();
    for kept in all {
        let hosts = nodeset::fold(&kept.silence.hosts);
        let classes: Vec<&str> = kept.silence.classes.iter().map(String::as_str).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "silence {}: {} on {}, until {}, by {}: {}",
            kept.id,
            sanitize(&classes.join(", ")),
            sanitize(&hosts),
            kept.silence.until.strftime("%Y-%m-%d %H:%M UTC"),
            sanitize(&kept.made_by),
            sanitize(&kept.why)
        );
    }
    out
}
