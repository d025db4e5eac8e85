//! From observations to a host's place in the report.

use crate::model::{
    BecomeHow, Class, Evidence, Finding, Host, HostObservation, HostOutcome, HostReport, Route,
    Severity, SshFiles, Subject, TransportKind, Verdict,
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
        address: host.ssh.host_name.clone(),
        login_command: login_command(host),
        needs_sudo: host.privilege.how != BecomeHow::None,
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
    let quoted = |word: &str| {
        shlex::try_quote(word).map_or_else(|_| word.to_owned(), |quoted| quoted.into_owned())
    };
    let request = &host.ssh_request;
    let said = |keyword: &str| {
        let mut options = request.options.iter();
        options.find(|option| option.keyword.eq_ignore_ascii_case(keyword))
    };
    let mut words = vec!["ssh".to_owned()];
    match &request.files {
        SshFiles::Usual => {}
        SshFiles::None => words.push("-F none".to_owned()),
        SshFiles::Only(file) => words.push(format!("-F {}", quoted(&file.display().to_string()))),
    }
    if let Some(jump) = said("ProxyJump") {
        words.push(format!("-J {}", quoted(&jump.value)));
    }
    if host.ssh.port != 22 {
        words.push(format!("-p {}", host.ssh.port));
    }
    // A way that OpenSSH's files know is theirs by the name that they know.
    let by_name = host.ssh.route != Route::Direct && said("ProxyJump").is_none();
    let name = if by_name {
        if said("HostName").is_some() {
            words.push(format!("-o HostName={}", quoted(&host.ssh.host_name)));
        }
        &host.ssh.name
    } else {
        &host.ssh.host_name
    };
    words.push(match host.ssh.user.as_str() {
        "" => quoted(name),
        user => quoted(&format!("{user}@{name}")),
    });
    words.join(" ")
}
