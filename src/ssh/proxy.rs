//! ProxyCommand: a child process whose standard input and output are the connection.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::exec::append_capped;

/// How much of a proxy's error output is kept, in bytes.
const COMPLAINT: usize = 512;

/// What a proxy said on its standard error.
pub(super) type Complaint = Arc<Mutex<Vec<u8>>>;

/// A running proxy. It ends with the connection, and so does all that it started.
pub(super) struct Proxy {
    stdin: ChildStdin,
    stdout: ChildStdout,
    _group: Group,
    _child: Child,
}

/// How proxy commands are run.
#[derive(Debug, Clone)]
pub struct ProxyShell {
    /// The user's shell.
    pub shell: PathBuf,
    /// Environment variables that it does not get, because they hold secrets.
    pub without: BTreeSet<String>,
}

/// Starts a command as ssh does: by the user's shell, which `exec` replaces.
pub(super) fn start(with: &ProxyShell, line: &str) -> io::Result<(Proxy, Complaint)> {
    let mut command = Command::new(&with.shell);
    for name in &with.without {
        command.env_remove(name);
    }
    let mut child = command
        .arg("-c")
        .arg(format!("exec {line}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for us to hear; the proxy ends with its connection.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = Group(
        child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw),
    );
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(mut stderr)) = pipes else {
        return Err(io::Error::other("the proxy command has no pipes"));
    };
    let complaint = Complaint::default();
    let heard = Arc::clone(&complaint);
    // Read to its end, or a talkative proxy would stop at a full pipe.
    tokio::spawn(async move {
        let mut chunk = [0; 1024];
        while let Ok(read) = stderr.read(&mut chunk).await {
            if read == 0 {
                break;
            }
            if let Ok(mut heard) = heard.lock() {
                append_capped(&mut heard, chunk.get(..read).unwrap_or_default(), COMPLAINT);
            }
        }
    });
    let proxy = Proxy {
        stdin,
        stdout,
        _group: group,
        _child: child,
    };
    Ok((proxy, complaint))
}

/// A process group that ends when this is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It is the normal case that nothing is left of it.
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}

impl AsyncRead for Proxy {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buf)
    }
}

impl AsyncWrite for Proxy {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}
