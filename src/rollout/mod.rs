//! L1: the rollout, pure: what is done next to a unit (`machine`) and to the fleet (`waves`), what is sent to a
//! host for it and what its answers mean (`script`, `answer`), and what a plan may say (`validate`).

mod answer;
mod machine;
#[cfg(test)]
mod machine_tests;
mod planning;
mod script;
pub mod validate;
pub mod waves;

pub use answer::{FoundFile, StepAnswer, Survey, SurveyedFile, parse_step, parse_survey};
pub use machine::{Action, Answer, Health, Input, Record, Terms, Way};
pub use planning::Planning;
pub use script::{Beside, StepRequest, SurveyRequest, SurveyTarget, step_script, survey_script};
pub use validate::{check_unit, digest, validate};
pub use waves::{BatchSpec, Gate, MaxFail, waves};
