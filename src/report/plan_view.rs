//! A plan for people: what would change where, hosts with the same change shown once.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::View;
use super::fold::group_by;
use super::inventory_view::{bare_table, finish, shown};
use super::style::Style;
use super::table::{break_names, broken, shortened, wrap, wrapped};
use super::text::{count, sanitize};
use crate::model::nodeset::fold;
use crate::model::{
    Act, DiffLine, Exposure, FileChange, FileContent, Planned, Purpose, SettingChange, Standing,
    UnitPlan, Verdict,
};

/// How many hex digits of a digest are shown; `-v` shows all 64.
const SHORT_DIGEST: usize = 12;

/// What a plan is shown from.
#[derive(Debug, Clone, Copy)]
pub struct PlanReport<'a> {
    /// The run's name.
    pub run: &'a str,
    /// What it is for.
    pub purpose: &'a Purpose,
    /// What is made of each unit, with its host's name, in the inventory's order.
    pub entries: &'a [(String, Planned)],
    /// Whether it was only looked (`--check`): nothing will be done.
    pub check_only: bool,
}

/// Units with the same change: the same diff for the same unit, with the same settings, exposure,
/// restart and remarks. They are confirmed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanGroup {
    /// Names the change, 12 hex digits: the same change has the same key in every plan.
    pub key: String,
    /// The entries that have it, by their place in the report.
    pub entries: Vec<usize>,
    /// Their hosts as a node set.
    pub hosts: String,
}

/// A file's digest and mode, where there is a file.
type Content<'a> = Option<(&'a str, u32)>;

/// What makes two changes the same to who reads them. Digests stand for the texts.
#[derive(Debug)]
#[expect(dead_code, reason = "it is read by what is derived")]
struct Sameness<'a> {
    unit: &'a str,
    owner: String,
    /// Path, before and after.
    files: Vec<(&'a str, [Content<'a>; 2])>,
    settings: &'a [SettingChange],
    exposure: Option<Exposure>,
    enable: bool,
    restart: bool,
    notes: &'a [String],
    /// What it mends, and what it does, but for the ids of processes.
    remedy: Option<(&'a [String], Vec<String>)>,
}

/// Returns the changes of a plan, the one of most units first.
pub fn groups(report: &PlanReport<'_>) -> Vec<PlanGroup> {
    let changes = report.entries.iter().enumerate();
    let changes = changes.filter_map(|(index, (_, planned))| match planned {
        Planned::Change(unit) => Some((sameness(unit), index)),
        _ => None,
    });
    let mut groups: Vec<PlanGroup> = group_by(changes)
        .into_iter()
        .map(|(same, entries)| PlanGroup {
            key: hex(&Sha256::digest(same)).chars().take(12).collect(),
            hosts: fold(hosts_of(report, &entries)),
            entries,
        })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.entries.len()));
    groups
}

fn sameness(unit: &UnitPlan) -> String {
    fn content(content: Option<&FileContent>) -> Content<'_> {
        content.map(|content| (content.digest.as_str(), content.mode))
    }
    let files = unit.files.iter().map(|file| {
        let (before, after) = (file.before.as_ref(), file.after.as_ref());
        (file.path.as_str(), [content(before), content(after)])
    });
    // Its debug form quotes every text, so that no two changes can look alike.
    format!(
        "{:?}",
        Sameness {
            unit: &unit.unit,
            owner: unit.owner.to_string(),
            files: files.collect(),
            settings: &unit.settings,
            exposure: unit.exposure,
            enable: unit.enable,
            restart: unit.restart,
            notes: &unit.notes,
            remedy: unit.remedy.as_ref().map(|remedy| {
                let acts = remedy.acts.iter().map(|act| act_words(act, false));
                (remedy.classes.as_slice(), acts.collect())
            }),
        }
    )
}

/// An act in words. On several hosts a process is told by what it is, on one by its id, too.
fn act_words(act: &Act, of_one_host: bool) -> String {
    match act {
        Act::EndProcess(process) if !of_one_host => format!(
            "end the process that holds port {} ({}, user {})",
            process.port, process.title, process.uid
        ),
        act => act.to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hosts_of<'a>(report: &PlanReport<'a>, entries: &[usize]) -> Vec<&'a str> {
    let entries = entries.iter().filter_map(|at| report.entries.get(*at));
    entries.map(|(host, _)| host.as_str()).collect()
}

fn units_of<'a>(report: &PlanReport<'a>, group: &PlanGroup) -> Vec<(&'a str, &'a UnitPlan)> {
    let entries = group
        .entries
        .iter()
        .filter_map(|at| report.entries.get(*at));
    entries
        .filter_map(|(host, planned)| match planned {
            Planned::Change(unit) => Some((host.as_str(), &**unit)),
            _ => None,
        })
        .collect()
}

/// A plan in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlanCounts {
    pub(super) hosts: usize,
    /// Hosts on which something is changed.
    pub(super) change: usize,
    /// How many different changes there are.
    pub(super) ways: usize,
    /// Units that are restarted.
    pub(super) restarts: usize,
    /// Hosts on which nothing has to be changed, and nothing is wrong.
    pub(super) nothing: usize,
    /// Hosts on which a unit is refused, whatever becomes of their others.
    pub(super) refused: usize,
    pub(super) not_observed: usize,
}

pub(super) fn counts(report: &PlanReport<'_>) -> PlanCounts {
    let hosts_with = |which: fn(&Planned) -> bool| -> BTreeSet<&str> {
        let entries = report.entries.iter();
        let entries = entries.filter(|(_, planned)| which(planned));
        entries.map(|(host, _)| host.as_str()).collect()
    };
    let hosts = hosts_with(|_| true).len();
    let something = hosts_with(|planned| !matches!(planned, Planned::Nothing { .. })).len();
    let restarts = |(_, planned): &&(String, Planned)| matches!(planned, Planned::Change(unit) if unit.restart);
    PlanCounts {
        hosts,
        change: hosts_with(|planned| matches!(planned, Planned::Change(_))).len(),
        ways: groups(report).len(),
        restarts: report.entries.iter().filter(restarts).count(),
        nothing: hosts - something,
        refused: hosts_with(|planned| matches!(planned, Planned::Refused(_))).len(),
        not_observed: hosts_with(|planned| matches!(planned, Planned::NotObserved(_))).len(),
    }
}

/// Renders a plan: the verdict, each different change with its hosts, then who is left as it is and
/// why.
pub fn render_plan(report: &PlanReport<'_>, view: View) -> String {
    let mut out = verdict(report, view.style);
    if view.quiet {
        return out;
    }
    let _ = writeln!(
        out,
        "{}",
        view.style.dim(&format!(
            "run {}: {}",
            sanitize(report.run),
            purpose(report.purpose)
        ))
    );
    for group in groups(report) {
        out.push('\n');
        out += &render_group(report, &group, view);
    }
    left_alone(&mut out, report, view);
    out
}

/// Renders what is not asked about, to stand before the questions: the verdict, and who is left as it
/// is and why.
pub fn render_plan_head(report: &PlanReport<'_>, view: View) -> String {
    let mut out = verdict(report, view.style);
    left_alone(&mut out, report, view);
    out.push('\n');
    out
}

/// What a run is for, in words.
pub(super) fn purpose(purpose: &Purpose) -> String {
    match purpose {
        Purpose::Harden { profile } => format!("harden, profile {}", sanitize(profile)),
        Purpose::Rollback { run } => format!("roll back run {}", sanitize(run)),
        Purpose::Fix => "fix".to_owned(),
        Purpose::Restart => "restart".to_owned(),
    }
}

/// What is said of hosts on which nothing is changed. Those of a fix may have findings that it leaves alone unless
/// they are named, and are not as anybody wants them.
fn as_it_is(purpose: &Purpose) -> &'static str {
    match purpose {
        Purpose::Harden { .. } | Purpose::Rollback { .. } => "already as wanted",
        Purpose::Fix | Purpose::Restart => "unchanged",
    }
}

/// The plan in one sentence, to be read first and, in a hurry, alone.
fn verdict(report: &PlanReport<'_>, style: Style) -> String {
    let PlanCounts {
        hosts,
        change,
        ways,
        restarts,
        nothing,
        refused,
        not_observed,
    } = counts(report);
    let mut parts = Vec::new();
    if change > 0 {
        let ways = match ways {
            1 if change == 1 => String::new(),
            1 => " in the same way".to_owned(),
            more => format!(" in {more} different ways"),
        };
        let restarts = match restarts {
            0 => "no restart".to_owned(),
            more => count(more, "restart"),
        };
        let words = format!("{change} to change{ways} ({restarts})");
        parts.push(style.verdict(Verdict::Warning, &words));
    }
    let rest = [
        (nothing, as_it_is(report.purpose), Verdict::Ok),
        (refused, "refused", Verdict::Critical),
        (not_observed, "not observed", Verdict::Unknown),
    ];
    for (number, words, verdict) in rest {
        if number > 0 {
            let number = if number == hosts && hosts > 1 {
                "all".to_owned()
            } else {
                number.to_string()
            };
            parts.push(style.verdict(verdict, &format!("{number} {words}")));
        }
    }
    if parts.is_empty() {
        parts.push("nothing to do".to_owned());
    }
    let looked = if report.check_only && change > 0 {
        "; only looked (--check), nothing is changed"
    } else {
        ""
    };
    format!("{}: {}{looked}\n", count(hosts, "host"), parts.join(", "))
}

/// Renders one change: its hosts, the diff, and what it means.
pub fn render_group(report: &PlanReport<'_>, group: &PlanGroup, view: View) -> String {
    let units = units_of(report, group);
    let Some((_, unit)) = units.first() else {
        return String::new();
    };
    let name = sanitize(&unit.unit);
    let files = match unit.files.len() {
        0 => "no file".to_owned(),
        more => count(more, "file"),
    };
    let restart = if unit.restart {
        "restart"
    } else {
        "no restart"
    };
    let enable = if unit.enable { ", enable" } else { "" };
    let owner = unit.owner.to_string();
    let owner = sanitize(&owner);
    let what = match &unit.remedy {
        None => format!("{name} ({owner}) · {files}, {restart}{enable}"),
        Some(remedy) if remedy.classes.is_empty() => format!("{name} ({owner}) · {restart}"),
        Some(remedy) => format!(
            "{name} ({owner}) · {}",
            sanitize(&remedy.classes.join(", "))
        ),
    };
    let mut out = String::new();
    let hosts = shortened(group.hosts.clone(), group.entries.len(), view);
    if hosts.chars().count() + what.chars().count() + 3 <= view.width.into() {
        let _ = writeln!(out, "{} · {what}", view.style.strong(&hosts));
    } else {
        node_set(&mut out, "", &hosts, view);
        indented(&mut out, &what, view);
    }
    for act in unit.remedy.iter().flat_map(|remedy| &remedy.acts) {
        if let Act::Configure {
            path, place, shown, ..
        } = act
        {
            let head = format!("change {path}, at {place}; its other bytes stay:");
            indented(&mut out, &sanitize(&head), view);
            for line in shown {
                let style = view.style;
                match line.split_at_checked(1) {
                    Some(("-", text)) => {
                        diff_line(&mut out, "-", text, view, |part| style.removed(part));
                    }
                    Some(("+", text)) => {
                        diff_line(&mut out, "+", text, view, |part| style.added(part));
                    }
                    _ => diff_line(&mut out, " ", line, view, str::to_owned),
                }
            }
            continue;
        }
        indented(&mut out, &sanitize(&act_words(act, units.len() == 1)), view);
    }
    for file in &unit.files {
        render_file(&mut out, file, view);
    }
    for setting in &unit.settings {
        let later = if setting.by_restart && !unit.restart {
            " (from its next restart on)"
        } else {
            ""
        };
        let line = format!(
            "{}: {} → {}{later}",
            sanitize(&setting.name),
            value(&setting.now),
            value(&setting.then)
        );
        indented(&mut out, &line, view);
    }
    if let Some(exposure) = unit.exposure {
        indented(&mut out, &exposure_words(exposure), view);
    }
    indented(&mut out, &restart_words(unit, &units), view);
    if unit.enable {
        indented(&mut out, &format!("{name} is enabled"), view);
    }
    for note in &unit.notes {
        indented(&mut out, &format!("note: {}", sanitize(note)), view);
    }
    out
}

fn value(text: &str) -> String {
    if text.is_empty() {
        "nothing".to_owned()
    } else {
        sanitize(text).into_owned()
    }
}

fn exposure_words(Exposure { before, after }: Exposure) -> String {
    let tenths = |number: u32| format!("{}.{}", number / 10, number % 10);
    match after {
        Some(after) => format!("exposure {} → {}", tenths(before), tenths(after)),
        None => format!(
            "exposure {} now; this systemd cannot tell what it will be",
            tenths(before)
        ),
    }
}

fn restart_words(unit: &UnitPlan, units: &[(&str, &UnitPlan)]) -> String {
    let name = sanitize(&unit.unit);
    if unit.restart {
        let all_run = units.iter().all(|(_, unit)| unit.before == Standing::Well);
        let or_started = if all_run {
            ""
        } else {
            ", or started where it does not run"
        };
        return format!("{name} is restarted{or_started}");
    }
    "nothing is restarted".to_owned()
}

/// A node set of as many lines as it takes.
fn node_set(out: &mut String, indent: &str, hosts: &str, view: View) {
    let width = usize::from(view.width).saturating_sub(indent.len());
    for line in break_names(hosts, width).lines() {
        let _ = writeln!(out, "{indent}{}", view.style.strong(line.trim_end()));
    }
}

fn indented(out: &mut String, line: &str, view: View) {
    let width = usize::from(view.width).saturating_sub(4);
    for (place, part) in wrap(line, width).iter().enumerate() {
        let indent = if place == 0 { "  " } else { "    " };
        let _ = writeln!(out, "{indent}{part}");
    }
}

/// One file: what is done to it, and the diff.
fn render_file(out: &mut String, file: &FileChange, view: View) {
    let path = sanitize(&file.path);
    let head = match (&file.before, &file.after) {
        (None, Some(after)) => format!("new file {path} (mode {:04o})", after.mode),
        (Some(_), None) => format!("removed file {path}"),
        (Some(before), Some(after)) if before.mode != after.mode => format!(
            "changed file {path} (mode {:04o} → {:04o})",
            before.mode, after.mode
        ),
        _ => format!("changed file {path}"),
    };
    indented(out, &head, view);
    diff_lines(out, &file_diff(file), view);
}

/// Renders the lines of a diff.
pub(super) fn diff_lines(out: &mut String, lines: &[DiffLine], view: View) {
    let style = view.style;
    for line in lines {
        match line {
            DiffLine::Hunk(text) => diff_line(out, "", text, view, |part| style.hunk(part)),
            DiffLine::Same(text) => diff_line(out, " ", text, view, str::to_owned),
            DiffLine::Removed(text) => diff_line(out, "-", text, view, |part| style.removed(part)),
            DiffLine::Added(text) => diff_line(out, "+", text, view, |part| style.added(part)),
        }
    }
}

/// A line of a diff. What is too long goes on below, further in than any line begins: on a terminal
/// it would go on in the first column, and look like a line of ours.
fn diff_line(out: &mut String, mark: &str, text: &str, view: View, paint: impl Fn(&str) -> String) {
    use unicode_width::UnicodeWidthStr as _;
    const CONTINUED: &str = "         ";
    let line = format!("{mark}{}", sanitize(text));
    let width = usize::from(view.width);
    let width = if line.width() + 4 <= width {
        width
    } else {
        width.saturating_sub(CONTINUED.len())
    };
    for (place, part) in broken(&line, width.max(20)).iter().enumerate() {
        let indent = if place == 0 { "    " } else { CONTINUED };
        // Blanks at the end of a changed line can be the whole change.
        let part = if mark == " " { part.trim_end() } else { part };
        let indent = if part.is_empty() { "" } else { indent };
        let _ = writeln!(out, "{indent}{}", paint(part));
    }
}

/// The diff of a file.
pub(super) fn file_diff(file: &FileChange) -> Vec<DiffLine> {
    let text = |content: &Option<FileContent>| content.as_ref().map(|content| content.text.clone());
    crate::unit::diff(
        &file.path,
        text(&file.before).as_deref(),
        text(&file.after).as_deref(),
    )
}

/// Renders what stands on each host of a change now and then: digests, modes and owners, which the
/// diff does not show.
pub fn render_group_details(report: &PlanReport<'_>, group: &PlanGroup, view: View) -> String {
    let mut table = bare_table(view);
    let heads = ["HOST", "FILE", "BEFORE", "AFTER", "MODE", "OWNER"];
    table.set_header(heads.map(|name| view.style.head_cell(name)));
    let digits = if view.verbose { 64 } else { SHORT_DIGEST };
    let digest = |content: &Option<FileContent>| match content {
        Some(content) => content.digest.chars().take(digits).collect(),
        None => "no file".to_owned(),
    };
    for (host, unit) in units_of(report, group) {
        for file in &unit.files {
            let both = |what: fn(&FileContent) -> String| {
                let before = file.before.as_ref().map(what);
                let after = file.after.as_ref().map(what);
                match (before, after) {
                    (Some(before), Some(after)) if before != after => format!("{before} → {after}"),
                    (one, other) => other.or(one).unwrap_or_default(),
                }
            };
            let row = [
                host.to_owned(),
                file.path.clone(),
                digest(&file.before),
                digest(&file.after),
                both(|content| format!("{:04o}", content.mode)),
                both(|content| format!("{}:{}", content.uid, content.gid)),
            ];
            table.add_row(row.map(|cell| shown(&cell)));
        }
    }
    finish(&table)
}

/// What is said of hosts that are left as they are, and what helps.
type Reason = (String, Option<String>);

/// Hosts that are left as they are, those of which the same is said in one paragraph.
fn left_alone(out: &mut String, report: &PlanReport<'_>, view: View) {
    type Section<'a> = (&'a str, Verdict, fn(&Planned) -> Option<Reason>);
    let sections: [Section<'_>; 3] = [
        (as_it_is(report.purpose), Verdict::Ok, nothing),
        ("refused", Verdict::Critical, refused),
        ("not observed", Verdict::Unknown, not_observed),
    ];
    for (title, verdict, reason) in sections {
        let entries = report.entries.iter().enumerate();
        let said = entries.filter_map(|(at, (_, planned))| Some((reason(planned)?, at)));
        let mut first = true;
        for ((why, hint), entries) in group_by(said) {
            if std::mem::take(&mut first) {
                let _ = writeln!(out, "\n{}", view.style.verdict(verdict, title));
            }
            let hosts = fold(hosts_of(report, &entries));
            let hosts = shortened(hosts, entries.len(), view);
            node_set(out, "  ", &hosts, view);
            wrapped(out, &why, view);
            if let Some(hint) = hint {
                wrapped(out, &format!("hint: {hint}"), view);
            }
        }
    }
}

fn nothing(planned: &Planned) -> Option<Reason> {
    match planned {
        Planned::Nothing { unit, why } => {
            Some((format!("{}: {}", sanitize(unit), sanitize(why)), None))
        }
        _ => None,
    }
}

fn refused(planned: &Planned) -> Option<Reason> {
    let Planned::Refused(refusal) = planned else {
        return None;
    };
    let why = sanitize(&refusal.why);
    let why = match &refusal.unit {
        Some(unit) => format!("{}: {why}", sanitize(unit)),
        None => why.into_owned(),
    };
    let hint = refusal.hint.as_deref().map(sanitize);
    Some((why, hint.map(std::borrow::Cow::into_owned)))
}

fn not_observed(planned: &Planned) -> Option<Reason> {
    let Planned::NotObserved(error) = planned else {
        return None;
    };
    let via = error.via.as_ref();
    let via = via.map(|jump| format!("jump host {}: ", sanitize(jump)));
    let why = format!(
        "{}{}: {}",
        via.unwrap_or_default(),
        error.stage.id(),
        sanitize(&error.message)
    );
    let hint = error.hint.as_deref().map(sanitize);
    Some((why, hint.map(std::borrow::Cow::into_owned)))
}
