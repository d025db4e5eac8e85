//! The WebSocket question: is it a gateway, and does it take the inventory's token?

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::model::{Secret, WebSocketAnswer};
use crate::probe;
use crate::ssh::Stream;

/// A challenge is 200 bytes, a greeting 6 KB on an idle gateway: it lists every method, and it grows
/// with agents, sessions and clients.
const MAX_MESSAGE: usize = 256 << 10;

/// Other events may come before what is waited for, but not without end.
const MAX_MESSAGES: usize = 32;

/// How long a good-bye may take.
const GOODBYE: Duration = Duration::from_millis(200);

/// Asks on a stream. A token is only ever sent to what has sent a gateway's challenge.
pub(super) async fn ask(
    stream: Stream,
    port: u16,
    token: Option<&Secret>,
    begin: Instant,
) -> Result<WebSocketAnswer, String> {
    let mut request = format!("ws://127.0.0.1:{port}/")
        .into_client_request()
        .map_err(words)?;
    let agent = HeaderValue::from_static(super::USER_AGENT);
    request.headers_mut().insert("user-agent", agent);
    let config = WebSocketConfig::default()
        // The library's own buffers are 128 KiB each, for every host.
        .read_buffer_size(8 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(64 << 10)
        .max_frame_size(Some(MAX_MESSAGE))
        .max_message_size(Some(MAX_MESSAGE));
    let (mut socket, _) = client_async_with_config(request, stream, Some(config))
        .await
        .map_err(words)?;
    let challenge = next(&mut socket, |frame| Some(probe::is_challenge(frame))).await?;
    let hello = match token {
        Some(token) if challenge => {
            let request = Message::text(probe::connect_request(token));
            socket.send(request).await.map_err(words)?;
            // A gateway that hangs up in place of an answer has told so much. One that repeats the
            // token in its answer is not quoted with it.
            let hello = next(&mut socket, probe::greeting).await;
            Some(
                hello
                    .and_then(|hello| hello)
                    .map_err(|words| words.replace(token.expose(), "…")),
            )
        }
        _ => None,
    };
    let latency_ms = super::millis(begin.elapsed());
    // A gateway writes a line into its log for a client that leaves without a word.
    let _ = timeout(GOODBYE, socket.close(None)).await;
    Ok(WebSocketAnswer {
        challenge,
        hello,
        latency_ms,
    })
}

/// Reads on to the first text that means something.
async fn next<T>(
    socket: &mut WebSocketStream<Stream>,
    meaning: fn(&str) -> Option<T>,
) -> Result<T, String> {
    for _ in 0..MAX_MESSAGES {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                if let Some(meaning) = meaning(text.as_str()) {
                    return Ok(meaning);
                }
            }
            Some(Ok(Message::Close(_))) | None => {
                return Err("the WebSocket was closed without an answer".to_owned());
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(words(error)),
        }
    }
    Err("the WebSocket sent much, and no answer".to_owned())
}

fn words(error: Error) -> String {
    match error {
        Error::Http(response) => format!("no WebSocket: HTTP {}", response.status().as_u16()),
        other => other.to_string(),
    }
}
