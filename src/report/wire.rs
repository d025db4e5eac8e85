//! The JSON shapes that scripts rely on, apart from the types that the program works with.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::words;
use crate::model::{
    Facts, Finding, FleetFinding, HostError, HostReport, HttpError, HttpRoute, Observed, Report,
    Seen, UnitScope,
};

/// `clawfleet.report/1`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct WireReport {
    /// `clawfleet.report/1`.
    schema: &'static str,
    /// When the run began, RFC 3339 in UTC.
    started_at: String,
    /// How long it took, in ms.
    elapsed_ms: u64,
    /// `ok`, `warning`, `unknown` or `critical`.
    verdict: &'static str,
    /// Whether the operator stopped it early.
    interrupted: bool,
    summary: WireSummary,
    /// In the inventory's order.
    hosts: Vec<WireHost>,
    fleet_findings: Vec<WireFleetFinding>,
}

/// Counts of hosts; they add up to `hosts`.
#[derive(Debug, Serialize, JsonSchema)]
struct WireSummary {
    hosts: usize,
    ok: usize,
    warning: usize,
    critical: usize,
    not_observed: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireHost {
    name: String,
    address: String,
    /// `observed`, `partial`, `unreachable`, `auth-failed`, `host-key-rejected`, `timed-out`,
    /// `failed`, `cancelled` or `skipped`.
    outcome: &'static str,
    /// `ok`, `warning`, `unknown` or `critical`.
    verdict: &'static str,
    elapsed_ms: u64,
    /// Time in each stage, in ms.
    stages_ms: BTreeMap<&'static str, u64>,
    /// Where and why it went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<WireError>,
    /// What was seen; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<WireFacts>,
    /// Worst first, causes before consequences.
    findings: Vec<WireFinding>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireError {
    /// `dns`, `tcp`, `banner`, `kex`, `host-key`, `auth`, `channel`, `become`, `exec`, `parse` or
    /// `deadline`.
    stage: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// How long that stage had lasted, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    after_ms: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireFinding {
    class: &'static str,
    severity: &'static str,
    /// `low`, `medium` or `high`.
    confidence: &'static str,
    subject: String,
    title: &'static str,
    evidence: Vec<String>,
    /// A command that helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    /// The class on the same host that explains this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireFleetFinding {
    class: &'static str,
    severity: &'static str,
    hosts: Vec<String>,
    evidence: Vec<String>,
}

/// What was seen. A key that is absent was not seen; `unseen` says why.
#[derive(Debug, Serialize, JsonSchema)]
struct WireFacts {
    os: Option<String>,
    kernel: Option<String>,
    systemd: Option<u32>,
    hostname: Option<String>,
    uptime_s: Option<u64>,
    /// The host's clock, seconds since the epoch.
    clock_s: Option<u64>,
    login: WireLogin,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    listeners: Option<Vec<WireListener>>,
    processes: Vec<WireProcess>,
    units: Vec<WireUnit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<WireHttp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<WireConfig>,
    /// What could not be seen, and why.
    unseen: Vec<WireUnseen>,
    /// Lines of the probe's output that made no sense.
    parse_issues: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireLogin {
    user: String,
    uid: Option<u32>,
    journal: bool,
    sees_processes: Option<bool>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireListener {
    address: String,
    port: u16,
    uid: u32,
    /// The processes that hold the socket; absent where they are hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pids: Option<Vec<u32>>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireProcess {
    pid: u32,
    ppid: u32,
    uid: Option<u32>,
    comm: String,
    argv: Vec<String>,
    /// Clock ticks since boot.
    start_ticks: u64,
    age_s: Option<u64>,
    cgroup: String,
    state: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireUnit {
    name: String,
    /// `system` or `user NAME`.
    scope: String,
    /// Whether its manager told, or only its file was read.
    from_manager: bool,
    load_state: String,
    active_state: String,
    sub_state: String,
    result: String,
    unit_file_state: String,
    main_pid: u32,
    n_restarts: Option<u32>,
    exec_main_status: Option<i32>,
    exec_main_code: Option<i32>,
    control_group: String,
    fragment_path: String,
    kill_mode: String,
    restart: String,
    /// The gateway port that its command line or environment names.
    port: Option<u16>,
    linger: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    journal: Option<WireJournal>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireJournal {
    restarts_10m: u32,
    restarts_1h: u32,
    restarts_24h: u32,
    failed_1h: u32,
    /// Whether the counts are lower bounds.
    capped: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireHttp {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_gateway: Option<bool>,
    /// `forwarded`, `on-host` or `direct`.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireConfig {
    path: String,
    primary: Option<String>,
    fallbacks: Vec<String>,
    listed: Vec<String>,
    providers: Vec<String>,
    mode: Option<String>,
    bind: Option<String>,
    port: Option<String>,
    auth_mode: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireUnseen {
    what: String,
    why: String,
}

impl WireReport {
    pub(super) fn of(report: &Report) -> Self {
        let summary = report.summary();
        Self {
            schema: "clawfleet.report/1",
            started_at: report.started_at.to_string(),
            elapsed_ms: report.elapsed_ms,
            verdict: report.verdict().id(),
            interrupted: report.interrupted,
            summary: WireSummary {
                hosts: summary.hosts,
                ok: summary.ok,
                warning: summary.warning,
                critical: summary.critical,
                not_observed: summary.not_observed,
            },
            hosts: report.hosts.iter().map(host).collect(),
            fleet_findings: report.fleet_findings.iter().map(fleet_finding).collect(),
        }
    }
}

fn host(host: &HostReport) -> WireHost {
    let observation = &host.observation;
    let mut stages_ms = BTreeMap::new();
    for (stage, time) in &observation.stages.0 {
        *stages_ms.entry(stage.id()).or_default() += millis(*time);
    }
    WireHost {
        name: host.name.clone(),
        address: host.address.clone(),
        outcome: observation.outcome.id(),
        verdict: host.verdict.id(),
        elapsed_ms: millis(observation.elapsed),
        stages_ms,
        error: observation.outcome.error().map(error),
        facts: observation.outcome.facts().map(facts),
        findings: host.findings.iter().map(|one| finding(one, host)).collect(),
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn error(error: &HostError) -> WireError {
    WireError {
        stage: error.stage.id(),
        message: error.message.clone(),
        hint: error.hint.clone(),
        after_ms: error.after_ms,
    }
}

fn finding(finding: &Finding, host: &HostReport) -> WireFinding {
    WireFinding {
        class: finding.class.id(),
        severity: finding.severity.id(),
        confidence: finding.confidence.id(),
        subject: words::subject(&finding.subject),
        title: crate::diagnose::explain(finding.class).title,
        evidence: finding.evidence.iter().map(words::evidence).collect(),
        remedy: words::remedy(finding, host),
        cause: finding.cause.map(crate::model::Class::id),
    }
}

fn fleet_finding(finding: &FleetFinding) -> WireFleetFinding {
    WireFleetFinding {
        class: finding.class.id(),
        severity: finding.severity.id(),
        hosts: finding.hosts.clone(),
        evidence: finding.evidence.iter().map(words::evidence).collect(),
    }
}

fn facts(facts: &Facts) -> WireFacts {
    let system = &facts.system;
    let mut unseen: Vec<WireUnseen> = facts
        .units_unseen
        .iter()
        .map(|(what, why)| WireUnseen {
            what: what.clone(),
            why: why.clone(),
        })
        .collect();
    let mut note = |what: &str, why: Option<&str>| {
        if let Some(why) = why {
            unseen.push(WireUnseen {
                what: what.to_owned(),
                why: why.to_owned(),
            });
        }
    };
    note("listeners", facts.listeners.unknown_because());
    note("config", facts.config.unknown_because());
    WireFacts {
        os: system.os.clone(),
        kernel: system.kernel.clone(),
        systemd: system.systemd,
        hostname: system.hostname.clone(),
        uptime_s: system.uptime_s,
        clock_s: system.clock_s,
        login: WireLogin {
            user: system.login.user.clone(),
            uid: system.login.uid,
            journal: system.login.journal,
            sees_processes: system.login.sees_processes,
        },
        port: facts.port,
        listeners: facts.listeners.known().map(|listeners| {
            listeners
                .iter()
                .map(|listener| WireListener {
                    address: listener.address.to_string(),
                    port: listener.port,
                    uid: listener.uid,
                    pids: listener.pids.known().cloned(),
                })
                .collect()
        }),
        processes: facts
            .processes
            .iter()
            .map(|process| WireProcess {
                pid: process.pid,
                ppid: process.ppid,
                uid: process.uid,
                comm: process.comm.clone(),
                argv: process.argv.clone(),
                start_ticks: process.start_ticks,
                age_s: process.age_s,
                cgroup: process.cgroup.clone(),
                state: process.state.map(|state| state.to_string()),
            })
            .collect(),
        units: facts.units.iter().map(unit).collect(),
        http: facts.http.health.as_ref().map(http),
        config: facts.config.known().map(|config| WireConfig {
            path: config.path.clone(),
            primary: config.primary.clone(),
            fallbacks: config.fallbacks.clone(),
            listed: config.listed.clone(),
            providers: config.providers.clone(),
            mode: config.mode.clone(),
            bind: config.bind.clone(),
            port: config.port.clone(),
            auth_mode: config.auth_mode.clone(),
        }),
        unseen,
        parse_issues: facts.parse_issues.clone(),
    }
}

fn unit(unit: &crate::model::Unit) -> WireUnit {
    WireUnit {
        name: unit.name.clone(),
        scope: match &unit.scope {
            UnitScope::System => "system".to_owned(),
            UnitScope::User { user, .. } => format!("user {user}"),
        },
        from_manager: unit.seen == Seen::Manager,
        load_state: unit.load_state.clone(),
        active_state: unit.active_state.clone(),
        sub_state: unit.sub_state.clone(),
        result: unit.result.clone(),
        unit_file_state: unit.unit_file_state.clone(),
        main_pid: unit.main_pid,
        n_restarts: unit.n_restarts,
        exec_main_status: unit.exec_main_status,
        exec_main_code: unit.exec_main_code,
        control_group: unit.control_group.clone(),
        fragment_path: unit.fragment_path.clone(),
        kill_mode: unit.kill_mode.clone(),
        restart: unit.restart.clone(),
        port: unit.port,
        linger: match unit.linger {
            Observed::Known(linger) => Some(linger),
            _ => None,
        },
        journal: unit.journal.known().map(|journal| WireJournal {
            restarts_10m: journal.restarts_10m,
            restarts_1h: journal.restarts_1h,
            restarts_24h: journal.restarts_24h,
            failed_1h: journal.failed_1h,
            capped: journal.capped,
        }),
    }
}

fn http(health: &Result<crate::model::HttpAnswer, HttpError>) -> WireHttp {
    match health {
        Ok(answer) => WireHttp {
            status: Some(answer.status),
            latency_ms: Some(answer.latency_ms),
            is_gateway: Some(answer.is_gateway),
            route: Some(match answer.route {
                HttpRoute::Forwarded => "forwarded",
                HttpRoute::OnHost => "on-host",
                HttpRoute::Direct => "direct",
            }),
            error: None,
        },
        Err(error) => WireHttp {
            status: None,
            latency_ms: None,
            is_gateway: None,
            route: None,
            error: Some(match error {
                HttpError::Refused => "refused".to_owned(),
                HttpError::NoAnswer { waited_ms } => format!("no answer within {waited_ms} ms"),
                HttpError::Broken(how) => format!("broken: {how}"),
                HttpError::NotAsked(why) => format!("not asked: {why}"),
            }),
        },
    }
}
