//! The guard before a start (`templates/guard.sh`), run with this machine's `sh` on real processes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TERM: i32 = 15;
const KILL: i32 = 9;

/// A process that holds a listening socket, under a name of its own.
struct Holder {
    process: Child,
    port: u16,
    // Its program stands there.
    _dir: tempfile::TempDir,
}

impl Holder {
    /// Starts one that sleeps. The arguments are those of `sh`'s script, for the command line to show.
    fn start(name: &str, script: &str, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join(name);
        // `sh` may be a program of many names, which goes by the one it is called with.
        // Another process copies it: a test that forks beside this one would inherit a file that is open for
        // writing, and such a file is not executed ("Text file busy").
        let copied = Command::new("cp").arg("/bin/sh").arg(&program).status();
        assert!(copied.unwrap().success());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let process = Command::new(&program)
            .args(["-c", script, "sh"])
            .args(arguments)
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            process,
            port,
            _dir: dir,
        }
    }

    /// A gateway by its name, that ends when it is asked to.
    fn gateway() -> Self {
        Self::start(
            "openclaw-gatewa",
            "while :; do sleep 0.1 </dev/null; done",
            &[],
        )
    }

    /// What the kernel calls its socket. A shell may keep it anywhere while it redirects.
    fn socket(&self) -> String {
        let dir = format!("/proc/{}/fd", self.process.id());
        let look = || {
            let links = fs::read_dir(&dir).unwrap();
            let links = links.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
            let mut names = links.map(|link| link.display().to_string());
            names.find(|name| name.starts_with("socket:["))
        };
        // In the middle of a redirection it is in no table for a moment.
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            match look() {
                Some(name) => return name,
                None => assert!(Instant::now() < deadline, "no socket"),
            }
        }
    }

    /// Whether it has ended, and by which signal.
    fn ended(&mut self) -> Option<Option<i32>> {
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().unwrap() {
                return Some(status.signal());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs the guard. Whatever cgroup a process of the test is in, it is said to be in `theirs`, and the guard
/// itself in that of the unit.
fn guard(port: u16, mode: &str, theirs: &str) -> String {
    let text = include_str!("../templates/guard.sh").trim_end();
    let (functions, last) = text.rsplit_once('\n').unwrap();
    assert_eq!(last, "guard \"$1\" \"$2\" \"$3\" 2>/dev/null");
    let script = format!(
        "{functions}\ncgroup_of() {{ if [ \"$1\" = \"$$\" ]; then cgroup=/system.slice/openclaw-gateway.service; \
         else cgroup='{theirs}'; fi; }}\n{last}\n"
    );
    let begin = Instant::now();
    let output = Command::new("sh")
        .args([
            "-c",
            &script,
            "clawfleet-guard",
            &port.to_string(),
            mode,
            "2",
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(begin.elapsed() < Duration::from_secs(10));
    String::from_utf8(output.stdout).unwrap()
}

const LOGIN: &str = "/user.slice/user-1501.slice/session-7.scope";

#[test]
fn a_stray_gateway_is_ended() {
    let mut gateway = Holder::gateway();
    let said = guard(gateway.port, "end", LOGIN);
    assert_eq!(gateway.ended(), Some(Some(TERM)), "{said}");
    assert!(said.contains("(openclaw-gatewa, /user.slice"), "{said}");
    assert!(said.contains("is ended\n"), "{said}");
}

#[test]
fn one_that_does_not_end_is_killed() {
    let mut gateway = Holder::start(
        "openclaw",
        "trap '' TERM; while :; do sleep 0.1 </dev/null; done",
        &[],
    );
    // The trap has to be there first.
    std::thread::sleep(Duration::from_millis(300));
    let said = guard(gateway.port, "end", LOGIN);
    assert_eq!(gateway.ended(), Some(Some(KILL)), "{said}");
    assert!(said.contains("did not end in 2 s and was killed"), "{said}");
}

#[test]
fn a_gateway_is_told_by_its_arguments_too() {
    let script = "while :; do sleep 0.1 </dev/null; done";
    let mut node = Holder::start("node", script, &["/opt/openclaw/dist/index.js", "gateway"]);
    let said = guard(node.port, "end", LOGIN);
    assert_eq!(node.ended(), Some(Some(TERM)), "{said}");
}

#[test]
fn everything_else_is_only_said() {
    let script = "while :; do sleep 0.1 </dev/null; done";
    let mut web = Holder::start("nginx", script, &["server"]);
    let said = guard(web.port, "end", LOGIN);
    assert!(
        said.contains("(nginx, ") && said.contains(" and stays\n"),
        "{said}"
    );
    assert_eq!(web.ended(), None);
    let mut gateway = Holder::gateway();
    // Nothing is ended where only a report was asked for, and nothing that another manager runs.
    assert!(guard(gateway.port, "report", LOGIN).contains(" and stays\n"));
    for managed in [
        "/system.slice/other-gateway.service",
        "/user.slice/user-1501.slice/user@1501.service/app.slice/openclaw-gateway.service",
        "/system.slice/docker-0123456789ab.scope",
        "/docker/0123456789ab",
        "/machine.slice/libpod-0123.scope/container",
    ] {
        let said = guard(gateway.port, "end", managed);
        assert!(said.contains(" and stays\n"), "{managed}: {said}");
    }
    // The unit's own processes are not even said.
    for own in [
        "/system.slice/openclaw-gateway.service",
        "/system.slice/openclaw-gateway.service/child",
    ] {
        assert_eq!(guard(gateway.port, "end", own), "", "{own}");
    }
    assert_eq!(gateway.ended(), None);
}

#[test]
fn a_free_port_and_its_clients_are_left_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (server, _) = listener.accept().unwrap();
    drop(listener);
    // This very process is a client of the port, and nobody listens on it.
    assert_eq!(guard(port, "end", LOGIN), "");
    drop((client, server));
}

/// What an open file is called is no evidence: nobody can put a socket on somebody else.
#[test]
fn a_file_with_the_name_of_a_socket_is_none() {
    let gateway = Holder::gateway();
    let socket = gateway.socket();
    let dir = tempfile::tempdir().unwrap();
    let name = format!("a\nb -> {socket}");
    let path = dir.path().join(name);
    fs::write(&path, "").unwrap();
    let script = "exec 3<\"$1\"; while :; do sleep 0.1; done";
    let other = Holder::start("openclaw-other", script, &[path.to_str().unwrap()]);
    std::thread::sleep(Duration::from_millis(300));
    let said = guard(gateway.port, "report", LOGIN);
    assert!(
        said.contains(&format!("process {} ", gateway.process.id())),
        "{said}"
    );
    assert!(
        !said.contains(&format!("process {} ", other.process.id())),
        "{said}"
    );
}
