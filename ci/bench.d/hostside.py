"""The parts of ci/bench that run where the hosts are: in other namespaces."""

from __future__ import annotations

import ctypes
import os
import resource  # os.wait4 needs it, when Python's own files are out of reach  # noqa: F401
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

GATEWAY_PORT = 18789
PR_SET_CHILD_SUBREAPER = 36
libc = ctypes.CDLL(None, use_errno=True)


def enter(handle: int) -> None:
    """Joins the namespace of an open /proc/PID/ns file; Python has os.setns only from 3.12 on."""
    if libc.setns(handle, 0):
        raise OSError(ctypes.get_errno(), "setns")


class Gateway(BaseHTTPRequestHandler):
    """Answers the health question as a gateway does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"ok":true,"status":"live"}')

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def serve(directory: Path, port: int) -> None:
    """Is the first process of the loopback host: everything in there ends when its stdin does."""
    # root's own .bashrc may take 100 ms at each login, and without PAM sshd refuses an account
    # whose password is locked: here root has an empty home and no password.
    for name, line in (("passwd", f"root:x:0:0::{directory}:/bin/bash"), ("shadow", "root:*:19000:0:99999:7:::")):
        others = [entry for entry in Path("/etc", name).read_text().splitlines() if not entry.startswith("root:")]
        (directory / name).write_text("\n".join([line, *others, ""]))
        subprocess.run(["mount", "--bind", directory / name, f"/etc/{name}"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", directory / "sshd_config"])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the first process inherits orphans
    ThreadingHTTPServer.request_queue_size = 1024
    gateway = ThreadingHTTPServer(("127.0.0.1", GATEWAY_PORT), Gateway)
    threading.Thread(target=gateway.serve_forever, daemon=True).start()
    for _ in range(100):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                print("ready", flush=True)
                sys.stdin.read()
                return
        time.sleep(0.05)


def probe(leader: str, shell: str) -> None:
    """Runs the script on stdin in the namespaces of a host's first process; prints the CPU ms."""
    script = sys.stdin.buffer.read()
    program = os.open(shell, os.O_RDONLY)
    for handle in [os.open(f"/proc/{leader}/ns/{kind}", os.O_RDONLY) for kind in ("ipc", "uts", "net", "pid", "mnt")]:
        enter(handle)
    if os.fork():  # only a child is in the new pid namespace
        sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what outlives the shell comes to us
    child = subprocess.Popen(
        ["sh", "-s"],
        # A shell that the host does not have is this machine's, with the libraries of the host.
        executable=shell if os.path.exists(shell) else f"/proc/self/fd/{program}",
        pass_fds=[program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"HOME": "/root", "USER": "root", "SHELL": "/bin/bash", "PATH": "/usr/bin:/bin:/usr/sbin"},
        cwd="/root",
    )
    assert child.stdin and child.stdout
    child.stdin.write(script)
    child.stdin.close()
    output = child.stdout.read()
    if script and (b" denied " in output or not output.endswith(b" end\n")):
        sys.exit(f"the probe did not see everything; it said …{output[-300:]!r}")
    spent = 0.0
    try:
        while True:
            usage = os.wait4(-1, 0)[2]
            spent += usage.ru_utime + usage.ru_stime
    except ChildProcessError:
        print(spent * 1000)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        probe(sys.argv[2], sys.argv[3])
