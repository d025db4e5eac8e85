//! L1: the rollout, pure: what is done next to a unit (`machine`), what is sent to a host for it and what its
//! answers mean (`script`, `answer`).

mod answer;
mod machine;
mod script;

pub use answer::{FoundFile, StepAnswer, Survey, SurveyedFile, digest, parse_step, parse_survey};
pub use machine::{Action, Answer, Health, Input, Record, Terms, Way};
pub use script::{StepRequest, SurveyRequest, step_script, survey_script};
