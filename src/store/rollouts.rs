//! Rollouts as they are kept: `rollouts/RUN/` with the plan, its head, and what came of each unit.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::file;
use super::plans::{self, MAX_PLAN};
use crate::model::{
    Plan, Purpose, RolloutEnd, RunId, RunSummary, UnitOwner, UnitResult, count_ends, sanitize,
    shorten,
};

/// How many runs are kept, besides the newest of each inventory.
const KEPT: usize = 100;

/// The longest name of a run, in bytes.
const LONGEST_ID: usize = 64;

/// The largest head, in bytes.
const MAX_HEAD: u64 = 1 << 20;

const PLAN: &str = "plan.json";
const HEAD: &str = "head.json";
const RESULTS: &str = "results.jsonl";

/// A run as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRun {
    /// What was to be done. Whether it is sound is for `rollout::validate` to judge.
    pub plan: Plan,
    /// The last result of each unit that has one, in the plan's order.
    pub results: Vec<UnitResult>,
    /// Lines of results that could not be read, or that are of no unit of the plan. A crash leaves one;
    /// its unit counts as one without a result.
    pub dropped: usize,
}

/// The runs that are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunList {
    /// Newest first.
    pub runs: Vec<RunSummary>,
    /// What cannot be read, one sentence for each.
    pub unreadable: Vec<String>,
}

/// What lists need of a plan, so that they do not read megabytes of unit files.
#[derive(Serialize, Deserialize)]
struct Head {
    run: RunId,
    made_at: String,
    made_by: String,
    inventory: String,
    purpose: Purpose,
    hosts: usize,
    units: usize,
}

impl Head {
    fn of(plan: &Plan) -> Self {
        let hosts: BTreeSet<&str> = plan.units.iter().map(|unit| unit.host.as_str()).collect();
        Self {
            run: plan.run.clone(),
            made_at: plan.made_at.clone(),
            made_by: plan.made_by.clone(),
            inventory: plan.inventory.clone(),
            purpose: plan.purpose.clone(),
            hosts: hosts.len(),
            units: plan.units.len(),
        }
    }
}

/// Keeps a plan under its run's name; it is on the disk when this returns. A plan that is kept is
/// never changed. The oldest runs beyond a hundred go, but for the newest of each inventory.
///
/// # Errors
/// A sentence for the operator.
pub fn write_plan(dir: &Path, plan: &Plan) -> Result<(), String> {
    let runs = dir.join("rollouts");
    let home = run_dir(&runs, &plan.run)?;
    let failed =
        |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let path = home.join(PLAN);
    if path.symlink_metadata().is_ok() {
        return Err(failed(&path, &"this run has a plan already"));
    }
    let text = serde_json::to_vec(plan).map_err(|error| failed(&path, &error))?;
    if text.len() as u64 > MAX_PLAN {
        let mib = MAX_PLAN >> 20;
        return Err(format!(
            "the plan is larger than the {mib} MiB that are read again; plan fewer hosts at once"
        ));
    }
    let head = serde_json::to_vec(&Head::of(plan)).map_err(|error| failed(&path, &error))?;
    file::make_dir(&home)
        .and_then(|()| file::replace_durably(&home.join(HEAD), &head))
        // The plan comes last: a run without one never began.
        .and_then(|()| file::replace_durably(&path, &text))
        .and_then(|()| file::sync_dir(&runs))
        .and_then(|()| file::sync_dir(dir))
        .map_err(|error| failed(&path, &error))?;
    prune(&runs, KEPT, &plan.run);
    Ok(())
}

/// Adds what came of a unit; it is on the disk when this returns.
///
/// # Errors
/// A sentence for the operator.
pub fn append_result(dir: &Path, run: &str, result: &UnitResult) -> Result<(), String> {
    let path = run_dir(&dir.join("rollouts"), run)?.join(RESULTS);
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let line = serde_json::to_string(result).map_err(|error| failed(&error))?;
    file::append_line(&path, &line).map_err(|error| failed(&error))
}

/// Reads a run by its name, the beginning of its name where no other has it, or as `last`: the newest.
///
/// # Errors
/// A sentence for the operator.
pub fn read_run(dir: &Path, run: &str) -> Result<StoredRun, String> {
    let runs = dir.join("rollouts");
    let run = find(&runs, run)?;
    let home = runs.join(&run);
    let path = home.join(PLAN);
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = file::read(&path, MAX_PLAN).map_err(|error| failed(&error))?;
    let plan = plans::parse(&text).map_err(|error| failed(&error))?;
    if plan.run != run {
        return Err(failed(&"it is the plan of another run"));
    }
    let (mut last, mut dropped) = read_results(&home.join(RESULTS))?;
    let results = plan
        .units
        .iter()
        .filter_map(|unit| last.remove(&(unit.host.clone(), unit.owner.clone(), unit.unit.clone())))
        .collect();
    dropped += last.len();
    Ok(StoredRun {
        plan,
        results,
        dropped,
    })
}

/// Lists the runs that are kept.
///
/// # Errors
/// A sentence for the operator, where the directory cannot be read. One without runs is none.
pub fn list_runs(dir: &Path) -> Result<RunList, String> {
    let runs = dir.join("rollouts");
    let mut list = RunList::default();
    for run in names(&runs)? {
        match summary(&runs, &run) {
            Ok(summary) => list.runs.push(summary),
            Err(why) => list.unreadable.push(why),
        }
    }
    Ok(list)
}

fn summary(runs: &Path, run: &str) -> Result<RunSummary, String> {
    let home = runs.join(run);
    let head = read_head(&home, run)?;
    let (results, _) = read_results(&home.join(RESULTS))?;
    let left_out = |result: &UnitResult| matches!(result.end, RolloutEnd::NotAttempted(_));
    Ok(RunSummary {
        finished: results.len() >= head.units && !results.values().any(left_out),
        ends: count_ends(results.values()),
        run: head.run,
        made_at: head.made_at,
        made_by: head.made_by,
        inventory: head.inventory,
        purpose: head.purpose,
        hosts: head.hosts,
        units: head.units,
    })
}

/// Reads a head; where there is none, the plan that it is made from.
fn read_head(home: &Path, run: &str) -> Result<Head, String> {
    let path = home.join(HEAD);
    let head = file::read(&path, MAX_HEAD)
        .map_err(|error| error.to_string())
        .and_then(|text| serde_json::from_slice::<Head>(&text).map_err(|error| error.to_string()));
    let head = match head {
        Ok(head) => head,
        Err(_) => {
            let path = home.join(PLAN);
            let failed = |why: String| format!("{}: {why}", path.display());
            let text = file::read(&path, MAX_PLAN).map_err(|error| failed(error.to_string()))?;
            Head::of(&plans::parse(&text).map_err(failed)?)
        }
    };
    if head.run == run {
        Ok(head)
    } else {
        Err(format!("{}: it is of another run", path.display()))
    }
}

/// Names a unit of a plan.
type UnitKey = (String, UnitOwner, String);

/// The last result of each unit, and how many lines could not be read.
fn read_results(path: &Path) -> Result<(BTreeMap<UnitKey, UnitResult>, usize), String> {
    let mut last = BTreeMap::new();
    let mut dropped = 0;
    let text = match file::read(path, MAX_PLAN) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((last, dropped)),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    for line in file::lines(&text) {
        match serde_json::from_slice::<UnitResult>(line) {
            Ok(result) => {
                let key = (
                    result.host.clone(),
                    result.owner.clone(),
                    result.unit.clone(),
                );
                last.insert(key, result);
            }
            Err(_) => dropped += 1,
        }
    }
    Ok((last, dropped))
}

/// Where a run is kept. Its name becomes a part of a path, so it is looked at.
fn run_dir(runs: &Path, run: &str) -> Result<PathBuf, String> {
    if run.is_empty() || !is_part_of_id(run) {
        return Err(format!(
            "`{}` names no run; runs are named like 20261121-120301-5f3a9c",
            shorten(&sanitize(run), 60)
        ));
    }
    Ok(runs.join(run))
}

fn is_part_of_id(text: &str) -> bool {
    text.len() <= LONGEST_ID
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte) || byte == b'-')
}

fn find(runs: &Path, wanted: &str) -> Result<RunId, String> {
    const SHOWN: usize = 4;
    if wanted != "last" {
        run_dir(runs, wanted)?;
    }
    let mut all = names(runs)?;
    if wanted == "last" {
        let newest = all.into_iter().next();
        return newest.ok_or_else(|| "no run is kept yet".to_owned());
    }
    if all.iter().any(|name| name == wanted) {
        return Ok(wanted.to_owned());
    }
    all.retain(|name| name.starts_with(wanted));
    match all.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(format!(
            "no run is kept whose name begins with {wanted}; `clawfleet history --rollouts` lists them"
        )),
        several => {
            let shown: Vec<&str> = several.iter().take(SHOWN).map(String::as_str).collect();
            let more = if several.len() > SHOWN { ", …" } else { "" };
            Err(format!(
                "the names of {} runs begin with {wanted}: {}{more}",
                several.len(),
                shown.join(", ")
            ))
        }
    }
}

/// The names of all runs with a plan, newest first: a name begins with the time of its run.
fn names(runs: &Path) -> Result<Vec<RunId>, String> {
    let mut names = all_names(runs).map_err(|error| format!("{}: {error}", runs.display()))?;
    names.retain(|name| runs.join(name).join(PLAN).symlink_metadata().is_ok());
    Ok(names)
}

fn all_names(runs: &Path) -> io::Result<Vec<RunId>> {
    let entries = match fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        if !name.is_empty() && is_part_of_id(&name) && entry.file_type()?.is_dir() {
            names.push(name);
        }
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

/// Removes runs beyond the newest `kept`. The newest of an inventory stays, and so does what cannot
/// be read, and the run that is being written, whatever the clock made of its name. That it fails is no reason to
/// stop what is going on.
fn prune(runs: &Path, kept: usize, own: &str) {
    let Ok(names) = all_names(runs) else { return };
    if names.len() <= kept {
        return;
    }
    let mut inventories = BTreeSet::new();
    for (place, run) in names.iter().enumerate() {
        let home = runs.join(run);
        let never_began = home.join(PLAN).symlink_metadata().is_err();
        let is_newest = match read_head(&home, run) {
            _ if never_began => false,
            Ok(head) => inventories.insert(head.inventory),
            Err(_) => true,
        };
        if place >= kept
            && run != own
            && !is_newest
            && let Err(error) = fs::remove_dir_all(&home)
        {
            tracing::debug!(run, %error, "an old run cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::plans::tests::plan;
    use super::*;

    const RUN: &str = "20261121-120301-5f3a9c";

    fn result(host: &str, end: RolloutEnd) -> UnitResult {
        UnitResult {
            host: host.to_owned(),
            unit: "openclaw-gateway.service".to_owned(),
            owner: UnitOwner::System,
            end,
            elapsed_ms: u64::MAX,
            commands: 5,
        }
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_run_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("state");
        let plan = plan(RUN, "/i.yaml", &["VM151", "VM152", "VM153"]);
        write_plan(&dir, &plan).unwrap();
        assert!(
            write_plan(&dir, &plan)
                .unwrap_err()
                .contains("has a plan already")
        );
        let lost = RolloutEnd::Unknown("the connection was lost\nthen".to_owned());
        append_result(&dir, RUN, &result("VM152", RolloutEnd::Applied)).unwrap();
        append_result(&dir, RUN, &result("VM151", lost)).unwrap();
        let run = read_run(&dir, RUN).unwrap();
        assert_eq!((&run.plan, run.dropped), (&plan, 0));
        let hosts: Vec<&str> = run.results.iter().map(|it| it.host.as_str()).collect();
        assert_eq!(hosts, ["VM151", "VM152"]);
        // A run that goes on says it again.
        append_result(&dir, RUN, &result("VM151", RolloutEnd::Applied)).unwrap();
        let run = read_run(&dir, RUN).unwrap();
        assert_eq!(run.results[0], result("VM151", RolloutEnd::Applied));
        let home = dir.join("rollouts").join(RUN);
        assert_eq!((mode(&dir), mode(&home)), (0o700, 0o700));
        for name in [PLAN, HEAD, RESULTS] {
            assert_eq!(mode(&home.join(name)), 0o600, "{name}");
        }
    }

    #[test]
    fn a_torn_line_is_dropped_and_spoils_no_other() {
        use std::io::Write as _;
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        write_plan(dir, &plan(RUN, "/i.yaml", &["VM151", "VM152"])).unwrap();
        append_result(dir, RUN, &result("VM151", RolloutEnd::Applied)).unwrap();
        let path = dir.join("rollouts").join(RUN).join(RESULTS);
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"host\":\"VM152\",\"unit\":").unwrap();
        let run = read_run(dir, RUN).unwrap();
        assert_eq!((run.results.len(), run.dropped), (1, 1));
        append_result(dir, RUN, &result("VM152", RolloutEnd::Applied)).unwrap();
        let run = read_run(dir, RUN).unwrap();
        assert_eq!((run.results.len(), run.dropped), (2, 1));
        // Nothing that is of no unit of the plan counts.
        append_result(dir, RUN, &result("VM999", RolloutEnd::Applied)).unwrap();
        assert_eq!(read_run(dir, RUN).unwrap().dropped, 2);
    }

    #[test]
    fn runs_are_found_by_what_is_enough_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert_eq!(read_run(dir, "last").unwrap_err(), "no run is kept yet");
        let other = "20261122-000000-aaaaaa";
        for run in [other, RUN, "20261121-120301-5f3a9d"] {
            write_plan(dir, &plan(run, "/i.yaml", &["VM151"])).unwrap();
        }
        // A directory without a plan is no run.
        fs::create_dir(dir.join("rollouts/20261123-000000-aaaaaa")).unwrap();
        for (wanted, run) in [(RUN, RUN), ("20261122", other), ("last", other)] {
            assert_eq!(read_run(dir, wanted).unwrap().plan.run, run, "{wanted}");
        }
        let several = read_run(dir, "20261121").unwrap_err();
        assert_eq!(
            several,
            "the names of 2 runs begin with 20261121: 20261121-120301-5f3a9d, 20261121-120301-5f3a9c"
        );
        assert!(
            read_run(dir, "2025")
                .unwrap_err()
                .contains("history --rollouts")
        );
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "LAST",
            "2026\n",
            "g",
            &"a".repeat(65),
        ] {
            assert!(
                read_run(dir, bad).unwrap_err().contains("names no run"),
                "{bad}"
            );
            let fault = append_result(dir, bad, &result("VM151", RolloutEnd::Applied));
            assert!(fault.unwrap_err().contains("names no run"), "{bad}");
        }
        assert!(write_plan(dir, &plan("../x", "/i.yaml", &[])).is_err());
    }

    #[test]
    fn a_plan_of_another_run_or_version_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        write_plan(dir, &plan(RUN, "/i.yaml", &["VM151"])).unwrap();
        let copy = dir.join("rollouts/20261122-000000-aaaaaa");
        fs::create_dir(&copy).unwrap();
        fs::copy(dir.join("rollouts").join(RUN).join(PLAN), copy.join(PLAN)).unwrap();
        assert!(read_run(dir, "last").unwrap_err().contains("another run"));
        fs::write(copy.join(PLAN), "{\"schema\": \"clawfleet.plan/9\"}").unwrap();
        assert!(read_run(dir, "last").unwrap_err().contains("plan/9"));
        let list = list_runs(dir).unwrap();
        assert_eq!((list.runs.len(), list.unreadable.len()), (1, 1));
    }

    #[test]
    fn lists_say_how_runs_ended() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert_eq!(list_runs(dir).unwrap(), RunList::default());
        write_plan(dir, &plan(RUN, "/i.yaml", &["VM151", "VM152"])).unwrap();
        let summary = || list_runs(dir).unwrap().runs.remove(0);
        append_result(dir, RUN, &result("VM151", RolloutEnd::Applied)).unwrap();
        assert!(!summary().finished);
        let closed = RolloutEnd::NotAttempted("the gate closed".to_owned());
        append_result(dir, RUN, &result("VM152", closed)).unwrap();
        assert!(!summary().finished);
        append_result(dir, RUN, &result("VM152", RolloutEnd::Applied)).unwrap();
        // The head is made anew where it is lost.
        fs::remove_file(dir.join("rollouts").join(RUN).join(HEAD)).unwrap();
        let summary = summary();
        assert!(summary.finished);
        assert_eq!((summary.hosts, summary.units), (2, 2));
        assert_eq!(summary.ends, BTreeMap::from([("applied", 2)]));
        assert_eq!(summary.inventory, "/i.yaml");
    }

    #[test]
    fn old_runs_go_but_not_the_newest_of_an_inventory() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let name = |index: usize| format!("20261121-{index:06}-000000");
        for index in 0..8 {
            let inventory = if index < 2 { "/rare.yaml" } else { "/i.yaml" };
            write_plan(dir, &plan(&name(index), inventory, &["VM151"])).unwrap();
        }
        fs::create_dir(dir.join("rollouts/20200101-000000-000000")).unwrap();
        fs::create_dir(dir.join("rollouts/other")).unwrap();
        prune(&dir.join("rollouts"), 3, "");
        let runs: Vec<RunId> = list_runs(dir)
            .unwrap()
            .runs
            .into_iter()
            .map(|it| it.run)
            .collect();
        assert_eq!(runs, [name(7), name(6), name(5), name(1)]);
        assert!(!dir.join("rollouts/20200101-000000-000000").exists());
        assert!(dir.join("rollouts/other").exists());
    }
}
