//! Composing what is sent to a host in a rollout.

use crate::model::{Act, Become, Class, RolloutStep, Standing, UnitOwner, UnitPlan};
use crate::probe::{self, Header, Nonce, ProbeScript};

const BASE: &str = include_str!("scripts/base.sh");
const SURVEY: &str = include_str!("scripts/survey.sh");
const ACTS: &str = include_str!("scripts/acts.sh");
const STEPS: &str = include_str!("scripts/steps.sh");
const COMMON: &str = include_str!("scripts/common.sh");
const UNDO: &str = include_str!("scripts/undo.sh");
const OUTER: &str = include_str!("scripts/outer.sh");

/// What is looked at for a plan.
#[derive(Debug, Clone, Copy)]
pub struct SurveyRequest<'a> {
    /// The unit.
    pub unit: &'a str,
    /// Whose manager it belongs to.
    pub owner: &'a UnitOwner,
    /// The file that is planned, relative to the directory of units, e.g. `x.service.d/50-clawfleet.conf`.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
    /// The properties that it changes, as `systemctl show` names them.
    pub properties: &'a [String],
    /// What a fix has to know beside.
    pub beside: &'a Beside,
}

/// What a fix looks at beside the unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// Processes that it may end.
    pub processes: Vec<u32>,
    /// Files that it may put aside.
    pub files: Vec<String>,
    /// Configurations that it may change, and whose they are.
    pub texts: Vec<(String, u32)>,
    /// Whether root looks, though the unit is a user's.
    pub by_root: bool,
}

/// What is looked at, and whatever the planner needs to know of it afterwards.
#[derive(Debug, Clone)]
pub struct SurveyTarget {
    /// The unit.
    pub unit: String,
    /// Whose manager it belongs to.
    pub owner: UnitOwner,
    /// The gateway's port.
    pub port: u16,
    /// The planned file, relative to the directory of units.
    pub name: String,
    /// Its text; `None` where nothing is to stand there.
    pub text: Option<String>,
    /// The properties to look at.
    pub properties: Vec<String>,
    /// What a fix has to know beside.
    pub beside: Beside,
}

/// A step of a rollout.
#[derive(Debug, Clone, Copy)]
pub struct StepRequest<'a> {
    /// The run's name.
    pub run: &'a str,
    /// Who runs it: `user@bastion`.
    pub who: &'a str,
    /// The step.
    pub step: RolloutStep,
    /// What is done.
    pub plan: &'a UnitPlan,
    /// After how many seconds the host undoes by itself; `None` arms nothing.
    pub undo_after_s: Option<u64>,
    /// The properties that are looked at afterwards.
    pub properties: &'a [String],
}

/// Composes a look at one unit. It writes nothing on the host.
pub fn survey_script(
    request: SurveyRequest<'_>,
    privilege: &Become,
    nonce: &Nonce,
    dialogue: &Nonce,
) -> ProbeScript {
    let mut header = Header::new(nonce);
    header.set("RUN", "-");
    let by_root = request.beside.by_root;
    unit_of(&mut header, request.unit, request.owner, by_root);
    header.set("ASK", &request.properties.join(","));
    header.set("SHAPE", shape(request.name));
    header.set(
        "DROP_IN",
        request.name.rsplit('/').next().unwrap_or_default(),
    );
    header.function("planned", &[&["planned_file", request.name]]);
    header.function("planned_text", &[&["printf", "%s", request.text]]);
    let pids: Vec<String> = request
        .beside
        .processes
        .iter()
        .map(u32::to_string)
        .collect();
    let processes = pids.iter().map(|pid| ["look_process", pid]);
    let files = request.beside.files.iter().map(|path| ["look_file", path]);
    let owners: Vec<String> = request
        .beside
        .texts
        .iter()
        .map(|(_, uid)| uid.to_string())
        .collect();
    let texts = request.beside.texts.iter().zip(&owners);
    let texts = texts.map(|((path, _), uid)| vec!["look_text", path.as_str(), uid.as_str()]);
    let looks: Vec<Vec<&str>> = processes.chain(files).map(Vec::from).chain(texts).collect();
    let looks: Vec<&[&str]> = looks.iter().map(Vec::as_slice).collect();
    header.function("beside", &looks);
    outer(
        header.text() + BASE + COMMON + SURVEY,
        if by_root {
            &UnitOwner::System
        } else {
            request.owner
        },
        privilege,
        nonce,
        dialogue,
    )
}

/// Composes a step.
pub fn step_script(
    request: StepRequest<'_>,
    privilege: &Become,
    nonce: &Nonce,
    dialogue: &Nonce,
) -> ProbeScript {
    let plan = request.plan;
    let mut header = Header::new(nonce);
    header.set("RUN", request.run);
    let by_root = plan.remedy.as_ref().is_some_and(|remedy| remedy.by_root);
    unit_of(&mut header, &plan.unit, &plan.owner, by_root);
    header.set("WHO", request.who);
    header.set("HOST", &plan.host);
    // What was well and is restarted has to run still when its turn comes, and what was down and is started has to
    // be down still. Where two units fight for a port it may be either just then.
    let acts = plan.remedy.iter().any(|remedy| !remedy.acts.is_empty());
    let mut mended = plan.remedy.iter().flat_map(|remedy| &remedy.classes);
    let was_down =
        plan.before == Standing::Off || mended.any(|class| class == Class::GatewayDown.id());
    let expected = match plan.before {
        _ if acts || !plan.restart => "",
        Standing::Well => "active",
        _ if was_down => "inactive failed",
        _ => "",
    };
    header.set("EXPECT", expected);
    header.set(
        "STEP",
        match request.step {
            RolloutStep::Prepare => "prepare",
            RolloutStep::Apply => "apply",
            RolloutStep::Disarm => "disarm",
            RolloutStep::Undo => "undo",
            // The gateway itself is looked at by the probe.
            RolloutStep::Look | RolloutStep::Verify | RolloutStep::VerifyUndo => "look",
        },
    );
    let seconds = request.undo_after_s.map(|seconds| seconds.to_string());
    header.set("ARM", seconds.as_deref().unwrap_or_default());
    let yes = |wanted: bool| if wanted { "yes" } else { "no" };
    header.set("ENABLE", yes(plan.enable));
    header.set("RESTART", yes(plan.restart));
    header.set("ASK", &request.properties.join(","));
    let prepares = request.step == RolloutStep::Prepare;
    // Only the first step needs them; the others read what it left.
    let undo = if prepares {
        format!("{COMMON}{UNDO}")
    } else {
        String::new()
    };
    header.set("UNDO", &undo);
    let files: Vec<[String; 7]> = plan
        .files
        .iter()
        .filter(|_| prepares)
        .map(|file| {
            let digest = |content: &Option<crate::model::FileContent>| {
                content
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), |content| content.digest.clone())
            };
            let after = file.after.as_ref();
            [
                "planned_file".to_owned(),
                file.path.clone(),
                digest(&file.before),
                digest(&file.after),
                after.map_or_else(|| "0".to_owned(), |after| format!("{:o}", after.mode)),
                after.map(|after| after.text.clone()).unwrap_or_default(),
                after.map_or_else(
                    || "-".to_owned(),
                    |after| format!("{}:{}", after.uid, after.gid),
                ),
            ]
        })
        .collect();
    let calls: Vec<Vec<&str>> = files
        .iter()
        .map(|call| call.iter().map(String::as_str).collect())
        .collect();
    let calls: Vec<&[&str]> = calls.iter().map(Vec::as_slice).collect();
    header.function("files", &calls);
    let acts = plan.remedy.iter().flat_map(|remedy| &remedy.acts);
    let acts: Vec<Vec<String>> = acts.map(call).collect();
    let acts: Vec<Vec<&str>> = acts
        .iter()
        .map(|call| call.iter().map(String::as_str).collect())
        .collect();
    let acts: Vec<&[&str]> = acts.iter().map(Vec::as_slice).collect();
    header.function("acts", &acts);
    let body = header.text() + BASE + COMMON;
    let body = if acts.is_empty() { body } else { body + ACTS };
    outer(
        body + STEPS,
        if by_root {
            &UnitOwner::System
        } else {
            &plan.owner
        },
        privilege,
        nonce,
        dialogue,
    )
}

/// An act as the script's functions take it.
fn call(act: &Act) -> Vec<String> {
    let words: Vec<String> = match act {
        Act::EndProcess(process) => vec![
            "act_end".into(),
            process.pid.to_string(),
            process.start_ticks.to_string(),
            process.exe.clone(),
            process.cgroup.clone(),
            process.port.to_string(),
        ],
        Act::Retire {
            unit,
            owner,
            path,
            digest,
        } => vec![
            "act_retire".into(),
            unit.clone(),
            scope(owner).into(),
            uid(owner).to_string(),
            path.clone(),
            digest.clone(),
        ],
        Act::Linger { user, .. } => vec!["act_linger".into(), user.clone()],
        Act::Configure {
            path,
            uid,
            before,
            after,
            splices,
            ..
        } => {
            let head = [
                "act_configure".into(),
                path.clone(),
                uid.to_string(),
                before.clone(),
                after.clone(),
            ];
            let splices = splices.iter().flat_map(|splice| {
                [
                    splice.at.to_string(),
                    splice.removed.to_string(),
                    splice.inserted.clone(),
                ]
            });
            head.into_iter().chain(splices).collect()
        }
        Act::Mode {
            path,
            uid,
            before,
            after,
        } => vec![
            "act_mode".into(),
            path.clone(),
            uid.to_string(),
            format!("{before:o}"),
            format!("{after:o}"),
        ],
    };
    words
}

fn scope(owner: &UnitOwner) -> &'static str {
    match owner {
        UnitOwner::System => "system",
        UnitOwner::User { .. } => "user",
    }
}

fn uid(owner: &UnitOwner) -> u32 {
    match owner {
        UnitOwner::System => 0,
        UnitOwner::User { uid, .. } => *uid,
    }
}

fn unit_of(header: &mut Header, unit: &str, owner: &UnitOwner, by_root: bool) {
    header.set("UNIT", unit);
    header.set("SCOPE", scope(owner));
    header.set("BY", if by_root { "root" } else { "owner" });
    header.set("MANAGER_UID", &uid(owner).to_string());
}

fn shape(name: &str) -> &'static str {
    if name.contains('/') {
        "drop-in"
    } else {
        "unit"
    }
}

/// Puts a script into one that becomes the unit's owner first.
fn outer(
    body: String,
    owner: &UnitOwner,
    privilege: &Become,
    nonce: &Nonce,
    dialogue: &Nonce,
) -> ProbeScript {
    let mut header = Header::new(nonce);
    header.set("OWNER_UID", &uid(owner).to_string());
    header.set("BODY", &body);
    let (command, questions) = probe::shell(privilege, dialogue);
    ProbeScript {
        command,
        questions,
        stdin: header.text() + OUTER,
    }
}
