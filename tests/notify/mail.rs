//! Mail, handed in to a server that checks the dialogue.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding as _};
use clawfleet::model::{ChannelSpec, MailSpec, MailTls, Secrets, Target};
use clawfleet::notify::Proxies;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::receiver::acceptor;
use crate::{Sent, file, from, secrets, send, send_within, spec};

/// How the server behaves.
#[derive(Clone, Default)]
struct Manner {
    /// A certificate, for STARTTLS or from the first byte.
    certificate: Option<&'static str>,
    implicit: bool,
    /// What it offers for AUTH, once TLS runs or without it.
    auth: &'static str,
    /// Answers in place of the usual ones, by the beginning of the command.
    instead: Vec<(&'static str, &'static str)>,
    /// What it says right behind its answer to STARTTLS.
    injected: &'static str,
}

/// What the server saw.
#[derive(Default)]
struct Seen {
    commands: Vec<String>,
    /// What was said before TLS.
    plain: Vec<String>,
    message: String,
}

struct Server {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

trait Bytes: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send> Bytes for T {}

impl Server {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let noted = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (manner, noted) = (manner.clone(), Arc::clone(&noted));
                tokio::spawn(async move {
                    let stream: Box<dyn Bytes> = match (manner.implicit, manner.certificate) {
                        (true, Some(name)) => match acceptor(name).accept(stream).await {
                            Ok(stream) => Box::new(stream),
                            Err(_) => return,
                        },
                        _ => Box::new(stream),
                    };
                    let _ = talk(stream, &manner, &noted).await;
                });
            }
        });
        Self { port, seen }
    }

    fn spec(&self, tls: MailTls) -> ChannelSpec {
        let mut channel = spec(Target::Email(MailSpec {
            server: "localhost".into(),
            port: self.port,
            tls,
            user: None,
            password: None,
            from: "clawfleet@bastion.example".into(),
            to: vec!["ops@example.org".into(), "night@example.org".into()],
        }));
        channel.ca_file = Some(file("ca.pem"));
        channel
    }

    fn with_login(&self, tls: MailTls) -> ChannelSpec {
        let mut channel = self.spec(tls);
        let Target::Email(mail) = &mut channel.target else {
            unreachable!()
        };
        mail.user = Some("claw".into());
        mail.password = Some(from("PASSWORD"));
        channel
    }

    fn commands(&self) -> Vec<String> {
        self.seen.lock().unwrap().commands.clone()
    }

    fn message(&self) -> String {
        self.seen.lock().unwrap().message.clone()
    }
}

fn password() -> Secrets {
    secrets(&[("PASSWORD", "pässw0rd-s3cret")])
}

async fn talk(stream: Box<dyn Bytes>, manner: &Manner, seen: &Mutex<Seen>) -> std::io::Result<()> {
    let mut secure = manner.implicit;
    let mut stream = BufReader::new(stream);
    let special = |line: &str| {
        let found = manner
            .instead
            .iter()
            .find(|(begin, _)| line.starts_with(begin));
        found.map(|(_, answer)| *answer)
    };
    stream
        .write_all(
            special("GREETING")
                .unwrap_or("220 mx.example ESMTP\r\n")
                .as_bytes(),
        )
        .await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        assert!(line.ends_with("\r\n"), "{line:?}");
        let line = line.trim_end().to_owned();
        {
            let mut seen = seen.lock().unwrap();
            seen.commands.push(line.clone());
            if !secure {
                seen.plain.push(line.clone());
            }
        }
        let answer = match line.split([' ', ':']).next().unwrap_or_default() {
            _ if special(&line).is_some() => special(&line).unwrap().to_owned(),
            "EHLO" => {
                let mut lines = vec!["mx.example".to_owned(), "8BITMIME".to_owned()];
                if manner.certificate.is_some() && !secure {
                    lines.push("STARTTLS".into());
                } else if !manner.auth.is_empty() {
                    lines.push(format!("AUTH {}", manner.auth));
                }
                let last = lines.pop().unwrap();
                let lines: String = lines.iter().map(|line| format!("250-{line}\r\n")).collect();
                format!("{lines}250 {last}\r\n")
            }
            "STARTTLS" => {
                let answer = format!("220 go ahead\r\n{}", manner.injected);
                stream.write_all(answer.as_bytes()).await?;
                let inner = stream.into_inner();
                let tls = acceptor(manner.certificate.unwrap()).accept(inner).await?;
                stream = BufReader::new(Box::new(tls));
                secure = true;
                continue;
            }
            "AUTH" => {
                let well = Base64::encode_string("\0claw\0pässw0rd-s3cret".as_bytes());
                match line.as_str() {
                    "AUTH LOGIN" => {
                        let mut said = Vec::new();
                        for _ in 0..2 {
                            stream.write_all(b"334 VXNlcm5hbWU6\r\n").await?;
                            let mut line = String::new();
                            stream.read_line(&mut line).await?;
                            let bytes = Base64::decode_vec(line.trim_end()).unwrap();
                            said.push(String::from_utf8(bytes).unwrap());
                        }
                        match said == ["claw", "pässw0rd-s3cret"] {
                            true => "235 ok\r\n".to_owned(),
                            false => "535 no\r\n".to_owned(),
                        }
                    }
                    line if line == format!("AUTH PLAIN {well}") => "235 ok\r\n".to_owned(),
                    line => format!("535 5.7.8 bad credentials {line}\r\n"),
                }
            }
            "MAIL" | "RCPT" => "250 ok\r\n".to_owned(),
            "DATA" => {
                stream.write_all(b"354 go ahead\r\n").await?;
                let mut message = Vec::new();
                while !message.ends_with(b"\r\n.\r\n") {
                    message.push(stream.read_u8().await?);
                }
                seen.lock().unwrap().message = String::from_utf8(message).unwrap();
                special("MESSAGE")
                    .unwrap_or("250 queued as 1\r\n")
                    .to_owned()
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "500 what?\r\n".to_owned(),
        };
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await?;
    }
}

/// Takes a message apart as a mail client does.
fn read(message: &str) -> (BTreeMap<String, String>, String) {
    let (head, body) = message.split_once("\r\n\r\n").unwrap();
    let unfolded = head.replace("\r\n ", " ");
    let headers = unfolded
        .split("\r\n")
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let base64: String = body.trim_end_matches(".\r\n").split("\r\n").collect();
    let text = String::from_utf8(Base64::decode_vec(&base64).unwrap()).unwrap();
    (headers, text)
}

fn decoded(subject: &str) -> String {
    subject
        .split(' ')
        .map(|word| {
            assert!(word.len() <= 75, "{word}");
            let base64 = word
                .strip_prefix("=?utf-8?B?")
                .unwrap()
                .strip_suffix("?=")
                .unwrap();
            String::from_utf8(Base64::decode_vec(base64).unwrap()).unwrap()
        })
        .collect()
}

fn arrived(server: &Server, sent: &Sent) {
    sent.arrived();
    let (headers, text) = read(&server.message());
    assert_eq!(headers["From"], "clawfleet@bastion.example");
    assert_eq!(headers["To"], "ops@example.org, night@example.org");
    assert_eq!(
        decoded(&headers["Subject"]),
        "[claws] NEW critical: orphan-holds-port on VM[151-153], and 1 more"
    );
    assert!(headers["Message-ID"].ends_with("@bastion1.example>"));
    assert_eq!(headers["Auto-Submitted"], "auto-generated");
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(&headers["Date"])
        .unwrap();
    assert!(date.duration_since(jiff::Timestamp::now()).as_secs().abs() < 10);
    assert!(text.contains("NEW critical: orphan-holds-port on VM[151-153] (3 hosts)\r\n"));
}

#[tokio::test]
async fn mail_is_handed_in_under_starttls_with_a_login() {
    for auth in ["PLAIN LOGIN", "LOGIN"] {
        let server = Server::start(Manner {
            certificate: Some("right"),
            auth,
            ..Manner::default()
        })
        .await;
        let sent = send(&server.with_login(MailTls::StartTls), &password()).await;
        arrived(&server, &sent);
        let seen = server.seen.lock().unwrap();
        // Nothing but the way to TLS goes in the clear.
        assert_eq!(seen.plain, ["EHLO bastion1.example", "STARTTLS"]);
    }
}

#[tokio::test]
async fn mail_is_handed_in_under_tls_from_the_first_byte_and_without_on_loopback() {
    let server = Server::start(Manner {
        certificate: Some("right"),
        implicit: true,
        auth: "PLAIN",
        ..Manner::default()
    })
    .await;
    let sent = send(&server.with_login(MailTls::Implicit), &password()).await;
    arrived(&server, &sent);
    let server = Server::start(Manner::default()).await;
    let sent = send(&server.spec(MailTls::None), &BTreeMap::new()).await;
    arrived(&server, &sent);
    assert_eq!(
        server.commands(),
        [
            "EHLO bastion1.example",
            "MAIL FROM:<clawfleet@bastion.example>",
            "RCPT TO:<ops@example.org>",
            "RCPT TO:<night@example.org>",
            "DATA",
            "QUIT"
        ]
    );
}

#[tokio::test]
async fn without_tls_nothing_is_sent_that_was_to_go_under_it() {
    // No STARTTLS on offer: somebody may have taken it out on the way.
    let server = Server::start(Manner {
        auth: "PLAIN",
        ..Manner::default()
    })
    .await;
    let sent = send(&server.with_login(MailTls::StartTls), &password()).await;
    sent.given_up(&["offers no STARTTLS", "`tls: implicit`"]);
    assert_eq!(server.commands(), ["EHLO bastion1.example"]);
    // A certificate for another name, and one that nobody vouches for.
    for (certificate, ca, words) in [
        ("wrong", Some("ca.pem"), "for another name"),
        (
            "right",
            Some("wrong.pem"),
            "nobody whom this machine trusts",
        ),
    ] {
        for implicit in [false, true] {
            let server = Server::start(Manner {
                certificate: Some(certificate),
                implicit,
                ..Manner::default()
            })
            .await;
            let tls = match implicit {
                true => MailTls::Implicit,
                false => MailTls::StartTls,
            };
            let mut channel = server.with_login(tls);
            channel.ca_file = ca.map(file);
            send(&channel, &password())
                .await
                .waits(&["TLS with localhost", words]);
            assert!(!server.commands().iter().any(|it| it.starts_with("AUTH")));
        }
    }
    // An answer that was put in front of TLS.
    let server = Server::start(Manner {
        certificate: Some("right"),
        injected: "250 AUTH PLAIN\r\n",
        ..Manner::default()
    })
    .await;
    let sent = send(&server.with_login(MailTls::StartTls), &password()).await;
    sent.waits(&["spoke on between STARTTLS and TLS"]);
}

#[tokio::test]
async fn what_a_mail_server_refuses_is_told() {
    type Case = (&'static str, &'static str, bool, &'static [&'static str]);
    let cases: &[Case] = &[
        ("GREETING", "554 no\r\n", false, &["554", "`server`"]),
        ("GREETING", "421 busy\r\n", true, &["421"]),
        (
            "GREETING",
            "HTTP/1.1 400\r\n",
            true,
            &["not answer as a mail server"],
        ),
        ("EHLO", "502 no\r\n", false, &["EHLO"]),
        ("MAIL", "550 not you\r\n", false, &["not you", "`from`"]),
        ("MAIL", "451 later\r\n", true, &["451"]),
        (
            "RCPT",
            "550 no such user\r\n",
            false,
            &["no such user", "`to`"],
        ),
        ("RCPT", "450 greylisted\r\n", true, &["greylisted"]),
        ("DATA", "554 no\r\n", false, &["DATA"]),
        ("MESSAGE", "552 too large\r\n", false, &["too large"]),
        ("MESSAGE", "452 full\r\n", true, &["full"]),
    ];
    for (begin, answer, passes, words) in cases {
        let server = Server::start(Manner {
            instead: vec![(begin, answer)],
            ..Manner::default()
        })
        .await;
        let sent = send(&server.spec(MailTls::None), &BTreeMap::new()).await;
        match passes {
            true => sent.waits(words),
            false => sent.given_up(words),
        }
    }
}

#[tokio::test]
async fn one_recipient_of_two_is_a_note() {
    let server = Server::start(Manner {
        instead: vec![("RCPT TO:<night", "550 gone\r\n")],
        ..Manner::default()
    })
    .await;
    let sent = send(&server.spec(MailTls::None), &BTreeMap::new()).await;
    arrived(&server, &sent);
    assert!(sent.delivery.notes[0].contains("night@example.org: 550 gone"));
}

#[tokio::test]
async fn a_wrong_password_is_given_up_and_not_told() {
    let server = Server::start(Manner {
        certificate: Some("right"),
        auth: "PLAIN",
        ..Manner::default()
    })
    .await;
    let wrong = secrets(&[("PASSWORD", "another-s3cret")]);
    let sent = send(&server.with_login(MailTls::StartTls), &wrong).await;
    sent.given_up(&["(535)", "`password`"]);
    let both = Base64::encode_string(b"\0claw\0another-s3cret");
    let told = format!("{:?}", sent.delivery);
    assert!(!told.contains("another-s3cret") && !told.contains(&both));
    assert!(!server.commands().contains(&"DATA".to_owned()));
    let server = Server::start(Manner {
        certificate: Some("right"),
        auth: "XOAUTH2",
        ..Manner::default()
    })
    .await;
    let sent = send(&server.with_login(MailTls::StartTls), &password()).await;
    sent.given_up(&["neither AUTH PLAIN nor AUTH LOGIN"]);
}

#[tokio::test]
async fn a_mail_server_that_hangs_or_talks_without_end_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = Server {
        port: listener.local_addr().unwrap().port(),
        seen: Arc::default(),
    };
    let mut channel = silent.spec(MailTls::None);
    channel.timeout = Duration::from_millis(700);
    send(&channel, &BTreeMap::new())
        .await
        .waits(&["no answer in time"]);
    drop(listener);
    send(&channel, &BTreeMap::new()).await.waits(&["refused"]);
    for endless in ["220 x", "220-x\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server {
            port: listener.local_addr().unwrap().port(),
            seen: Arc::default(),
        };
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            while stream.write_all(endless.as_bytes()).await.is_ok() {}
        });
        let begin = Instant::now();
        let channel = server.spec(MailTls::None);
        let sent = send_within(&channel, &BTreeMap::new(), &Proxies::default(), 2400).await;
        sent.waits(&["no end"]);
        assert!(begin.elapsed() < Duration::from_secs(1));
    }
    // What is lost after the message was taken is not lost.
    let server = Server::start(Manner {
        instead: vec![("QUIT", "what?\r\n")],
        ..Manner::default()
    })
    .await;
    let sent = send(&server.spec(MailTls::None), &BTreeMap::new()).await;
    arrived(&server, &sent);
}
