//! `clawfleet copy`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::args_run::CopyArgs;
use super::beside;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::ground::Hosts;
use super::out_dir::{self, file_name};
use super::run::{Printer, Shown, Work, carry_out, check_user, last_run, run_as, wanted};
use crate::fleet::command::{Carried, Deed, Delivery, Fetch, Retry, Spill};

pub(super) fn run(context: &Context, args: &CopyArgs) -> Result<Exit, CliError> {
    let shown = Shown::of(context, false, false)?;
    let way = Way::of(&args.paths)?;
    check_user(&args.run_as)?;
    let takes = matches!(way, Way::From { .. }).then_some(args.max_size);
    let selectors = [args.selector.clone()];
    let hosts = Hosts::select_changed(context, &selectors, wanted(args.reach, takes), |host| {
        run_as(&args.run_as, host);
    })?;
    let names: Vec<String> = hosts.hosts.iter().map(|host| host.name.clone()).collect();
    let deed = match way {
        Way::To { files, destination } => Deed::Send(delivery(context, files, destination, args)?),
        Way::From { source, dir } => Deed::Fetch(fetch(source, dir, &names, args)?),
    };
    let spill = Spill::new(&context.outputs_dir());
    let path = hosts.path.clone();
    let printer = Printer::new(context, &names);
    let work = Work {
        deed,
        retry: Retry {
            times: args.retry,
            failed: false,
        },
        waves: &args.waves,
        progress: shown != Shown::Lines,
        printer: &printer,
    };
    let report = carry_out(context, hosts, &spill, work, |_, result| {
        if shown == Shown::Lines {
            printer.line(result);
        }
    })?;
    context.remember(&last_run(&report.results, &path));
    printer.print(&report, shown, context)
}

/// Which way files go.
enum Way<'a> {
    /// To the hosts.
    To {
        files: &'a [OsString],
        destination: &'a [u8],
    },
    /// From the hosts.
    From { source: &'a [u8], dir: &'a Path },
}

fn usage(message: impl Into<String>, hint: &str) -> CliError {
    CliError::Usage {
        message: message.into(),
        hint: Some(hint.to_owned()),
    }
}

impl<'a> Way<'a> {
    fn of(paths: &'a [OsString]) -> Result<Self, CliError> {
        let hint = "to hosts: `copy SELECTOR FILE… :DEST`; from them: `copy SELECTOR :SRC DIR/`";
        let there = |path: &'a OsString| path.as_bytes().strip_prefix(b":");
        let Some((last, others)) = paths.split_last() else {
            return Err(usage("copy needs two paths", hint));
        };
        match (there(last), others) {
            (Some([]), _) => Err(usage("`:` names no place on the hosts", hint)),
            (Some(place), _) if is_tilde(place) => Err(no_tilde(place)),
            (Some(_), others) if others.iter().any(|path| there(path).is_some()) => {
                Err(usage("one end of a copy is here", hint))
            }
            (Some(destination), files) => Ok(Self::To { files, destination }),
            (None, [source]) => match there(source) {
                Some([]) => Err(usage("`:` names no file on the hosts", hint)),
                Some(place) if is_tilde(place) => Err(no_tilde(place)),
                Some(source) => Ok(Self::From {
                    source,
                    dir: Path::new(last),
                }),
                None => Err(usage("one end of a copy is on the hosts", hint)),
            },
            (None, _) => Err(usage("one end of a copy is on the hosts", hint)),
        }
    }
}

/// Whether a path begins with what a shell would make a home of. No shell reads it.
fn is_tilde(place: &[u8]) -> bool {
    place.starts_with(b"~")
}

fn no_tilde(place: &[u8]) -> CliError {
    let shown = String::from_utf8_lossy(place);
    usage(
        format!("`:{shown}`: no shell reads it, so that `~` is no home there"),
        "`:FILE` is in the login's home already; name any other place in full (a name that begins so: `:./~`)",
    )
}

fn delivery(
    context: &Context,
    files: &[OsString],
    destination: &[u8],
    args: &CopyArgs,
) -> Result<Delivery, CliError> {
    let mut carried = Vec::new();
    for file in files {
        let path = Path::new(file);
        let opened = Carried::open(path).map_err(|error| {
            usage(
                format!("{}: {}", path.display(), beside::why(&error)),
                "only files are copied; pack a directory with tar first",
            )
        })?;
        let twice = carried
            .iter()
            .any(|other: &Carried| other.name == opened.name);
        if twice {
            return Err(usage(
                format!("{}: there are two files of that name", path.display()),
                "they would go to the same place",
            ));
        }
        if opened.special {
            context.note(&format!(
                "{}: set-user-ID, set-group-ID and the sticky bit are not copied",
                path.display()
            ));
        }
        carried.push(opened);
    }
    Ok(Delivery {
        into: carried.len() > 1,
        files: carried,
        destination: destination.to_vec(),
        limit: args.timeout.0,
    })
}

/// The name of each host's file here is made of the host's name and of what the operator typed.
fn fetch(source: &[u8], dir: &Path, names: &[String], args: &CopyArgs) -> Result<Fetch, CliError> {
    let name = source
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or_default();
    if matches!(name, b"" | b"." | b"..") {
        let shown = String::from_utf8_lossy(source).into_owned();
        return Err(usage(
            format!("`:{shown}` is no file"),
            "only files are copied; pack a directory with tar first",
        ));
    }
    out_dir::make(dir).map_err(CliError::Machine)?;
    let place = |host: &String| dir.join(file_name(host)).join(OsStr::from_bytes(name));
    Ok(Fetch {
        source: source.to_vec(),
        places: names.iter().map(place).collect(),
        most: args.max_size,
        limit: args.timeout.0,
    })
}
