//! `clawfleet schedule`: what runs the checks of this bastion.

mod cron;
mod manager;
mod show;
mod tools;
mod units;
mod wanted;

use std::io::{self, BufRead as _, Write as _};

use super::args::Format;
use super::args_schedule::{ConsentArgs, InstallArgs, RemoveArgs, ScheduleCommand};
use super::confirm;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use crate::model::{ScheduleDiff, SchedulePlace};
use crate::report::render_schedule_diff;
use units::Units;
use wanted::Wanted;

pub(super) fn run(context: &Context, command: &ScheduleCommand) -> Result<Exit, CliError> {
    match command {
        ScheduleCommand::Show(args) => show::run(context, args),
        ScheduleCommand::Install(_) | ScheduleCommand::Remove(_)
            if context.format != Format::Table =>
        {
            Err(CliError::Usage {
                message: "`schedule install` and `remove` print for people only".into(),
                hint: Some(
                    "their exit codes tell a script; `schedule show --format json` tells the rest"
                        .into(),
                ),
            })
        }
        ScheduleCommand::Install(args) => install(context, args),
        ScheduleCommand::Remove(args) => remove(context, args),
    }
}

fn install(context: &Context, args: &InstallArgs) -> Result<Exit, CliError> {
    let place = wanted::place(&args.place);
    // Who may not write there is told before anything else is looked at.
    let units = match place {
        SchedulePlace::Cron => None,
        place => Some(Units::at(place, args.place.unit_dir.as_deref(), true)?),
    };
    let wanted = Wanted::new(context, args)?;
    for note in &wanted.notes {
        context.note(note);
    }
    let name = &wanted.schedule.name;
    let dir = args.place.unit_dir.as_deref();
    for (other, at) in show::places_of(dir) {
        if other == *name && at != place {
            context.note(&format!(
                "{name} is installed as {} as well, and both would run; `clawfleet schedule remove{}` takes that one away",
                place_words(at),
                options_of(at, name)
            ));
        }
    }
    match units {
        Some(units) => units.install(context, &wanted.schedule, args.consent),
        None => cron::install(context, &wanted.schedule, args.consent),
    }
}

fn remove(context: &Context, args: &RemoveArgs) -> Result<Exit, CliError> {
    let place = wanted::place(&args.place);
    let name = wanted::unit_name(args.place.name.as_deref());
    let removed = match place {
        SchedulePlace::Cron => cron::remove(context, &name, args.consent)?,
        place => Units::at(place, args.place.unit_dir.as_deref(), true)?.remove(
            context,
            &name,
            args.consent,
        )?,
    };
    if let Some(exit) = removed {
        return Ok(exit);
    }
    context.print(&format!(
        "{name} is not installed as {}: nothing to do\n",
        place_words(place)
    ))?;
    for (other, at) in show::places_of(args.place.unit_dir.as_deref()) {
        context.note(&format!(
            "{other} is installed as {}: `clawfleet schedule remove{}`",
            place_words(at),
            options_of(at, &other)
        ));
    }
    Ok(Exit::Clean)
}

/// A place, for people.
fn place_words(place: SchedulePlace) -> &'static str {
    match place {
        SchedulePlace::System => "the system's timer",
        SchedulePlace::User => "this user's timer",
        SchedulePlace::Cron => "a line of this user's crontab",
    }
}

/// The options that name a schedule.
fn options_of(place: SchedulePlace, name: &str) -> String {
    let place = match place {
        SchedulePlace::System => "",
        SchedulePlace::User => " --user",
        SchedulePlace::Cron => " --cron",
    };
    match name.strip_prefix("clawfleet-check-") {
        Some(name) => format!("{place} --name {name}"),
        None => place.to_owned(),
    }
}

/// Shows what would change, and gets the operator's consent. An exit where they do not give it.
fn consent(
    context: &Context,
    diffs: &[ScheduleDiff],
    acts: &[String],
    question: &str,
    args: ConsentArgs,
) -> Result<Option<Exit>, CliError> {
    let asks = !args.check && !args.yes;
    let view = match asks {
        true => context.stderr_view(),
        false => context.view,
    };
    let mut text = render_schedule_diff(diffs, view);
    for act in acts {
        text += &format!("{act}\n");
    }
    if args.check {
        context.print(&text)?;
        return Ok(Some(Exit::Pending));
    }
    if args.yes {
        context.print(&text)?;
        return Ok(None);
    }
    if !confirm::can_ask() {
        context.print(&text)?;
        return Err(CliError::Usage {
            message: "there is no terminal to ask on, and nothing was changed".into(),
            hint: Some("--yes asks nothing; --check only looks".into()),
        });
    }
    context.show(&text);
    if agreed(question) {
        return Ok(None);
    }
    context.print("nothing was changed\n")?;
    Ok(Some(Exit::Pending))
}

/// Asks a question that is answered with yes or no; everything else is no.
fn agreed(question: &str) -> bool {
    let mut answer = String::new();
    let asked = write!(io::stderr(), "\n{question} [y/N] ").and_then(|()| io::stderr().flush());
    asked.is_ok()
        && io::stdin().lock().read_line(&mut answer).is_ok()
        && matches!(answer.trim(), "y" | "yes")
}

/// Tells what failed and what became of it, and how that ends.
fn failed(context: &Context, what: &str, why: &str, back: Result<(), String>) -> Exit {
    let (hint, exit) = match back {
        Ok(()) => ("what was there before is back".to_owned(), Exit::RolledBack),
        Err(also) => (
            format!(
                "AND IT COULD NOT BE MADE WHAT IT WAS: {also}; `clawfleet schedule show` says how it stands"
            ),
            Exit::UnknownState,
        ),
    };
    context.complain(&CliError::Plan {
        message: format!("{what}: {why}"),
        hint: Some(hint),
    });
    exit
}
