//! From observations to a host's place in the report.

use crate::model::{
    Become, Class, Evidence, Finding, Host, HostObservation, HostOutcome, HostReport, Severity,
    Subject, TransportKind, Verdict,
};

/// Judges one host's observation: findings where something was seen, and `not-observed` where
/// nothing or not everything was.
pub fn judge(host: &Host, observation: HostObservation) -> HostReport {
    let mut findings = observation
        .outcome
        .facts()
        .map(|facts| super::diagnose(host, facts))
        .unwrap_or_default();
    let unseen = match &observation.outcome {
        HostOutcome::Observed(_) | HostOutcome::Skipped(_) => None,
        HostOutcome::Cancelled => Some(vec![Evidence::Unseen {
            what: "the host".into(),
            why: "the run was stopped first".into(),
        }]),
        other => other
            .error()
            .map(|error| vec![Evidence::Stage(error.clone())]),
    };
    if let Some(evidence) = unseen {
        let finding = Finding::new(Class::NotObserved, Subject::Host, evidence);
        findings.push(Finding {
            // What is known to be worked on is not reported as trouble, and is shown all the same.
            severity: if host.in_maintenance() {
                Severity::Info
            } else {
                finding.severity
            },
            ..finding
        });
    }
    let mut verdict = super::verdict(&findings);
    if matches!(observation.outcome, HostOutcome::Partial(..))
        && verdict < Verdict::Unknown
        && !host.in_maintenance()
    {
        verdict = Verdict::of(Severity::Unknown);
    }
    HostReport {
        name: host.name.clone(),
        address: host.address.clone(),
        login_command: login_command(host),
        needs_sudo: host.become_root != Become::None,
        unit: host.service.unit.clone(),
        maintenance: host.in_maintenance(),
        checks: host.checks.clone(),
        observation,
        verdict,
        findings,
    }
}

/// The command that an operator would type to log in.
fn login_command(host: &Host) -> String {
    if host.transport == TransportKind::Local {
        return "sh -c".to_owned();
    }
    // An inventory's address and login hold no blanks or control characters, but may hold what a
    // shell reads.
    let target = format!("{}@{}", host.user, host.address);
    let target =
        shlex::try_quote(&target).map_or_else(|_| target.clone(), |quoted| quoted.into_owned());
    match host.port {
        22 => format!("ssh {target}"),
        port => format!("ssh -p {port} {target}"),
    }
}
