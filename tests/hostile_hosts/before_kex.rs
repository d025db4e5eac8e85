//! Before any key is exchanged.

use std::time::Duration;

use crate::attack::{Attack, attack};
use crate::kex::forge_a_report;
use crate::wire::{Offer, Pack, Step, kind};

/// The pause of a slow server after each byte.
pub(crate) const SLOW: Duration = Duration::from_millis(300);

/// Terminal escapes, a forged line, a turned writing direction, and what is no text at all.
pub(crate) const EVIL: &[u8] = b"\x1b[2J\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b]8;;http://evil.example\x1b\\a\x1bP+q\x1b\\\r\nVM1 ok\x08\x7f\x9b31m\xc2\x9b31m\xe2\x80\xae\xe2\x81\xa6\xd8\x9c\xf3\xa0\x81\x81\xff\xfe";

/// Lines, each a proper one.
const LINE: &[u8] = b"All that you do here is recorded.\r\n";

pub(crate) fn attacks() -> Vec<Attack> {
    let mut all = identification();
    all.extend(packets());
    all.extend(floods());
    all.extend(offers());
    all
}

fn identification() -> Vec<Attack> {
    vec![
        attack(
            "endless banner lines",
            "prints lines before its identification, for ever",
            &["unreachable:banner"],
            |mut peer| async move { peer.pour(&LINE.repeat(500)).await },
        )
        .says("no SSH server"),
        attack(
            "endless bytes without a newline",
            "prints one line that never ends",
            &["unreachable:banner"],
            |mut peer| async move { peer.pour(&[b'A'; 16 << 10]).await },
        ),
        attack(
            "endless identification",
            "begins its identification and never ends the line",
            &["unreachable:kex"],
            |mut peer| async move {
                peer.out.put(b"SSH-2.0-").await?;
                peer.pour(&[b'A'; 16 << 10]).await
            },
        ),
        attack(
            "identification of 256 bytes",
            "identifies itself with one byte more than the protocol allows",
            &["unreachable:kex"],
            |mut peer| async move {
                let line = format!("SSH-2.0-{}", "A".repeat(248));
                peer.hello_as(&line).await?;
                peer.exchange().await
            },
        ),
        attack(
            "identification of 64 KiB",
            "identifies itself with 64 KiB in one line",
            &["unreachable:kex"],
            |mut peer| async move {
                let line = format!("SSH-2.0-{}", "A".repeat(64 << 10));
                peer.hello_as(&line).await?;
                peer.exchange().await
            },
        ),
        attack(
            "identification of escapes",
            "identifies itself as a program named in terminal escapes, and reports",
            &["observed"],
            |mut peer| async move {
                peer.hello_as("SSH-2.0-\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}\u{9b}31m")
                    .await?;
                peer.between(Some(Step::Hello), Step::Exec).await?;
                forge_a_report(&mut peer).await
            },
        ),
        attack(
            "terminal escapes instead of an identification",
            "sends escapes for the terminal, invalid UTF-8 and forged lines, and hangs up",
            &["unreachable:banner"],
            |mut peer| async move { peer.out.put(&[EVIL, b"\n"].concat()).await },
        )
        .says("no SSH server"),
        attack(
            "slow identification",
            "sends its identification one byte in 300 ms",
            &["timed-out:banner", "timed-out:kex"],
            |mut peer| async move {
                peer.out.pace = Some(SLOW);
                peer.hello().await
            },
        )
        .waits(),
        attack(
            "slow offer",
            "sends its offer of algorithms one byte in 300 ms",
            &["timed-out:kex"],
            |mut peer| async move {
                peer.hello().await?;
                peer.out.pace = Some(SLOW);
                peer.exchange().await
            },
        )
        .waits(),
    ]
}

/// Sends a packet that claims a length.
fn claiming(name: &'static str, does: &'static str, length: u32, rest: &'static [u8]) -> Attack {
    attack(
        name,
        does,
        &["unreachable:kex"],
        move |mut peer| async move {
            peer.hello().await?;
            let packet = peer.out.frame(length, rest);
            peer.out.put(&packet).await?;
            peer.pour(&[0; 4096]).await
        },
    )
}

fn packets() -> Vec<Attack> {
    vec![
        claiming(
            "packet of 4 GiB",
            "claims a packet of 0xffffffff bytes, and sends",
            u32::MAX,
            &[],
        ),
        claiming(
            "packet of 256 MiB",
            "claims a packet of 256 MiB, and sends",
            256 << 20,
            &[],
        ),
        claiming(
            "packet of 300 KiB",
            "claims a packet just over what a client must take, and sends",
            300 << 10,
            &[],
        ),
        claiming(
            "packet of 35001 bytes",
            "sends one byte more than the protocol's least limit, in nonsense",
            35_001,
            &[],
        ),
        claiming(
            "packet of no length",
            "claims a packet without any bytes",
            0,
            &[],
        ),
        claiming(
            "padding larger than its packet",
            "claims more padding than the packet is long",
            12,
            &[255, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
    ]
}

/// Floods with one message after the identification.
fn flood(name: &'static str, does: &'static str, says: &'static str, message: Vec<u8>) -> Attack {
    attack(name, does, &["unreachable:kex"], move |mut peer| {
        let message = message.clone();
        async move {
            peer.hello().await?;
            peer.flood(message).await
        }
    })
    .says(says)
}

fn floods() -> Vec<Attack> {
    let text = |kind: u8| Pack::of(kind).string("noise").done();
    vec![
        flood(
            "flood of IGNORE before the keys",
            "sends SSH_MSG_IGNORE for ever instead of its offer",
            "more than 1 MiB before the login",
            text(kind::IGNORE),
        ),
        flood(
            "flood of DEBUG before the keys",
            "sends SSH_MSG_DEBUG with terminal escapes for ever",
            "more than 1 MiB before the login",
            Pack::of(kind::DEBUG).byte(1).string(EVIL).string("").done(),
        ),
        flood(
            "flood of UNIMPLEMENTED before the keys",
            "sends SSH_MSG_UNIMPLEMENTED for ever",
            "more than 1 MiB before the login",
            Pack::of(kind::UNIMPLEMENTED).u32(0).done(),
        ),
        flood(
            "flood of KEXINIT",
            "sends its offer of algorithms for ever",
            "strict key exchange",
            Offer::default().message(),
        ),
        attack(
            "silence after the identification",
            "sends nothing more",
            &["timed-out:kex"],
            |mut peer| async move {
                peer.hello().await?;
                peer.wait().await
            },
        )
        .waits(),
    ]
}

fn offering(
    name: &'static str,
    does: &'static str,
    ends: &'static [&'static str],
    offer: Offer,
) -> Attack {
    attack(name, does, ends, move |mut peer| {
        let offer = offer.clone();
        async move {
            peer.through(Step::Hello).await?;
            peer.exchange_with(&offer, Default::default()).await?;
            peer.wait().await
        }
    })
}

fn offers() -> Vec<Attack> {
    // Names that are no ASCII are refused before anything is looked for.
    let evil: String = EVIL
        .iter()
        .filter(|byte| byte.is_ascii() && **byte != b',')
        .map(|byte| char::from(*byte))
        .collect();
    let evil = evil.repeat(50);
    vec![
        offering(
            "offer of 30,000 algorithms",
            "offers 30,000 names, none of them known",
            &["unreachable:kex"],
            Offer {
                kex: "no-such,".repeat(30_000),
                ..Offer::default()
            },
        ),
        offering(
            "offer of 100,000 algorithms",
            "offers 100,000 names in one packet",
            &["unreachable:kex"],
            Offer {
                kex: "no-such,".repeat(100_000),
                ..Offer::default()
            },
        ),
        offering(
            "no common algorithm, with escapes",
            "offers one algorithm whose name is 6 KiB of terminal escapes",
            &["unreachable:kex"],
            Offer {
                kex: evil.clone(),
                ..Offer::default()
            },
        )
        .says("no common"),
        offering(
            "ciphers named in escapes",
            "offers ciphers whose names are terminal escapes",
            &["unreachable:kex"],
            Offer {
                cipher: evil,
                ..Offer::default()
            },
        ),
        offering(
            "insists on compression",
            "offers zlib and nothing else, so that it could send a compressed bomb",
            &["unreachable:kex"],
            Offer {
                compression: "zlib,zlib@openssh.com".into(),
                ..Offer::default()
            },
        )
        .says("no common Compression"),
        attack(
            "a good-bye of 32 KiB of escapes",
            "ends the connection with 32 KiB of terminal escapes and invalid UTF-8",
            &["unreachable:kex"],
            |mut peer| async move {
                peer.hello().await?;
                peer.send(goodbye(&EVIL.repeat(300))).await?;
                peer.wait().await
            },
        ),
        attack(
            "a good-bye of escapes",
            "ends the connection with terminal escapes in valid UTF-8",
            &["unreachable:kex"],
            |mut peer| async move {
                let words = String::from_utf8_lossy(EVIL).repeat(300);
                peer.hello().await?;
                peer.send(goodbye(words.as_bytes())).await?;
                peer.wait().await
            },
        ),
    ]
}

/// SSH_MSG_DISCONNECT with these words.
pub(crate) fn goodbye(words: &[u8]) -> Vec<u8> {
    Pack::of(kind::DISCONNECT)
        .u32(11)
        .string(words)
        .string("")
        .done()
}
