//! The facts of a host as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{
    CheckEnd, Facts, Gateway, HttpError, HttpFacts, HttpRoute, ModelsAnswer, Observed, Seen,
    UnitScope,
};

/// What was seen. A key that is absent was not seen; `unseen` says why.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct WireFacts {
    os: Option<String>,
    kernel: Option<String>,
    systemd: Option<u32>,
    hostname: Option<String>,
    uptime_s: Option<u64>,
    /// The host's clock, seconds since the epoch.
    clock_s: Option<u64>,
    /// How far that is ahead of this machine's (behind: negative), in s.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_ahead_s: Option<i64>,
    login: WireLogin,
    /// Those that the inventory names, then those that were found.
    gateways: Vec<WireGateway>,
    processes: Vec<WireProcess>,
    packages: Vec<WirePackage>,
    disks: Vec<WireDisk>,
    /// The operator's own checks, as they ran; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<Vec<WireCheck>>,
    /// What could not be seen, and why.
    unseen: Vec<WireUnseen>,
    /// Lines of the probe's output that made no sense.
    parse_issues: Vec<String>,
}

/// One gateway: a port and all that has to do with it.
#[derive(Debug, Serialize, JsonSchema)]
struct WireGateway {
    port: u16,
    /// Its unit.
    name: String,
    /// Whether the inventory names it.
    named: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    listeners: Option<Vec<WireListener>>,
    units: Vec<WireUnit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<WireHttp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<WireConfig>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WirePackage {
    root: String,
    version: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireDisk {
    mount: String,
    size_kib: u64,
    free_kib: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireCheck {
    name: String,
    /// `exited`, `timed-out`, `not-understood`, `flooded` or `unknown`.
    end: &'static str,
    exit: Option<u8>,
    /// What it printed, without empty lines.
    output: Vec<String>,
    /// Whether it printed more than is kept.
    cut: bool,
    errors: Vec<String>,
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
    /// What it has in memory (resident set), in KiB.
    memory_kib: Option<u64>,
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
    /// The delay before a restart, in ms.
    restart_delay_ms: Option<u64>,
    start_limit_burst: Option<u32>,
    /// In ms; 0 is no limit.
    start_limit_interval_ms: Option<u64>,
    /// In ms; absent where it is endless or not known.
    timeout_stop_ms: Option<u64>,
    restart_prevent_exit_status: Option<String>,
    need_daemon_reload: Option<bool>,
    dropins: Vec<String>,
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
    /// Whether it was answered over TLS.
    tls: bool,
    /// Whether the gateway says that it is ready; absent where it does not say (before 2026.3.8).
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<bool>,
    /// What it waits for, or what fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing: Option<Vec<String>>,
    /// How long the gateway runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_ms: Option<u64>,
    /// Whether its event loop lags.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_loop_degraded: Option<bool>,
    /// The version that the running gateway names itself (from 2026.9 on).
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Asked where the health path does not tell a gateway, or where there is a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    websocket: Option<WireWebSocket>,
    /// Asked where there is a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<WireModels>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireWebSocket {
    /// Whether a gateway's challenge came, which every version sends.
    challenge: bool,
    /// Whether the gateway greeted the inventory's token; absent where it was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    hello: Option<bool>,
    /// To the last frame that was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<u32>,
    /// Why there is no challenge or no greeting, in the gateway's words where it has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireModels {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// How many `/v1/models` lists for the inventory's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    /// `token-refused`, `not-served`, `odd-answer` or `not-asked`; absent for a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    /// Why it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
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
    tls: bool,
    channels: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WireUnseen {
    what: String,
    why: String,
}

pub(super) fn facts(facts: &Facts) -> WireFacts {
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
    note("listeners", facts.sockets.unknown_because());
    for gateway in &facts.gateways {
        note("config", gateway.config.unknown_because());
    }
    WireFacts {
        os: system.os.clone(),
        kernel: system.kernel.clone(),
        systemd: system.systemd,
        hostname: system.hostname.clone(),
        uptime_s: system.uptime_s,
        clock_s: system.clock_s,
        clock_ahead_s: system.clock_ahead_s,
        login: WireLogin {
            user: system.login.user.clone(),
            uid: system.login.uid,
            journal: system.login.journal,
            sees_processes: system.login.sees_processes,
        },
        gateways: facts.gateways.iter().map(gateway).collect(),
        packages: facts
            .packages
            .iter()
            .map(|package| WirePackage {
                root: package.root.clone(),
                version: package.version.clone(),
            })
            .collect(),
        disks: facts
            .disks
            .iter()
            .map(|disk| WireDisk {
                mount: disk.mount.clone(),
                size_kib: disk.size_kib,
                free_kib: disk.free_kib,
            })
            .collect(),
        checks: facts
            .checks
            .known()
            .filter(|checks| !checks.is_empty())
            .map(|checks| checks.iter().map(check).collect()),
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
                memory_kib: process.memory_kib,
                cgroup: process.cgroup.clone(),
                state: process.state.map(|state| state.to_string()),
            })
            .collect(),
        unseen,
        parse_issues: facts.parse_issues.clone(),
    }
}

fn check(run: &crate::model::CheckRun) -> WireCheck {
    let (end, exit) = match run.end {
        CheckEnd::Exited(code) => ("exited", Some(code)),
        CheckEnd::TimedOut => ("timed-out", None),
        CheckEnd::NotUnderstood => ("not-understood", None),
        CheckEnd::Flooded => ("flooded", None),
        CheckEnd::Unknown => ("unknown", None),
    };
    WireCheck {
        name: run.name.clone(),
        end,
        exit,
        output: run.output.clone(),
        cut: run.cut,
        errors: run.errors.clone(),
    }
}

fn gateway(gateway: &Gateway) -> WireGateway {
    WireGateway {
        port: gateway.port,
        name: gateway.name().to_owned(),
        named: gateway.named.is_some(),
        listeners: gateway.listeners.known().map(|listeners| {
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
        units: gateway.units.iter().map(unit).collect(),
        http: http(&gateway.http),
        config: gateway.config.known().map(|config| WireConfig {
            path: config.path.clone(),
            primary: config.primary.clone(),
            fallbacks: config.fallbacks.clone(),
            listed: config.listed.clone(),
            providers: config.providers.clone(),
            mode: config.mode.clone(),
            bind: config.bind.clone(),
            port: config.port.clone(),
            auth_mode: config.auth_mode.clone(),
            tls: config.tls,
            channels: config.channels.clone(),
        }),
    }
}

fn unit(unit: &crate::model::Unit) -> WireUnit {
    let millis = |us: Option<u64>| us.filter(|us| *us != u64::MAX).map(|us| us / 1000);
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
        restart_delay_ms: millis(unit.restart_us),
        start_limit_burst: unit.start_limit_burst,
        start_limit_interval_ms: millis(unit.start_limit_interval_us),
        timeout_stop_ms: millis(unit.timeout_stop_us),
        restart_prevent_exit_status: unit.restart_prevent.clone(),
        need_daemon_reload: unit.needs_reload,
        dropins: unit
            .file
            .iter()
            .flat_map(|file| file.dropins.clone())
            .collect(),
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

fn http(facts: &HttpFacts) -> Option<WireHttp> {
    let health = facts.health.as_ref()?;
    let answer = health.as_ref().ok();
    let ready = facts.ready.as_ref();
    Some(WireHttp {
        status: answer.map(|answer| answer.status),
        latency_ms: answer.map(|answer| answer.latency_ms),
        is_gateway: answer.map(|_| facts.is_gateway()),
        route: answer.map(|answer| match answer.route {
            HttpRoute::Forwarded => "forwarded",
            HttpRoute::OnHost => "on-host",
            HttpRoute::Direct => "direct",
        }),
        error: health.as_ref().err().map(|error| match error {
            HttpError::Refused => "refused".to_owned(),
            HttpError::NoAnswer { waited_ms } => format!("no answer within {waited_ms} ms"),
            HttpError::Broken(how) => format!("broken: {how}"),
            HttpError::NotAsked(why) => format!("not asked: {why}"),
        }),
        tls: facts.tls,
        ready: ready.map(|ready| ready.ready),
        failing: ready.map(|ready| ready.failing.clone()),
        uptime_ms: ready.and_then(|ready| ready.uptime_ms),
        event_loop_degraded: ready.and_then(|ready| ready.event_loop_degraded),
        version: facts.version.clone(),
        websocket: facts.websocket.as_ref().map(|websocket| match websocket {
            Ok(answer) => WireWebSocket {
                challenge: answer.challenge,
                hello: answer.hello.as_ref().map(Result::is_ok),
                latency_ms: Some(answer.latency_ms),
                error: answer.hello.clone().and_then(Result::err),
            },
            Err(why) => WireWebSocket {
                challenge: false,
                hello: None,
                latency_ms: None,
                error: Some(why.clone()),
            },
        }),
        models: facts.models.as_ref().map(models),
    })
}

fn models(answer: &ModelsAnswer) -> WireModels {
    let (status, count, error, why) = match answer {
        ModelsAnswer::Listed(count) => (Some(200), Some(*count), None, None),
        ModelsAnswer::Refused { status } => (Some(*status), None, Some("token-refused"), None),
        ModelsAnswer::NotServed { status } => (Some(*status), None, Some("not-served"), None),
        ModelsAnswer::Odd { status } => (Some(*status), None, Some("odd-answer"), None),
        ModelsAnswer::NotAsked(why) => (None, None, Some("not-asked"), Some(why.clone())),
    };
    WireModels {
        status,
        count,
        error,
        why,
    }
}
