//! An SSH server whose every byte is in the test's hand. It keeps the protocol only as far as an
//! attack needs it to.

mod kex;
mod pack;
mod steps;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ring::aead::chacha20_poly1305_openssh::{OpeningKey, SealingKey, TAG_LEN};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

pub(crate) use kex::{Forged, HostKey, Offer};
pub(crate) use pack::{Fields, Pack, kind};
pub(crate) use steps::{Step, confirmation, data, errors, exit_status, failure, pk_ok, refusal};

/// How much is put on the wire at once in a flood.
const BATCH: usize = 64 << 10;

/// What the server sends.
pub(crate) struct Out {
    stream: OwnedWriteHalf,
    key: Option<SealingKey>,
    /// Packets since the keys were last made, as the client counts them.
    count: u32,
    /// One byte at a time, with that pause after each.
    pub(crate) pace: Option<Duration>,
}

/// What the client sends.
pub(crate) struct In {
    stream: OwnedReadHalf,
    key: Option<OpeningKey>,
    count: u32,
}

/// The server's side of one connection.
pub(crate) struct Peer {
    pub(crate) out: Out,
    pub(crate) from: In,
    pub(crate) host: Arc<HostKey>,
    /// Both sides' identification, without the line's end.
    ids: (Vec<u8>, Vec<u8>),
    session: Option<Vec<u8>>,
    /// The client's number of its session channel.
    pub(crate) channel: u32,
    /// The probe's nonce, once the client told it.
    pub(crate) nonce: String,
    /// The window and the packet size that the session channel is opened with.
    pub(crate) room: (u32, u32),
}

impl Out {
    /// Puts bytes on the wire as they are.
    pub(crate) async fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(pace) = self.pace else {
            return self.stream.write_all(bytes).await;
        };
        for byte in bytes {
            self.stream.write_all(&[*byte]).await?;
            tokio::time::sleep(pace).await;
        }
        Ok(())
    }

    /// Makes a packet that claims a length, with any bytes behind it.
    pub(crate) fn frame(&mut self, length: u32, rest: &[u8]) -> Vec<u8> {
        let mut packet = length.to_be_bytes().to_vec();
        packet.extend_from_slice(rest);
        if let Some(key) = &self.key {
            let mut tag = [0; TAG_LEN];
            key.seal_in_place(self.count, &mut packet, &mut tag);
            packet.extend_from_slice(&tag);
        }
        self.count = self.count.wrapping_add(1);
        packet
    }

    /// Makes a proper packet of a message.
    pub(crate) fn seal(&mut self, message: &[u8]) -> Vec<u8> {
        // With this cipher the length is no part of what is padded.
        let counted = message.len() + if self.key.is_some() { 1 } else { 5 };
        let mut padding = 8 - counted % 8;
        if padding < 4 {
            padding += 8;
        }
        let mut rest = vec![u8::try_from(padding).unwrap()];
        rest.extend_from_slice(message);
        rest.resize(rest.len() + padding, 0);
        self.frame(u32::try_from(rest.len()).unwrap(), &rest)
    }

    /// Sends a message.
    pub(crate) async fn send(&mut self, message: impl Into<Vec<u8>>) -> io::Result<()> {
        let packet = self.seal(&message.into());
        self.put(&packet).await
    }

    /// Sends messages for ever.
    pub(crate) async fn flood(
        &mut self,
        mut message: impl FnMut(u64) -> Vec<u8>,
    ) -> io::Result<()> {
        let mut number = 0;
        loop {
            let mut batch = Vec::with_capacity(2 * BATCH);
            while batch.len() < BATCH {
                batch.extend(self.seal(&message(number)));
                number += 1;
            }
            self.put(&batch).await?;
        }
    }
}

impl In {
    /// Reads the client's next message.
    pub(crate) async fn recv(&mut self) -> io::Result<Vec<u8>> {
        let mut packet = vec![0; 4];
        self.stream.read_exact(&mut packet).await?;
        let head = *packet.first_chunk().unwrap();
        let length = self
            .key
            .as_ref()
            .map_or(head, |key| key.decrypt_packet_length(self.count, head));
        let tag = if self.key.is_some() { TAG_LEN } else { 0 };
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap();
        packet.resize(4 + length + tag, 0);
        self.stream.read_exact(&mut packet[4..]).await?;
        if let Some(key) = &self.key {
            let tag = *packet.last_chunk().unwrap();
            key.open_in_place(self.count, &mut packet[..4 + length], &tag)
                .unwrap();
        }
        self.count = self.count.wrapping_add(1);
        let padding = usize::from(packet[4]);
        Ok(packet[5..4 + length - padding].to_vec())
    }

    /// Reads a line.
    async fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.push(self.stream.read_u8().await?);
        }
        Ok(line.trim_ascii_end().to_vec())
    }

    /// Reads and drops all that comes until the client is gone.
    pub(crate) async fn drain(&mut self) -> io::Result<()> {
        let mut sink = vec![0; BATCH];
        while self.stream.read(&mut sink).await? > 0 {}
        Ok(())
    }
}

impl Peer {
    pub(crate) fn new(stream: TcpStream, host: Arc<HostKey>) -> Self {
        stream.set_nodelay(true).unwrap();
        let (read, write) = stream.into_split();
        Self {
            out: Out {
                stream: write,
                key: None,
                count: 0,
                pace: None,
            },
            from: In {
                stream: read,
                key: None,
                count: 0,
            },
            host,
            ids: Default::default(),
            session: None,
            channel: 0,
            nonce: String::new(),
            room: (2 << 20, 32 << 10),
        }
    }

    /// Sends a message.
    pub(crate) async fn send(&mut self, message: impl Into<Vec<u8>>) -> io::Result<()> {
        self.out.send(message).await
    }

    /// Sends messages for ever, while what the client says is read and dropped.
    pub(crate) async fn flood_with(
        &mut self,
        message: impl FnMut(u64) -> Vec<u8>,
    ) -> io::Result<()> {
        let (out, from) = (&mut self.out, &mut self.from);
        tokio::select! {
            gone = from.drain() => gone,
            gone = out.flood(message) => gone,
        }
    }

    /// Sends one message for ever.
    pub(crate) async fn flood(&mut self, message: Vec<u8>) -> io::Result<()> {
        self.flood_with(|_| message.clone()).await
    }

    /// Puts bytes on the wire for ever.
    pub(crate) async fn pour(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (out, from) = (&mut self.out, &mut self.from);
        let pour = async {
            loop {
                out.put(bytes).await?;
            }
        };
        tokio::select! {
            gone = from.drain() => gone,
            gone = pour => gone,
        }
    }

    /// Says nothing more, and waits for the client to go.
    pub(crate) async fn wait(&mut self) -> io::Result<()> {
        self.from.drain().await
    }

    /// Neither reads nor writes any more.
    pub(crate) async fn freeze(&self) -> io::Result<()> {
        std::future::pending().await
    }
}
