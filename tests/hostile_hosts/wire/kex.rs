//! Identification and key exchange: curve25519-sha256, ed25519, chacha20-poly1305, strict.

use std::io;

use ring::aead::chacha20_poly1305_openssh::{KEY_LEN, OpeningKey, SealingKey};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};

use super::{Fields, Pack, Peer, kind};

/// A host's key.
pub(crate) struct HostKey {
    pair: Ed25519KeyPair,
    pub(crate) public: PublicKey,
}

impl HostKey {
    pub(crate) fn new() -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        Self {
            pair: Ed25519KeyPair::from_seed_unchecked(&seed).unwrap(),
            public: PrivateKey::from(Ed25519Keypair::from_seed(&seed))
                .public_key()
                .clone(),
        }
    }

    /// The key as it is sent.
    pub(crate) fn blob(&self) -> Vec<u8> {
        let key = self.public.key_data().ed25519().unwrap();
        Pack::blob().string("ssh-ed25519").string(key.0).done()
    }

    fn sign(&self, data: &[u8]) -> Vec<u8> {
        let signature = self.pair.sign(data);
        Pack::blob().string("ssh-ed25519").string(signature).done()
    }
}

/// The lists of a KEXINIT.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) kex: String,
    pub(crate) host_key: String,
    pub(crate) cipher: String,
    pub(crate) compression: String,
    pub(crate) languages: String,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            kex: "curve25519-sha256,kex-strict-s-v00@openssh.com".into(),
            host_key: "ssh-ed25519".into(),
            cipher: "chacha20-poly1305@openssh.com".into(),
            compression: "none".into(),
            languages: String::new(),
        }
    }
}

impl Offer {
    /// As a message.
    pub(crate) fn message(&self) -> Vec<u8> {
        let mut cookie = [0; 16];
        getrandom::fill(&mut cookie).unwrap();
        let lists = [
            &self.kex,
            &self.host_key,
            &self.cipher,
            &self.cipher,
            &"hmac-sha2-256".into(),
            &"hmac-sha2-256".into(),
            &self.compression,
            &self.compression,
            &self.languages,
            &self.languages,
        ];
        lists
            .into_iter()
            .fold(Pack::of(kind::KEXINIT).raw(cookie), Pack::string)
            .byte(0)
            .u32(0)
            .done()
    }
}

/// What is not as it should be in the reply of a key exchange.
#[derive(Debug, Clone, Default)]
pub(crate) struct Forged {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) point: Option<Vec<u8>>,
    pub(crate) signature: Option<Vec<u8>>,
    /// Messages between the reply and the new keys.
    pub(crate) between: Vec<Vec<u8>>,
}

impl Peer {
    /// Exchanges identifications.
    pub(crate) async fn hello(&mut self) -> io::Result<()> {
        self.hello_as("SSH-2.0-OpenSSH_9.6").await
    }

    pub(crate) async fn hello_as(&mut self, line: &str) -> io::Result<()> {
        self.out.put(format!("{line}\r\n").as_bytes()).await?;
        self.ids = (self.from.line().await?, line.as_bytes().to_vec());
        Ok(())
    }

    /// Exchanges keys, for the first time or again.
    pub(crate) async fn exchange(&mut self) -> io::Result<()> {
        self.exchange_with(&Offer::default(), Forged::default())
            .await
    }

    pub(crate) async fn exchange_with(&mut self, offer: &Offer, forged: Forged) -> io::Result<()> {
        let ours = offer.message();
        self.send(ours.clone()).await?;
        let theirs = self.expect(kind::KEXINIT).await?;
        self.reply(&ours, &theirs, forged).await
    }

    /// Waits for a message of that kind, dropping others.
    pub(crate) async fn expect(&mut self, kind: u8) -> io::Result<Vec<u8>> {
        loop {
            let message = self.from.recv().await?;
            if message.first() == Some(&kind) {
                return Ok(message);
            }
        }
    }

    /// Makes the new keys, once both offers are known.
    pub(crate) async fn reply(
        &mut self,
        ours: &[u8],
        theirs: &[u8],
        forged: Forged,
    ) -> io::Result<()> {
        let init = self.expect(kind::ECDH_INIT).await?;
        let client_point = Fields::of(&init).string().to_vec();
        let random = SystemRandom::new();
        let secret = EphemeralPrivateKey::generate(&X25519, &random).unwrap();
        let point = secret.compute_public_key().unwrap().as_ref().to_vec();
        let peer = UnparsedPublicKey::new(&X25519, &client_point);
        let shared = agree_ephemeral(secret, &peer, <[u8]>::to_vec).unwrap();
        let shared = Pack::blob().mpint(&shared).done();
        let point = forged.point.unwrap_or(point);
        let key = forged.key.unwrap_or_else(|| self.host.blob());
        let hashed = Pack::blob()
            .string(&self.ids.0)
            .string(&self.ids.1)
            .string(theirs)
            .string(ours)
            .string(&key)
            .string(&client_point)
            .string(&point)
            .raw(&shared)
            .done();
        let hash = digest(&SHA256, &hashed).as_ref().to_vec();
        let signature = forged.signature.unwrap_or_else(|| self.host.sign(&hash));
        let reply = Pack::of(kind::ECDH_REPLY)
            .string(key)
            .string(point)
            .string(signature);
        self.send(reply.done()).await?;
        for message in forged.between {
            self.send(message).await?;
        }
        self.send([kind::NEWKEYS]).await?;
        let session = self.session.get_or_insert_with(|| hash.clone()).clone();
        let derive = |letter: u8| key_of(&shared, &hash, letter, &session);
        self.out.key = Some(SealingKey::new(&derive(b'D')));
        self.out.count = 0;
        self.expect(kind::NEWKEYS).await?;
        self.from.key = Some(OpeningKey::new(&derive(b'C')));
        self.from.count = 0;
        Ok(())
    }
}

/// RFC 4253, 7.2.
fn key_of(shared: &[u8], hash: &[u8], letter: u8, session: &[u8]) -> [u8; KEY_LEN] {
    let begin = [shared, hash, &[letter], session].concat();
    let first = digest(&SHA256, &begin);
    let second = digest(&SHA256, &[shared, hash, first.as_ref()].concat());
    [first.as_ref(), second.as_ref()]
        .concat()
        .try_into()
        .unwrap()
}
