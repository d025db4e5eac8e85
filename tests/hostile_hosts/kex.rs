//! In the key exchange, and in those that follow it.

use std::sync::Arc;

use crate::attack::{Attack, attack};
use crate::before_kex::{EVIL, SLOW};
use crate::wire::{Forged, HostKey, Offer, Pack, Step, kind};

pub(crate) fn attacks() -> Vec<Attack> {
    let mut all = replies();
    all.extend(strictness());
    all.extend(again());
    all
}

/// Answers the key exchange with something forged in it.
fn forging(
    name: &'static str,
    does: &'static str,
    ends: &'static [&'static str],
    forged: Forged,
) -> Attack {
    attack(name, does, ends, move |mut peer| {
        let forged = forged.clone();
        async move {
            peer.hello().await?;
            peer.exchange_with(&Offer::default(), forged).await?;
            peer.wait().await
        }
    })
}

const IN_KEX: &[&str] = &["unreachable:kex"];

fn replies() -> Vec<Attack> {
    let point = |point: &[u8]| Forged {
        point: Some(point.to_vec()),
        ..Forged::default()
    };
    let key = |key: Vec<u8>| Forged {
        key: Some(key),
        ..Forged::default()
    };
    let signature = |signature: Vec<u8>| Forged {
        signature: Some(signature),
        ..Forged::default()
    };
    let ed25519 = |bytes: &[u8]| Pack::blob().string("ssh-ed25519").string(bytes).done();
    vec![
        forging(
            "all-zero point",
            "sends the X25519 point whose shared secret everybody knows",
            IN_KEX,
            point(&[0; 32]),
        ),
        forging(
            "point of 64 KiB",
            "sends an X25519 point of 64 KiB",
            IN_KEX,
            point(&[7; 64 << 10]),
        ),
        forging("empty point", "sends no X25519 point", IN_KEX, point(&[])),
        forging(
            "wrong signature",
            "signs the key exchange with 64 zeroes",
            IN_KEX,
            signature(ed25519(&[0; 64])),
        ),
        forging(
            "signature of garbage",
            "signs the key exchange with terminal escapes",
            IN_KEX,
            signature(EVIL.to_vec()),
        ),
        forging(
            "host key of garbage",
            "shows terminal escapes as its host key",
            IN_KEX,
            key(EVIL.to_vec()),
        ),
        forging(
            "host key named in escapes",
            "shows a host key of an algorithm that is named in terminal escapes",
            IN_KEX,
            key(Pack::blob().string(EVIL).string([7; 32]).done()),
        ),
        forging(
            "host key of 200 KiB",
            "shows an RSA key of 200 KiB",
            IN_KEX,
            key(Pack::blob()
                .string("ssh-rsa")
                .mpint(&[1, 0, 1])
                .mpint(&[0x7f; 200 << 10])
                .done()),
        ),
        forging(
            "certificate that was not asked for",
            "shows a host certificate where a key was agreed on",
            &["unreachable:kex", "host-key-rejected:host-key"],
            key(certificate()),
        ),
        attack(
            "slow key exchange",
            "answers the key exchange one byte in 300 ms",
            &["timed-out:kex"],
            |mut peer| async move {
                peer.hello().await?;
                let ours = Offer::default().message();
                peer.send(ours).await?;
                peer.expect(kind::ECDH_INIT).await?;
                peer.out.pace = Some(SLOW);
                peer.send([kind::ECDH_REPLY; 200]).await
            },
        )
        .waits(),
    ]
}

/// Looks like a host certificate, as far as its fields go.
fn certificate() -> Vec<u8> {
    Pack::blob()
        .string("ssh-ed25519-cert-v01@openssh.com")
        .string([1; 32])
        .string([2; 32])
        .raw([0; 8])
        .u32(2)
        .string("a host")
        .string("")
        .raw([0; 8])
        .raw([0xff; 8])
        .string("")
        .string("")
        .string("")
        .string(Pack::blob().string("ssh-ed25519").string([3; 32]).done())
        .string(Pack::blob().string("ssh-ed25519").string([4; 64]).done())
        .done()
}

fn strictness() -> Vec<Attack> {
    let ignored = Pack::of(kind::IGNORE).string("x").done();
    vec![
        attack(
            "a client that would compress",
            "looks for compression in the client's offer, and goes on only where there is none",
            &["observed"],
            |mut peer| async move {
                peer.hello().await?;
                let ours = Offer::default().message();
                peer.send(ours.clone()).await?;
                let theirs = peer.expect(kind::KEXINIT).await?;
                let offers = |what: &[u8]| theirs.windows(what.len()).any(|part| part == what);
                if offers(b"zlib") || !offers(b"kex-strict-c-v00@openssh.com") {
                    return peer.wait().await;
                }
                peer.reply(&ours, &theirs, Forged::default()).await?;
                peer.between(Some(Step::Kex), Step::Exec).await?;
                forge_a_report(&mut peer).await
            },
        ),
        forging(
            "a message slipped in before the new keys",
            "sends an IGNORE between its reply and its new keys, as a Terrapin attack does",
            IN_KEX,
            Forged {
                between: vec![ignored],
                ..Forged::default()
            },
        )
        .says("strict key exchange"),
        attack(
            "a message slipped in before the offer",
            "sends an IGNORE before its offer",
            IN_KEX,
            |mut peer| async move {
                peer.hello().await?;
                let ignored = Pack::of(kind::IGNORE).string("x").done();
                peer.send(ignored).await?;
                peer.exchange().await?;
                peer.wait().await
            },
        )
        .says("strict key exchange"),
        forging(
            "a login before the new keys",
            "sends USERAUTH_SUCCESS in the middle of the key exchange",
            IN_KEX,
            Forged {
                between: vec![vec![kind::USERAUTH_SUCCESS]],
                ..Forged::default()
            },
        ),
        attack(
            "new keys before the exchange",
            "sends NEWKEYS instead of its reply",
            IN_KEX,
            |mut peer| async move {
                peer.hello().await?;
                peer.send(Offer::default().message()).await?;
                peer.send([kind::NEWKEYS]).await?;
                peer.wait().await
            },
        ),
    ]
}

const IN_EXEC: &[&str] = &["failed:exec"];

fn again() -> Vec<Attack> {
    vec![
        attack(
            "keys exchanged again, properly",
            "exchanges keys again in the middle of the probe, as a server may",
            &["observed", "failed:exec"],
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                peer.exchange().await?;
                forge_a_report(&mut peer).await
            },
        ),
        attack(
            "keys exchanged for ever",
            "exchanges keys again and again",
            &["timed-out:exec", "failed:exec"],
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                loop {
                    peer.exchange().await?;
                }
            },
        )
        .busy(),
        attack(
            "an exchange that never ends",
            "offers new keys in the middle of the probe, and says nothing more",
            &["timed-out:exec"],
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                peer.send(Offer::default().message()).await?;
                peer.wait().await
            },
        )
        .waits(),
        attack(
            "flood of KEXINIT in a session",
            "offers new keys for ever",
            IN_EXEC,
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                peer.flood(Offer::default().message()).await
            },
        ),
        attack(
            "flood of requests during an exchange",
            "offers new keys, never makes them, and floods with requests that want an answer",
            IN_EXEC,
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                peer.send(Offer::default().message()).await?;
                let request = Pack::of(kind::GLOBAL_REQUEST).string("keepalive@openssh.com");
                peer.flood(request.byte(1).done()).await
            },
        ),
        attack(
            "another cipher offered in a later exchange",
            "offers nothing that both know when keys are exchanged again",
            IN_EXEC,
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                let offer = Offer {
                    cipher: "none".into(),
                    ..Offer::default()
                };
                peer.exchange_with(&offer, Forged::default()).await?;
                peer.wait().await
            },
        ),
    ]
}

/// Apart from the others, because the SSH library asks nobody about a key in a later exchange.
pub(crate) fn changed_key() -> Attack {
    attack(
        "another host key in a later exchange",
        "shows a new key, properly signed, when keys are exchanged again",
        IN_EXEC,
        |mut peer| async move {
            peer.through(Step::Exec).await?;
            peer.host = Arc::new(HostKey::new());
            peer.exchange().await?;
            forge_a_report(&mut peer).await
        },
    )
}

/// Prints what a host in good order would.
pub(crate) async fn forge_a_report(peer: &mut crate::wire::Peer) -> std::io::Result<()> {
    let n = peer.nonce.clone();
    let report = format!("@{n} hello\nuid=0\nhostname=forged\n@{n} end\n");
    peer.print(report.as_bytes()).await?;
    peer.exit(0).await?;
    peer.attend().await
}
