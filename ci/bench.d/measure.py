"""Measures what clawfleet and other tools cost; ci/bench --help says how to call it."""

import argparse
import ctypes
import os
import re
import resource
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from subprocess import DEVNULL, PIPE
from tempfile import TemporaryDirectory, TemporaryFile

REPOSITORY = Path(__file__).resolve().parents[2]
LAB, LAB_STATE = REPOSITORY / "ci/lab", Path("/run/clawfleet-lab")
OURSELVES = [sys.executable, "-B", __file__]
CLAWFLEET = os.environ.get("CLAWFLEET", str(REPOSITORY / "target/release/clawfleet"))
SSHD_PORT, GATEWAY_PORT, FANOUT = 2222, 18789, 64
JUMP_FANOUT = 8
PROBES, LOGINS = 15, 20  # how often the host's costs are taken
PR_SET_CHILD_SUBREAPER = 36
libc = ctypes.CDLL(None, use_errno=True)


def output_of(*command: str | Path, stdin: str = "") -> str:
    """What a command prints; the bench ends when it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"bench: {' '.join(map(str, command))} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def both(values: list[float], digits: int) -> str:
    """The least and the median."""
    return f"{min(values):.{digits}f} / {median(values):.{digits}f}"


def show(title: str, *rows: list[str]) -> None:
    """Prints a table, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(f"\n{title}\n")
    for name, *cells in rows:
        print(name.ljust(widths[0]), *map(str.rjust, cells, widths[1:]), sep="  ")


def enter(handle: int) -> None:
    """Joins the namespace of an open /proc/PID/ns file; Python has os.setns only from 3.12 on."""
    if libc.setns(handle, 0):
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def network_of(pid: int) -> Iterator[None]:
    """We are in the network of that process, so that a client needs no program in front of it."""
    with open("/proc/self/ns/net", "rb") as home, open(f"/proc/{pid}/ns/net", "rb") as there:
        enter(there.fileno())
        try:
            yield
        finally:
            enter(home.fileno())


@contextmanager
def memory_group() -> Iterator[tuple[Path, Path | None]]:
    """A fresh memory cgroup: the file to join it by and the one with its peak, if there can be one."""
    for root, peak in (("memory", "memory.max_usage_in_bytes"), ("", "memory.peak")):
        group = Path("/sys/fs/cgroup", root, f"clawfleet-bench-{os.getpid()}")
        with suppress(OSError):
            group.mkdir()
        if has_peak := (group / peak).exists():
            break
    try:
        yield (group / "cgroup.procs", group / peak) if has_peak else (Path("/dev/null"), None)
    finally:
        while group.exists():  # the last processes of a killed client may still be on their way out
            with suppress(OSError):
                group.rmdir()
            time.sleep(0.01)


def run(command: list[str], hosts: int) -> tuple[float, float, float, float | None]:
    """Wall s, CPU ms per host, MB of the largest process and MB at the peak, of one run of a client.
    wait4 gives the CPU time of all its processes, for each of them waits for its own."""
    with memory_group() as (members, peak), TemporaryFile() as errors:
        begin = time.monotonic()
        # Half a millisecond; preexec_fn would copy the tables of this process for two.
        joined = ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(members), *command]
        child = subprocess.Popen(joined, stdin=DEVNULL, stdout=PIPE, stderr=errors, start_new_session=True)
        try:
            assert child.stdout
            # Counted as it comes: what we held, the next child would have before it becomes the client.
            seen = sum(len(re.findall(rb'"outcome": *"(?:observed|exited)"', line)) for line in child.stdout)
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
        wall_s = time.monotonic() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        answered = hosts if status == 0 else 0
        if command[0] == CLAWFLEET:  # its status tells of findings, its report of hosts
            answered = seen
        if answered != hosts:
            errors.seek(0)
            sys.exit(f"bench: {command[0]}: {answered} of {hosts} hosts answered; it said {errors.read()[-500:]!r}")
        cpu_ms = (usage.ru_utime + usage.ru_stime) * 1000 / hosts
        return wall_s, cpu_ms, usage.ru_maxrss * 1024 / 1e6, int(peak.read_text()) / 1e6 if peak else None


def compare(title: str, tools: dict[str, list[str]], hosts: int, rounds: int) -> None:
    """Runs the tools in turn, so that what else the machine does hits all alike; prints the table."""
    samples = [[run(command, hosts) for command in tools.values()] for _ in range(rounds)]
    rows = [["min / median", "wall s", "client CPU ms/host", "peak memory MB", "largest process MB", "answered"]]
    for (name, command), of_tool in zip(tools.items(), zip(*samples, strict=True), strict=True):
        walls, cpu, largest, peaks = (list(values) for values in zip(*of_tool, strict=True))
        processes = 1 if command[0] == CLAWFLEET else FANOUT + 1
        memory = f"<= {max(largest) * processes:.0f}" if None in peaks else both(peaks, 1)
        rows.append([name, both(walls, 2), both(cpu, 2), memory, both(largest, 1), f"{hosts}/{hosts}"])
    show(f"{title}, {rounds} rounds in turn", *rows)
    print("Peak memory: the cgroup's, with the kernel's part; `<=`: no memory cgroup, so the largest process times the")
    print("processes at once. A largest process below 15 MB or so reads as the size of the Python that starts it.")


def ssh_config(directory: Path, keys: Path, port: int) -> Path:
    """A configuration of ssh that takes nothing from this machine's."""
    config = directory / "ssh_config"
    config.write_text(
        f"Port {port}\nUser root\nIdentityFile {keys}/id_ed25519\nIdentitiesOnly yes\nBatchMode yes\nLogLevel ERROR\n"
        f"UserKnownHostsFile {keys}/known_hosts\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes\n"
        "ControlMaster no\nControlPath none\nKexAlgorithms curve25519-sha256\n"
    )
    return config


def check_and_clush(inventory: Path, selected: list[str], config: Path, targets: str) -> dict[str, list[str]]:
    """The two that every comparison has."""
    os.environ["XDG_STATE_HOME"] = str(inventory.parent)  # the user's record of the last run stays
    return {
        "clawfleet check": [CLAWFLEET, "-i", str(inventory), "check", *selected, "--format", "json"],
        "clush true": ["clush", "-S", "-n", "-f", str(FANOUT), "-o", f"-F {config}", "-w", targets, "true"],
    }


class Gateway(socketserver.StreamRequestHandler):
    """Answers the health question as a gateway does."""

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"ok":true,"status":"live"}')


def serve(directory: str) -> None:
    """Is the first process of the loopback host: everything in there ends when its stdin does."""
    # root's own .bashrc may take 100 ms at each login, and without PAM sshd refuses an account
    # whose password is locked: here root has an empty home and no password.
    for name, root in (("passwd", f"root:x:0:0::{directory}:/bin/bash"), ("shadow", "root:*:19000:0:99999:7:::")):
        others = [line for line in Path("/etc", name).read_text().splitlines() if not line.startswith("root:")]
        Path(directory, name).write_text("\n".join([root, *others, ""]))
        subprocess.run(["mount", "--bind", f"{directory}/{name}", f"/etc/{name}"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    sshd = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", f"{directory}/sshd_config"])
    socketserver.ThreadingTCPServer.request_queue_size = 1024
    gateway = socketserver.ThreadingTCPServer(("127.0.0.1", GATEWAY_PORT), Gateway)
    threading.Thread(target=gateway.serve_forever, daemon=True).start()
    while socket.socket().connect_ex(("127.0.0.1", SSHD_PORT)):
        if sshd.poll() is not None:
            sys.exit("bench: sshd ended")
        time.sleep(0.05)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the first process inherits orphans
    print("ready", flush=True)
    sys.stdin.read()


def prepare_loopback(directory: Path, count: int) -> Path:
    """Keys, the sshd's configuration and an inventory; ssh's configuration."""
    for name in ("host_key", "id_ed25519"):
        output_of("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name)
    (directory / "sshd_config").write_text(
        f"Port {SSHD_PORT}\nHostKey {directory}/host_key\nAuthorizedKeysFile {directory}/id_ed25519.pub\n"
        "PermitRootLogin prohibit-password\nMaxStartups 1000:30:2000\nUsePAM no\nUseDNS no\nPrintMotd no\n"
        "KexAlgorithms curve25519-sha256\nPidFile none\nLogLevel ERROR\n"
        # A bash that sshd starts reads ~/.bashrc, unless it is not the first one.
        "SetEnv SHLVL=2\n"
    )
    addresses = [f"127.0.0.{number}" for number in range(1, count + 1)]
    key = (directory / "host_key.pub").read_text()
    (directory / "known_hosts").write_text("".join(f"[{address}]:{SSHD_PORT} {key}" for address in addresses))
    (directory / "addresses").write_text("\n".join(addresses))
    # Limits that a host with the sessions of a whole fleet on it can keep.
    (directory / "inventory.yaml").write_text(
        f"defaults: {{user: root, port: {SSHD_PORT}, identity: {directory}/id_ed25519,\n"
        f"  known_hosts: {directory}/known_hosts, thresholds: {{http_timeout: 120s}},\n"
        "  timeouts: {tcp: 120s, kex: 120s, auth: 120s, exec: 120s, host: 300s}}\n"
        f'hosts: {{"T[1-{count}]": {{address: "127.0.0.[1-{count}]"}}}}\n'
    )
    return ssh_config(directory, directory, SSHD_PORT)


@contextmanager
def loopback_targets(count: int) -> Iterator[tuple[Path, Path]]:
    """Every target is this machine: one sshd by many addresses, in namespaces of its own. They have no
    name and so go with their first process, which goes when our end of its stdin closes, however we end."""
    with TemporaryDirectory(prefix="clawfleet-bench.", dir="/run") as directory:
        config = prepare_loopback(Path(directory), count)
        namespaces = ["setsid", "unshare", "--net", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child"]
        with subprocess.Popen([*namespaces, *OURSELVES, "serve", directory], stdin=PIPE, stdout=PIPE) as host:
            assert host.stdout
            if host.stdout.readline() != b"ready\n":
                sys.exit("bench: the sshd of the loopback run did not come up")
            with network_of(host.pid):
                yield Path(directory), config


def loopback(count: int, rounds: int) -> None:
    """A check of many loopback targets beside what runs `true` on them."""
    with loopback_targets(count) as (directory, config):
        targets = f"127.0.0.[1-{count}]"
        os.environ["PDSH_SSH_ARGS_APPEND"] = f"-F {config}"
        xargs = ["xargs", "-a", f"{directory}/addresses", f"-P{FANOUT}", "-I%"]
        tools = check_and_clush(directory / "inventory.yaml", ["all"], config, targets)
        tools["pdsh true"] = ["pdsh", "-S", "-R", "ssh", "-f", str(FANOUT), "-w", targets, "true"]
        tools["xargs ssh true"] = [*xargs, "ssh", "-F", str(config), "%", "true"]
        compare(f"{count} loopback targets, one sshd", tools, count, rounds)


def commands(count: int, rounds: int) -> None:
    """`clawfleet run` beside clush and pssh, with nothing to print and with a megabyte of each host's own."""
    # Outputs spill to a disk, as they would; /run is memory.
    with loopback_targets(count) as (directory, config), TemporaryDirectory(dir="/var/tmp") as state:
        os.environ["XDG_STATE_HOME"] = state
        run_it = [CLAWFLEET, "-i", f"{directory}/inventory.yaml", "run", "all", "--format", "ndjson"]
        clush = ["clush", "-S", "-n", "-b", "-f", str(FANOUT), "-o", f"-F {config}", "-w", f"127.0.0.[1-{count}]"]
        pssh = ["parallel-ssh", "-i", "-t", "0", "-p", str(FANOUT), "-h", f"{directory}/addresses", "-x", f"-F {config}"]
        megabyte = "head -c 750000 /dev/urandom | base64 -w0"
        for title, ours, theirs in (("true", ["--", "true"], "true"), ("1 MB each", ["--shell", "--", megabyte], megabyte)):
            tools = {"clawfleet run": [*run_it, *ours], "clush -b": [*clush, theirs], "pssh -i": [*pssh, theirs]}
            compare(f"{count} loopback targets, one sshd: {title}", tools, count, rounds)


@contextmanager
def lab(count: int) -> Iterator[tuple[list[dict[str, str]], Path, Path]]:
    """We are on the bastion of a lab of so many hosts: the hosts, an inventory, an ssh_config. A lab
    that was up is somebody's and stays, with hosts that joined it: ci/lab takes down all or none."""
    before = output_of(LAB, "status").count("\nVM")
    waits = [str(LAB), "bastion", "--", "sh", "-c", "echo $$; exec cat"]  # ends when its stdin does
    try:
        if before < count:
            output_of(LAB, "up", str(count), "--real", "0")
        head, *lines = (line.split() for line in output_of(LAB, "status").splitlines())
        hosts = [dict(zip(head, line, strict=False)) for line in lines]
        with TemporaryDirectory(dir="/run") as directory, subprocess.Popen(waits, stdin=PIPE, stdout=PIPE) as bastion:
            inventory, config = Path(directory, "inventory.yaml"), ssh_config(Path(directory), LAB_STATE, 22)
            inventory.write_text(output_of(LAB, "inventory"))
            assert bastion.stdout
            with network_of(int(bastion.stdout.readline())):
                yield hosts, inventory, config
    finally:
        if before == 0:
            output_of(LAB, "down")


def lab_comparison(count: int, rounds: int) -> None:
    """The real thing: hosts with their own systemd, journal and gateway."""
    with lab(count) as (running, inventory, config):
        hosts = running[:count]
        targets = ",".join(host["ADDRESS"] for host in hosts)
        tools = check_and_clush(inventory, [host["HOST"] for host in hosts], config, targets)
        planted = Counter(host["SCENARIO"] for host in hosts).most_common()
        compare(f"{count} hosts of the lab", tools, count, rounds)
        print(f"Planted: {', '.join(f'{n} {name}' for name, n in planted)}.")


def jump_comparison(count: int, rounds: int) -> None:
    """All hosts but the first one, through the first one: one connection to it beside one for each host."""
    with lab(count + 1) as (running, inventory, config):
        jump, *hosts = running[: count + 1]
        names = ", ".join(host["HOST"] for host in hosts)
        text = inventory.read_text(encoding="utf-8")
        # ssh's own file says how the jump is logged in to, and pins the key exchange of both hops.
        text = text.replace("defaults: {", f"defaults: {{ssh: {{config: {config}}}, ", 1)
        behind = f"  behind: {{hosts: [{names}], ssh: {{jump: [{jump['ADDRESS']}]}}}}\n"
        inventory.write_text(text.replace("groups:\n", f"groups:\n{behind}", 1), encoding="utf-8")
        addresses = inventory.with_name("addresses")
        addresses.write_text("\n".join(host["ADDRESS"] for host in hosts))
        check = check_and_clush(inventory, ["@behind"], config, "")["clawfleet check"]
        # More at a time, and sshd's MaxStartups (10:30:100) turns some of them away.
        xargs = ["xargs", "-a", str(addresses), f"-P{JUMP_FANOUT}", "-I%"]
        ssh = [*xargs, "ssh", "-F", str(config), "-J", jump["ADDRESS"], "%", "true"]
        tools = {"clawfleet check": check, f"xargs -P{JUMP_FANOUT} ssh -J true": ssh}
        compare(f"{count} hosts of the lab behind one jump", tools, count, rounds)


def started(leader: str, shell: str, script: str) -> tuple[int, int]:
    """How many processes came to be in one run, and how many programs they executed."""
    with TemporaryDirectory(dir="/run") as directory:
        strace = ["strace", "-f", "-q", "-o", f"{directory}/trace", "-e", "trace=execve"]
        output_of(*strace, *OURSELVES, "probe", leader, shell, stdin=script)
        trace = Path(directory, "trace").read_text(encoding="utf-8", errors="replace")
    return trace.count(" +++ "), len(re.findall(r"execve.*\) += 0$", trace, re.MULTILINE))


def probe(leader: str, shell: str) -> None:
    """Runs the script on stdin in the namespaces of a host's first process; prints the CPU ms."""
    script = sys.stdin.buffer.read()
    for handle in [os.open(f"/proc/{leader}/ns/{kind}", os.O_RDONLY) for kind in ("ipc", "uts", "net", "pid", "mnt")]:
        enter(handle)
    if os.fork():  # only a child is in the new pid namespace
        sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what outlives the shell comes to us
    done = subprocess.run(["sh", "-s"], executable=shell, input=script, stdout=PIPE, env={}, cwd="/", check=True)
    if script and (b" denied " in done.stdout or not done.stdout.endswith(b" end\n")):
        sys.exit(f"the probe did not see everything; it said …{done.stdout[-300:]!r}")
    with suppress(ChildProcessError):
        while True:
            os.wait()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print((usage.ru_utime + usage.ru_stime) * 1000)


def probe_cost(host: str) -> None:
    """The probe by itself, as src/probe/script.rs composes it and sshd runs it after the login."""
    leader = (LAB_STATE / "hosts" / host / "leader").read_text().strip()
    look = "for name in dash busybox ss; do command -v $name; done; :"
    programs = {Path(path).name: path for path in output_of(LAB, "exec", host, "--", "sh", "-c", look).split()}
    parts = sorted((REPOSITORY / "src/probe/scripts/probe").glob("*.sh"))
    unit = "openclaw-gateway.service"
    # The names of the variables before there could be several gateways, for an older script.
    head = f"N='{'0' * 32}'\nK=k\nUNIT='{unit}'\nPORT='{GATEWAY_PORT}'\nOWNER=''\nUNITS='{unit}'\nPORTS='{GATEWAY_PORT}'\n"
    head += "OWNERS=''\nLIMIT_S='20'\ncustom_checks() { :; }\n"
    text = head + "".join(part.read_text(encoding="utf-8") for part in parts)
    scripts = {"sh -s </dev/null": "", "probe without ss": f"USE_SS='no'\n{text}"}
    if programs.pop("ss", None):
        scripts["probe with ss"] = f"USE_SS='yes'\n{text}"
    # CLAWFLEET_PROBE_BEFORE=FILE: an earlier script, to be measured in the same run.
    if earlier := os.environ.get("CLAWFLEET_PROBE_BEFORE"):
        scripts["the earlier probe"] = f"USE_SS='yes'\n{head}{Path(earlier).read_text(encoding='utf-8')}"
    cases = {f"{name}: {what}": (shell, scripts[what]) for name, shell in programs.items() for what in scripts}
    spent: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(PROBES):
        for name, (shell, script) in cases.items():
            spent[name].append(float(output_of(*OURSELVES, "probe", leader, shell, stdin=script)))
    rows = [["min / median", "CPU ms", "processes", "programs executed"]]
    for name, (shell, script) in cases.items():
        empty, full = started(leader, shell, ""), started(leader, shell, script)
        rows.append([name, both(spent[name], 1), *(str(full[i] - empty[i] + 1) for i in (0, 1))])
    show(f"the probe on {host}, {PROBES} runs of each in turn, without login, sshd and the daemons that it asks", *rows)


def host_ms(host: str) -> Counter[str]:
    """The CPU time that a host's daemons have spent, in ms. A process leaves its own to its parent
    when it ends: sshd's listener has that of all sessions, systemd that of all orphans."""
    spent = Counter[str]()
    for line in output_of(LAB, "exec", host, "--", "sh", "-c", "cat /proc/[0-9]*/stat 2>&-; :").splitlines():
        name, fields = line[line.index("(") + 1 : line.rindex(")")], line[line.rindex(")") + 2 :].split()
        if (name == "sshd" and fields[1] == "1") or name.startswith(("systemd", "dbus")):
            spent["sshd" if name == "sshd" else "systemd"] += sum(map(int, fields[11:15])) * 1000
    return Counter({part: ms // os.sysconf("SC_CLK_TCK") for part, ms in spent.items()})


def host_cost(chosen: str | None) -> None:
    """What a check costs the host that is checked: the probe alone, then all of a login."""
    with lab(1) as (running, inventory, config):
        healthy = [host["HOST"] for host in running if host["SCENARIO"] == "healthy"]
        host = chosen or (healthy or [running[0]["HOST"]])[-1]
        output_of(LAB, "exec", host, "--", "true")  # ci/lab says it where there is no such host
        probe_cost(host)
        ssh = ["ssh", "-n", "-F", str(config), next(row["ADDRESS"] for row in running if row["HOST"] == host)]
        check = check_and_clush(inventory, [host], config, host)["clawfleet check"]
        rows = [["", "sshd and what it runs", "systemd, logind, journald, dbus", "sum"]]
        for name, command in (("ssh HOST true", [*ssh, "true"]), ("clawfleet check HOST", check)):
            run(command, 1)  # the first login starts what the later ones share
            before = host_ms(host)
            for _ in range(LOGINS):
                run(command, 1)
            time.sleep(2)  # for the sessions to end
            costs = [(host_ms(host)[part] - before[part]) / LOGINS for part in ("sshd", "systemd")]
            rows.append([name, *(f"{cost:.1f}" for cost in [*costs, sum(costs)])])
        show(f"{host} with its daemons, CPU ms per login, mean of {LOGINS} logins one after the other", *rows)


def main(*_: str) -> None:
    """Reads the command line; ci/bench has seen to everything else."""
    parser = argparse.ArgumentParser(prog="ci/bench")
    actions = parser.add_subparsers(dest="action", required=True)
    for name, count in (("loopback", 200), ("run", 200), ("lab", 30), ("jump", 30)):
        action = actions.add_parser(name)
        action.add_argument("count", metavar="N", nargs="?", type=int, default=count)
        action.add_argument("--rounds", type=int, default=5)
    actions.add_parser("host").add_argument("host", nargs="?")
    wanted = parser.parse_args()
    if not 1 <= getattr(wanted, "count", 1) <= 254:
        parser.error("N is 1 to 254")
    if not os.access(CLAWFLEET, os.X_OK):
        sys.exit(f"bench: {CLAWFLEET} is not there; build it with: cargo build --release")
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # so that every `finally` runs
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    actions_by_name = {"loopback": loopback, "run": commands, "lab": lab_comparison, "jump": jump_comparison}
    if wanted.action == "host":
        host_cost(wanted.host)
    else:
        actions_by_name[wanted.action](wanted.count, wanted.rounds)


if __name__ == "__main__":
    # What this program starts in other namespaces is itself.
    there: dict[str, Callable[..., None]] = {"serve": serve, "probe": probe}
    there.get(sys.argv[1], main)(*sys.argv[2:])
