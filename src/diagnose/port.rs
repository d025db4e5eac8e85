//! The main question: who serves the gateway port, and is that as it should be?

use crate::model::{
    Class, Confidence, Evidence, Facts, Finding, Gateway, Host, HttpError, JournalSignature, Role,
    ScopeWanted, ServiceSpec, Subject, Unit, UnitScope,
};

use super::ownership::{Holder, Ownership, is_manager, is_service_cgroup};
use super::signs::{restarts, subject};

/// Restarts within 10 minutes that make a loop. The slowest loop seen restarts every 22 s, a
/// healthy gateway restarts once for a configuration change.
const LOOP_RESTARTS_10M: u32 = 3;

/// A main process younger than this may still be on its way to its next failure. The longest
/// failing start seen took 40 s cold.
const YOUNG_S: u64 = 120;

/// `EX_CONFIG`: a broken configuration, or a port that another gateway holds.
const EXIT_CONFIG: i32 = 78;

pub(super) fn check(
    host: &Host,
    facts: &Facts,
    gateway: &Gateway,
    ownership: &Ownership<'_>,
) -> Vec<Finding> {
    if host.role == Role::None {
        return Vec::new();
    }
    // A gateway that was started by hand on a port of its own, and that nobody expects there, is in
    // nobody's way.
    if gateway.named.is_none() && gateway.units.is_empty() {
        return Vec::new();
    }
    // With some managers unasked, "no unit manages it" and "no unit runs" would be guesses.
    if !facts.ownership_is_known() {
        return Vec::new();
    }
    let case = Case {
        host,
        service: host.services().find(|service| service.port == gateway.port),
        facts,
        gateway,
        ownership,
    };
    let mut findings = Vec::new();
    match ownership.listening {
        Some(true) => case.listening(&mut findings),
        Some(false) => case.silent(&mut findings),
        // Who listens is not known, so nothing is concluded; `not-permitted` says so.
        None => {}
    }
    findings
}

struct Case<'a> {
    host: &'a Host,
    service: Option<&'a ServiceSpec>,
    facts: &'a Facts,
    gateway: &'a Gateway,
    ownership: &'a Ownership<'a>,
}

impl Case<'_> {
    fn listening(&self, findings: &mut Vec<Finding>) {
        if let Some(holder) = self.ownership.intruder() {
            findings.extend(self.unmanaged(holder));
        } else if let Some(duplicate) = self.duplicate() {
            findings.push(duplicate);
        }
        self.loops(findings);
        findings.extend(self.hung());
    }

    /// A process that no known unit manages holds the port. Whose is it?
    fn unmanaged(&self, holder: &Holder<'_>) -> Option<Finding> {
        let process = holder.process;
        // systemd alone holds the socket of a socket unit until somebody connects.
        if is_manager(process) {
            return None;
        }
        let held = Evidence::PortHolder {
            port: self.gateway.port,
            process: process.clone(),
        };
        let states = || self.gateway.units.iter().map(state);
        if !holder.is_gateway {
            let mut evidence = vec![held];
            evidence.extend(self.http_evidence());
            evidence.extend(states());
            return Some(Finding::new(
                Class::ForeignProcessOnPort,
                Subject::Port(self.gateway.port),
                evidence,
            ));
        }
        if let Some(unit) = holder.cgroup_of {
            let mut evidence = vec![
                held,
                Evidence::InOwnCgroup {
                    pid: process.pid,
                    main_pid: unit.main_pid,
                    cgroup: process.cgroup.clone(),
                },
            ];
            evidence.push(state(unit));
            return Some(Finding::new(
                Class::LeftoverProcess,
                subject(unit),
                evidence,
            ));
        }
        // A manager that could not be asked may well manage it: `not-permitted` speaks.
        let unseen = |uid: &u32| process.cgroup.contains(&format!("/user@{uid}.service/"));
        if self.facts.users_unseen.iter().any(unseen) {
            return None;
        }
        if is_service_cgroup(&process.cgroup) {
            // Without a unit of ours that claims the port, that service is simply where the
            // gateway runs: nobody competes.
            if !self.gateway.units.iter().any(Unit::claims_port) {
                return None;
            }
            // Some manager starts it: another user's, a differently named unit, or a container.
            let mut evidence = vec![
                held,
                Evidence::OtherCgroup {
                    pid: process.pid,
                    cgroup: process.cgroup.clone(),
                },
            ];
            evidence.extend(states());
            return Some(Finding::new(
                Class::DuplicateUnit,
                Subject::Port(self.gateway.port),
                evidence,
            ));
        }
        let mut evidence = vec![
            held,
            Evidence::Unmanaged {
                pid: process.pid,
                units: self
                    .gateway
                    .units
                    .iter()
                    .map(|unit| unit.scope.clone())
                    .collect(),
            },
        ];
        evidence.extend(states());
        for unit in &self.gateway.units {
            if let Some(journal) = unit.journal.known().filter(|known| known.restarts_24h > 0) {
                evidence.push(restarts(unit, journal));
            }
        }
        evidence.extend(self.http_evidence());
        let about = self.principal();
        Some(Finding {
            // Units that could not be asked might manage it after all.
            confidence: if self.facts.units_unseen.is_empty() {
                Confidence::High
            } else {
                Confidence::Medium
            },
            ..Finding::new(
                Class::OrphanHoldsPort,
                about.map_or(Subject::Port(self.gateway.port), subject),
                evidence,
            )
        })
    }

    /// The unit that should serve the port: one that loops for it, or else one that is enabled or
    /// up. A disabled leftover is none, or a remedy would bring it back to life.
    fn principal(&self) -> Option<&Unit> {
        let claims = || self.gateway.units.iter().filter(|unit| unit.claims_port());
        let stopped = || {
            self.gateway
                .units
                .iter()
                .find(|unit| matches!(unit.load_state.as_str(), "loaded" | "masked"))
        };
        // The inventory may say whose unit it is to be.
        let wanted = |unit: &&Unit| {
            self.service
                .is_some_and(|service| match (service.scope, &unit.scope) {
                    (ScopeWanted::System, UnitScope::System) => true,
                    (ScopeWanted::User, UnitScope::User { user, .. }) => {
                        service.owner.as_ref().is_none_or(|owner| owner == user)
                    }
                    _ => false,
                })
        };
        claims()
            .find(wanted)
            .or_else(|| self.looping().next())
            .or_else(|| claims().next())
            .or_else(|| (self.gateway.units.len() == 1).then(stopped).flatten())
    }

    /// The port is managed; does another unit of that name claim it as well?
    fn duplicate(&self) -> Option<Finding> {
        let claims: Vec<&Unit> = self
            .gateway
            .units
            .iter()
            .filter(|unit| unit.port.is_none_or(|port| port == self.gateway.port))
            .filter(|unit| unit.claims_port())
            .filter(|unit| !self.runs_elsewhere(unit))
            .collect();
        if claims.len() < 2 {
            return None;
        }
        let mut evidence: Vec<_> = claims.iter().map(|unit| state(unit)).collect();
        for holder in &self.ownership.holders {
            if let Some(unit) = holder.managed_by {
                evidence.push(Evidence::ManagedBy {
                    pid: holder.process.pid,
                    scope: unit.scope.clone(),
                });
            }
        }
        for unit in &claims {
            if let Some(journal) = unit.journal.known() {
                if journal.restarts_24h > 0 {
                    evidence.push(restarts(unit, journal));
                }
                for kind in [JournalSignature::StaleKilled, JournalSignature::PortTaken] {
                    if let Some((count, line)) = journal.signature(kind) {
                        evidence.push(Evidence::LogLine {
                            text: line.to_owned(),
                            count,
                            hours: 1,
                        });
                        break;
                    }
                }
            }
        }
        Some(Finding::new(
            Class::DuplicateUnit,
            Subject::Port(self.gateway.port),
            evidence,
        ))
    }

    /// A unit that has run for long without holding this port serves another one, whatever its
    /// settings say. The most patient version waits five minutes for a port that is taken.
    fn runs_elsewhere(&self, unit: &Unit) -> bool {
        const LONG_S: u64 = 600;
        unit.sub_state == "running"
            && !self.ownership.manages(unit)
            && self.ownership.listening == Some(true)
            && self.main_age(unit).is_some_and(|age_s| age_s > LONG_S)
    }

    /// Units that restart again and again, whatever the snapshot says of them. One that serves the
    /// port itself, between two ends of its own, crashes: the snapshot fell into its short life.
    fn loops(&self, findings: &mut Vec<Finding>) {
        for unit in self.looping() {
            if self.ownership.manages(unit) && died_by_itself(unit) {
                findings.push(self.ended_badly(unit));
            }
            findings.push(Finding::new(
                Class::RestartLoop,
                subject(unit),
                loop_evidence(unit),
            ));
        }
    }

    fn looping(&self) -> impl Iterator<Item = &Unit> {
        self.gateway
            .units
            .iter()
            .filter(|unit| self.is_looping(unit))
    }

    /// A looping unit reads `active (running)` for most of each cycle, so the state alone does not
    /// show it: a young main process that does not hold the port, with restarts behind it, does.
    fn is_looping(&self, unit: &Unit) -> bool {
        let serves = self.ownership.manages(unit);
        if unit.sub_state == "auto-restart" || unit.sub_state == "auto-restart-queued" {
            // A port that another process holds will fail the next start, too. Otherwise one restart
            // after a clean end (a change of the configuration) is no loop.
            return self.ownership.listening == Some(true) && !serves
                || unit.result != "success"
                || self.restarted_often(unit);
        }
        self.restarted_often(unit) && unit.is_up_or_trying() && self.is_young(unit)
    }

    fn restarted_often(&self, unit: &Unit) -> bool {
        // A start by hand resets the counter: the restarts in the journal are then history.
        if unit.n_restarts == Some(0) {
            return false;
        }
        // A unit whose port another process holds cannot succeed: one restart is a loop's beginning.
        let enough = match self.ownership.listening {
            Some(true) if !self.ownership.manages(unit) => 1,
            _ => LOOP_RESTARTS_10M,
        };
        match unit.journal.known() {
            // A counter that stands while the journal of a day shows nothing means that the journal
            // was not kept.
            Some(journal) if journal.restarts_24h > 0 || unit.n_restarts.is_none() => {
                journal.restarts_10m >= enough
            }
            Some(_) => unit
                .n_restarts
                .is_some_and(|count| count >= LOOP_RESTARTS_10M),
            // Without a journal only the counter is left. It grows for healthy reasons, too, so a
            // unit that serves the port is not accused by it.
            None => {
                unit.n_restarts
                    .is_some_and(|count| count >= LOOP_RESTARTS_10M)
                    && !self.ownership.manages(unit)
            }
        }
    }

    fn is_young(&self, unit: &Unit) -> bool {
        self.main_age(unit).is_none_or(|age_s| age_s < YOUNG_S)
    }

    fn main_age(&self, unit: &Unit) -> Option<u64> {
        self.facts.process(unit.main_pid)?.age_s
    }

    /// The port is open; does a gateway answer there?
    fn hung(&self) -> Option<Finding> {
        let holder = self
            .ownership
            .holders
            .iter()
            .find(|holder| holder.is_gateway || holder.managed_by.is_some());
        // Only a gateway can hang, by its name or because the gateway's unit manages it; a foreign
        // server that is silent is foreign, no more.
        if holder.is_none() && !self.ownership.hidden_holders {
            return None;
        }
        let mut evidence = match self.gateway.http.health.as_ref()? {
            Ok(answer) if answer.status >= 500 => vec![Evidence::HttpAnswered(answer.clone())],
            Err(HttpError::NoAnswer { waited_ms }) => vec![Evidence::HttpSilent {
                waited_ms: *waited_ms,
            }],
            Err(HttpError::Broken(how)) => vec![Evidence::HttpBroken(how.clone())],
            // Where so many wait that no more can, the question does not even get in.
            Err(HttpError::NotAsked(_)) if self.queue().is_some() => Vec::new(),
            Ok(_) => return self.not_ready(holder?),
            Err(HttpError::Refused | HttpError::NotAsked(_)) => return None,
        };
        evidence.extend(self.queue());
        if let Some(holder) = holder {
            let process = holder.process;
            // It listens before it is ready: the event loop of a fresh gateway is busy for seconds.
            if process.age_s.is_some_and(|age_s| age_s < 30) {
                return Some(self.starting(process.age_s.unwrap_or(0), holder.managed_by));
            }
            evidence.push(Evidence::PortHolder {
                port: self.gateway.port,
                process: process.clone(),
            });
            if let Some(state) = process.state.filter(|state| matches!(state, 'T' | 'D')) {
                evidence.push(Evidence::ProcessState {
                    pid: process.pid,
                    state,
                });
            }
        }
        let about = holder.and_then(|holder| holder.managed_by);
        Some(Finding::new(
            Class::GatewayHung,
            about.map_or(Subject::Port(self.gateway.port), subject),
            evidence,
        ))
    }

    /// The queue of connections that nobody accepts, where it is full.
    fn queue(&self) -> Option<Evidence> {
        self.gateway.listeners.known()?.iter().find_map(|listener| {
            let (waiting, backlog) = (listener.waiting?, listener.backlog?);
            (waiting > 0 && waiting >= backlog).then_some(Evidence::Queue { waiting, backlog })
        })
    }

    /// It lives, and says that it is not ready. While it is young that is its start; of an older one
    /// nothing is concluded, for what fails then may well be a channel's far end.
    fn not_ready(&self, holder: &Holder<'_>) -> Option<Finding> {
        let ready = self.gateway.http.ready.as_ref()?;
        let age_s = holder.process.age_s?;
        if ready.ready || age_s >= self.host.thresholds.startup_grace.as_secs() {
            return None;
        }
        let mut finding = self.starting(age_s, holder.managed_by);
        finding.evidence.push(Evidence::NotReady {
            failing: ready.failing.clone(),
        });
        Some(finding)
    }

    /// Nobody listens. Is it stopped, starting, crashing, or refused?
    fn silent(&self, findings: &mut Vec<Finding>) {
        findings.extend(self.duplicate());
        let troubled: Vec<&Unit> = self
            .gateway
            .units
            .iter()
            .filter(|unit| {
                self.is_looping(unit) || (unit.active_state == "failed" && !was_stopped(unit))
            })
            .collect();
        for unit in &troubled {
            findings.push(self.ended_badly(unit));
            if self.is_looping(unit) {
                findings.push(Finding::new(
                    Class::RestartLoop,
                    subject(unit),
                    loop_evidence(unit),
                ));
            }
        }
        if !troubled.is_empty() {
            return;
        }
        let trying = self
            .gateway
            .units
            .iter()
            .find(|unit| unit.is_up_or_trying() && unit.active_state != "deactivating");
        if let Some(unit) = trying {
            let grace_s = self.host.thresholds.startup_grace.as_secs();
            let young = match self.main_age(unit) {
                Some(age_s) => age_s < grace_s,
                // It has no main process yet, or that one was replaced while the probe looked. A
                // unit that is active without one (`exited`) starts nothing any more.
                None => {
                    let long = unit.in_state_s.is_some_and(|age_s| age_s > grace_s);
                    unit.main_pid != 0 || (unit.active_state == "activating" && !long)
                }
            };
            if young {
                findings.push(self.starting(self.main_age(unit).unwrap_or(0), Some(unit)));
                return;
            }
        }
        let mut evidence = vec![Evidence::NobodyListens {
            port: self.gateway.port,
        }];
        evidence.extend(self.gateway.units.iter().map(state));
        if let Some((unit, age_s)) = trying.and_then(|unit| Some((unit, self.main_age(unit)?))) {
            evidence.push(Evidence::UnitAge {
                scope: unit.scope.clone(),
                age_s,
            });
        }
        let about = self.principal();
        findings.push(Finding {
            confidence: if self.facts.units_unseen.is_empty() {
                Confidence::High
            } else {
                Confidence::Medium
            },
            ..Finding::new(
                Class::GatewayDown,
                about.map_or(Subject::Port(self.gateway.port), subject),
                evidence,
            )
        });
    }

    fn starting(&self, age_s: u64, unit: Option<&Unit>) -> Finding {
        let scope = unit.map_or(UnitScope::System, |unit| unit.scope.clone());
        Finding::new(
            Class::GatewayStarting,
            unit.map_or(Subject::Port(self.gateway.port), subject),
            vec![Evidence::UnitAge { scope, age_s }],
        )
    }

    /// A unit that failed or loops while nobody listens: did the gateway refuse its configuration,
    /// or did it die? Status 78 means both "port taken" and "configuration", and nobody listens.
    fn ended_badly(&self, unit: &Unit) -> Finding {
        let journal = unit.journal.known();
        let refused =
            journal.and_then(|journal| journal.signature(JournalSignature::ConfigRefused));
        let mut evidence = vec![state(unit)];
        if self.ownership.listening == Some(false) {
            evidence.insert(
                0,
                Evidence::NobodyListens {
                    port: self.gateway.port,
                },
            );
        }
        let line = |kind| {
            let (count, text) = journal?.signature(kind)?;
            Some(Evidence::LogLine {
                text: text.to_owned(),
                count,
                hours: 1,
            })
        };
        if refused.is_some() || unit.exec_main_status == Some(EXIT_CONFIG) {
            let confidence = if refused.is_some() {
                Confidence::High
            } else {
                Confidence::Medium
            };
            evidence.extend(line(JournalSignature::ConfigRefused));
            return Finding {
                confidence,
                ..Finding::new(Class::ConfigError, subject(unit), evidence)
            };
        }
        if let Some(journal) = journal.filter(|journal| journal.restarts_24h > 0) {
            evidence.push(restarts(unit, journal));
        }
        evidence.extend(line(JournalSignature::OutOfMemory));
        evidence.extend(line(JournalSignature::MainExited));
        Finding::new(Class::TrueCrash, subject(unit), evidence)
    }

    fn http_evidence(&self) -> Option<Evidence> {
        match self.gateway.http.health.as_ref()? {
            Ok(answer) => Some(Evidence::HttpAnswered(answer.clone())),
            Err(HttpError::NoAnswer { waited_ms }) => Some(Evidence::HttpSilent {
                waited_ms: *waited_ms,
            }),
            Err(HttpError::Broken(how)) => Some(Evidence::HttpBroken(how.clone())),
            Err(HttpError::Refused | HttpError::NotAsked(_)) => None,
        }
    }
}

/// Whether the last end in the journal was an error of the gateway's own: a signal or a status
/// that is neither success nor one that speaks of the port or the configuration.
fn died_by_itself(unit: &Unit) -> bool {
    let Some(journal) = unit.journal.known() else {
        return false;
    };
    let taken = journal.signature(JournalSignature::PortTaken).is_some();
    let exited = journal.signature(JournalSignature::MainExited);
    let by_request = ["status=0/", "status=143", "status=15/TERM"];
    !taken && exited.is_some_and(|(_, line)| !by_request.iter().any(|end| line.contains(end)))
}

/// Whether a unit reads `failed` only because it was stopped: a gateway ends with 143 on SIGTERM,
/// which a unit without `SuccessExitStatus=143` takes for a failure.
fn was_stopped(unit: &Unit) -> bool {
    matches!(
        (unit.exec_main_code, unit.exec_main_status),
        (Some(1), Some(143)) | (Some(2), Some(15))
    )
}

pub(super) fn state(unit: &Unit) -> Evidence {
    Evidence::UnitState {
        name: unit.name.clone(),
        scope: unit.scope.clone(),
        active: unit.active_state.clone(),
        sub: unit.sub_state.clone(),
        result: unit.result.clone(),
        file_state: unit.unit_file_state.clone(),
        status: unit.exec_main_status,
        n_restarts: unit.n_restarts,
    }
}

fn loop_evidence(unit: &Unit) -> Vec<Evidence> {
    let mut evidence = vec![state(unit)];
    if let Some(journal) = unit.journal.known() {
        evidence.push(restarts(unit, journal));
        let why = journal
            .signature(JournalSignature::PortTaken)
            .or_else(|| journal.signature(JournalSignature::MainExited));
        if let Some((count, line)) = why {
            evidence.push(Evidence::LogLine {
                text: line.to_owned(),
                count,
                hours: 1,
            });
        }
    }
    evidence
}
