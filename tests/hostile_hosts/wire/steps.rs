//! From the new keys to the probe's first line.

use std::io;

use super::{Fields, Pack, Peer, kind};

/// How far a server plays along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Hello,
    Kex,
    Service,
    Auth,
    Open,
    Exec,
}

const STEPS: [Step; 6] = [
    Step::Hello,
    Step::Kex,
    Step::Service,
    Step::Auth,
    Step::Open,
    Step::Exec,
];

impl Peer {
    /// Plays along up to a step, which is the last one done.
    pub(crate) async fn through(&mut self, last: Step) -> io::Result<()> {
        self.between(None, last).await
    }

    /// Goes on behind a step.
    pub(crate) async fn between(&mut self, done: Option<Step>, last: Step) -> io::Result<()> {
        for step in STEPS {
            if done.is_none_or(|done| step > done) && step <= last {
                match step {
                    Step::Hello => self.hello().await?,
                    Step::Kex => self.exchange().await?,
                    Step::Service => self.accept_service().await?,
                    Step::Auth => self.accept_login().await?,
                    Step::Open => self.open_session().await?,
                    Step::Exec => self.take_script().await?,
                }
            }
        }
        Ok(())
    }

    async fn accept_service(&mut self) -> io::Result<()> {
        self.expect(kind::SERVICE_REQUEST).await?;
        let accept = Pack::of(kind::SERVICE_ACCEPT).string("ssh-userauth");
        self.send(accept.done()).await
    }

    /// Waits for a key, and for its signature where asked to. Returns its algorithm and blob.
    pub(crate) async fn offered_key(&mut self) -> io::Result<(Vec<u8>, Vec<u8>, bool)> {
        loop {
            let request = self.expect(kind::USERAUTH_REQUEST).await?;
            let mut fields = Fields::of(&request);
            let (_user, _service, method) = (fields.string(), fields.string(), fields.string());
            if method == b"publickey" {
                let signed = fields.byte() != 0;
                return Ok((fields.string().to_vec(), fields.string().to_vec(), signed));
            }
            self.send(failure("publickey", false)).await?;
        }
    }

    /// Lets any key in, and never looks at a signature.
    async fn accept_login(&mut self) -> io::Result<()> {
        loop {
            let (algorithm, key, signed) = self.offered_key().await?;
            if signed {
                return self.send([kind::USERAUTH_SUCCESS]).await;
            }
            self.send(pk_ok(&algorithm, &key)).await?;
        }
    }

    /// Waits for the session channel. Forwarded connections are refused, as where nobody listens.
    pub(crate) async fn asked_for_session(&mut self) -> io::Result<()> {
        loop {
            let open = self.expect(kind::CHANNEL_OPEN).await?;
            let mut fields = Fields::of(&open);
            let (what, channel) = (fields.string(), fields.u32());
            if what == b"session" {
                self.channel = channel;
                return Ok(());
            }
            self.send(refusal(channel)).await?;
        }
    }

    async fn open_session(&mut self) -> io::Result<()> {
        self.asked_for_session().await?;
        let (window, packet) = self.room;
        self.send(confirmation(self.channel, window, packet)).await
    }

    /// Takes the command and its script, as far as the nonce.
    async fn take_script(&mut self) -> io::Result<()> {
        let mut script = Vec::new();
        while !script.contains(&b'\n') {
            let message = self.from.recv().await?;
            let mut fields = Fields::of(&message);
            match message[0] {
                kind::CHANNEL_OPEN => {
                    fields.string();
                    self.send(refusal(fields.u32())).await?;
                }
                kind::CHANNEL_REQUEST => {
                    let success = Pack::of(kind::CHANNEL_SUCCESS).u32(self.channel);
                    self.send(success.done()).await?;
                }
                kind::CHANNEL_DATA => {
                    fields.u32();
                    script.extend_from_slice(fields.string());
                }
                _ => {}
            }
        }
        let script = String::from_utf8(script).unwrap();
        let nonce = script.strip_prefix("N='").unwrap().split('\'').next();
        nonce.unwrap().clone_into(&mut self.nonce);
        Ok(())
    }

    /// Refuses the connections that the client wants forwarded, and drops all else.
    pub(crate) async fn attend(&mut self) -> io::Result<()> {
        loop {
            let open = self.expect(kind::CHANNEL_OPEN).await?;
            let mut fields = Fields::of(&open);
            fields.string();
            self.send(refusal(fields.u32())).await?;
        }
    }

    /// Prints on the session channel, in packets that keep to what the client takes.
    pub(crate) async fn print(&mut self, text: &[u8]) -> io::Result<()> {
        for part in text.chunks(16 << 10) {
            self.send(data(self.channel, part)).await?;
        }
        Ok(())
    }

    /// Ends the command properly.
    pub(crate) async fn exit(&mut self, code: u32) -> io::Result<()> {
        self.send(exit_status(self.channel, code)).await?;
        for kind in [kind::CHANNEL_EOF, kind::CHANNEL_CLOSE] {
            self.send(Pack::of(kind).u32(self.channel).done()).await?;
        }
        Ok(())
    }
}

pub(crate) fn failure(methods: &str, partial: bool) -> Vec<u8> {
    Pack::of(kind::USERAUTH_FAILURE)
        .string(methods)
        .byte(u8::from(partial))
        .done()
}

pub(crate) fn pk_ok(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    Pack::of(kind::USERAUTH_60)
        .string(algorithm)
        .string(key)
        .done()
}

pub(crate) fn confirmation(channel: u32, window: u32, packet: u32) -> Vec<u8> {
    Pack::of(kind::OPEN_CONFIRMATION)
        .u32(channel)
        .u32(0)
        .u32(window)
        .u32(packet)
        .done()
}

pub(crate) fn refusal(channel: u32) -> Vec<u8> {
    Pack::of(kind::OPEN_FAILURE)
        .u32(channel)
        .u32(2)
        .string("nobody listens")
        .string("")
        .done()
}

pub(crate) fn data(channel: u32, bytes: &[u8]) -> Vec<u8> {
    Pack::of(kind::CHANNEL_DATA)
        .u32(channel)
        .string(bytes)
        .done()
}

pub(crate) fn errors(channel: u32, bytes: &[u8]) -> Vec<u8> {
    Pack::of(kind::EXTENDED_DATA)
        .u32(channel)
        .u32(1)
        .string(bytes)
        .done()
}

pub(crate) fn exit_status(channel: u32, code: u32) -> Vec<u8> {
    Pack::of(kind::CHANNEL_REQUEST)
        .u32(channel)
        .string("exit-status")
        .byte(0)
        .u32(code)
        .done()
}
