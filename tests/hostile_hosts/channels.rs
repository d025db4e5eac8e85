//! On the channels of a session.

use std::io;
use std::sync::Arc;

use crate::attack::{Attack, attack};
use crate::before_kex::{EVIL, SLOW, goodbye};
use crate::kex::forge_a_report;
use crate::wire::{
    Fields, Out, Pack, Peer, Step, confirmation, data, errors, exit_status, kind, refusal,
};

const SEEN: &[&str] = &["observed"];
const FAILED: &[&str] = &["failed:exec"];
const TIMED_OUT: &[&str] = &["timed-out:exec"];
/// What only a deadline ends, or the most that a server may send.
const WORN_OUT: &[&str] = &["timed-out:exec", "failed:exec"];

pub(crate) fn attacks() -> Vec<Attack> {
    let mut all = opening();
    all.extend(floods());
    all.extend(packets());
    all.extend(windows());
    all.extend(ends());
    all.extend(forwarded());
    all
}

/// What a server may ask a client to open, as OpenSSH names it.
const KINDS: [&str; 8] = [
    "session",
    "x11",
    "auth-agent@openssh.com",
    "forwarded-tcpip",
    "forwarded-streamlocal@openssh.com",
    "direct-tcpip",
    "tun@openssh.com",
    "\u{1b}[2J no such",
];

fn open(what: &str, channel: u32) -> Vec<u8> {
    let open = Pack::of(kind::CHANNEL_OPEN)
        .string(what)
        .u32(channel)
        .u32(1 << 20)
        .u32(1 << 15);
    match what {
        "x11" => open.string("127.0.0.1").u32(6000),
        "forwarded-tcpip" | "direct-tcpip" => open
            .string("127.0.0.1")
            .u32(22)
            .string("127.0.0.1")
            .u32(1024),
        "forwarded-streamlocal@openssh.com" => open.string("/run/agent.sock").string(""),
        _ => open,
    }
    .done()
}

/// Opens a channel, which must be refused.
async fn is_refused(peer: &mut Peer, what: &str, channel: u32) -> io::Result<()> {
    peer.send(open(what, channel)).await?;
    loop {
        let answer = peer.from.recv().await?;
        let about = Fields::of(&answer).u32();
        match answer[0] {
            kind::OPEN_FAILURE if about == channel => return Ok(()),
            kind::OPEN_CONFIRMATION => return Err(io::Error::other("it was opened")),
            _ => {}
        }
    }
}

fn opening() -> Vec<Attack> {
    vec![
        attack(
            "channels of every kind",
            "opens a channel of every kind towards the client; each is refused before it reports",
            SEEN,
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                for (number, what) in (100..).zip(KINDS) {
                    is_refused(&mut peer, what, number).await?;
                }
                forge_a_report(&mut peer).await
            },
        ),
        attack(
            "flood of channels",
            "opens channels of every kind towards the client for ever",
            WORN_OUT,
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                let mut next = KINDS.iter().cycle();
                peer.flood_with(|_| open(next.next().unwrap(), 7)).await
            },
        )
        .busy(),
        attack(
            "flood of channels, answers not read",
            "opens channels towards the client for ever, and reads no answer",
            WORN_OUT,
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                let mut next = KINDS.iter().cycle();
                peer.out.flood(|_| open(next.next().unwrap(), 7)).await
            },
        )
        .busy(),
        attack(
            "confirmation of a channel never asked for",
            "confirms a channel that the client never asked for",
            &["failed:channel"],
            |mut peer| async move {
                peer.through(Step::Auth).await?;
                peer.asked_for_session().await?;
                peer.send(confirmation(999, 1 << 20, 1 << 15)).await?;
                peer.wait().await
            },
        ),
        attack(
            "channel refused in escapes",
            "refuses the session channel with 100 KiB of terminal escapes",
            &["failed:channel"],
            |mut peer| async move {
                peer.through(Step::Auth).await?;
                peer.asked_for_session().await?;
                let words = String::from_utf8_lossy(EVIL).repeat(800);
                let refusal = Pack::of(kind::OPEN_FAILURE).u32(peer.channel).u32(4711);
                peer.send(refusal.string(words).string("").done()).await?;
                peer.attend().await
            },
        ),
        attack(
            "good-bye instead of a channel",
            "ends the connection with terminal escapes when a channel is asked for",
            &["failed:channel"],
            |mut peer| async move {
                peer.through(Step::Auth).await?;
                peer.asked_for_session().await?;
                let words = String::from_utf8_lossy(EVIL).repeat(800);
                peer.send(goodbye(words.as_bytes())).await?;
                peer.wait().await
            },
        ),
        attack(
            "slow channel",
            "opens the session channel one byte in 300 ms",
            &["timed-out:channel"],
            |mut peer| async move {
                peer.through(Step::Auth).await?;
                peer.out.pace = Some(SLOW);
                peer.between(Some(Step::Auth), Step::Open).await
            },
        )
        .waits(),
    ]
}

/// Floods with one message once the probe was sent.
fn flood(
    name: &'static str,
    does: &'static str,
    ends: &'static [&'static str],
    message: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static,
) -> Attack {
    let message = Arc::new(message);
    attack(name, does, ends, move |mut peer| {
        let message = Arc::clone(&message);
        async move {
            peer.through(Step::Exec).await?;
            let message = message(peer.channel);
            peer.flood(message).await
        }
    })
}

fn floods() -> Vec<Attack> {
    let request = |name: &str| Pack::of(kind::GLOBAL_REQUEST).string(name).byte(1);
    let unknown = request("\u{1b}[2J no-such@evil.example").done();
    let keys = (0..4_500)
        .fold(request("hostkeys-00@openssh.com"), |pack, _| {
            pack.string(Pack::blob().string("ssh-ed25519").string([9; 32]).done())
        })
        .done();
    let unread = unknown.clone();
    let quick = |attack: Attack| attack.busy();
    vec![
        flood(
            "endless output",
            "prints for ever, and never waits for the window",
            FAILED,
            |channel| data(channel, &[b'y'; 32 << 10]),
        )
        .says("1024 KiB"),
        quick(flood(
            "endless output, byte by byte",
            "prints for ever, in packets of one byte",
            WORN_OUT,
            |channel| data(channel, b"y"),
        )),
        quick(flood(
            "endless errors",
            "prints errors for ever, and never waits for the window",
            WORN_OUT,
            |channel| errors(channel, &[0x1b; 32 << 10]),
        )),
        quick(flood(
            "endless errors, byte by byte",
            "prints errors for ever, in packets of one byte",
            WORN_OUT,
            |channel| errors(channel, b"y"),
        )),
        quick(flood(
            "endless errors in packets of 256 KiB",
            "prints errors for ever, in packets eight times as large as the client allows",
            WORN_OUT,
            |channel| errors(channel, &[b'y'; 256 << 10]),
        )),
        quick(flood(
            "flood of IGNORE in a session",
            "sends SSH_MSG_IGNORE for ever",
            WORN_OUT,
            |_| Pack::of(kind::IGNORE).string("noise").done(),
        )),
        quick(flood(
            "flood of DEBUG in a session",
            "sends SSH_MSG_DEBUG with terminal escapes, to be shown, for ever",
            WORN_OUT,
            |_| {
                let debug = Pack::of(kind::DEBUG).byte(1);
                debug.string(EVIL).string("").done()
            },
        )),
        quick(flood(
            "flood of UNIMPLEMENTED in a session",
            "sends SSH_MSG_UNIMPLEMENTED for ever",
            WORN_OUT,
            |_| Pack::of(kind::UNIMPLEMENTED).u32(7).done(),
        )),
        quick(flood(
            "flood of unknown messages",
            "sends messages of a kind that does not exist for ever",
            WORN_OUT,
            |_| Pack::of(191).string("noise").done(),
        )),
        quick(flood(
            "data on channels never opened",
            "sends data for ever on a channel that the client never opened",
            WORN_OUT,
            |_| data(4711, &[b'y'; 32 << 10]),
        )),
        quick(flood(
            "flood of requests",
            "makes requests named in escapes that want an answer, for ever",
            WORN_OUT,
            move |_| unknown.clone(),
        )),
        quick(attack(
            "flood of requests, answers not read",
            "makes requests that want an answer for ever, and reads none",
            WORN_OUT,
            move |mut peer| {
                let unread = unread.clone();
                async move {
                    peer.through(Step::Exec).await?;
                    peer.out.flood(|_| unread.clone()).await
                }
            },
        )),
        quick(flood(
            "flood of 4,500 host keys",
            "announces 4,500 host keys in one message, for ever",
            WORN_OUT,
            move |_| keys.clone(),
        )),
        quick(flood(
            "flood of requests on the channel",
            "makes requests on the session channel that want an answer, for ever",
            WORN_OUT,
            |channel| {
                Pack::of(kind::CHANNEL_REQUEST)
                    .u32(channel)
                    .string("\u{1b}[2J")
                    .byte(1)
                    .done()
            },
        )),
        quick(flood(
            "flood of confirmations",
            "confirms the session channel again and again, with other windows",
            WORN_OUT,
            |channel| confirmation(channel, u32::MAX, 1),
        )),
        quick(flood(
            "flood of statuses",
            "tells how the probe ended, again and again, and never closes the channel",
            WORN_OUT,
            |channel| exit_status(channel, 0),
        )),
        flood(
            "answers that nobody waits for",
            "answers requests that were never made, for ever",
            WORN_OUT,
            |_| Pack::of(kind::REQUEST_SUCCESS).done(),
        )
        .busy(),
    ]
}

/// Sends one packet in a session that is none.
fn malformed(
    name: &'static str,
    does: &'static str,
    ends: &'static [&'static str],
    spoil: impl Fn(&mut Out) -> Vec<u8> + Send + Sync + 'static,
) -> Attack {
    let spoil = Arc::new(spoil);
    attack(name, does, ends, move |mut peer| {
        let spoil = Arc::clone(&spoil);
        async move {
            peer.through(Step::Exec).await?;
            let packet = spoil(&mut peer.out);
            peer.out.put(&packet).await?;
            peer.wait().await
        }
    })
}

fn packets() -> Vec<Attack> {
    vec![
        malformed(
            "packet of 4 GiB in a session",
            "claims a packet of 0xffffffff bytes, encrypted",
            FAILED,
            |out| out.frame(u32::MAX, &[0; 64]),
        ),
        malformed(
            "packet of no length in a session",
            "sends an encrypted packet without any bytes",
            FAILED,
            |out| out.frame(0, &[]),
        ),
        malformed(
            "padding larger than its packet in a session",
            "claims more padding than its encrypted packet is long",
            FAILED,
            |out| out.frame(16, &[255; 16]),
        ),
        malformed(
            "packet that was tampered with",
            "sends a packet whose tag is wrong, as somebody in between would",
            FAILED,
            |out| {
                let mut packet = out.seal(&[kind::IGNORE, 0, 0, 0, 0]);
                *packet.last_mut().unwrap() ^= 1;
                packet
            },
        ),
        malformed(
            "string longer than its message",
            "sends data that claims to be longer than its message",
            FAILED,
            |out| {
                let data = Pack::of(kind::CHANNEL_DATA).u32(0).u32(u32::MAX);
                out.seal(&data.done())
            },
        ),
    ]
}

/// Opens the session channel with another window or packet size.
fn cramped(
    name: &'static str,
    does: &'static str,
    ends: &'static [&'static str],
    room: (u32, u32),
) -> Attack {
    attack(name, does, ends, move |mut peer| async move {
        peer.room = room;
        peer.through(Step::Exec).await?;
        forge_a_report(&mut peer).await
    })
}

fn windows() -> Vec<Attack> {
    vec![
        cramped(
            "window of 0",
            "opens the session channel with no window, so that no script can be sent",
            TIMED_OUT,
            (0, 32 << 10),
        )
        .waits(),
        cramped(
            "packets of 0 bytes",
            "opens the session channel for packets of no size",
            &["failed:channel", "failed:exec"],
            (2 << 20, 0),
        ),
        cramped(
            "packets of 1 byte",
            "takes the script in packets of one byte",
            SEEN,
            (2 << 20, 1),
        ),
        cramped(
            "window of 4 GiB",
            "opens the session channel with the largest window and packets that there are",
            SEEN,
            (u32::MAX, u32::MAX),
        ),
        flood(
            "flood of window adjustments",
            "widens the window by 4 GiB, for ever",
            WORN_OUT,
            |channel| {
                Pack::of(kind::WINDOW_ADJUST)
                    .u32(channel)
                    .u32(u32::MAX)
                    .done()
            },
        )
        .busy(),
    ]
}

fn ends() -> Vec<Attack> {
    vec![
        attack(
            "silence in the probe",
            "neither reads nor writes any more once the probe runs",
            TIMED_OUT,
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                peer.freeze().await
            },
        )
        .waits(),
        attack(
            "status of channels never opened",
            "ends and closes channels that were never opened, then reports",
            SEEN,
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                for channel in [4711, u32::MAX] {
                    peer.send(exit_status(channel, 255)).await?;
                    let close = Pack::of(kind::CHANNEL_CLOSE).u32(channel).done();
                    peer.send(close).await?;
                }
                forge_a_report(&mut peer).await
            },
        ),
        attack(
            "output after the end",
            "reports, closes the channel, and prints on",
            SEEN,
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                let n = peer.nonce.clone();
                let report = format!("@{n} hello\nuid=0\nhostname=first\n@{n} end\n");
                peer.print(report.as_bytes()).await?;
                peer.exit(0).await?;
                let late = data(peer.channel, format!("@{n} hello\nuid=1\n").as_bytes());
                peer.flood(late).await
            },
        ),
        flood(
            "flood of closes",
            "closes the session channel for ever",
            FAILED,
            |channel| Pack::of(kind::CHANNEL_CLOSE).u32(channel).done(),
        ),
        attack(
            "never closes",
            "reports and tells the status, and never closes the channel",
            SEEN,
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                let n = peer.nonce.clone();
                peer.print(format!("@{n} hello\nuid=0\n@{n} end\n").as_bytes())
                    .await?;
                let status = exit_status(peer.channel, 0);
                peer.send(status).await?;
                peer.attend().await
            },
        )
        .waits(),
        attack(
            "slow output",
            "reports one byte in 300 ms",
            TIMED_OUT,
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                peer.out.pace = Some(SLOW);
                forge_a_report(&mut peer).await
            },
        )
        .waits(),
        attack(
            "slow close",
            "reports at once, and closes the channel one byte in 300 ms",
            SEEN,
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                let n = peer.nonce.clone();
                peer.print(format!("@{n} hello\nuid=0\n@{n} end\n").as_bytes())
                    .await?;
                peer.out.pace = Some(SLOW);
                peer.exit(0).await
            },
        )
        .waits(),
        attack(
            "signal named in escapes",
            "says that the probe was ended by a signal named in 100 KiB of terminal escapes",
            FAILED,
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                let name = String::from_utf8_lossy(EVIL).repeat(800);
                let signal = Pack::of(kind::CHANNEL_REQUEST)
                    .u32(peer.channel)
                    .string("exit-signal")
                    .byte(0)
                    .string(&name)
                    .byte(0)
                    .string(&name)
                    .string("");
                peer.send(signal.done()).await?;
                let close = Pack::of(kind::CHANNEL_CLOSE).u32(peer.channel).done();
                peer.send(close).await?;
                peer.attend().await
            },
        )
        .says("signal"),
        attack(
            "good-bye of escapes in the probe",
            "ends the connection with 100 KiB of terminal escapes while the probe runs",
            FAILED,
            |mut peer| async move {
                peer.through(Step::Exec).await?;
                let words = String::from_utf8_lossy(EVIL).repeat(800);
                peer.send(goodbye(words.as_bytes())).await?;
                peer.wait().await
            },
        ),
    ]
}

/// Waits for the connection that the client wants forwarded, and hands its number on. The session is
/// answered on the way.
async fn asked_for_forward(peer: &mut Peer) -> io::Result<u32> {
    loop {
        let open = peer.expect(kind::CHANNEL_OPEN).await?;
        let mut fields = Fields::of(&open);
        let (what, channel) = (fields.string(), fields.u32());
        if what == b"direct-tcpip" {
            return Ok(channel);
        }
        peer.channel = channel;
        let (window, packet) = peer.room;
        peer.send(confirmation(channel, window, packet)).await?;
    }
}

fn forwarded() -> Vec<Attack> {
    vec![
        attack(
            "forwarded connection that floods",
            "prints for ever on the connection to its gateway, and then never runs the probe",
            WORN_OUT,
            |mut peer| async move {
                peer.through(Step::Auth).await?;
                let channel = asked_for_forward(&mut peer).await?;
                let confirmed = Pack::of(kind::OPEN_CONFIRMATION)
                    .u32(channel)
                    .u32(1)
                    .u32(1 << 20)
                    .u32(1 << 15);
                peer.send(confirmed.done()).await?;
                peer.flood(data(channel, &[b'y'; 32 << 10])).await
            },
        )
        .busy(),
        attack(
            "second session that floods",
            "forwards nothing, reports, and floods the session that asks on the host instead",
            SEEN,
            |mut peer| async move {
                peer.through(Step::Auth).await?;
                let channel = asked_for_forward(&mut peer).await?;
                let refusal = Pack::of(kind::OPEN_FAILURE).u32(channel).u32(1);
                peer.send(refusal.string("no").string("").done()).await?;
                peer.between(Some(Step::Open), Step::Exec).await?;
                let n = peer.nonce.clone();
                let report = format!("@{n} hello\nuid=0\n@{n} end\n");
                peer.print(report.as_bytes()).await?;
                peer.exit(0).await?;
                peer.asked_for_session().await?;
                let (second, (window, packet)) = (peer.channel, peer.room);
                peer.send(confirmation(second, window, packet)).await?;
                peer.flood(data(second, &[b'y'; 32 << 10])).await
            },
        ),
        attack(
            "forwarded connection refused for ever",
            "refuses the connection to its gateway again and again, and never runs the probe",
            WORN_OUT,
            |mut peer| async move {
                peer.through(Step::Auth).await?;
                let channel = asked_for_forward(&mut peer).await?;
                peer.flood(refusal(channel)).await
            },
        )
        .busy(),
    ]
}
