//! `clawfleet harden`: from hosts to a plan, and from a plan to a rollout.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::{HardenArgs, RestartArg};
use super::beside;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::ground::{Ground, Hosts, Wanted};
use super::rollout::{self, Draft};
use crate::model::{Host, PROFILES, Plan, Purpose, RestartWhen, Shape};
use crate::planner::Hardening;
use crate::store;
use crate::unit::Templates;

pub(super) fn run(context: &Context, args: &HardenArgs) -> Result<Exit, CliError> {
    if args.list_profiles {
        return list_profiles(context, args);
    }
    check_profile(args)?;
    if let Some(path) = &args.plan {
        let plan = store::read_plan_file(path).map_err(|message| CliError::Plan {
            message,
            hint: None,
        })?;
        return rollout::again(context, plan, &args.rollout);
    }
    if let Some(run) = &args.resume {
        return rollout::resume(context, run, &args.rollout);
    }
    let hosts = Hosts::select(context, &args.selectors, wanted(args))?;
    let hardening = Arc::new(hardening(args, &hosts.hosts)?);
    let path = hosts.path.clone();
    hosts.run(context, async |ground| {
        let draft = draft(context, args, &path, ground, hardening).await?;
        if args.show {
            return rollout::show(context, &draft);
        }
        if let Some(file) = &args.out {
            return rollout::keep(context, &draft, file);
        }
        let carried = rollout::carry_out(context, ground, draft, &args.rollout).await?;
        Ok(carried.exit)
    })?
}

fn wanted(args: &HardenArgs) -> Wanted {
    let reach = args.rollout.reach;
    Wanted {
        forks: reach.forks,
        handshakes: reach.handshakes,
        login: reach.login,
        takes: None,
    }
}

fn check_profile(args: &HardenArgs) -> Result<(), CliError> {
    match &args.profile {
        Some(profile) if !PROFILES.contains(&profile.as_str()) => Err(CliError::Usage {
            message: format!("--profile: there is no profile `{profile}`"),
            hint: Some(format!("the profiles are {}", PROFILES.join(" and "))),
        }),
        _ => Ok(()),
    }
}

async fn draft(
    context: &Context,
    args: &HardenArgs,
    path: &Path,
    ground: &Ground,
    hardening: Arc<Hardening>,
) -> Result<Draft, CliError> {
    let profiles: BTreeSet<&str> = ground
        .hosts
        .iter()
        .map(|host| hardening.profile(host))
        .collect();
    let profile = profiles.into_iter().collect::<Vec<_>>().join(", ");
    let restart = hardening.restart;
    let entries = rollout::survey(context, ground, hardening).await;
    Draft::new(
        path,
        Purpose::Harden { profile },
        restart,
        entries,
        args.rollout.check,
    )
}

pub(super) fn restart_when(restart: RestartArg) -> RestartWhen {
    match restart {
        RestartArg::Never => RestartWhen::Never,
        RestartArg::IfChanged => RestartWhen::IfChanged,
        RestartArg::Always => RestartWhen::Always,
    }
}

fn hardening(args: &HardenArgs, hosts: &[Arc<Host>]) -> Result<Hardening, CliError> {
    let dirs: BTreeSet<Option<PathBuf>> = match &args.template_dir {
        Some(dir) => BTreeSet::from([Some(dir.clone())]),
        None => hosts
            .iter()
            .map(|host| host.harden.template_dir.clone())
            .collect(),
    };
    Ok(Hardening {
        templates: templates(dirs)?,
        template_dir: args.template_dir.clone(),
        profile: args.profile.clone(),
        shape: args.shape.as_deref().and_then(Shape::parse),
        restart: restart_when(args.restart.unwrap_or(RestartArg::IfChanged)),
    })
}

/// Hardening with nothing said on the command line, and without restarts.
pub(super) fn as_the_inventory_says(hosts: &[Arc<Host>]) -> Result<Hardening, CliError> {
    let dirs: BTreeSet<Option<PathBuf>> = hosts
        .iter()
        .map(|host| host.harden.template_dir.clone())
        .collect();
    Ok(Hardening {
        templates: templates(dirs)?,
        template_dir: None,
        profile: None,
        shape: None,
        restart: RestartWhen::Never,
    })
}

fn templates(
    dirs: BTreeSet<Option<PathBuf>>,
) -> Result<BTreeMap<Option<PathBuf>, Templates>, CliError> {
    let mut templates = BTreeMap::new();
    for dir in dirs {
        let read = read_templates(dir.as_deref())?;
        templates.insert(dir, read);
    }
    Ok(templates)
}

/// Reads the templates of a directory; without one, the built-in ones.
fn read_templates(dir: Option<&Path>) -> Result<Templates, CliError> {
    let Some(dir) = dir else {
        return Ok(Templates::embedded());
    };
    let failed = |path: &Path, error: &std::io::Error| CliError::Plan {
        message: format!("templates: {}: {}", path.display(), beside::why(error)),
        hint: Some(
            "--template-dir, or harden.template_dir in the inventory, names a directory".into(),
        ),
    };
    let mut overrides = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(|error| failed(dir, &error))? {
        let path = entry.map_err(|error| failed(dir, &error))?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_template = name.ends_with(".j2") || name.ends_with(".sh");
        if name.starts_with('.') || !is_template {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
        overrides.insert(name, text);
    }
    Templates::with(overrides).map_err(|fault| CliError::Plan {
        message: format!("{}/{fault}", dir.display()),
        hint: fault.hint,
    })
}

fn list_profiles(context: &Context, args: &HardenArgs) -> Result<Exit, CliError> {
    let templates = read_templates(args.template_dir.as_deref())?;
    let mut text = String::new();
    for profile in templates.profiles() {
        text += &format!("{}: {}\n", profile.name, profile.summary);
        for variable in profile.variables {
            let default = match variable.default {
                Some(default) => format!("[{default}]"),
                None => "[no default]".to_owned(),
            };
            text += &format!(
                "    {} {default}\n        {}\n",
                variable.name, variable.meaning
            );
        }
        text.push('\n');
    }
    context.print(&text)?;
    Ok(Exit::Clean)
}

/// The hosts of a plan.
pub(super) fn host_names(plan: &Plan) -> Vec<&str> {
    let names: BTreeSet<&str> = plan.units.iter().map(|unit| unit.host.as_str()).collect();
    names.into_iter().collect()
}
