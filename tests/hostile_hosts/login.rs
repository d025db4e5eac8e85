//! In the login.

use crate::attack::{Attack, attack};
use crate::before_kex::{EVIL, SLOW, goodbye};
use crate::wire::{Pack, Peer, Step, failure, kind, pk_ok};

const REFUSED: &[&str] = &["auth-failed:auth"];
const TIMED_OUT: &[&str] = &["timed-out:auth"];

pub(crate) fn attacks() -> Vec<Attack> {
    let mut all = floods();
    all.extend(answers());
    all.extend(out_of_turn());
    all.extend(slow());
    all.extend(hang_ups());
    all
}

/// Floods with a message once the first key was offered.
fn flood(name: &'static str, does: &'static str, message: Vec<u8>) -> Attack {
    attack(name, does, REFUSED, move |mut peer| {
        let message = message.clone();
        async move {
            peer.through(Step::Service).await?;
            peer.offered_key().await?;
            peer.flood(message).await
        }
    })
}

fn floods() -> Vec<Attack> {
    let escapes = String::from_utf8_lossy(EVIL);
    vec![
        flood(
            "flood of banners",
            "sends login banners of terminal escapes for ever",
            Pack::of(kind::USERAUTH_BANNER)
                .string(escapes.as_bytes())
                .string("")
                .done(),
        ),
        flood(
            "flood of IGNORE in the login",
            "sends SSH_MSG_IGNORE for ever instead of an answer",
            Pack::of(kind::IGNORE).string("noise").done(),
        ),
        flood(
            "flood of EXT_INFO",
            "announces extensions for ever",
            Pack::of(kind::EXT_INFO).u32(0).done(),
        ),
        flood(
            "flood of PK_OK",
            "says for ever that a key would do",
            pk_ok(b"ssh-ed25519", b"x"),
        ),
        flood(
            "flood of refusals",
            "refuses the one key for ever",
            failure("publickey", false),
        ),
        flood(
            "flood of partial success",
            "says for ever that the key is right and one more is wanted",
            failure("publickey,keyboard-interactive", true),
        ),
        flood(
            "flood of channels before the login",
            "opens channels before it has let anybody in",
            Pack::of(kind::CHANNEL_OPEN)
                .string("session")
                .u32(0)
                .u32(1 << 20)
                .u32(1 << 15)
                .done(),
        ),
        attack(
            "a list of 30,000 signature algorithms",
            "announces 30,000 signature algorithms named in escapes, then refuses the key",
            REFUSED,
            |mut peer| async move {
                peer.through(Step::Service).await?;
                let names = "\u{1b}]0;x\u{7},".repeat(30_000);
                let info = Pack::of(kind::EXT_INFO).u32(1).string("server-sig-algs");
                peer.send(info.string(names).done()).await?;
                peer.offered_key().await?;
                peer.send(failure("publickey", false)).await?;
                peer.wait().await
            },
        ),
        attack(
            "65,535 extensions in one message",
            "announces more extensions than its message holds",
            REFUSED,
            |mut peer| async move {
                peer.through(Step::Service).await?;
                let info = Pack::of(kind::EXT_INFO)
                    .u32(u32::MAX)
                    .string("x")
                    .string("");
                peer.send(info.done()).await?;
                peer.wait().await
            },
        ),
    ]
}

/// Answers the first key with one message, and then says nothing more.
fn answering(
    name: &'static str,
    does: &'static str,
    ends: &'static [&'static str],
    answer: Vec<u8>,
) -> Attack {
    attack(name, does, ends, move |mut peer| {
        let answer = answer.clone();
        async move {
            peer.through(Step::Service).await?;
            peer.offered_key().await?;
            peer.send(answer).await?;
            peer.wait().await
        }
    })
}

fn answers() -> Vec<Attack> {
    let escapes = String::from_utf8_lossy(EVIL);
    let prompts = (0..10_000).fold(
        Pack::of(kind::USERAUTH_60)
            .string("Your bank")
            .string("asks for")
            .string("")
            .u32(10_000),
        |pack, _| pack.string("PIN: ").byte(1),
    );
    vec![
        answering(
            "PASSWD_CHANGEREQ",
            "asks for a new password where none was sent",
            &["auth-failed:auth", "timed-out:auth"],
            Pack::of(kind::USERAUTH_60)
                .string("Your password has expired\x1b[2J")
                .string("")
                .done(),
        )
        .waits(),
        answering(
            "10,000 prompts unasked",
            "asks 10,000 questions where a key was offered",
            TIMED_OUT,
            prompts.done(),
        )
        .waits(),
        answering(
            "PK_OK for another key",
            "says that a key would do which was never offered, and no more",
            TIMED_OUT,
            pk_ok(b"ssh-rsa", EVIL),
        )
        .waits(),
        answering(
            "methods named in escapes",
            "refuses the key and takes only methods named in terminal escapes",
            REFUSED,
            failure(&escapes.replace(',', ""), false),
        ),
        answering(
            "20,000 methods",
            "refuses the key and names 20,000 methods",
            REFUSED,
            failure(&"publickey,".repeat(20_000), false),
        ),
        answering(
            "a good-bye of escapes in the login",
            "ends the connection with 100 KiB of terminal escapes",
            REFUSED,
            goodbye(escapes.repeat(800).as_bytes()),
        ),
        answering(
            "banner in the wrong encoding",
            "sends a banner that is no UTF-8",
            REFUSED,
            Pack::of(kind::USERAUTH_BANNER)
                .string(EVIL)
                .string(EVIL)
                .done(),
        ),
    ]
}

/// Sends a message as the first thing after the key exchange.
fn first(
    name: &'static str,
    does: &'static str,
    ends: &'static [&'static str],
    message: Vec<u8>,
) -> Attack {
    attack(name, does, ends, move |mut peer| {
        let message = message.clone();
        async move {
            peer.through(Step::Kex).await?;
            peer.send(message).await?;
            play_logged_in(peer).await
        }
    })
}

/// Goes on as if the client were logged in.
async fn play_logged_in(mut peer: Peer) -> std::io::Result<()> {
    peer.between(Some(Step::Auth), Step::Exec).await?;
    crate::kex::forge_a_report(&mut peer).await
}

/// Plays along up to a step and hangs up.
fn hanging_up(name: &'static str, last: Step, ends: &'static [&'static str]) -> Attack {
    attack(
        name,
        "closes the connection there",
        ends,
        move |mut peer| async move { peer.through(last).await },
    )
}

fn hang_ups() -> Vec<Attack> {
    vec![
        hanging_up(
            "hangs up after the identification",
            Step::Hello,
            &["unreachable:kex"],
        ),
        hanging_up("hangs up after the key exchange", Step::Kex, REFUSED),
        hanging_up("hangs up after the service", Step::Service, REFUSED),
        hanging_up("hangs up after the login", Step::Auth, &["failed:channel"]),
        hanging_up("hangs up after the channel", Step::Open, &["failed:exec"]),
        hanging_up("hangs up in the probe", Step::Exec, &["failed:exec"]),
    ]
}

fn out_of_turn() -> Vec<Attack> {
    vec![
        attack(
            "keys exchanged again before the login",
            "exchanges keys twice before it lets anybody in, and reports",
            &["observed", "auth-failed:auth"],
            |mut peer| async move {
                peer.through(Step::Kex).await?;
                peer.expect(kind::SERVICE_REQUEST).await?;
                peer.exchange().await?;
                let accept = Pack::of(kind::SERVICE_ACCEPT).string("ssh-userauth");
                peer.send(accept.done()).await?;
                peer.between(Some(Step::Service), Step::Exec).await?;
                crate::kex::forge_a_report(&mut peer).await
            },
        ),
        first(
            "a login that nobody asked for",
            "sends USERAUTH_SUCCESS before any request",
            REFUSED,
            vec![kind::USERAUTH_SUCCESS],
        ),
        first(
            "another service",
            "accepts a service that nobody asked for",
            &["auth-failed:auth", "timed-out:auth"],
            Pack::of(kind::SERVICE_ACCEPT)
                .string("ssh-connection\x1b[2J")
                .done(),
        )
        .waits(),
        first(
            "channel data before the login",
            "sends channel data before any request",
            REFUSED,
            Pack::of(kind::CHANNEL_DATA).u32(0).string("x").done(),
        ),
        attack(
            "silence instead of a login",
            "accepts the service and says nothing more",
            TIMED_OUT,
            |mut peer| async move {
                peer.through(Step::Service).await?;
                peer.wait().await
            },
        )
        .waits(),
        attack(
            "a client that is not read",
            "stops reading after the key exchange",
            TIMED_OUT,
            |mut peer| async move {
                peer.through(Step::Kex).await?;
                peer.freeze().await
            },
        )
        .waits(),
    ]
}

fn slow() -> Vec<Attack> {
    vec![
        attack(
            "slow service",
            "accepts the service one byte in 300 ms",
            TIMED_OUT,
            |mut peer| async move {
                peer.through(Step::Kex).await?;
                peer.out.pace = Some(SLOW);
                peer.between(Some(Step::Kex), Step::Service).await
            },
        )
        .waits(),
        attack(
            "slow login",
            "answers the login one byte in 300 ms",
            TIMED_OUT,
            |mut peer| async move {
                peer.through(Step::Service).await?;
                peer.out.pace = Some(SLOW);
                peer.between(Some(Step::Service), Step::Auth).await
            },
        )
        .waits(),
    ]
}
