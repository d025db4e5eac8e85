//! `clawfleet schedule show`: what is installed, whether it is as it should be, its next and its last run.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use clap::Parser as _;

use super::manager::Manager;
use super::units::{self, Units};
use super::wanted::Wanted;
use super::{cron, wanted};
use crate::cli::args::{Args, Command, Format};
use crate::cli::args_schedule::{ScheduleCommand, ShowArgs};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::model::{InstalledSchedule, Schedule, ScheduleDiff, ScheduleFit, SchedulePlace};
use crate::report::{render_schedules, render_schedules_json};
use crate::unit;

/// Where units may be.
const UNIT_PLACES: [SchedulePlace; 2] = [SchedulePlace::System, SchedulePlace::User];

pub(super) fn run(context: &Context, args: &ShowArgs) -> Result<Exit, CliError> {
    let mut installed = Vec::new();
    for place in UNIT_PLACES {
        // Without a home there are no units of a user.
        let Ok(units) = Units::at(place, args.unit_dir.as_deref(), false) else {
            continue;
        };
        for name in units.names() {
            installed.push(of_units(&units, &name));
        }
    }
    installed.extend(of_crontab(context));
    let text = match context.format {
        Format::Table => render_schedules(&installed, context.view),
        Format::Json | Format::Ndjson => render_schedules_json(&installed)
            .map_err(|error| CliError::Machine(format!("as JSON: {error}")))?,
    };
    context.print(&text)?;
    let well = !installed.is_empty() && installed.iter().all(InstalledSchedule::is_well);
    Ok(if well { Exit::Clean } else { Exit::Warnings })
}

/// The schedules of this machine and user, and where each stands. What cannot be looked at has none.
pub(super) fn places_of(unit_dir: Option<&Path>) -> Vec<(String, SchedulePlace)> {
    let mut found = Vec::new();
    for place in UNIT_PLACES {
        if let Ok(units) = Units::at(place, unit_dir, false) {
            found.extend(units.names().into_iter().map(|name| (name, place)));
        }
    }
    if let Ok(Some(text)) = cron::read() {
        let blocks = cron::blocks(&text).unwrap_or_default();
        found.extend(
            blocks
                .into_iter()
                .map(|(name, _)| (name, SchedulePlace::Cron)),
        );
    }
    found
}

fn of_units(units: &Units, name: &str) -> InstalledSchedule {
    let [service, timer] = units.paths(name);
    let timer_path = timer.clone();
    let text = |path: &Path| units::read(path).ok().flatten().unwrap_or_default();
    let (service_text, timer_text) = (text(&service), text(&timer));
    let installed_by = unit::written_by(&timer_text).unwrap_or_default().to_owned();
    let mut shown = InstalledSchedule {
        name: name.to_owned(),
        place: units.place(),
        files: vec![service, timer],
        fit: match is_own(&timer_path) {
            true => fit(&installed_by, units.place(), name, |schedule| {
                units.diffs(schedule)
            }),
            false => ScheduleFit::OfAnother,
        },
        installed_by,
        command: unit::runs(&service_text).unwrap_or_default().to_owned(),
        is_enabled: None,
        is_active: None,
        next: None,
        last: None,
        notes: Vec::new(),
    };
    let asked = Manager::find(units.is_user())
        .map_err(|error| error.to_string())
        .and_then(|manager| {
            let state = manager.timer(name)?;
            let last = manager.last_run(name, &state)?;
            Ok((state, last))
        });
    match asked {
        Ok((state, last)) => {
            shown.is_enabled = Some(state.is_enabled);
            shown.is_active = Some(state.is_active);
            shown.next = state.next;
            shown.last = last;
        }
        Err(why) => shown.notes.push(why),
    }
    shown
        .notes
        .extend(units.is_user().then(units::linger_remedy).flatten());
    shown
}

/// Whether this user wrote a file.
fn is_own(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    path.metadata().is_ok_and(|data| data.uid() == own)
}

fn of_crontab(context: &Context) -> Vec<InstalledSchedule> {
    // A machine without crontab has nothing in it.
    let Ok(Some(text)) = cron::read() else {
        return Vec::new();
    };
    let blocks = match cron::blocks(&text) {
        Ok(blocks) => blocks,
        Err(error) => {
            context.note(&error.to_string());
            return Vec::new();
        }
    };
    let shown = blocks.into_iter().map(|(name, block)| {
        let (runs, installed_by) = unit::read_cron_block(&block).unwrap_or_default();
        InstalledSchedule {
            fit: fit(installed_by, SchedulePlace::Cron, &name, |schedule| {
                cron::diffs(schedule, &text)
            }),
            name,
            place: SchedulePlace::Cron,
            files: Vec::new(),
            installed_by: installed_by.to_owned(),
            command: runs.to_owned(),
            is_enabled: None,
            is_active: None,
            next: None,
            last: None,
            notes: vec!["cron keeps no record of its runs".to_owned()],
        }
    });
    shown.collect()
}

/// Compares what is there with what the command that wrote it would write now.
fn fit(
    installed_by: &str,
    place: SchedulePlace,
    name: &str,
    diffs: impl Fn(&Schedule) -> Result<Vec<ScheduleDiff>, CliError>,
) -> ScheduleFit {
    let again = || -> Result<Vec<ScheduleDiff>, String> {
        let words = shlex::split(installed_by).ok_or("its second line is no command")?;
        let args = Args::try_parse_from(words)
            .map_err(|_| "its second line is no command of this clawfleet")?;
        let Command::Schedule(ScheduleCommand::Install(install)) = &args.command else {
            return Err("its second line is no command that installs".into());
        };
        let is_its_own = wanted::place(&install.place) == place
            && wanted::unit_name(install.place.name.as_deref()) == name;
        if !is_its_own {
            return Err("its second line installs another one".into());
        }
        let wanted =
            Wanted::new(&Context::new(&args), install).map_err(|error| error.to_string())?;
        diffs(&wanted.schedule).map_err(|error| error.to_string())
    };
    match again() {
        Ok(diffs) if diffs.is_empty() => ScheduleFit::AsWanted,
        Ok(diffs) => ScheduleFit::Differs(diffs),
        Err(why) => ScheduleFit::Unknown(why),
    }
}
