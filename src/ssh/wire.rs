//! The stream under a session: TCP, a channel of a jump host, or a proxy command.
//!
//! russh runs each session in a task of its own, and dropping its handle, or a connect that timed
//! out, does not end that task. So the stream can be hung up from outside: every read and write
//! then fails, and the task ends. The first bytes are kept, because russh reports a server that
//! says something else than SSH only as "disconnected".

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{StageClock, Stream};
use crate::model::Stage;

/// How much of a server's first words is kept, in bytes.
const HEAD: usize = 512;

/// How a server's identification line begins.
const IDENTIFICATION: &[u8] = b"SSH-";

/// How much a server may send before it has let us in, in bytes. An exchange of keys, a login and a
/// long notice take less than a tenth; russh drops what it need not answer, for as long as it comes.
const BEFORE_LOGIN: u64 = 1 << 20;

/// How much a server may send on one connection. The probe's output is cut off at a hundredth of it,
/// errors that a login prints in a loop are not.
const AT_ALL: u64 = 128 << 20;

/// In how many pieces that may come: each packet takes two, and some time even if it holds one byte.
/// The probe's output takes a few hundred, and all that may come in segments of Ethernet 100,000.
const PIECES: u32 = 1 << 18;

/// What a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// One host's answers.
    OneHost,
    /// What a command prints, up to so many bytes.
    Output(u64),
    /// Connections to other hosts. Each of those is counted by itself, so that one of them that
    /// floods us does not end the others.
    ManyHosts,
}

/// The first bytes that a server sent.
pub(super) type Head = Arc<Mutex<Vec<u8>>>;

/// Hangs up when dropped.
#[derive(Debug)]
pub(super) struct HangUp(CancellationToken);

impl Drop for HangUp {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A stream that can be hung up.
pub(super) struct Wire {
    stream: Stream,
    hung_up: Pin<Box<WaitForCancellationFutureOwned>>,
    head: Head,
    clock: Arc<StageClock>,
    load: Load,
    /// How many bytes came.
    received: u64,
    /// In how many pieces.
    pieces: u32,
    /// Whether the server's identification line was seen.
    identified: bool,
    /// Tells those who wait for that line.
    tell: CancellationToken,
    /// How much of `SSH-` the current line begins with; `None` once it begins otherwise. Lines
    /// before the identification are allowed (RFC 4253, 4.2), and may be longer than what is kept.
    matched: Option<usize>,
}

impl Wire {
    pub(super) fn new(
        stream: Stream,
        clock: Arc<StageClock>,
        load: Load,
    ) -> (Self, HangUp, Head, CancellationToken) {
        let token = CancellationToken::new();
        let head = Head::default();
        let identified = CancellationToken::new();
        let wire = Self {
            stream,
            hung_up: Box::pin(token.clone().cancelled_owned()),
            head: Arc::clone(&head),
            clock,
            load,
            received: 0,
            pieces: 0,
            identified: false,
            tell: identified.clone(),
            matched: Some(0),
        };
        (wire, HangUp(token), head, identified)
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.hung_up.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// Ends a connection on which more comes than any honest server sends.
    fn count(&mut self, bytes: usize) -> io::Result<()> {
        self.received = self
            .received
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.pieces = self.pieces.saturating_add(1);
        let logged_in = self.clock.current() > Stage::Auth;
        if logged_in && self.load == Load::ManyHosts {
            return Ok(());
        }
        let (limit, when) = match self.load {
            _ if !logged_in => (BEFORE_LOGIN, " before the login"),
            Load::Output(bytes) => (AT_ALL.saturating_add(bytes.saturating_mul(2)), ""),
            Load::OneHost | Load::ManyHosts => (AT_ALL, ""),
        };
        // A command may well print byte by byte; it is bounded by what it may print in all.
        let pieces = match self.load {
            Load::Output(_) if logged_in => u32::MAX,
            _ => PIECES,
        };
        if self.pieces > pieces {
            let words = "the server sent more packets than any probe takes";
            return Err(io::Error::other(words));
        }
        if self.received <= limit {
            return Ok(());
        }
        let words = format!("the server sent more than {} MiB{when}", limit >> 20);
        Err(io::Error::other(words))
    }

    fn note(&mut self, data: &[u8]) {
        if let Ok(mut head) = self.head.lock() {
            super::exec::append_capped(&mut head, data, HEAD);
        }
        for byte in data {
            self.matched = match (byte, self.matched) {
                (b'\n', _) => Some(0),
                (byte, Some(length)) if IDENTIFICATION.get(length) == Some(byte) => {
                    Some(length + 1)
                }
                _ => None,
            };
            if self.matched == Some(IDENTIFICATION.len()) {
                self.identified = true;
                self.tell.cancel();
                self.clock.enter(Stage::Kex);
                return;
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let bytes = buf.filled().len().saturating_sub(before);
        if bytes > 0 {
            self.count(bytes)?;
        }
        if !self.identified && polled.is_ready() {
            let data = buf.filled().get(before..).unwrap_or_default().to_vec();
            self.note(&data);
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
