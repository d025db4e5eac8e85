//! One request over HTTP/1.1. Nothing is followed, nothing is kept open, and no answer is longer
//! than what is read of it.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    HeaderMap, HeaderName, HeaderValue, LOCATION, PROXY_AUTHORIZATION, RETRY_AFTER,
};
use hyper::{Request, Response, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::formats::Reply;
use super::net::{self, Stream, Trust};
use super::outbox::until;
use crate::model::WebAddress;

/// What is read of an answer, in bytes. Those that are understood take a few hundred.
const MAX_BODY: usize = 64 << 10;

/// What the head of an answer may take, in bytes.
const MAX_HEAD: usize = 32 << 10;

const USER_AGENT: &str = concat!("clawfleet/", env!("CARGO_PKG_VERSION"));

/// The proxies of the environment.
#[derive(Default)]
pub struct Proxies(Option<Matcher>);

impl Proxies {
    /// Takes what `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say. As with curl an address that is
    /// not given is none, and `NO_PROXY` lists hosts, domains, addresses and networks.
    pub fn new(https: Option<&str>, http: Option<&str>, no: Option<&str>) -> Self {
        if https.is_none() && http.is_none() {
            return Self(None);
        }
        let mut builder = Matcher::builder();
        if let Some(https) = https {
            builder = builder.https(https);
        }
        if let Some(http) = http {
            builder = builder.http(http);
        }
        if let Some(no) = no {
            builder = builder.no(no);
        }
        Self(Some(builder.build()))
    }

    /// What goes to this machine itself goes by no proxy: a proxy could not reach it, and what is
    /// not encrypted because it does not leave must not leave.
    fn of(&self, address: &WebAddress) -> Option<Intercept> {
        if address.is_loopback() {
            return None;
        }
        let uri: Uri = absolute(address, "/").parse().ok()?;
        self.0.as_ref()?.intercept(&uri)
    }
}

/// What is posted.
pub(super) struct Post {
    pub(super) address: WebAddress,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// Host and port, as a request names them.
fn authority(address: &WebAddress) -> String {
    let host = match address.host.contains(':') {
        true => format!("[{}]", address.host),
        false => address.host.clone(),
    };
    match (address.https, address.port) {
        (true, 443) | (false, 80) => host,
        (_, port) => format!("{host}:{port}"),
    }
}

fn absolute(address: &WebAddress, path: &str) -> String {
    let scheme = if address.https { "https" } else { "http" };
    format!("{scheme}://{}{path}", authority(address))
}

/// Posts, and returns the answer.
///
/// # Errors
/// Why there is none. No error holds the address's path, a header or the body.
pub(super) async fn post(
    post: Post,
    proxies: Option<&Proxies>,
    trust: &Trust,
    limit: Duration,
) -> Result<Reply, String> {
    let patience = Patience {
        connect: limit,
        whole: limit,
    };
    post_within(post, proxies, trust, patience).await
}

/// How long is waited.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For a connection; no longer than for the whole.
    pub(super) connect: Duration,
    /// For the answer, from the very beginning on.
    pub(super) whole: Duration,
}

/// The same, with a time of its own for the connection.
pub(super) async fn post_within(
    post: Post,
    proxies: Option<&Proxies>,
    trust: &Trust,
    patience: Patience,
) -> Result<Reply, String> {
    let limit = patience.whole;
    let deadline = Instant::now() + limit;
    let connected = Instant::now() + patience.connect.min(limit);
    let late = || format!("no answer within {} s", limit.as_secs_f32());
    let address = &post.address;
    let proxy = proxies.and_then(|proxies| proxies.of(address));
    // A plain request is handed to a proxy as a whole; TLS goes through it.
    let (stream, target) = match &proxy {
        None => {
            let stream = net::dial(&address.host, address.port, connected).await?;
            (stream, address.path.clone())
        }
        Some(proxy) if address.https => {
            let stream = through(proxy, address, trust, connected).await?;
            (stream, address.path.clone())
        }
        Some(proxy) => {
            let stream = to_proxy(proxy, trust, connected).await?;
            (stream, absolute(address, &address.path))
        }
    };
    let stream = match address.https {
        true => net::tls(stream, &address.host, trust, deadline).await?,
        false => stream,
    };
    let request = request(&post, &target, proxy.as_ref().filter(|_| !address.https))?;
    let exchange = exchange(stream, request);
    let (response, _driver) = timeout_at(deadline, exchange).await.map_err(|_| late())??;
    let headers = response.headers();
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::to_owned);
    let retry_after = text(RETRY_AFTER).and_then(|text| wait_of(&text, Timestamp::now()));
    let leads_to = text(LOCATION).map(|text| match WebAddress::parse(&text) {
        Ok(address) => address.to_string(),
        // Within the same host; where there, may be a secret.
        Err(_) => "another path".to_owned(),
    });
    let status = response.status().as_u16();
    let (body, whole) = read(response.into_body(), deadline).await;
    Ok(Reply {
        status,
        retry_after,
        leads_to,
        body,
        whole,
    })
}

fn request(
    post: &Post,
    target: &str,
    proxy: Option<&Intercept>,
) -> Result<Request<Full<Bytes>>, String> {
    let odd = |_| "the address or a header holds characters that HTTP does not take".to_owned();
    let mut headers = HeaderMap::new();
    for (name, value) in &post.headers {
        let mut value = HeaderValue::try_from(value).map_err(|_| odd(()))?;
        // Signatures among them: no log of a library shows them.
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    if let Some(login) = proxy.and_then(Intercept::basic_auth) {
        headers.insert(PROXY_AUTHORIZATION, login.clone());
    }
    let mut request = Request::post(target)
        .header("host", authority(&post.address))
        .header("user-agent", USER_AGENT)
        .header("accept", "application/json")
        .header("content-type", post.content_type)
        .header("connection", "close")
        .body(Full::new(Bytes::from(post.body.clone())))
        .map_err(|_| odd(()))?;
    request.headers_mut().extend(headers);
    Ok(request)
}

/// The task that moves the bytes; it ends with the request.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn exchange(
    stream: Stream,
    request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, Driver), String> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| said(&error))?;
    // What ends the connection ends the request as well, which tells it.
    let driver = Driver(tokio::spawn(async move {
        let _ = connection.await;
    }));
    let response = sender.send_request(request).await;
    response
        .map(|response| (response, driver))
        .map_err(|error| said(&error))
}

/// The library says what, its source says why. Neither names an address.
fn said(error: &hyper::Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(source) => format!("HTTP: {error}: {source}"),
        None => format!("HTTP: {error}"),
    }
}

/// Reads a body as far as it is worth, and says whether that is all of it.
async fn read(mut body: Incoming, deadline: Instant) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    loop {
        match timeout_at(deadline, body.frame()).await {
            Ok(None) => return (bytes, true),
            Ok(Some(Ok(frame))) => {
                let Some(data) = frame.data_ref() else {
                    continue;
                };
                let room = MAX_BODY - bytes.len();
                if data.len() > room {
                    bytes.extend_from_slice(data.get(..room).unwrap_or_default());
                    return (bytes, false);
                }
                bytes.extend_from_slice(data);
            }
            Ok(Some(Err(_))) | Err(_) => return (bytes, false),
        }
    }
}

/// Reads Retry-After (RFC 9110, section 10.2.3): seconds, or a date.
fn wait_of(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()?;
    Some(until(now, date))
}

/// Connects to a proxy.
async fn to_proxy(proxy: &Intercept, trust: &Trust, deadline: Instant) -> Result<Stream, String> {
    let uri = proxy.uri();
    let (scheme, host) = (
        uri.scheme_str().unwrap_or("http"),
        uri.host().unwrap_or_default(),
    );
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let tls = match scheme {
        "http" => false,
        "https" => true,
        other => {
            return Err(format!(
                "proxy: {other}:// is not spoken; HTTPS_PROXY and HTTP_PROXY name an http:// or https:// proxy"
            ));
        }
    };
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let named = |why| format!("proxy: {why}");
    let stream = net::dial(host, port, deadline).await.map_err(named)?;
    match tls {
        true => net::tls(stream, host, trust, deadline).await.map_err(named),
        false => Ok(stream),
    }
}

/// Asks a proxy for a way to a host (RFC 9110, section 9.3.6).
async fn through(
    proxy: &Intercept,
    address: &WebAddress,
    trust: &Trust,
    deadline: Instant,
) -> Result<Stream, String> {
    let mut stream = to_proxy(proxy, trust, deadline).await?;
    let host = match address.host.contains(':') {
        true => format!("[{}]", address.host),
        false => address.host.clone(),
    };
    let to = format!("{host}:{}", address.port);
    let mut question =
        format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: {USER_AGENT}\r\n");
    if let Some(login) = proxy.basic_auth().and_then(|login| login.to_str().ok()) {
        question += &format!("Proxy-Authorization: {login}\r\n");
    }
    question += "\r\n";
    let asking = async {
        stream.write_all(question.as_bytes()).await?;
        stream.flush().await?;
        let mut head = Vec::new();
        // Byte by byte: what comes after the head is the host's.
        while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
            head.push(stream.read_u8().await?);
        }
        Ok::<_, std::io::Error>(head)
    };
    let head = timeout_at(deadline, asking)
        .await
        .map_err(|_| "proxy: no answer in time".to_owned())?
        .map_err(|error| format!("proxy: {}", net::words(&error)))?;
    let head = String::from_utf8_lossy(&head);
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let is_http = words
        .next()
        .is_some_and(|version| version.starts_with("HTTP/1."));
    match words.next().and_then(|code| code.parse::<u16>().ok()) {
        Some(200..=299) if is_http => Ok(stream),
        Some(407) if is_http => Err(
            "proxy: it wants a login (407): HTTPS_PROXY takes one, http://USER:PASSWORD@HOST:PORT"
                .to_owned(),
        ),
        Some(code) if is_http => Err(format!("proxy: it does not connect to {to} ({code})")),
        _ => Err("proxy: it does not answer as an HTTP proxy does".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let table = [
            ("30", Some(30)),
            (" 0 ", Some(0)),
            ("Sat, 21 Nov 2026 12:01:00 GMT", Some(60)),
            ("Sat, 21 Nov 2026 11:00:00 GMT", Some(0)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ];
        for (text, seconds) in table {
            assert_eq!(
                wait_of(text, now),
                seconds.map(Duration::from_secs),
                "{text}"
            );
        }
    }

    #[test]
    fn proxies_are_those_of_the_environment() {
        let proxies = Proxies::new(
            Some("http://p.example:3128"),
            Some("http://q.example"),
            Some(".inside.example,10.0.0.0/8"),
        );
        let of = |address: &str| {
            let address = WebAddress::parse(address).unwrap();
            let proxy = proxies.of(&address)?;
            proxy.uri().host().map(str::to_owned)
        };
        assert_eq!(of("https://a.example/x").as_deref(), Some("p.example"));
        assert_eq!(of("http://a.example/x").as_deref(), Some("q.example"));
        assert_eq!(of("https://b.inside.example/"), None);
        assert_eq!(of("https://10.1.2.3/"), None);
        for own in [
            "https://127.0.0.1/",
            "http://localhost/",
            "http://[::1]:81/",
        ] {
            assert_eq!(of(own), None);
        }
        assert!(Proxies::new(None, None, Some("x")).0.is_none());
    }
}
