//! A small web server in the test process: a gateway as each version speaks, or something worse.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

pub(crate) const LIVE: &str = r#"{"ok":true,"status":"live"}"#;
pub(crate) const CHALLENGE: &str =
    r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"fc4f","ts":1}}"#;

/// What comes for a path.
#[derive(Clone)]
pub(crate) enum Answer {
    /// A status and a body, with its length.
    Body(u16, String),
    /// These bytes, and then nothing more.
    Raw(Vec<u8>),
    /// These bytes, and then these again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// These bytes, one every 50 ms.
    Drip(Vec<u8>),
    /// The connection is closed.
    HangUp,
}

/// What a WebSocket does.
#[derive(Clone)]
pub(crate) enum Socket {
    /// There is none.
    Refuse,
    /// It challenges and answers to the right token.
    Gateway(String),
    /// It sends these bytes behind its greeting of the protocol.
    Answer(Answer),
}

/// A web server.
#[derive(Clone)]
pub(crate) struct Web {
    pub(crate) paths: BTreeMap<&'static str, Answer>,
    pub(crate) other: Answer,
    pub(crate) socket: Socket,
    /// Every request: path, and its Authorization if it had one.
    pub(crate) seen: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// One that knows no path.
    pub(crate) fn new() -> Self {
        Self {
            paths: BTreeMap::new(),
            other: Answer::Body(404, "Not Found".to_owned()),
            socket: Socket::Refuse,
            seen: Arc::default(),
        }
    }

    /// A gateway's health document, and what it says of its readiness.
    pub(crate) fn gateway(ready: &str) -> Self {
        Self::new()
            .with("/healthz", Answer::Body(200, LIVE.to_owned()))
            .with("/readyz", Answer::Body(200, ready.to_owned()))
    }

    pub(crate) fn with(mut self, path: &'static str, answer: Answer) -> Self {
        self.paths.insert(path, answer);
        self
    }

    pub(crate) fn socket(mut self, socket: Socket) -> Self {
        self.socket = socket;
        self
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Serves one connection to its end.
    pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(self, mut stream: S) {
        while let Some(head) = read_head(&mut stream).await {
            let header = |name: &str| {
                head.lines().find_map(|line| {
                    let (key, value) = line.split_once(": ")?;
                    key.eq_ignore_ascii_case(name).then(|| value.to_owned())
                })
            };
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let key = header("sec-websocket-key");
            let mut told = path.clone();
            if key.is_some() {
                told = format!("websocket {told}");
            }
            if let Some(secret) = header("authorization") {
                told = format!("{told} {secret}");
            }
            self.seen.lock().unwrap().push(told);
            if let (Some(key), false) = (key, matches!(self.socket, Socket::Refuse)) {
                let accept = derive_accept_key(key.as_bytes());
                let switch = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                     Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
                );
                let _ = stream.write_all(switch.as_bytes()).await;
                return self.talk(stream).await;
            }
            let answer = self.paths.get(path.as_str()).unwrap_or(&self.other);
            if !give(&mut stream, answer).await {
                return;
            }
        }
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) {
        let token = match &self.socket {
            Socket::Gateway(token) => token.clone(),
            Socket::Answer(answer) => {
                give(&mut stream, answer).await;
                // Held open, so that the client decides how long it waits.
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
                return;
            }
            Socket::Refuse => return,
        };
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        let _ = socket.send(Message::text(CHALLENGE)).await;
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else {
                continue;
            };
            let request: serde_json::Value = serde_json::from_str(&text).unwrap();
            self.seen.lock().unwrap().push("connect".to_owned());
            let id = request["id"].as_str().unwrap();
            let answer = if request["params"]["auth"]["token"] == token.as_str() {
                format!(
                    r#"{{"type":"res","id":"{id}","ok":true,"payload":{{"type":"hello-ok","protocol":4}}}}"#
                )
            } else {
                format!(
                    r#"{{"type":"res","id":"{id}","ok":false,"error":{{"code":"INVALID_REQUEST","message":"unauthorized, {}","details":{{"code":"AUTH_TOKEN_MISMATCH"}}}}}}"#,
                    request["params"]["auth"]["token"].as_str().unwrap()
                )
            };
            let event = r#"{"type":"event","event":"presence","payload":{}}"#;
            let _ = socket.send(Message::text(event)).await;
            let _ = socket.send(Message::text(answer)).await;
        }
    }
}

/// Gives an answer. Says whether the connection may go on.
async fn give<S: AsyncWrite + Unpin>(stream: &mut S, answer: &Answer) -> bool {
    match answer {
        Answer::Body(status, body) => {
            let text = format!(
                "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(text.as_bytes()).await.is_ok()
        }
        Answer::Raw(bytes) => stream.write_all(bytes).await.is_ok(),
        Answer::Endless(begin, more) => {
            let mut open = stream.write_all(begin).await.is_ok();
            while open {
                open = stream.write_all(more).await.is_ok();
                tokio::task::yield_now().await;
            }
            false
        }
        Answer::Drip(bytes) => {
            for byte in bytes {
                let sent = stream.write_all(&[*byte]).await.is_ok();
                if !sent || stream.flush().await.is_err() {
                    return false;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            true
        }
        Answer::HangUp => false,
    }
}

async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
        // A TLS greeting is no head.
        if head.len() == 1 && !head[0].is_ascii_uppercase() || head.len() > 8192 {
            return None;
        }
    }
    String::from_utf8(head).ok()
}
