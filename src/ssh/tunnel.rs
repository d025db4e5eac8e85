//! A channel of a jump host as a stream.
//!
//! russh stops reading a connection while any of its channels has a full queue, so one host behind
//! a jump that sends more than its session reads would stall all others there. A task of its own
//! empties each channel's queue, and what waits for the reader is bounded here: russh opens the
//! window again for whatever it received, read or not.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::bytes::{Buf as _, Bytes};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How much may wait to be read, in bytes: four windows. A session that is well reads on while its
/// own channels hold back at one window each.
const MOST: usize = 2 << 20;

/// What a piece costs beside its bytes.
const PIECE: usize = 64;

/// What the stream and its task share.
#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    overflowed: AtomicBool,
}

/// A channel that is always read.
pub(super) struct Tunnel {
    pieces: UnboundedReceiver<Bytes>,
    /// The piece that is being read.
    current: Bytes,
    waiting: Arc<Waiting>,
    to_host: Pin<Box<dyn AsyncWrite + Send>>,
    /// The task ends, and closes the channel, when this is dropped.
    _open: DropGuard,
}

impl Tunnel {
    pub(super) fn new(channel: Channel<Msg>) -> Self {
        let (from_host, to_host) = channel.split();
        let (sender, pieces) = unbounded_channel();
        let dropped = CancellationToken::new();
        let tunnel = Self {
            pieces,
            current: Bytes::new(),
            waiting: Arc::default(),
            to_host: Box::pin(to_host.make_writer()),
            _open: dropped.clone().drop_guard(),
        };
        let waiting = Arc::clone(&tunnel.waiting);
        tokio::spawn(pump(from_host, to_host, sender, waiting, dropped));
        tunnel
    }
}

/// Empties a channel's queue until either side is gone, and closes the channel.
async fn pump(
    mut from_host: ChannelReadHalf,
    to_host: ChannelWriteHalf<Msg>,
    sender: UnboundedSender<Bytes>,
    waiting: Arc<Waiting>,
    dropped: CancellationToken,
) {
    let mut sender = Some(sender);
    loop {
        let message = tokio::select! {
            message = from_host.wait() => message,
            () = dropped.cancelled() => break,
        };
        match message {
            None | Some(ChannelMsg::Close) => break,
            // The other direction may go on.
            Some(ChannelMsg::Eof) => sender = None,
            Some(ChannelMsg::Data { data }) => {
                let Some(sender) = &sender else { continue };
                if !waiting.add(data.len()) {
                    break;
                }
                // Nobody reads it where the stream was dropped, which ends this in a moment.
                let _ = sender.send(data);
            }
            Some(_) => {}
        }
    }
    // The reader sees the end at once: a jump that is slow to take the close must not hold it up.
    drop(sender);
    // There is nobody to tell where the jump is lost.
    let _ = to_host.close().await;
}

impl Waiting {
    /// Counts what came. Returns whether it may wait.
    fn add(&self, bytes: usize) -> bool {
        let waited = self.bytes.fetch_add(bytes + PIECE, Ordering::Relaxed);
        let fits = waited + bytes + PIECE <= MOST;
        if !fits {
            self.overflowed.store(true, Ordering::Relaxed);
        }
        fits
    }

    fn taken(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes + PIECE, Ordering::Relaxed);
    }

    fn check(&self) -> io::Result<()> {
        if self.overflowed.load(Ordering::Relaxed) {
            let words = format!("the host sent more than {} MiB unasked", MOST >> 20);
            return Err(io::Error::other(words));
        }
        Ok(())
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.waiting.check()?;
        // An empty piece must not look like the end.
        while self.current.is_empty() {
            match ready!(self.pieces.poll_recv(cx)) {
                Some(piece) => {
                    self.waiting.taken(piece.len());
                    self.current = piece;
                }
                None => {
                    self.waiting.check()?;
                    return Poll::Ready(Ok(()));
                }
            }
        }
        let length = self.current.len().min(buf.remaining());
        let piece = self.current.split_to(length);
        buf.put_slice(piece.chunk());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.waiting.check()?;
        self.to_host.as_mut().poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.to_host.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.to_host.as_mut().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use russh::keys::{PrivateKey, PublicKeyOrCertificate, ssh_key::private::Ed25519Keypair};
    use russh::server::{self, ChannelOpenHandle};
    use russh::{client, keys};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::{sleep, timeout};

    use super::*;

    /// A jump: behind port 1 is a host that floods, behind every other port one that says hello.
    struct Jump;

    impl server::Handler for Jump {
        type Error = russh::Error;

        async fn auth_none(&mut self, _: &str) -> Result<server::Auth, Self::Error> {
            Ok(server::Auth::Accept)
        }

        async fn channel_open_direct_tcpip(
            &mut self,
            channel: Channel<server::Msg>,
            _: &str,
            port: u32,
            _: &str,
            _: u32,
            reply: ChannelOpenHandle,
            _: &mut server::Session,
        ) -> Result<(), Self::Error> {
            reply.accept().await;
            tokio::spawn(async move {
                let mut host = channel.into_stream();
                let flood = vec![0; 8 * MOST];
                let said: &[u8] = if port == 1 { &flood } else { b"hello" };
                // Whoever floods is hung up on.
                let _ = host.write_all(said).await;
                let _ = host.shutdown().await;
            });
            Ok(())
        }
    }

    struct Us;

    impl client::Handler for Us {
        type Error = russh::Error;

        async fn check_server_key(
            &mut self,
            _: &PublicKeyOrCertificate,
        ) -> Result<bool, Self::Error> {
            Ok(true)
        }
    }

    async fn jump() -> client::Handle<Us> {
        let (ours, theirs) = duplex(64 << 10);
        let key: keys::PrivateKey = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]));
        let config = Arc::new(server::Config {
            keys: vec![key],
            ..server::Config::default()
        });
        tokio::spawn(async move {
            if let Ok(session) = server::run_stream(config, theirs, Jump).await {
                let _ = session.await;
            }
        });
        let config = Arc::new(client::Config {
            window_size: 512 << 10,
            channel_buffer_size: 16,
            ..client::Config::default()
        });
        let mut handle = client::connect_stream(config, ours, Us).await.unwrap();
        assert!(handle.authenticate_none("us").await.unwrap().success());
        handle
    }

    async fn to(jump: &client::Handle<Us>, port: u32) -> Tunnel {
        let channel = jump.channel_open_direct_tcpip("host", port, "127.0.0.1", 0);
        Tunnel::new(channel.await.unwrap())
    }

    #[tokio::test]
    async fn a_host_that_nobody_reads_stalls_no_other_behind_the_jump() {
        let jump = jump().await;
        let mut flood = to(&jump, 1).await;
        sleep(Duration::from_millis(200)).await;
        let others = async {
            for port in 2..10 {
                let mut said = String::new();
                let mut good = to(&jump, port).await;
                good.read_to_string(&mut said).await.unwrap();
                assert_eq!(said, "hello");
            }
        };
        timeout(Duration::from_secs(5), others).await.unwrap();
        let error = flood.read(&mut [0; 10]).await.unwrap_err();
        assert!(error.to_string().contains("unasked"), "{error}");
        assert!(flood.write(b"x").await.is_err());
    }

    #[test]
    fn what_waits_is_bounded_and_small_pieces_count_more_than_their_bytes() {
        let waiting = Waiting::default();
        let mut pieces = 0;
        while waiting.add(1) {
            pieces += 1;
        }
        assert_eq!(pieces, MOST / (1 + PIECE));
        assert!(waiting.check().is_err());
        let read = Waiting::default();
        for _ in 0..1000 {
            assert!(read.add(MOST / 2));
            read.taken(MOST / 2);
        }
        assert!(read.check().is_ok());
    }
}
