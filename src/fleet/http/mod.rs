//! The HTTP question: a real client over a connection that the host makes to its own port.

use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};

use super::remote;
use crate::model::{
    Gateway, Host, HttpAnswer, HttpError, HttpRoute, Listener, Observed, TransportKind,
};
use crate::probe::{self, is_gateway_body};
use crate::ssh::{ForwardError, Session, Stream};

/// A health document is 27 bytes, the old versions' page some KB.
const MAX_BODY: usize = 64 << 10;

/// Where a gateway listens unless it is told otherwise.
pub(super) const LOOPBACK: &str = "127.0.0.1";

/// What the first question came to; `Forbidden` is settled once the facts are there.
pub(super) enum Asked {
    Answered(Result<HttpAnswer, HttpError>),
    Forbidden(String),
}

/// Asks a gateway's port at one address, as the host itself would.
pub(super) async fn ask<S: Session>(
    session: &S,
    host: &Host,
    (address, port): (&str, u16),
    deadline: Instant,
) -> Asked {
    let begin = Instant::now();
    let left = deadline.saturating_duration_since(begin);
    let limit = host.thresholds.http_timeout.min(left);
    let stream = match timeout(limit, session.forward(address, port)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(ForwardError::Refused)) => return Asked::Answered(Err(HttpError::Refused)),
        Ok(Err(ForwardError::Forbidden(why))) => return Asked::Forbidden(why),
        Ok(Err(ForwardError::Lost(why))) => return Asked::Answered(Err(HttpError::NotAsked(why))),
        // The forwarded connect itself hangs: the listener's queue is full.
        Err(_) => return Asked::Answered(Err(no_answer(begin, limit, host))),
    };
    let left = limit.saturating_sub(begin.elapsed());
    Asked::Answered(
        match timeout(left, get(stream, health_path(host, port), port)).await {
            Ok(Ok((status, is_gateway))) => Ok(HttpAnswer {
                status,
                latency_ms: millis(begin.elapsed()),
                is_gateway,
                route: match host.transport {
                    TransportKind::Ssh => HttpRoute::Forwarded,
                    TransportKind::Local => HttpRoute::Direct,
                },
            }),
            Ok(Err(why)) => Err(HttpError::Broken(why)),
            Err(_) => Err(no_answer(begin, limit, host)),
        },
    )
}

/// Takes the first answer, or asks again where it could not be had at loopback: a gateway may
/// listen on another address only, and a server may forward nothing.
pub(super) async fn settle<S: Session>(
    session: &S,
    host: &Host,
    gateway: &Gateway,
    asked: Asked,
    deadline: Instant,
) -> Result<HttpAnswer, HttpError> {
    let port = gateway.port;
    let listeners = gateway.listeners.known();
    if listeners.is_some_and(Vec::is_empty) {
        return Err(HttpError::Refused);
    }
    let elsewhere = listeners.and_then(|listeners| other_address(listeners));
    match (asked, elsewhere) {
        (Asked::Forbidden(_), address) => {
            let address = address.unwrap_or_else(|| LOOPBACK.to_owned());
            ask_on_host(session, host, (&address, port), deadline).await
        }
        (Asked::Answered(Err(HttpError::Refused)), Some(address)) => {
            match ask(session, host, (&address, port), deadline).await {
                Asked::Answered(answer) => answer,
                Asked::Forbidden(why) => Err(HttpError::NotAsked(why)),
            }
        }
        // A silent port is asked twice: the first question travelled while the probe kept the host
        // busy, and a verdict of "hung" must not be our own doing.
        (Asked::Answered(Err(HttpError::NoAnswer { waited_ms })), address)
            if deadline.saturating_duration_since(Instant::now())
                > host.thresholds.http_timeout =>
        {
            let address = address.unwrap_or_else(|| LOOPBACK.to_owned());
            match ask(session, host, (&address, port), deadline).await {
                Asked::Answered(answer) => answer,
                Asked::Forbidden(_) => Err(HttpError::NoAnswer { waited_ms }),
            }
        }
        (Asked::Answered(answer), _) => answer,
    }
}

/// Asks with a client on the host, over a second command.
async fn ask_on_host<S: Session>(
    session: &S,
    host: &Host,
    target: (&str, u16),
    deadline: Instant,
) -> Result<HttpAnswer, HttpError> {
    let nonce = remote::nonce().map_err(HttpError::NotAsked)?;
    let script = probe::http_script(host, &nonce, target, health_path(host, target.1));
    let limit = host.thresholds.http_timeout + remote::WATCHDOG_MARGIN;
    let output = remote::run(session, &script, deadline.min(Instant::now() + limit)).await;
    probe::parse_on_host(&String::from_utf8_lossy(&output.stdout), &nonce)
}

/// The address to ask where nobody listens on IPv4's loopback.
fn other_address(listeners: &[Listener]) -> Option<String> {
    let covers_loopback = |listener: &Listener| {
        let address = listener.address.to_canonical();
        address.is_unspecified() || address.to_string() == LOOPBACK
    };
    if listeners.iter().any(covers_loopback) {
        return None;
    }
    listeners
        .iter()
        .find(|listener| !matches!(listener.pids, Observed::NotCollected))
        .map(|listener| listener.address.to_string())
}

/// The path that answers when the gateway on that port lives.
fn health_path(host: &Host, port: u16) -> &str {
    let service = host.services().find(|service| service.port == port);
    &service.unwrap_or(&host.service).health_path
}

async fn get(stream: Stream, path: &str, port: u16) -> Result<(u16, bool), String> {
    let words = |error: &dyn std::error::Error| {
        // hyper says what, its source says why.
        let cause = error.source().map(ToString::to_string);
        cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
    };
    let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|error| words(&error))?;
    let request = Request::get(path)
        .header("host", format!("127.0.0.1:{port}"))
        .header(
            "user-agent",
            concat!("clawfleet/", env!("CARGO_PKG_VERSION")),
        )
        .header("connection", "close")
        .body(Empty::new())
        .map_err(|error| words(&error))?;
    let exchange = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| words(&error))?;
        let status = response.status().as_u16();
        // A body that is too long is cut: its beginning is enough to tell a gateway.
        let mut body = Limited::new(response.into_body(), MAX_BODY);
        let mut bytes = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            if let Some(data) = frame.data_ref() {
                bytes.extend_from_slice(data);
            }
        }
        Ok((status, is_gateway_body(&bytes)))
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        result = &mut exchange => result,
        ended = &mut connection => match ended {
            // The connection may end a moment before its last answer is taken.
            Ok(()) => exchange.await,
            Err(error) => Err(words(&error)),
        },
    }
}

/// A question that the host's deadline cut short says nothing about the gateway.
fn no_answer(begin: Instant, limit: Duration, host: &Host) -> HttpError {
    if limit < host.thresholds.http_timeout {
        return HttpError::NotAsked("the host's deadline struck first".into());
    }
    HttpError::NoAnswer {
        waited_ms: millis(begin.elapsed()),
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
