//! What a gateway's port answered, to whom and over what.

/// Which way an HTTP answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpRoute {
    /// Through a forwarded channel of the same SSH connection.
    Forwarded,
    /// By a client on the host.
    OnHost,
    /// Directly, because the host is this machine.
    Direct,
}

/// What the gateway port answered to one GET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// HTTP status.
    pub status: u16,
    /// Time to the whole answer, in ms.
    pub latency_ms: u32,
    /// Whether the body is a gateway's: `"status":"live"`, or the control page's title on old versions.
    pub is_gateway: bool,
    /// Which way it came.
    pub route: HttpRoute,
}

/// Why there is no HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpError {
    /// Nobody listens.
    Refused,
    /// The connection stood, and no answer came in time.
    NoAnswer {
        /// How long was waited, in ms.
        waited_ms: u32,
    },
    /// The connection was closed or spoke something else.
    Broken(String),
    /// The question could not be asked.
    NotAsked(String),
}

/// What a port answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpFacts {
    /// The answer of the health path, or why there is none; `None` where the question was not reached.
    pub health: Option<Result<HttpAnswer, HttpError>>,
    /// Whether the port speaks TLS.
    pub tls: bool,
    /// What the gateway says of its own readiness; `None` where it says nothing (before 2026.3.8).
    pub ready: Option<Readiness>,
    /// The version that the running gateway names itself (from 2026.9 on).
    pub version: Option<String>,
    /// What the WebSocket said, where it was asked, or why it said nothing.
    pub websocket: Option<Result<WebSocketAnswer, String>>,
    /// What the inventory's token was good for, where there is one.
    pub models: Option<ModelsAnswer>,
}

impl HttpFacts {
    /// Facts of which only the health is known.
    pub fn of(health: Result<HttpAnswer, HttpError>) -> Self {
        Self {
            health: Some(health),
            ..Self::default()
        }
    }

    /// Returns the answer, if one came.
    pub fn answer(&self) -> Option<&HttpAnswer> {
        self.health.as_ref().and_then(|health| health.as_ref().ok())
    }

    /// Whether a gateway answered, by its health document or by its WebSocket's challenge.
    pub fn is_gateway(&self) -> bool {
        let challenged = matches!(&self.websocket, Some(Ok(websocket)) if websocket.challenge);
        challenged || self.answer().is_some_and(|answer| answer.is_gateway)
    }
}

/// What `/readyz` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Whether it is ready.
    pub ready: bool,
    /// What it waits for, or what fails.
    pub failing: Vec<String>,
    /// How long the gateway runs, in ms.
    pub uptime_ms: Option<u64>,
    /// Whether its event loop lags.
    pub event_loop_degraded: Option<bool>,
}

/// What the WebSocket of a port said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketAnswer {
    /// Whether its first frame is a gateway's challenge, which every version sends.
    pub challenge: bool,
    /// Whether the gateway greeted the inventory's token, or its words why not; `None` without one.
    pub hello: Option<Result<(), String>>,
    /// Time to the last frame that was wanted, in ms.
    pub latency_ms: u32,
}

/// What `/v1/models` answered to the inventory's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelsAnswer {
    /// A list of so many.
    Listed(u32),
    /// The token is refused.
    Refused {
        /// 401 or 403.
        status: u16,
    },
    /// There is no such path: the gateway's HTTP API is switched off.
    NotServed {
        /// 404, or 200 with the control page.
        status: u16,
    },
    /// Something else.
    Odd {
        /// HTTP status.
        status: u16,
    },
    /// No answer.
    NotAsked(String),
}
