//! What a kind of plan decides: what is looked at on a host, and what follows from it.

use super::{Survey, SurveyTarget};
use crate::model::{Facts, Host, Planned};

/// Decides what is looked at and what follows from it. The driver carries the looks out.
pub trait Planning: Send + Sync {
    /// Names what is looked at on a host, or why nothing is.
    fn targets(&self, host: &Host, facts: &Facts) -> Vec<Result<SurveyTarget, Planned>>;

    /// Names what is looked at instead, once the unit's own file was seen: a whole unit is made from it.
    fn refined(
        &self,
        _host: &Host,
        _facts: &Facts,
        _target: &SurveyTarget,
        _survey: &Survey,
    ) -> Option<Result<SurveyTarget, Planned>> {
        None
    }

    /// Plans for one target.
    fn plan(
        &self,
        host: &Host,
        facts: &Facts,
        target: &SurveyTarget,
        survey: Result<Survey, String>,
    ) -> Planned;
}
