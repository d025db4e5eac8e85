//! The JSON of plans.

use schemars::JsonSchema;
use serde::Serialize;

use super::{WireError, error};
use crate::model::{Act, DiffLine, Exposure, FileChange, FileContent, Planned, Purpose, UnitPlan};
use crate::report::plan_view::{PlanCounts, PlanReport, counts, file_diff, groups};

/// `clawfleet.plan-report/1`: what would be changed. It is for reading; what `--out` writes can be
/// carried out.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::report) struct WirePlanReport {
    /// `clawfleet.plan-report/1`.
    schema: &'static str,
    /// The run's name.
    run: String,
    purpose: WirePurpose,
    /// Whether it was only looked (`--check`).
    check_only: bool,
    summary: WirePlanSummary,
    /// In the inventory's order, one for each unit, or for the host where its units are not known.
    entries: Vec<WirePlanEntry>,
}

/// Counts of hosts, but for `ways` and `restarts`. A host with several units can be under `change`
/// and under `refused`.
#[derive(Debug, Serialize, JsonSchema)]
struct WirePlanSummary {
    hosts: usize,
    /// Hosts on which something is changed.
    change: usize,
    /// How many different changes there are.
    ways: usize,
    /// Units that are restarted.
    restarts: usize,
    /// Hosts on which nothing has to be changed.
    nothing: usize,
    refused: usize,
    not_observed: usize,
}

/// What a run is for.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::report) struct WirePurpose {
    /// `harden`, `rollback`, `fix` or `restart`.
    kind: &'static str,
    /// Of `harden`: the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    /// Of `rollback`: the run whose changes are put back.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WirePlanEntry {
    host: String,
    /// `change`, `nothing`, `refused` or `not-observed`.
    status: &'static str,
    /// The unit's name; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    /// Of a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<WireChange>,
    /// Why nothing is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// What helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Of a host that was not observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<WireError>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireChange {
    /// The same for all units with the same change.
    key: String,
    /// `system`, or `user NAME`.
    owner: String,
    port: u16,
    /// In the order in which they are written or removed.
    files: Vec<WireFileChange>,
    /// What changes in systemd's eyes.
    settings: Vec<WireSetting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exposure: Option<WireExposure>,
    /// Whether the unit is enabled.
    enable: bool,
    /// Whether it is restarted, or started where it does not run.
    restart: bool,
    notes: Vec<String>,
    /// Of a fix: the classes of findings that it mends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mends: Vec<String>,
    /// Of a fix: what is done beside files, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    acts: Vec<WireAct>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireAct {
    /// `end-process`, `retire-unit`, `linger` or `mode`.
    kind: &'static str,
    /// A sentence.
    what: String,
    /// Of `end-process`: the process's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    /// Of `end-process`: when it started, in clock ticks since boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    start_ticks: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireFileChange {
    path: String,
    /// Absent where there is no file yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<WireContent>,
    /// Absent where the file is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<WireContent>,
    /// A unified diff without the lines that name files.
    diff: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireContent {
    /// SHA-256 in hex.
    digest: String,
    /// Permissions in octal.
    mode: String,
    uid: u32,
    gid: u32,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireSetting {
    name: String,
    now: String,
    then: String,
    /// Whether only a restart brings it to a running process.
    by_restart: bool,
}

/// What `systemd-analyze security` says, from 0.0 to 10.0; less is better.
#[derive(Debug, Serialize, JsonSchema)]
struct WireExposure {
    before: f64,
    /// Absent where the host's systemd cannot tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<f64>,
}

impl WirePlanReport {
    pub(in crate::report) fn of(report: &PlanReport<'_>) -> Self {
        let mut keys: Vec<Option<String>> = vec![None; report.entries.len()];
        for group in groups(report) {
            for at in group.entries {
                if let Some(key) = keys.get_mut(at) {
                    *key = Some(group.key.clone());
                }
            }
        }
        let PlanCounts {
            hosts,
            change,
            ways,
            restarts,
            nothing,
            refused,
            not_observed,
        } = counts(report);
        Self {
            schema: "clawfleet.plan-report/1",
            run: report.run.to_owned(),
            purpose: WirePurpose::of(report.purpose),
            check_only: report.check_only,
            summary: WirePlanSummary {
                hosts,
                change,
                ways,
                restarts,
                nothing,
                refused,
                not_observed,
            },
            entries: report
                .entries
                .iter()
                .zip(keys)
                .map(|((host, planned), key)| entry(host, planned, key.unwrap_or_default()))
                .collect(),
        }
    }
}

impl WirePurpose {
    pub(in crate::report) fn of(purpose: &Purpose) -> Self {
        match purpose {
            Purpose::Harden { profile } => Self {
                kind: "harden",
                profile: Some(profile.clone()),
                run: None,
            },
            Purpose::Rollback { run } => Self {
                kind: "rollback",
                profile: None,
                run: Some(run.clone()),
            },
            Purpose::Fix => Self {
                kind: "fix",
                profile: None,
                run: None,
            },
            Purpose::Restart => Self {
                kind: "restart",
                profile: None,
                run: None,
            },
        }
    }
}

fn entry(host: &str, planned: &Planned, key: String) -> WirePlanEntry {
    let mut entry = WirePlanEntry {
        host: host.to_owned(),
        status: "change",
        unit: None,
        change: None,
        why: None,
        hint: None,
        error: None,
    };
    match planned {
        Planned::Change(unit) => {
            entry.unit = Some(unit.unit.clone());
            entry.change = Some(change(unit, key));
        }
        Planned::Nothing { unit, why } => {
            entry.status = "nothing";
            entry.unit = Some(unit.clone());
            entry.why = Some(why.clone());
        }
        Planned::Refused(refusal) => {
            entry.status = "refused";
            entry.unit.clone_from(&refusal.unit);
            entry.why = Some(refusal.why.clone());
            entry.hint.clone_from(&refusal.hint);
        }
        Planned::NotObserved(fault) => {
            entry.status = "not-observed";
            entry.error = Some(error(fault));
        }
    }
    entry
}

fn change(unit: &UnitPlan, key: String) -> WireChange {
    let settings = unit.settings.iter();
    WireChange {
        key,
        owner: unit.owner.to_string(),
        port: unit.port,
        files: unit.files.iter().map(file).collect(),
        settings: settings
            .map(|setting| WireSetting {
                name: setting.name.clone(),
                now: setting.now.clone(),
                then: setting.then.clone(),
                by_restart: setting.by_restart,
            })
            .collect(),
        exposure: unit.exposure.map(|Exposure { before, after }| {
            let tenths = |number: u32| f64::from(number) / 10.0;
            WireExposure {
                before: tenths(before),
                after: after.map(tenths),
            }
        }),
        enable: unit.enable,
        restart: unit.restart,
        notes: unit.notes.clone(),
        mends: unit
            .remedy
            .as_ref()
            .map(|remedy| remedy.classes.clone())
            .unwrap_or_default(),
        acts: unit
            .remedy
            .iter()
            .flat_map(|remedy| &remedy.acts)
            .map(act)
            .collect(),
    }
}

fn act(act: &Act) -> WireAct {
    let process = match act {
        Act::EndProcess(process) => Some(process),
        _ => None,
    };
    WireAct {
        kind: match act {
            Act::EndProcess(_) => "end-process",
            Act::Retire { .. } => "retire-unit",
            Act::Linger { .. } => "linger",
            Act::Configure { .. } => "configure",
            Act::Mode { .. } => "mode",
        },
        what: act.to_string(),
        pid: process.map(|process| process.pid),
        start_ticks: process.map(|process| process.start_ticks),
    }
}

fn file(file: &FileChange) -> WireFileChange {
    let content = |content: &FileContent| WireContent {
        digest: content.digest.clone(),
        mode: format!("{:04o}", content.mode),
        uid: content.uid,
        gid: content.gid,
    };
    let lines = file_diff(file);
    let lines = lines.iter().map(|line| match line {
        DiffLine::Hunk(text) => format!("{text}\n"),
        DiffLine::Same(text) => format!(" {text}\n"),
        DiffLine::Removed(text) => format!("-{text}\n"),
        DiffLine::Added(text) => format!("+{text}\n"),
    });
    WireFileChange {
        path: file.path.clone(),
        before: file.before.as_ref().map(content),
        after: file.after.as_ref().map(content),
        diff: lines.collect(),
    }
}
