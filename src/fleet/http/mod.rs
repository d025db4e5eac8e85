//! The HTTP question: real clients over a connection that the host makes to its own port.
//!
//! What every gateway is asked travels while the probe runs, on one connection: its health, then
//! its readiness, then, of a version that names itself, its page. What needs a token waits for the
//! probe, which tells whose port it is.

mod client;
mod socket;
mod tls;

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::remote;
use crate::model::{
    Gateway, Host, HttpAnswer, HttpError, HttpFacts, HttpRoute, Listener, ModelsAnswer, Observed,
    Secret, Secrets, ServiceSpec, TlsWanted, TransportKind, WebSocketAnswer,
};
use crate::probe;
use crate::ssh::{ForwardError, Session, Stream};
use client::{Conversation, Reply};

/// Where a gateway listens unless it is told otherwise.
pub(super) const LOOPBACK: &str = "127.0.0.1";

const USER_AGENT: &str = concat!("clawfleet/", env!("CARGO_PKG_VERSION"));

/// What the first question came to; `Forbidden` is settled once the facts are there.
pub(super) enum Asked {
    Answered(HttpFacts),
    Forbidden(String),
}

/// One host's port, and until when it may be asked.
pub(super) struct Door<'a, S> {
    pub(super) session: &'a S,
    pub(super) host: &'a Host,
    pub(super) port: u16,
    pub(super) deadline: Instant,
}

/// Why there is no stream to talk on.
enum Closed {
    Forward(ForwardError),
    Tls(String),
}

impl<S: Session> Door<'_, S> {
    /// Asks the port at one address, as the host itself would.
    pub(super) async fn ask(&self, address: &str) -> Asked {
        let wanted = self
            .service()
            .map_or(TlsWanted::Auto, |service| service.tls);
        let (mut asked, perhaps_tls) = self.attempt(address, wanted == TlsWanted::On).await;
        if perhaps_tls && wanted == TlsWanted::Auto {
            // Only a second try tells: a TLS server may answer a plain question with an alert, with
            // words, or by hanging up. What the first try said stands if this one fails as well.
            let (second, _) = self.attempt(address, true).await;
            if matches!(&second, Asked::Answered(facts) if facts.answer().is_some()) {
                asked = second;
            }
        }
        // Something serves HTTP there that is no gateway by its health document, e.g. an old version
        // without its control page. The WebSocket tells for certain.
        if let Asked::Answered(facts) = &mut asked
            && facts.answer().is_some_and(|answer| !answer.is_gateway)
        {
            facts.websocket = Some(self.websocket(address, facts.tls, None).await);
        }
        asked
    }

    /// Asks over one connection, with TLS or without. Tells as well whether the answer looks as if
    /// the other way were right.
    async fn attempt(&self, address: &str, tls: bool) -> (Asked, bool) {
        let begin = Instant::now();
        let limit = self.limit(begin);
        let first = async {
            let stream = self.open(address, tls).await?;
            let health = async {
                let mut conversation = Conversation::on(stream, self.port).await?;
                let reply = conversation.get(self.health_path(), None, never).await?;
                Ok((conversation, reply))
            };
            Ok(health.await)
        };
        let failed = |why| Asked::Answered(HttpFacts::of(Err(why)));
        let (mut conversation, reply) = match timeout(limit, first).await {
            Ok(Ok(Ok(answered))) => answered,
            Ok(Ok(Err(why))) => return (failed(HttpError::Broken(why)), !tls),
            Ok(Err(Closed::Tls(why))) => return (failed(HttpError::Broken(why)), false),
            Ok(Err(Closed::Forward(why))) => {
                let asked = match why {
                    ForwardError::Refused => failed(HttpError::Refused),
                    ForwardError::Forbidden(why) => Asked::Forbidden(why),
                    ForwardError::Lost(why) => failed(HttpError::NotAsked(why)),
                };
                return (asked, false);
            }
            // The forwarded connect itself may hang, too: the listener's queue is full.
            Err(_) => return (failed(no_answer(begin, limit, self.host)), false),
        };
        let mut facts = HttpFacts::of(Ok(HttpAnswer {
            status: reply.status,
            latency_ms: millis(begin.elapsed()),
            is_gateway: probe::is_gateway_body(&reply.body),
            route: match self.host.transport {
                TransportKind::Ssh => HttpRoute::Forwarded,
                TransportKind::Local => HttpRoute::Direct,
            },
        }));
        facts.tls = tls;
        // Whatever it does to the questions that follow, it has answered.
        let more = follow(&mut conversation, &reply, &mut facts);
        let _ = timeout(self.limit(Instant::now()), more).await;
        let perhaps_tls = !tls && probe::wants_tls(reply.status, &reply.body);
        (Asked::Answered(facts), perhaps_tls)
    }

    /// Takes the first answer, or asks again where it could not be had at loopback: a gateway may
    /// listen on another address only, and a server may forward nothing. Then asks what needs a
    /// token.
    pub(super) async fn settle(
        &self,
        gateway: &Gateway,
        asked: Asked,
        tokens: &Secrets,
    ) -> HttpFacts {
        let listeners = gateway.listeners.known();
        if listeners.is_some_and(Vec::is_empty) {
            return HttpFacts::of(Err(HttpError::Refused));
        }
        let elsewhere = listeners.and_then(|listeners| other_address(listeners));
        let address = elsewhere.as_deref().unwrap_or(LOOPBACK);
        let first = match asked {
            Asked::Forbidden(_) => return self.ask_on_host(gateway, address).await,
            Asked::Answered(facts) => facts,
        };
        let again = match &first.health {
            Some(Err(HttpError::Refused)) => elsewhere.is_some(),
            // A silent port is asked twice: the first question travelled while the probe kept the
            // host busy, and a verdict of "hung" must not be our own doing.
            Some(Err(HttpError::NoAnswer { .. })) => {
                self.deadline.saturating_duration_since(Instant::now())
                    > self.host.thresholds.http_timeout
            }
            _ => false,
        };
        let (mut facts, address) = if again {
            let facts = match (self.ask(address).await, &first.health) {
                (Asked::Answered(facts), _) => facts,
                (Asked::Forbidden(why), Some(Err(HttpError::Refused))) => {
                    HttpFacts::of(Err(HttpError::NotAsked(why)))
                }
                (Asked::Forbidden(_), _) => first,
            };
            (facts, address)
        } else {
            (first, LOOPBACK)
        };
        self.with_token(address, gateway, tokens, &mut facts).await;
        facts
    }

    /// What only the holder of the gateway's token learns.
    async fn with_token(
        &self,
        address: &str,
        gateway: &Gateway,
        tokens: &Secrets,
        facts: &mut HttpFacts,
    ) {
        let source = self.service().and_then(|service| service.token.as_ref());
        let Some(token) = source.and_then(|source| tokens.get(source)) else {
            return;
        };
        if let Err(why) = may_have_token(address, gateway, facts) {
            facts.models = Some(ModelsAnswer::NotAsked(why));
            return;
        }
        let (models, websocket) = tokio::join!(
            self.models(address, facts.tls, token),
            self.websocket(address, facts.tls, Some(token)),
        );
        facts.models = Some(models);
        facts.websocket = Some(websocket);
    }

    async fn models(&self, address: &str, tls: bool, token: &Secret) -> ModelsAnswer {
        let question = async {
            let stream = self.open(address, tls).await.map_err(Closed::words)?;
            let mut conversation = Conversation::on(stream, self.port).await?;
            conversation.get("/v1/models", Some(token), never).await
        };
        match timeout(self.limit(Instant::now()), question).await {
            Ok(Ok(reply)) => probe::models(reply.status, &reply.body),
            Ok(Err(why)) => ModelsAnswer::NotAsked(why),
            Err(_) => ModelsAnswer::NotAsked("no answer in time".to_owned()),
        }
    }

    async fn websocket(
        &self,
        address: &str,
        tls: bool,
        token: Option<&Secret>,
    ) -> Result<WebSocketAnswer, String> {
        let begin = Instant::now();
        let question = async {
            let stream = self.open(address, tls).await.map_err(Closed::words)?;
            socket::ask(stream, self.port, token, begin).await
        };
        timeout(self.limit(begin), question)
            .await
            .unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    async fn open(&self, address: &str, tls: bool) -> Result<Stream, Closed> {
        let stream = self
            .session
            .forward(address, self.port)
            .await
            .map_err(Closed::Forward)?;
        if tls {
            return tls::wrap(stream).await.map_err(Closed::Tls);
        }
        Ok(stream)
    }

    /// Asks with a client on the host, over a second command. It is given no token: what it is
    /// told would stand in that host's list of processes.
    async fn ask_on_host(&self, gateway: &Gateway, address: &str) -> HttpFacts {
        let service = self.service();
        let tls = match service.map_or(TlsWanted::Auto, |service| service.tls) {
            TlsWanted::On => true,
            TlsWanted::Off => false,
            TlsWanted::Auto => gateway.config.known().is_some_and(|config| config.tls),
        };
        let nonce = match remote::nonce() {
            Ok(nonce) => nonce,
            Err(why) => return HttpFacts::of(Err(HttpError::NotAsked(why))),
        };
        let target = (address, self.port);
        let script = probe::http_script(self.host, &nonce, target, self.health_path(), tls);
        let limit = self.host.thresholds.http_timeout + remote::WATCHDOG_MARGIN;
        let deadline = self.deadline.min(Instant::now() + limit);
        let output = remote::run(self.session, &script, None, deadline).await;
        let health = probe::parse_on_host(&String::from_utf8_lossy(&output.stdout), &nonce);
        let kept = "the token was not sent: a client on the host would show it to its users";
        HttpFacts {
            tls: tls && health.is_ok(),
            models: service
                .and_then(|service| service.token.as_ref())
                .map(|_| ModelsAnswer::NotAsked(kept.to_owned())),
            ..HttpFacts::of(health)
        }
    }

    /// The path that answers when the gateway lives.
    fn health_path(&self) -> &str {
        &self.service().unwrap_or(&self.host.service).health_path
    }

    /// How long one question may take that begins now.
    fn limit(&self, begin: Instant) -> Duration {
        let left = self.deadline.saturating_duration_since(begin);
        self.host.thresholds.http_timeout.min(left)
    }

    /// What the inventory says of the gateway on that port, if it names one.
    fn service(&self) -> Option<&ServiceSpec> {
        self.host
            .services()
            .find(|service| service.port == self.port)
    }
}

impl Closed {
    fn words(self) -> String {
        match self {
            Self::Forward(ForwardError::Refused) => "refused".to_owned(),
            Self::Forward(ForwardError::Forbidden(why) | ForwardError::Lost(why))
            | Self::Tls(why) => why,
        }
    }
}

/// What a gateway says of itself, on the connection that its health came on. Up to 2026.3.2 the
/// health path shows the page, as every path does, and there is nothing to ask.
async fn follow(conversation: &mut Conversation, health: &Reply, facts: &mut HttpFacts) {
    let documents = health.body.trim_ascii_start().starts_with(b"{");
    if !documents || !facts.is_gateway() {
        return;
    }
    let Ok(reply) = conversation.get("/readyz", None, never).await else {
        return;
    };
    facts.ready = probe::readiness(&reply.body);
    if !probe::may_name_version(&reply.body) {
        return;
    }
    let named = |page: &[u8]| probe::page_version(page).is_some();
    if let Ok(page) = conversation.get("/", None, named).await {
        facts.version = probe::page_version(&page.body);
    }
}

fn never(_: &[u8]) -> bool {
    false
}

/// Whether the token may be sent there. Any user of a host can open a port and speak like a
/// gateway, and would be given the token of the real one.
fn may_have_token(address: &str, gateway: &Gateway, facts: &HttpFacts) -> Result<(), String> {
    if !facts.is_gateway() {
        return Err("the token was not sent: no gateway answered".to_owned());
    }
    let Some(config) = gateway.config.known() else {
        return Ok(());
    };
    let address: Option<IpAddr> = address.parse().ok();
    let stranger = gateway
        .listeners
        .known()
        .into_iter()
        .flatten()
        .filter(|listener| {
            let bound = listener.address.to_canonical();
            bound.is_unspecified() || Some(bound) == address
        })
        .find(|listener| listener.uid != 0 && listener.uid != config.uid);
    match stranger {
        Some(listener) => Err(format!(
            "the token was not sent: the port is uid {}'s, the configuration uid {}'s",
            listener.uid, config.uid
        )),
        None => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GatewayConfig;

    fn answered(is_gateway: bool) -> HttpFacts {
        HttpFacts::of(Ok(HttpAnswer {
            status: 200,
            latency_ms: 1,
            is_gateway,
            route: HttpRoute::Forwarded,
        }))
    }

    fn gateway(listeners: &[(&str, u32)], config: Option<u32>) -> Gateway {
        let listener = |(address, uid): &(&str, u32)| Listener {
            address: address.parse().unwrap_or(IpAddr::from([0, 0, 0, 0])),
            port: 18789,
            uid: *uid,
            inode: 1,
            pids: Observed::NotCollected,
            waiting: None,
            backlog: None,
        };
        let config = config.map(|uid| GatewayConfig {
            uid,
            ..GatewayConfig::default()
        });
        Gateway {
            port: 18789,
            listeners: Observed::Known(listeners.iter().map(listener).collect()),
            config: config.map_or(Observed::Absent, Observed::Known),
            ..Gateway::default()
        }
    }

    #[test]
    fn a_token_goes_to_the_owner_of_the_configuration_only() {
        type Case<'a> = (&'a [(&'a str, u32)], Option<u32>, bool);
        let cases: &[Case<'_>] = &[
            (&[("127.0.0.1", 1501)], Some(1501), true),
            (&[("127.0.0.1", 0)], Some(1501), true),
            (&[("127.0.0.1", 1000)], Some(1501), false),
            (&[("0.0.0.0", 1000)], Some(1501), false),
            (&[("::", 1000)], Some(1501), false),
            (&[("::ffff:127.0.0.1", 1000)], Some(1501), false),
            // A proxy on another address is not asked.
            (&[("127.0.0.1", 1501), ("10.0.0.1", 33)], Some(1501), true),
            (&[("127.0.0.1", 1501), ("0.0.0.0", 33)], Some(1501), false),
            // Whose configuration it is was not seen, so nothing contradicts it.
            (&[("127.0.0.1", 1000)], None, true),
        ];
        for (listeners, config, wanted) in cases {
            let gateway = gateway(listeners, *config);
            let verdict = may_have_token(LOOPBACK, &gateway, &answered(true));
            assert_eq!(verdict.is_ok(), *wanted, "{listeners:?} {config:?}");
        }
        let fine = gateway(&[("127.0.0.1", 1501)], Some(1501));
        assert!(may_have_token(LOOPBACK, &fine, &answered(false)).is_err());
    }
}
