//! One HTTP/1.1 connection, on which several questions are asked one after the other.

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use crate::model::Secret;
use crate::ssh::Stream;

/// A health document is 27 bytes, the old versions' page some KB.
const MAX_BODY: usize = 64 << 10;

/// What a server's head may take; the library's own limit is 400 KiB for each connection.
const MAX_HEAD: usize = 64 << 10;

/// How many bytes come before it is looked again whether they are enough: a body in many small
/// pieces is not to be searched once for each.
const STEP: usize = 1 << 10;

/// An answer whose body was read to its end, to its cap, or as far as it was wanted.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// A connection that is kept for the next question.
pub(super) struct Conversation {
    sender: SendRequest<Empty<Bytes>>,
    host: String,
    _driver: Driver,
}

/// The task that moves the bytes; it ends with the conversation.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Conversation {
    /// Begins on a stream.
    pub(super) async fn on(stream: Stream, port: u16) -> Result<Self, String> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| words(&error))?;
        // What ends the connection ends the question as well, which tells it.
        let driver = Driver(tokio::spawn(async move {
            let _ = connection.await;
        }));
        Ok(Self {
            sender,
            host: format!("127.0.0.1:{port}"),
            _driver: driver,
        })
    }

    /// Asks for a path. The body is read until it is enough.
    pub(super) async fn get(
        &mut self,
        path: &str,
        token: Option<&Secret>,
        enough: fn(&[u8]) -> bool,
    ) -> Result<Reply, String> {
        let mut request = Request::get(path)
            .header("host", &self.host)
            .header("user-agent", super::USER_AGENT);
        if let Some(token) = token {
            request = request.header("authorization", bearer(token)?);
        }
        let request = request.body(Empty::new()).map_err(|error| words(&error))?;
        self.sender.ready().await.map_err(|error| words(&error))?;
        let response = self
            .sender
            .send_request(request)
            .await
            .map_err(|error| words(&error))?;
        Ok(Reply {
            status: response.status().as_u16(),
            body: read(response.into_body(), enough).await,
        })
    }
}

/// Marked as sensitive, so that no log of the library shows it.
fn bearer(token: &Secret) -> Result<hyper::header::HeaderValue, String> {
    let mut value = hyper::header::HeaderValue::try_from(format!("Bearer {}", token.expose()))
        .map_err(|_| "the token has characters that no header may hold".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// A body that is too long is cut, and one that ends early is taken as it is: its beginning is
/// enough to tell a gateway.
async fn read(mut body: Incoming, enough: fn(&[u8]) -> bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut looked = 0;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(data) = frame.data_ref() else {
            continue;
        };
        let room = MAX_BODY.saturating_sub(bytes.len());
        bytes.extend_from_slice(data.get(..room).unwrap_or(data));
        if data.len() >= room {
            break;
        }
        if bytes.len() >= looked + STEP {
            looked = bytes.len();
            if enough(&bytes) {
                break;
            }
        }
    }
    bytes
}

/// The library says what, its source says why.
fn words(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(ToString::to_string);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
