//! A small SSH server in the test process. What a login runs is run by a real local `/bin/sh`, so
//! that the real probe runs and its frames come back, unless a script stands in for it.

use std::collections::HashMap;
use std::future::pending;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};
use russh::server::{
    self, Auth, ChannelOpenHandle, Handle, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{
    Channel, ChannelId, ChannelMsg, ChannelOpenFailure, ChannelReadHalf, ChannelWriteHalf,
    MethodKind, MethodSet, Sig,
};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{ChildStdin, Command};

/// What becomes of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    /// The lab's keys are let in.
    Keys,
    /// Nobody is let in.
    Refuse,
    /// The connection ends at the first key.
    HangUp,
    /// A key is never answered.
    Silent,
    /// Only this password is let in, sent as one.
    Password(&'static str),
    /// Only the answers to these questions are let in, each asked in a round of its own.
    Questions(&'static [(&'static str, &'static str)]),
    /// A key of the lab, and then this password.
    KeyAndPassword(&'static str),
}

/// What becomes of a session channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    /// It is opened.
    Confirm,
    /// It is refused.
    Refuse,
    /// It is never answered.
    Silent,
}

/// What becomes of a connection that the client wants made from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forward {
    /// It is refused, as where the server forwards nothing.
    Refuse,
    /// It is never answered.
    Silent,
    /// It is made.
    Connect,
}

/// What becomes of a command.
#[derive(Debug, Clone)]
pub(crate) enum Exec {
    /// This shell script runs; the command that was asked for is its `$1`.
    Shell(String),
    /// The server says no.
    Refuse,
    /// The channel is closed right after it.
    Close,
    /// The whole connection is ended, with these words.
    Disconnect(String),
}

/// How a server behaves; by default as a server should.
#[derive(Debug, Clone)]
pub(crate) struct Behaviour {
    pub(crate) login: Login,
    pub(crate) open: Open,
    pub(crate) exec: Exec,
    pub(crate) forward: Forward,
    /// Whether the client is told how a command ended.
    pub(crate) status: bool,
    /// A directory of programs that stand in front of the machine's own.
    pub(crate) programs: Option<PathBuf>,
    /// What is shown before the login.
    pub(crate) greeting: Option<String>,
    /// Every password that was sent here.
    pub(crate) passwords: Arc<Mutex<Vec<String>>>,
    /// Every environment variable that was sent here.
    pub(crate) environment: Arc<Mutex<Vec<(String, String)>>>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            login: Login::Keys,
            open: Open::Confirm,
            exec: Exec::Shell("eval \"$1\"".to_owned()),
            forward: Forward::Refuse,
            status: true,
            programs: None,
            greeting: None,
            passwords: Arc::default(),
            environment: Arc::default(),
        }
    }
}

impl Behaviour {
    /// Runs a shell script in place of every command, which is its `$1`.
    pub(crate) fn shell(script: impl Into<String>) -> Self {
        Self {
            exec: Exec::Shell(script.into()),
            ..Self::default()
        }
    }
}

/// Makes an ed25519 key.
pub(crate) fn new_key() -> PrivateKey {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    PrivateKey::from(Ed25519Keypair::from_seed(&seed))
}

/// Makes a server's configuration.
pub(crate) fn config(host_keys: Vec<PrivateKey>) -> Arc<server::Config> {
    Arc::new(server::Config {
        keys: host_keys,
        // The pause after a refusal defends servers; here it would only cost time.
        auth_rejection_time: Duration::ZERO,
        nodelay: true,
        ..server::Config::default()
    })
}

/// Serves one connection to its end.
pub(crate) async fn serve(
    config: Arc<server::Config>,
    stream: TcpStream,
    behaviour: Behaviour,
    keys: Arc<Mutex<Vec<PublicKey>>>,
    home: PathBuf,
) {
    let handler = Fake {
        passwords: Arc::clone(&behaviour.passwords),
        behaviour,
        keys,
        asked: 0,
        home,
        channels: HashMap::new(),
        unanswered: Vec::new(),
    };
    // A client may leave at any moment; that is its own business.
    if let Ok(session) = server::run_stream(config, stream, handler).await {
        let _ = session.await;
    }
}

/// A refusal that names one way in.
fn only(method: MethodKind, partial: bool) -> Auth {
    let mut methods = MethodSet::empty();
    methods.push(method);
    Auth::Reject {
        proceed_with_methods: Some(methods),
        partial_success: partial,
    }
}

struct Fake {
    behaviour: Behaviour,
    keys: Arc<Mutex<Vec<PublicKey>>>,
    /// Every password that was sent here.
    passwords: Arc<Mutex<Vec<String>>>,
    asked: usize,
    home: PathBuf,
    channels: HashMap<ChannelId, Channel<Msg>>,
    /// Requests that are kept, because dropping one refuses it.
    unanswered: Vec<ChannelOpenHandle>,
}

impl Fake {
    fn knows(&self, key: &PublicKey) -> bool {
        let keys = self.keys.lock().unwrap();
        keys.iter().any(|known| known.key_data() == key.key_data())
    }
}

impl server::Handler for Fake {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        match self.behaviour.login {
            Login::Keys | Login::KeyAndPassword(_) if self.knows(offer.public_key) => {
                Ok(Auth::Accept)
            }
            Login::Keys | Login::Refuse => Ok(Auth::reject()),
            Login::Password(_) => Ok(only(MethodKind::Password, false)),
            Login::KeyAndPassword(_) => Ok(only(MethodKind::PublicKey, false)),
            Login::Questions(_) => Ok(only(MethodKind::KeyboardInteractive, false)),
            Login::HangUp => Err(russh::Error::Disconnect),
            Login::Silent => pending().await,
        }
    }

    async fn auth_publickey(
        &mut self,
        _: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(match self.behaviour.login {
            Login::KeyAndPassword(_) if self.knows(key.public_key) => {
                only(MethodKind::Password, true)
            }
            _ if self.knows(key.public_key) => Auth::Accept,
            _ => Auth::reject(),
        })
    }

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, Self::Error> {
        self.passwords.lock().unwrap().push(password.to_owned());
        Ok(match self.behaviour.login {
            Login::Password(right) | Login::KeyAndPassword(right) if right == password => {
                Auth::Accept
            }
            _ => only(MethodKind::Password, false),
        })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<server::Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let Login::Questions(questions) = self.behaviour.login else {
            return Ok(Auth::reject());
        };
        if let Some(response) = response {
            let said: Vec<String> = response
                .map(|answer| String::from_utf8_lossy(&answer).into_owned())
                .collect();
            self.passwords.lock().unwrap().extend(said.clone());
            if said.first().map(String::as_str) != Some(questions[self.asked].1) {
                return Ok(only(MethodKind::KeyboardInteractive, false));
            }
            self.asked += 1;
        }
        Ok(match questions.get(self.asked) {
            None => Auth::Accept,
            Some((question, _)) => Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![((*question).into(), false)].into(),
            },
        })
    }

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        Ok(self.behaviour.greeting.clone())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.behaviour.open {
            Open::Confirm => {
                self.channels.insert(channel.id(), channel);
                reply.accept().await;
            }
            Open::Refuse => reply.reject(ChannelOpenFailure::ResourceShortage).await,
            Open::Silent => self.unanswered.push(reply),
        }
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        address: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.behaviour.forward {
            Forward::Refuse => {
                let reason = ChannelOpenFailure::AdministrativelyProhibited;
                reply.reject(reason).await;
            }
            Forward::Silent => self.unanswered.push(reply),
            Forward::Connect => {
                let port = u16::try_from(port).unwrap();
                let Ok(mut stream) = TcpStream::connect((address, port)).await else {
                    reply.reject(ChannelOpenFailure::ConnectFailed).await;
                    return Ok(());
                };
                reply.accept().await;
                tokio::spawn(async move {
                    let mut channel = channel.into_stream();
                    // Either side may be gone first.
                    let _ = tokio::io::copy_bidirectional(&mut channel, &mut stream).await;
                });
            }
        }
        Ok(())
    }

    async fn env_request(
        &mut self,
        _: ChannelId,
        name: &str,
        value: &str,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let mut environment = self.behaviour.environment.lock().unwrap();
        environment.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let command = String::from_utf8(command.to_vec()).unwrap();
        let channel = self.channels.remove(&id).unwrap();
        match self.behaviour.exec.clone() {
            Exec::Refuse => {
                session.channel_failure(id)?;
                self.channels.insert(id, channel);
            }
            Exec::Close => {
                session.channel_success(id)?;
                session.close(id)?;
            }
            Exec::Disconnect(words) => {
                session.channel_success(id)?;
                session.disconnect(russh::Disconnect::ByApplication, &words, "")?;
            }
            Exec::Shell(script) => {
                session.channel_success(id)?;
                let mut shell = Command::new("/bin/sh");
                let mut path = format!("{}/bin:/usr/sbin:/usr/bin:/sbin:/bin", self.home.display());
                if let Some(first) = &self.behaviour.programs {
                    path = format!("{}:{path}", first.display());
                }
                shell
                    .args(["-c", &script, "sh", &command])
                    .env_clear()
                    .env("PATH", path)
                    .env("HOME", &self.home)
                    .current_dir(&self.home);
                tokio::spawn(run(shell, channel, session.handle(), self.behaviour.status));
            }
        }
        Ok(())
    }
}

/// How long a command lives without its client, at most.
const CLEAN_UP: Duration = Duration::from_secs(20);

/// Ends a command and all that it started.
struct KillGroup(Pid);

impl Drop for KillGroup {
    fn drop(&mut self) {
        // It is the normal case that nothing is left of it.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

/// Runs a command on a channel until it ends or the client is gone.
async fn run(mut shell: Command, channel: Channel<Msg>, session: Handle, tell_status: bool) {
    let id = channel.id();
    let (from_client, to_client) = channel.split();
    let mut child = shell
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // As sshd does it. The probe's watchdog kills its group, which must not be the test's.
        .process_group(0)
        .spawn()
        .unwrap();
    let _group = KillGroup(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap());
    let stdin = child.stdin.take().unwrap();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let ended = async {
        tokio::join!(
            copy(stdout, &to_client, None),
            copy(stderr, &to_client, Some(1))
        );
        child.wait().await.unwrap()
    };
    let status = tokio::select! {
        status = ended => Some(status),
        () = feed(stdin, from_client) => None,
    };
    let Some(status) = status else {
        // As with sshd, what runs sees its pipes close, and has time to clean up.
        let _ = tokio::time::timeout(CLEAN_UP, child.wait()).await;
        return;
    };
    // From here on the client may be gone, and then there is nobody to tell.
    if tell_status {
        use std::os::unix::process::ExitStatusExt as _;
        let _ = match (status.code(), status.signal()) {
            (Some(code), _) => {
                session
                    .exit_status_request(id, u32::try_from(code).unwrap())
                    .await
            }
            (None, Some(9)) => signalled(&session, id, Sig::KILL).await,
            (None, Some(11)) => signalled(&session, id, Sig::SEGV).await,
            (None, other) => panic!("a test sends a signal that the fake does not know: {other:?}"),
        };
    }
    let _ = to_client.eof().await;
    let _ = to_client.close().await;
}

async fn signalled(session: &Handle, id: ChannelId, signal: Sig) -> Result<(), ()> {
    session
        .exit_signal_request(id, signal, false, String::new(), String::new())
        .await
}

/// Copies with the client's window, so that a flood waits for the client and fills no memory here.
async fn copy(mut from: impl AsyncRead + Unpin, to: &ChannelWriteHalf<Msg>, ext: Option<u32>) {
    let mut to = Box::pin(to.make_writer_ext(ext));
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

/// Feeds a command what the client sends. Returns when the client is gone, not at its end of file.
async fn feed(stdin: ChildStdin, mut from: ChannelReadHalf) {
    let mut stdin = Some(stdin);
    while let Some(message) = from.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                if let Some(open) = &mut stdin
                    && open.write_all(&data).await.is_err()
                {
                    stdin = None;
                }
            }
            ChannelMsg::Eof => stdin = None,
            ChannelMsg::Close => return,
            _ => {}
        }
    }
}
