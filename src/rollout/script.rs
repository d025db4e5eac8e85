//! Composing what is sent to a host in a rollout.

use crate::model::{Become, RolloutStep, UnitOwner, UnitPlan};
use crate::probe::{self, Header, Nonce, ProbeScript};

const BASE: &str = include_str!("scripts/base.sh");
const SURVEY: &str = include_str!("scripts/survey.sh");
const STEPS: &str = include_str!("scripts/steps.sh");
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
    unit_of(&mut header, request.unit, request.owner);
    header.set("ASK", &request.properties.join(","));
    header.set("SHAPE", shape(request.name));
    header.set(
        "DROP_IN",
        request.name.rsplit('/').next().unwrap_or_default(),
    );
    header.function("planned", &[&["planned_file", request.name]]);
    header.function("planned_text", &[&["printf", "%s", request.text]]);
    outer(
        header.text() + BASE + SURVEY,
        request.owner,
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
    unit_of(&mut header, &plan.unit, &plan.owner);
    header.set("WHO", request.who);
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
    header.set("UNDO", if prepares { UNDO } else { "" });
    let files: Vec<[String; 6]> = plan
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
            ]
        })
        .collect();
    let calls: Vec<Vec<&str>> = files
        .iter()
        .map(|call| call.iter().map(String::as_str).collect())
        .collect();
    let calls: Vec<&[&str]> = calls.iter().map(Vec::as_slice).collect();
    header.function("files", &calls);
    outer(
        header.text() + BASE + STEPS,
        &plan.owner,
        privilege,
        nonce,
        dialogue,
    )
}

fn unit_of(header: &mut Header, unit: &str, owner: &UnitOwner) {
    header.set("UNIT", unit);
    header.set(
        "SCOPE",
        match owner {
            UnitOwner::System => "system",
            UnitOwner::User { .. } => "user",
        },
    );
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
    let uid = match owner {
        UnitOwner::System => 0,
        UnitOwner::User { uid, .. } => *uid,
    };
    let mut header = Header::new(nonce);
    header.set("OWNER_UID", &uid.to_string());
    header.set("BODY", &body);
    let (command, questions) = probe::shell(privilege, dialogue);
    ProbeScript {
        command,
        questions,
        stdin: header.text() + OUTER,
    }
}
