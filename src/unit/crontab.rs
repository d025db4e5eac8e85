//! A schedule in a crontab: a block between two marks. Everything else of the crontab is somebody else's and stays as
//! it is, byte for byte.

use std::ops::Range;
use std::time::Duration;

use super::timer::{span, whole_minutes};
use crate::model::Schedule;

const BEGIN: &str = "# BEGIN clawfleet schedule ";
const END: &str = "# END clawfleet schedule ";

/// How long a line may be: cron(8) of Debian reads commands of 1000 characters.
const LONGEST: usize = 990;

/// The intervals that cron can do.
const MINUTES: [u64; 11] = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30];
const HOURS: [u64; 8] = [1, 2, 3, 4, 6, 8, 12, 24];

/// Returns the five fields of an interval.
///
/// # Errors
/// cron cannot do it; what it can do.
pub fn cron_fields(every: Duration) -> Result<String, String> {
    let minutes = whole_minutes(every);
    if let Some(m) = minutes.filter(|m| MINUTES.contains(m)) {
        return Ok(match m {
            1 => "* * * * *".to_owned(),
            m => format!("*/{m} * * * *"),
        });
    }
    let hours = minutes.filter(|m| m % 60 == 0).map(|m| m / 60);
    match hours.filter(|h| HOURS.contains(h)) {
        Some(1) => Ok("0 * * * *".to_owned()),
        Some(24) => Ok("0 0 * * *".to_owned()),
        Some(h) => Ok(format!("0 */{h} * * *")),
        None => {
            let list = |numbers: &[u64], unit: &str| {
                let words: Vec<String> = numbers.iter().map(|n| format!("{n}{unit}")).collect();
                words.join(", ")
            };
            Err(format!(
                "cron cannot run something every {}; it can every {}, {}",
                span(every),
                list(&MINUTES, "m"),
                list(&HOURS, "h")
            ))
        }
    }
}

/// Renders the block of a schedule.
///
/// # Errors
/// cron cannot do it.
pub fn cron_block(schedule: &Schedule) -> Result<String, String> {
    let quoted = |words: &[String]| {
        shlex::try_join(words.iter().map(String::as_str)).map_err(|error| error.to_string())
    };
    let mut command = String::new();
    if let Some(file) = &schedule.environment_file {
        let file = quoted(&[file.display().to_string()])?;
        command += &format!("set -a; . {file}; set +a; ");
    }
    for (name, value) in &schedule.environment {
        command += &format!("{name}={} ", quoted(std::slice::from_ref(value))?);
    }
    command += &quoted(&schedule.command)?;
    // To cron a bare % is the end of the command.
    let command = command.replace('%', "\\%");
    if command.contains(['\n', '\r']) {
        return Err("a crontab holds no line ends in a command".to_owned());
    }
    if command.len() > LONGEST {
        return Err(format!(
            "the command is {} characters long, and cron reads {LONGEST}; a systemd timer (without --cron) has no such limit",
            command.len()
        ));
    }
    let name = &schedule.name;
    Ok(format!(
        "{BEGIN}{name}\n# {}\n{} {command}\n{END}{name}\n",
        schedule.installed_by,
        cron_fields(schedule.every)?
    ))
}

/// The lines of a crontab, each with where it begins and ends, its line end included.
fn lines(text: &[u8]) -> impl Iterator<Item = (Range<usize>, &[u8])> {
    let mut at = 0;
    text.split_inclusive(|byte| *byte == b'\n')
        .map(move |line| {
            let begin = at;
            at += line.len();
            (begin..at, line.strip_suffix(b"\n").unwrap_or(line))
        })
}

/// Finds the blocks of a crontab, by name.
///
/// # Errors
/// Marks that do not belong together; with the line.
pub fn cron_blocks(text: &[u8]) -> Result<Vec<(String, Range<usize>)>, String> {
    let mut found: Vec<(String, Range<usize>)> = Vec::new();
    let mut open: Option<(String, usize, usize)> = None;
    for (number, (at, line)) in lines(text).enumerate() {
        let line = String::from_utf8_lossy(line);
        let number = number + 1;
        if let Some(name) = line.strip_prefix(BEGIN) {
            if let Some((name, _, number)) = open {
                return Err(format!(
                    "line {number} begins the block of {name}, and nothing ends it"
                ));
            }
            open = Some((name.trim_end().to_owned(), at.start, number));
        } else if let Some(name) = line.strip_prefix(END) {
            match open.take() {
                Some((begun, start, _)) if begun == name.trim_end() => {
                    if found.iter().any(|(other, _)| *other == begun) {
                        return Err(format!("line {number}: there are two blocks of {begun}"));
                    }
                    found.push((begun, start..at.end));
                }
                _ => {
                    return Err(format!(
                        "line {number} ends a block of {} that nothing begins",
                        name.trim_end()
                    ));
                }
            }
        }
    }
    match open {
        Some((name, _, number)) => Err(format!(
            "line {number} begins the block of {name}, and nothing ends it"
        )),
        None => Ok(found),
    }
}

/// Returns the crontab with a block put in its place, or at its end; without one, with the block taken out.
///
/// # Errors
/// As for [`cron_blocks`].
pub fn with_cron_block(text: &[u8], name: &str, block: Option<&str>) -> Result<Vec<u8>, String> {
    let blocks = cron_blocks(text)?;
    let place = blocks.iter().find(|(other, _)| other == name);
    let (before, after) = match place {
        Some((_, at)) => (
            text.get(..at.start).unwrap_or_default(),
            text.get(at.end..).unwrap_or_default(),
        ),
        None => (text, &[] as &[u8]),
    };
    let mut out = before.to_vec();
    if let Some(block) = block {
        // A last line without its end would become one with ours.
        if place.is_none() && out.last().is_some_and(|byte| *byte != b'\n') {
            out.push(b'\n');
        }
        out.extend_from_slice(block.as_bytes());
    }
    out.extend_from_slice(after);
    Ok(out)
}

/// Returns what a block runs, and the command that wrote it.
pub fn read_cron_block(block: &str) -> Option<(&str, &str)> {
    let mut lines = block.lines().skip(1);
    let written_by = lines.next()?.strip_prefix("# ")?;
    let runs = lines.find(|line| !line.starts_with('#') && !line.trim().is_empty())?;
    Some((runs, written_by))
}
