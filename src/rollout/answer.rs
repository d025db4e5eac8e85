//! What a host's answers mean. Whatever does not have their shape is no answer.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding as _};

use super::machine::{Answer, Record};
use super::validate::digest;
use crate::model::{Exposure, FileContent, RolloutEnd, sanitize};
use crate::probe::{Frame, Frames, Nonce, split};

/// The longest text of a file that is planned for, in bytes; the script reads no more.
const LARGEST: usize = 64 << 10;

/// What one look at a unit found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The directory of units there.
    pub units: String,
    /// Who would write: user and group.
    pub writer: (u32, u32),
    /// Whether the unit's manager runs.
    pub managed: bool,
    /// The place of the planned file.
    pub planned: SurveyedFile,
    /// The unit's own file, where there is one.
    pub fragment: Option<SurveyedFile>,
    /// What `systemctl show` says; a property that came twice has both, with a newline.
    pub shown: BTreeMap<String, String>,
    /// The exposure, where `systemd-analyze` told it.
    pub exposure: Option<Exposure>,
    /// Whether this login's own session runs inside the unit.
    pub inside: bool,
    /// Another run that is not confirmed yet, and whose it is.
    pub held: Option<String>,
    /// The processes that were asked about, those that are there.
    pub processes: Vec<SurveyedProcess>,
    /// The configurations that were asked about, by path, or why one could not be read. They hold secrets.
    pub texts: BTreeMap<String, Result<String, String>>,
    /// Digests of the files that were asked about, by path.
    pub digests: BTreeMap<String, String>,
}

/// One process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SurveyedProcess {
    /// Its id.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
    /// What it executes.
    pub exe: String,
    /// Its cgroup in systemd's hierarchy.
    pub cgroup: String,
}

/// One place of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SurveyedFile {
    /// Its path.
    pub path: String,
    /// What stands there.
    pub content: Option<FileContent>,
    /// Why nothing may be planned for it.
    pub unsound: Option<String>,
}

/// What a step's answer says beside the machine's own answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepAnswer {
    /// For the machine.
    pub answer: Answer,
    /// MainPID before the unit was restarted.
    pub main_pid: Option<u32>,
    /// Whether the timer of the undo waits.
    pub armed: bool,
    /// What stands in the places of the plan.
    pub files: Vec<FoundFile>,
    /// What `systemctl show` says.
    pub shown: BTreeMap<String, String>,
}

/// What stands in the place of a planned file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundFile {
    /// What stood there before.
    Old,
    /// What was planned.
    New,
    /// Something else.
    Other,
}

/// Reads the answer of a survey.
///
/// # Errors
/// A sentence: what the host said instead, or that it said nothing whole.
pub fn parse_survey(output: &[u8], nonce: &Nonce) -> Result<Survey, String> {
    let text = String::from_utf8_lossy(output);
    let frames = split(&text, nonce);
    if let Some(failed) = named(&frames, "answer") {
        return Err(words(failed));
    }
    if !frames.ended {
        return Err("the host did not answer in full".into());
    }
    let place = named(&frames, "place").ok_or("the host did not say where its units are")?;
    let number = |name| place.get(name).and_then(|value| value.parse().ok());
    let units = place.get("units").unwrap_or_default();
    if !is_plain_path(units) {
        return Err("the host names no directory of units".into());
    }
    let planned = named(&frames, "planned").ok_or("the host left out the planned file")?;
    Ok(Survey {
        units: units.to_owned(),
        writer: (
            number("uid").ok_or("the host did not say who writes")?,
            number("gid").ok_or("the host did not say who writes")?,
        ),
        managed: place.get("manager") == Some("yes"),
        planned: surveyed(planned)?,
        fragment: named(&frames, "fragment").map(surveyed).transpose()?,
        shown: named(&frames, "show").map(shown).unwrap_or_default(),
        exposure: named(&frames, "exposure").and_then(exposure),
        inside: named(&frames, "inside").is_some(),
        held: place.get("held").map(|held| sanitize(held).into_owned()),
        processes: all_named(&frames, "process").filter_map(process).collect(),
        texts: all_named(&frames, "text").filter_map(text_of).collect(),
        digests: all_named(&frames, "file").filter_map(digest_of).collect(),
    })
}

fn process(frame: &Frame<'_>) -> Option<SurveyedProcess> {
    Some(SurveyedProcess {
        pid: frame.arg(0).parse().ok()?,
        start_ticks: frame.get("start")?.parse().ok()?,
        exe: frame.get("exe")?.to_owned(),
        cgroup: frame.get("cgroup")?.to_owned(),
    })
}

fn text_of(frame: &Frame<'_>) -> Option<(String, Result<String, String>)> {
    let path = frame.get("path")?.to_owned();
    if let Some(why) = frame.get("unsound") {
        return Some((path, Err(sanitize(why).into_owned())));
    }
    let encoded: String = frame.all("text").collect();
    let text = Base64::decode_vec(&encoded).map(String::from_utf8);
    let text = match text {
        Ok(Ok(text)) if frame.get("digest") == Some(digest(&text).as_str()) => Ok(text),
        Ok(Err(_)) => Err("it is not text".to_owned()),
        _ => Err("it changed while it was read, or is larger than 256 KiB".to_owned()),
    };
    Some((path, text))
}

fn digest_of(frame: &Frame<'_>) -> Option<(String, String)> {
    Some((
        frame.get("path")?.to_owned(),
        frame.get("digest")?.to_owned(),
    ))
}

/// Reads the answer of a step. An answer without its end is lost: the host may have done more than it said.
pub fn parse_step(output: &[u8], nonce: &Nonce) -> StepAnswer {
    let text = String::from_utf8_lossy(output);
    let frames = split(&text, nonce);
    let answer = match (named(&frames, "answer"), named(&frames, "state")) {
        _ if !frames.ended => Answer::Lost("the host did not answer in full".into()),
        (Some(frame), _) => answered(frame),
        (None, Some(frame)) => found(frame),
        (None, None) => Answer::Lost("the host answered nothing of ours".into()),
    };
    let state = named(&frames, "state");
    let main_pid = match (&answer, named(&frames, "answer")) {
        (Answer::Applied, Some(frame)) => frame.get("why"),
        _ => state.and_then(|state| state.get("main-pid")),
    };
    StepAnswer {
        answer,
        main_pid: main_pid.and_then(|pid| pid.trim().parse().ok()),
        armed: state.is_some_and(|state| state.get("armed") == Some("yes")),
        files: state
            .into_iter()
            .flat_map(|state| state.all("file"))
            .map(|line| match line.split(' ').next() {
                Some("old") => FoundFile::Old,
                Some("new") => FoundFile::New,
                _ => FoundFile::Other,
            })
            .collect(),
        shown: named(&frames, "show").map(shown).unwrap_or_default(),
    }
}

fn answered(frame: &Frame<'_>) -> Answer {
    let why = words(frame);
    match frame.arg(0) {
        "prepared" => Answer::Prepared,
        "applied" => Answer::Applied,
        "broke" => Answer::Broke(why),
        "failed" => Answer::Refused(RolloutEnd::Failed(why)),
        "drifted" => Answer::Refused(RolloutEnd::Drifted(why)),
        "locked" => Answer::Refused(RolloutEnd::Locked(why)),
        _ => Answer::Lost("the host gave an answer that there is not".into()),
    }
}

fn found(frame: &Frame<'_>) -> Answer {
    Answer::Found(match frame.arg(0) {
        "none" => Record::Absent,
        "preparing" => Record::Preparing,
        "prepared" => Record::Prepared,
        "applying" => Record::Applying,
        "applied" => Record::Applied,
        "kept" => Record::Kept,
        "undone" => Record::Undone,
        "undo-broke" => Record::UndoBroke(words(frame)),
        _ => return Answer::Lost("the host's record says what there is not".into()),
    })
}

fn words(frame: &Frame<'_>) -> String {
    sanitize(frame.get("why").unwrap_or("the host gave no reason")).into_owned()
}

fn named<'a, 'text>(frames: &'a Frames<'text>, name: &str) -> Option<&'a Frame<'text>> {
    frames.frames.iter().find(|frame| frame.name == name)
}

fn all_named<'a, 'text>(
    frames: &'a Frames<'text>,
    name: &'a str,
) -> impl Iterator<Item = &'a Frame<'text>> {
    frames.frames.iter().filter(move |frame| frame.name == name)
}

fn surveyed(frame: &Frame<'_>) -> Result<SurveyedFile, String> {
    let path = frame.args.join(" ");
    if !is_plain_path(&path) {
        return Err("the host names a file by no plain path".into());
    }
    let unsound = frame
        .get("unsound")
        .map(|why| sanitize(why).into_owned())
        .or_else(|| match frame.get("digest") {
            Some("link") => Some(format!("{path} is a link")),
            Some("other") => Some(format!("{path} is not a file")),
            Some("unreadable") | None => Some(format!("{path} cannot be read")),
            Some(_) => None,
        });
    if unsound.is_some() || frame.get("digest") == Some("-") {
        return Ok(SurveyedFile {
            path,
            content: None,
            unsound,
        });
    }
    match content(frame) {
        Ok(content) => Ok(SurveyedFile {
            path,
            content: Some(content),
            unsound: None,
        }),
        Err(why) => Ok(SurveyedFile {
            unsound: Some(format!("{path} {why}")),
            path,
            content: None,
        }),
    }
}

fn content(frame: &Frame<'_>) -> Result<FileContent, &'static str> {
    let mut rights = frame.get("rights").unwrap_or_default().split(' ');
    let mode = rights
        .next()
        .and_then(|mode| u32::from_str_radix(mode, 8).ok());
    let mut number = || rights.next().and_then(|word| word.parse::<u32>().ok());
    let (Some(mode), Some(uid), Some(gid), Some(size)) = (mode, number(), number(), number())
    else {
        return Err("has no rights that could be read");
    };
    if usize::try_from(size).unwrap_or(usize::MAX) >= LARGEST {
        return Err("is larger than 64 KiB, and no unit is");
    }
    let encoded: String = frame.all("text").collect();
    let bytes = Base64::decode_vec(&encoded).map_err(|_| "could not be read whole")?;
    let text = String::from_utf8(bytes).map_err(|_| "is not text")?;
    let digest = digest(&text);
    if frame.get("digest") != Some(digest.as_str()) {
        return Err("changed while it was read, or is larger than can be read");
    }
    Ok(FileContent {
        digest,
        text,
        mode: mode & 0o7777,
        uid,
        gid,
    })
}

fn shown(frame: &Frame<'_>) -> BTreeMap<String, String> {
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    for line in &frame.lines {
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        shown
            .entry(name.to_owned())
            .and_modify(|before| {
                before.push('\n');
                before.push_str(value);
            })
            .or_insert_with(|| value.to_owned());
    }
    shown
}

fn exposure(frame: &Frame<'_>) -> Option<Exposure> {
    let tenths = |name: &str| -> Option<u32> {
        let (whole, part) = frame.get(name)?.split_once('.')?;
        let (whole, part): (u32, u32) = (whole.parse().ok()?, part.parse().ok()?);
        (whole <= 10 && part <= 9).then_some(whole * 10 + part)
    };
    Some(Exposure {
        before: tenths("before")?,
        after: tenths("after"),
    })
}

/// An absolute path that can stand in a list of ours, and leads nowhere else.
fn is_plain_path(path: &str) -> bool {
    path.starts_with('/')
        && path.len() < 1024
        && !path.chars().any(char::is_control)
        && path.split('/').all(|part| part != ".." && part != ".")
}
