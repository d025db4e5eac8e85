//! Hosts that lie: forged frames, and text that a terminal would obey.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::fake::{Behaviour, Exec};
use crate::support::lab::Lab;
use crate::support::program;

/// Answers the probe with these bytes, every `NONCE` in them replaced by the real one.
fn answering(lab: &Lab, name: &str, frames: &[u8]) -> Behaviour {
    let file = lab.write(name, frames);
    Behaviour::shell(format!(
        "IFS= read -r n; n=${{n#N=?}}; n=${{n%?}}; cat >/dev/null; exec sed \"s/NONCE/$n/g\" {}",
        file.display()
    ))
}

#[test]
fn frames_with_a_wrong_nonce_are_no_probe() {
    let mut lab = Lab::new();
    let server = lab.fake(Behaviour::shell(
        "cat >/dev/null; for n in 0 00000000000000000000000000000000 '' '*'; do \
         printf '@%s hello\\nhostname=forged\\n@%s sockets\\n@%s end\\n' \"$n\" \"$n\" \"$n\"; done",
    ));
    let checked = lab.check_bad(server.port, "");
    checked.bad().is("failed").at("exec").says(&["no probe"]);
    assert!(!checked.run.out().contains("forged"));
}

#[test]
fn forged_frames_among_the_real_ones_change_nothing() {
    let mut lab = Lab::new();
    let forged = "@00000000000000000000000000000000";
    // Before the probe, and as lines in the middle of it, where they would end it or begin anew.
    let server = lab.fake(Behaviour::shell(format!(
        "printf '{forged} hello\\nhostname=forged\\n{forged} end\\n'; (eval \"$1\") | \
         sed 's/^@.* sockets$/&\\n{forged} end\\n@ end\\n{forged} hello\\nhostname=forged/'"
    )));
    let checked = lab.check_odd(server.port, "");
    assert!(!checked.run.out().contains("forged"));
}

#[test]
fn what_follows_the_end_is_not_read() {
    let mut lab = Lab::new();
    let server = lab.fake(answering(
        &lab,
        "frames",
        b"@NONCE hello\nuid=0\nhostname=first\n@NONCE sockets\n@NONCE end\n@NONCE hello\nhostname=second\n",
    ));
    let checked = lab.check_beside_healthy(server.port, "");
    checked.bad().is("observed");
    assert_eq!(checked.bad().0["facts"]["hostname"], "first");
}

#[test]
fn nonsense_in_every_frame_is_noted_and_survived() {
    let mut lab = Lab::new();
    let mut frames =
        b"@NONCE hello\nuid=-1\nuptime=x\nclock=99999999999999999999999\n=\n==\n".to_vec();
    frames.extend_from_slice(b"@NONCE sockets\nsocket=\nsocket=zz 1 2\nsocket=0100007F -1 99999999999999999999999\nholder=x\n");
    frames.extend_from_slice(b"@NONCE process\n@NONCE process -1\nppid=0\nstart=1\n@NONCE process 5\nppid=5\nstart=18446744073709551615\n");
    frames.extend_from_slice(b"@NONCE unit\n@NONCE unit user\n@NONCE unit user x y z\n@NONCE unit system  0\nLoadState=loaded\nMainPID=5\nNRestarts=-3\n");
    frames.extend_from_slice(b"@NONCE journal\n@NONCE journal system 0\nrestarts_24h=1e9\ntaken=\ntaken=x y\n@NONCE denied\n@NONCE config\n@NONCE \n@NONCE end\n");
    let server = lab.fake(answering(&lab, "frames", &frames));
    let checked = lab.check_beside_healthy(server.port, "role: gateway");
    checked.bad().is("observed");
    let issues = checked.bad().0["facts"]["parse_issues"].as_array().unwrap();
    assert!((1..=16).contains(&issues.len()), "{issues:?}");
}

/// What a terminal obeys, or what hides text: CSI and OSC sequences, C1 controls as bytes and as
/// UTF-8, a carriage return, a bell, a backspace, a turned writing direction, and invalid UTF-8.
const EVIL: &[u8] = b"\x1b[2J\x1b]0;owned\x07a\rb\x08\x7f\x9b31m\xc2\x9b31m\xc2\x85\xe2\x80\xaec\xe2\x80\xa8\xff\xfe\xf0\x28\x8c";

fn evil_frames() -> Vec<u8> {
    let text: &[u8] = b"@NONCE hello\nuid=0\nuser=EVIL\nhostname=EVIL\nos=EVIL\nkernel=EVIL\n\
        @NONCE sockets\nsocket=0100007F 0 77\nsocket=EVIL\nholder=77 42\n\
        @NONCE process 42\nstate=\x1b\nppid=1\nstart=100\ncomm=EVIL\nuid=0\ncgroup=/EVIL\nargv=EVIL\x1fEVIL\n\
        @NONCE unit system  0\nId=EVIL.service\nLoadState=loaded\nActiveState=EVIL\nSubState=EVIL\nResult=EVIL\n\
        UnitFileState=EVIL\nMainPID=0\nNRestarts=999\nExecMainStatus=1\nFragmentPath=/EVIL\nRestart=always\n\
        @NONCE journal system 0\nrestarts_10m=99\nrestarts_1h=99\nrestarts_24h=999\nfailed_1h=999\n\
        taken=9 EVIL\nexited=9 EVIL\nmodel=9 EVIL\nconfig=9 EVIL\n\
        @NONCE unit user EVIL 1000\nId=openclaw-gateway.service\nLoadState=loaded\nActiveState=activating\nSubState=auto-restart\n\
        @NONCE journal user 1000\ndenied=EVIL\n@NONCE denied user EVIL 5\ndenied=EVIL\n\
        @NONCE config EVIL\npath=/EVIL\nprimary=EVIL/EVIL\nfallback=EVIL/x\nlisted=EVIL\nprovider=EVIL\nmode=EVIL\nknown=openai\n\
        @NONCE EVIL EVIL\n@NONCE end\n";
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(4).position(|window| window == b"EVIL") {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(EVIL);
        rest = &rest[at + 4..];
    }
    out.extend_from_slice(rest);
    out
}

/// A fleet whose hosts say evil things in every way that a host can say something.
fn evil_lab() -> Lab {
    let mut lab = Lab::new();
    lab.write("evil", EVIL);
    let evil = lab.path("evil").display().to_string();
    lab.add_healthy(&["good"]);
    let behaviours = [
        ("frames", answering(&lab, "frames", &evil_frames())),
        (
            "noise",
            Behaviour::shell(format!("cat {evil}; cat {evil} >&2; exit 1")),
        ),
        (
            "no-sh",
            Behaviour::shell(format!("cat {evil} >&2; exit 127")),
        ),
        (
            "profile",
            Behaviour::shell(format!("cat {evil}; cat {evil} >&2; eval \"$1\"")),
        ),
        (
            "goodbye",
            Behaviour {
                exec: Exec::Disconnect(String::from_utf8_lossy(EVIL).into_owned()),
                ..Behaviour::default()
            },
        ),
    ];
    for (name, behaviour) in behaviours {
        let server = lab.fake(behaviour);
        lab.add(name, server.port, "role: gateway, timeouts: {host: 5s}");
    }
    let banner = lab.raw(|mut stream| async move {
        stream.write_all(&[EVIL, b"\r\n"].concat()).await.unwrap();
        stream.shutdown().await.unwrap();
        // What is left unread must not reset the connection under the banner.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    });
    lab.add("banner", banner.port, "");
    lab
}

#[track_caller]
fn assert_harmless(what: &str, output: &[u8]) {
    let text = std::str::from_utf8(output).unwrap_or_else(|error| panic!("{what}: {error}"));
    let hides = |c: char| matches!(c, '\u{2028}' | '\u{202e}');
    if let Some((at, c)) = text
        .char_indices()
        .find(|(_, c)| (c.is_control() && *c != '\n') || hides(*c))
    {
        let begin = at.saturating_sub(80);
        let around =
            String::from_utf8_lossy(&output[begin..(at + 20).min(output.len())]).into_owned();
        panic!("{what} holds {c:?}: {around:?}");
    }
}

#[test]
fn the_table_holds_nothing_that_a_terminal_obeys() {
    let lab = evil_lab();
    for args in [
        &["check", "all"][..],
        &["-v", "check", "all"],
        &["-q", "check", "all"],
    ] {
        let run = program::run(lab.command(args));
        run.exits(2);
        assert_harmless("stdout", &run.stdout);
        assert_harmless("stderr", run.stderr.as_bytes());
    }
    let run = program::run(lab.command(&["-v", "check", "all"]));
    // The text is there, made visible, and not merely left out.
    assert!(run.out().contains("owned"), "{}", run.out());
}

#[test]
fn the_json_holds_no_raw_control_character() {
    let lab = evil_lab();
    let checked = lab.check();
    checked.exits(2).host("good").is_observed_in_full();
    checked.host("frames").is("observed");
    checked.host("profile").is("observed");
    for name in ["noise", "no-sh", "goodbye"] {
        checked.host(name).is("failed").at("exec");
    }
    checked.host("banner").is("unreachable").at("banner");
    assert_harmless("stdout", &checked.run.stdout);
    assert_harmless("stderr", checked.run.stderr.as_bytes());
}

#[test]
fn the_log_holds_nothing_that_a_terminal_obeys() {
    let lab = evil_lab();
    let run = program::run(lab.command(&["-vv", "check", "all"]));
    run.exits(2);
    assert_harmless("stderr", run.stderr.as_bytes());
}
