//! A fleet for one test: its servers, its inventory, its keys, all in a directory of its own.

use std::fmt::Write as _;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::fake::{self, Behaviour};
use super::program::{self, STUCK};
use super::report::{Checked, HostSeen};

/// What a run may take that has one bad host with a deadline of about a second.
pub(crate) const ONE_DEADLINE: Duration = Duration::from_secs(8);

/// A fleet.
pub(crate) struct Lab {
    dir: TempDir,
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    keys: Arc<Mutex<Vec<PublicKey>>>,
    /// Bound and never listening, so that nobody else's gateway is seen there.
    gateway_port: TcpSocket,
    reserved: Vec<TcpSocket>,
    hosts: Vec<(String, String)>,
    /// The text of the inventory's `defaults`, after those that every test needs.
    pub(crate) defaults: String,
    /// More sections of the inventory.
    pub(crate) sections: String,
}

/// A server of the lab.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) port: u16,
    accepted: watch::Receiver<usize>,
    runtime: Handle,
}

impl Server {
    /// Waits until that many connections were accepted.
    pub(crate) fn wait_accepted(&self, number: usize) {
        let mut accepted = self.accepted.clone();
        self.runtime.block_on(async {
            let wait = accepted.wait_for(|count| *count >= number);
            tokio::time::timeout(STUCK, wait).await.unwrap().unwrap();
        });
    }

    /// How many connections were accepted.
    pub(crate) fn accepted(&self) -> usize {
        *self.accepted.borrow()
    }
}

impl Lab {
    /// Makes a lab with one key that logs in.
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            // The sender's end is the signal, however it comes.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_timeout(Duration::from_secs(1));
        });
        let (gateway_port, _) = {
            let _inside = handle.enter();
            reserve()
        };
        let lab = Self {
            dir: TempDir::new().unwrap(),
            runtime: handle,
            stop: Some(stop),
            thread: Some(thread),
            keys: Arc::default(),
            gateway_port,
            reserved: Vec::new(),
            hosts: Vec::new(),
            defaults: String::new(),
            sections: String::new(),
        };
        let key = fake::new_key();
        lab.authorize(key.public_key().clone());
        lab.write_key("key", &key);
        lab.write("known_hosts", "");
        // The hosts are this machine, whatever it runs: their systemd has never heard of the unit.
        lab.write_program("bin", "systemctl", "#!/bin/sh\necho LoadState=not-found\n");
        lab
    }

    /// Returns the lab's directory, which is the program's home.
    pub(crate) fn home(&self) -> &Path {
        self.dir.path()
    }

    /// Returns a path in the lab.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home().join(name)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes a program into a directory of programs, which is returned.
    pub(crate) fn write_program(&self, dir: &str, name: &str, script: &str) -> PathBuf {
        let path = self.write(&format!("{dir}/{name}"), script);
        set_mode(&path, 0o755);
        self.path(dir)
    }

    /// Writes a private key as `ssh-keygen` would.
    pub(crate) fn write_key(&self, name: &str, key: &PrivateKey) -> PathBuf {
        let path = self.write(name, key.to_openssh(LineEnding::LF).unwrap());
        set_mode(&path, 0o600);
        path
    }

    /// Makes a key with `ssh-keygen` and lets it in.
    pub(crate) fn keygen(&self, name: &str, args: &[&str]) -> PathBuf {
        let path = self.path(name);
        self.tool(
            Command::new("ssh-keygen")
                .args(["-q", "-N", "", "-C", name, "-f"])
                .arg(&path)
                .args(args),
        );
        let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
        self.authorize(PublicKey::from_openssh(&public).unwrap());
        path
    }

    /// Runs a tool that must succeed. Returns what it printed.
    pub(crate) fn tool(&self, command: &mut Command) -> String {
        let output = command
            .current_dir(self.home())
            .env("HOME", self.home())
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{command:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Lets a key in.
    pub(crate) fn authorize(&self, key: PublicKey) {
        self.keys.lock().unwrap().push(key);
    }

    /// Starts an SSH server whose key is known.
    pub(crate) fn fake(&self, behaviour: Behaviour) -> Server {
        let key = fake::new_key();
        let public = key.public_key().clone();
        let server = self.fake_with_key(behaviour, key);
        self.trust(server.port, &public);
        server
    }

    /// Starts an SSH server with that host key, which is not known.
    pub(crate) fn fake_with_key(&self, behaviour: Behaviour, key: PrivateKey) -> Server {
        self.fake_with_keys(behaviour, vec![key])
    }

    /// Starts an SSH server with those host keys, which are not known.
    pub(crate) fn fake_with_keys(&self, behaviour: Behaviour, keys: Vec<PrivateKey>) -> Server {
        self.fake_with_config(behaviour, fake::config(keys))
    }

    /// Starts an SSH server with that configuration.
    pub(crate) fn fake_with_config(
        &self,
        behaviour: Behaviour,
        config: Arc<russh::server::Config>,
    ) -> Server {
        let keys = Arc::clone(&self.keys);
        let home = self.home().to_owned();
        self.raw(move |stream| {
            fake::serve(
                Arc::clone(&config),
                stream,
                behaviour.clone(),
                Arc::clone(&keys),
                home.clone(),
            )
        })
    }

    /// Starts a TCP server; each connection is handed to a function.
    pub(crate) fn raw<F, W>(&self, serve: F) -> Server
    where
        F: Fn(TcpStream) -> W + Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (count, accepted) = watch::channel(0);
        self.runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.send_modify(|number| *number += 1);
                tokio::spawn(serve(stream));
            }
        });
        Server {
            port,
            accepted,
            runtime: self.runtime.clone(),
        }
    }

    /// Returns a port on which nothing listens, and which nobody else can take.
    pub(crate) fn closed_port(&mut self) -> u16 {
        let _inside = self.runtime.enter();
        let (socket, port) = reserve();
        self.reserved.push(socket);
        port
    }

    /// Writes a host key into known_hosts. Returns the number of its line.
    pub(crate) fn trust(&self, port: u16, key: &PublicKey) -> usize {
        self.known_hosts_line("", port, key)
    }

    /// Writes a line of known_hosts. Returns its number.
    pub(crate) fn known_hosts_line(&self, marker: &str, port: u16, key: &PublicKey) -> usize {
        let mut text = std::fs::read(self.path("known_hosts")).unwrap();
        let key = PublicKey::new(key.key_data().clone(), "")
            .to_openssh()
            .unwrap();
        text.extend_from_slice(format!("{marker}[127.0.0.1]:{port} {key}\n").as_bytes());
        self.write("known_hosts", &text);
        text.iter().filter(|byte| **byte == b'\n').count()
    }

    /// Adds a host to the inventory, on this machine; `settings` is YAML in one line.
    pub(crate) fn add(&mut self, name: &str, port: u16, settings: &str) {
        self.add_at(name, "127.0.0.1", port, settings);
    }

    /// Adds a host at any address.
    pub(crate) fn add_at(&mut self, name: &str, address: &str, port: u16, settings: &str) {
        let comma = if settings.is_empty() { "" } else { ", " };
        let entry = format!("{{address: {address}, port: {port}{comma}{settings}}}");
        self.hosts.push((name.to_owned(), entry));
    }

    /// Adds healthy hosts, each with a server of its own.
    pub(crate) fn add_healthy(&mut self, names: &[&str]) {
        for name in names {
            let server = self.fake(Behaviour::default());
            self.add(name, server.port, "");
        }
    }

    /// Writes the inventory and makes a command of the program for it.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let service = self.gateway_port.local_addr().unwrap().port();
        let mut text = format!(
            "defaults:\n  user: tester\n  role: none\n  identity: {key}\n  known_hosts: {known}\n  service: {{unit: no-such.service, port: {service}}}\n{more}hosts:\n",
            key = self.path("key").display(),
            known = self.path("known_hosts").display(),
            more = self.defaults,
        );
        for (name, entry) in &self.hosts {
            writeln!(text, "  {name}: {entry}").unwrap();
        }
        text += &self.sections;
        let inventory = self.write("inventory.yaml", text);
        let mut command = program::clawfleet(self.home());
        command.arg("-i").arg(inventory).args(args);
        command
    }

    /// The names of the inventory, in its order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.hosts.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Checks all hosts and reads the JSON.
    pub(crate) fn check(&self) -> Checked {
        self.check_with(&[])
    }

    /// Checks all hosts with more arguments and reads the JSON.
    pub(crate) fn check_with(&self, args: &[&str]) -> Checked {
        let mut command = self.command(&["--format", "json", "check", "all"]);
        command.args(args);
        Checked::of(program::run(command), &self.names())
    }

    /// Checks a bad host beside a healthy one: the healthy one must be observed in full, and the
    /// run must take no longer than a bad host's deadline.
    #[track_caller]
    pub(crate) fn check_beside_healthy(&mut self, port: u16, settings: &str) -> Checked {
        self.add("bad", port, settings);
        self.add_healthy(&["good"]);
        let checked = self.check();
        checked.host("good").is_observed_in_full();
        checked.within(ONE_DEADLINE);
        checked
    }

    /// As [`Self::check_beside_healthy`], of a host that is not observed, or not whole.
    #[track_caller]
    pub(crate) fn check_bad(&mut self, port: u16, settings: &str) -> Checked {
        let checked = self.check_beside_healthy(port, settings);
        checked.exits(3);
        checked.bad().is_unknown();
        checked
    }

    /// Checks a host that is odd and no worse: it must be observed in full.
    #[track_caller]
    pub(crate) fn check_odd(&mut self, port: u16, settings: &str) -> Checked {
        self.add("odd", port, settings);
        let checked = self.check();
        checked.exits(0).host("odd").is_observed_in_full();
        checked
    }
}

impl Checked {
    /// The host that the test is about.
    #[track_caller]
    pub(crate) fn bad(&self) -> HostSeen<'_> {
        self.host("bad")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was printed already, and a second one here would abort.
            let _ = thread.join();
        }
    }
}

/// Returns a key's fingerprint as ssh shows it.
pub(crate) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Sets a file's permissions.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A socket that is bound and does not listen: connecting to it is refused.
fn reserve() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket
        .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}
