//! A schedule in this user's crontab.

use super::tools::{self, Fault};
use super::{consent, failed};
use crate::cli::args_schedule::ConsentArgs;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::model::{Schedule, ScheduleDiff};
use crate::unit;

fn usage(message: String, hint: &str) -> CliError {
    CliError::Usage {
        message,
        hint: Some(hint.to_owned()),
    }
}

/// Reads the crontab; `None` where the user has none.
///
/// # Errors
/// There is no program crontab, or it does not let this user.
pub(super) fn read() -> Result<Option<Vec<u8>>, CliError> {
    let done = tools::run("crontab", &["-l"], None, None).map_err(|fault| match fault {
        Fault::Missing => usage(
            "there is no program crontab".into(),
            "install cron (or cronie), or leave --cron out: a systemd timer needs none",
        ),
        Fault::Failed(why) => CliError::Machine(why),
    })?;
    match done.is_well {
        true => Ok(Some(done.stdout)),
        false if done.stderr.contains("no crontab for") => Ok(None),
        false => Err(CliError::Machine(format!(
            "`crontab -l`: {}; nothing was changed",
            done.words()
        ))),
    }
}

/// Writes the crontab, or takes it away where there is to be none.
fn write(text: Option<&[u8]>) -> Result<(), String> {
    let done = match text {
        Some(text) => tools::run("crontab", &["-"], Some(text), None),
        None => tools::run("crontab", &["-r"], None, None),
    };
    match done {
        Ok(done) if done.is_well => Ok(()),
        Ok(done) => Err(format!("`crontab -`: {}", done.words())),
        Err(Fault::Missing) => Err("there is no program crontab".to_owned()),
        Err(Fault::Failed(why)) => Err(why),
    }
}

fn marks(why: String) -> CliError {
    usage(
        format!("the crontab: {why}"),
        "mend the marks by hand, with `crontab -e`; nothing was changed",
    )
}

/// The blocks of schedules, by name.
///
/// # Errors
/// Marks that do not belong together.
pub(super) fn blocks(text: &[u8]) -> Result<Vec<(String, String)>, CliError> {
    let blocks = unit::cron_blocks(text).map_err(marks)?;
    let of = |at: std::ops::Range<usize>| {
        String::from_utf8_lossy(text.get(at).unwrap_or_default()).into_owned()
    };
    Ok(blocks
        .into_iter()
        .map(|(name, at)| (name, of(at)))
        .collect())
}

/// Says how a block differs from what is wanted.
///
/// # Errors
/// As for [`blocks`]; or cron cannot do it.
pub(super) fn diffs(schedule: &Schedule, text: &[u8]) -> Result<Vec<ScheduleDiff>, CliError> {
    let block = unit::cron_block(schedule)
        .map_err(|why| usage(format!("the crontab: {why}"), "nothing was changed"))?;
    Ok(difference(&schedule.name, text, Some(&block))?
        .into_iter()
        .collect())
}

fn difference(
    name: &str,
    text: &[u8],
    block: Option<&str>,
) -> Result<Option<ScheduleDiff>, CliError> {
    let there = blocks(text)?.into_iter().find(|(other, _)| other == name);
    let there = there.map(|(_, block)| block);
    let differs = there.as_deref() != block;
    Ok(differs.then(|| ScheduleDiff {
        path: "crontab".to_owned(),
        is_there: there.is_some(),
        is_wanted: block.is_some(),
        lines: unit::diff("crontab", there.as_deref(), block),
    }))
}

/// Installs a schedule, or says that there is nothing to do.
pub(super) fn install(
    context: &Context,
    schedule: &Schedule,
    args: ConsentArgs,
) -> Result<Exit, CliError> {
    let name = &schedule.name;
    let before = read()?;
    let text = before.as_deref().unwrap_or_default();
    let block = unit::cron_block(schedule)
        .map_err(|why| usage(format!("the crontab: {why}"), "nothing was changed"))?;
    let Some(diff) = difference(name, text, Some(&block))? else {
        context.print(&format!(
            "{name} is in the crontab and as wanted: nothing to do\n"
        ))?;
        return Ok(Exit::Clean);
    };
    let question = format!("Write {name} to the crontab?");
    if let Some(exit) = consent(context, &[diff], &[], &question, args)? {
        return Ok(exit);
    }
    let after = unit::with_cron_block(text, name, Some(&block)).map_err(marks)?;
    match replace(before.as_deref(), Some(&after)) {
        Ok(()) => {
            context.print(&format!("{name} is in the crontab\n"))?;
            Ok(Exit::Clean)
        }
        Err((why, back)) => Ok(failed(context, "the crontab was not changed", &why, back)),
    }
}

/// Takes a schedule away; `None` where there is none.
pub(super) fn remove(
    context: &Context,
    name: &str,
    args: ConsentArgs,
) -> Result<Option<Exit>, CliError> {
    let before = read()?;
    let text = before.as_deref().unwrap_or_default();
    let Some(diff) = difference(name, text, None)? else {
        return Ok(None);
    };
    let question = format!("Take {name} out of the crontab?");
    if let Some(exit) = consent(context, &[diff], &[], &question, args)? {
        return Ok(Some(exit));
    }
    let after = unit::with_cron_block(text, name, None).map_err(marks)?;
    // A crontab in which nothing is left is none.
    let after = Some(after).filter(|after| !after.is_empty());
    match replace(before.as_deref(), after.as_deref()) {
        Ok(()) => {
            context.print(&format!("{name} is out of the crontab\n"))?;
            Ok(Some(Exit::Clean))
        }
        Err((why, back)) => {
            let exit = failed(context, "the crontab was not changed", &why, back);
            Ok(Some(exit))
        }
    }
}

/// Why it failed, and whether the crontab is again what it was.
type Failure = (String, Result<(), String>);

/// Puts a crontab in the place of another, and looks whether it is there. What fails is put back.
fn replace(before: Option<&[u8]>, after: Option<&[u8]>) -> Result<(), Failure> {
    let now = || read().map_err(|error| error.to_string());
    let back = |why: String| {
        // Whatever it is now: what was there is written over it, where it is not that already.
        let restored = match now() {
            Ok(there) if there.as_deref() == before => Ok(()),
            _ => write(before),
        };
        (why, restored)
    };
    match now() {
        Ok(there) if there.as_deref() == before => {}
        Ok(_) => return Err(("somebody changed it meanwhile".to_owned(), Ok(()))),
        Err(why) => return Err((why, Ok(()))),
    }
    write(after).map_err(back)?;
    match now() {
        Ok(there) if there.as_deref() == after => Ok(()),
        Ok(_) => Err(back("it is not what was written".to_owned())),
        Err(why) => Err(back(why)),
    }
}
