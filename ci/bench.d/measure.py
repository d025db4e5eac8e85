"""Measures what clawfleet and other tools cost; ci/bench --help says how to call it."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

from hostside import GATEWAY_PORT, enter

REPOSITORY = Path(__file__).resolve().parents[2]
LAB, LAB_STATE = REPOSITORY / "ci/lab", Path("/run/clawfleet-lab")
HOSTSIDE = [sys.executable, "-B", str(Path(__file__).with_name("hostside.py"))]
CLAWFLEET = os.environ.get("CLAWFLEET", str(REPOSITORY / "target/release/clawfleet"))
SSHD_PORT = 2222
FANOUT = 64
PROBES, LOGINS = 15, 20  # how often the host's costs are taken
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


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
        numbers = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        print("  ".join([name.ljust(widths[0]), *numbers]))


@contextmanager
def network_of(pid: int) -> Iterator[None]:
    """We are in the network of that process, so that a client needs no program in front of it."""
    with open("/proc/self/ns/net", "rb") as home, open(f"/proc/{pid}/ns/net", "rb") as there:
        enter(there.fileno())
        try:
            yield
        finally:
            enter(home.fileno())


# --- one run of a client --------------------------------------------------------------------------


class Tool(NamedTuple):
    """A client and the processes that it has at once."""

    name: str
    command: list[str]
    processes: int


class Sample(NamedTuple):
    """What one run cost."""

    wall_s: float
    cpu_ms: float
    largest_mb: float
    peak_mb: float | None


@contextmanager
def memory_group() -> Iterator[tuple[Path, Path | None]]:
    """A fresh memory cgroup: the file to join it by and the one with its peak, if there can be one."""
    for root, peak in (("memory", "memory.max_usage_in_bytes"), (".", "memory.peak")):
        group = Path("/sys/fs/cgroup", root, f"clawfleet-bench-{os.getpid()}")
        with suppress(OSError):
            group.mkdir()
        if (group / peak).exists():
            break
    try:
        yield (group / "cgroup.procs", group / peak) if (group / peak).exists() else (Path("/dev/null"), None)
    finally:
        for _ in range(50):  # the last processes of a killed client may still be on their way out
            with suppress(OSError):
                group.rmdir()
            if not group.exists():
                break
            time.sleep(0.1)


def run(tool: Tool, hosts: int) -> Sample:
    """Runs a client. wait4 gives the CPU time of all its processes, for each waits for its own."""
    with memory_group() as (members, peak), tempfile.TemporaryFile() as errors:
        begin = time.monotonic()
        child = subprocess.Popen(
            tool.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            preexec_fn=lambda: members.write_text(f"{os.getpid()}\n") and None,
        )
        try:
            assert child.stdout
            output = child.stdout.read()
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
        wall = time.monotonic() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        answered = hosts if status == 0 else 0
        if tool.command[0] == CLAWFLEET:  # its status tells of findings, its report of hosts
            answered = output.count(b'"outcome": "observed"') + output.count(b'"outcome":"observed"')
        if answered != hosts:
            errors.seek(0)
            said = errors.read()[-500:].decode(errors="replace")
            sys.exit(f"bench: {tool.name}: {answered} of {hosts} hosts answered, status {child.returncode}: {said}")
        cpu_ms = (usage.ru_utime + usage.ru_stime) * 1000 / hosts
        return Sample(wall, cpu_ms, usage.ru_maxrss * 1024 / 1e6, int(peak.read_text()) / 1e6 if peak else None)


def compare(title: str, tools: list[Tool], hosts: int, rounds: int) -> None:
    """Runs the tools in turn, so that what else the machine does hits all alike; prints the table."""
    samples: dict[Tool, list[Sample]] = {tool.name: [] for tool in tools}
    for _ in range(rounds):
        for tool in tools:
            samples[tool.name].append(run(tool, hosts))
    rows = [["min / median", "wall s", "client CPU ms/host", "peak memory MB", "largest process MB", "answered"]]
    for tool in tools:
        walls, cpu, largest, peaks = (list(values) for values in zip(*samples[tool.name], strict=True))
        memory = f"<= {max(largest) * tool.processes:.0f}" if None in peaks else both(peaks, 1)
        rows.append([tool.name, both(walls, 2), both(cpu, 2), memory, both(largest, 1), f"{hosts}/{hosts}"])
    show(f"{title}, {rounds} rounds in turn", *rows)
    print("Peak memory is that of the client's cgroup: all processes, the kernel's part too. `<=`: no memory cgroup")
    print("could be had; the largest process, times the processes at once. The largest process reads as Python's")
    print("own size, 10 to 20 MB, where it is smaller than that.")


def ssh_config(directory: Path, key: Path, known_hosts: Path, port: int) -> Path:
    """A configuration of ssh that takes nothing from this machine's."""
    config = directory / "ssh_config"
    config.write_text(
        f"Port {port}\nUser root\nIdentityFile {key}\nIdentitiesOnly yes\nBatchMode yes\nLogLevel ERROR\n"
        f"UserKnownHostsFile {known_hosts}\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes\n"
        "ControlMaster no\nControlPath none\nKexAlgorithms curve25519-sha256\n"
    )
    return config


def check_and_clush(inventory: Path, selected: list[str], config: Path, targets: str) -> list[Tool]:
    """The two that every comparison has."""
    check = [CLAWFLEET, "-i", str(inventory), "check", *selected, "--format", "json"]
    clush = ["clush", "-S", "-n", "-f", str(FANOUT), "-o", f"-F {config}", "-w", targets, "true"]
    return [Tool("clawfleet check", check, 1), Tool("clush true", clush, FANOUT + 1)]


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory that goes with us."""
    with tempfile.TemporaryDirectory(prefix="clawfleet-bench.", dir="/run") as name:
        yield Path(name)


# --- loopback -------------------------------------------------------------------------------------


@contextmanager
def loopback_host(directory: Path) -> Iterator[int]:
    """A host in namespaces of its own. They have no name and so go with their first process, which
    goes when our end of its stdin closes, however we end."""
    for name in ("host_key", "id_ed25519"):
        output_of("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name)
    (directory / "sshd_config").write_text(
        f"Port {SSHD_PORT}\nHostKey {directory}/host_key\nAuthorizedKeysFile {directory}/id_ed25519.pub\n"
        "PermitRootLogin prohibit-password\nMaxStartups 1000:30:2000\nUsePAM no\nUseDNS no\nPrintMotd no\n"
        "KexAlgorithms curve25519-sha256\nPidFile none\nLogLevel ERROR\n"
    )
    namespaces = ["unshare", "--net", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child"]
    command = [*namespaces, *HOSTSIDE, "serve", str(directory), str(SSHD_PORT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as host:
        assert host.stdin and host.stdout
        if host.stdout.readline() != b"ready\n":
            sys.exit("bench: the sshd of the loopback run did not come up")
        yield host.pid


def loopback(count: int, rounds: int) -> None:
    """Every target is this machine: one sshd by many addresses."""
    with scratch() as directory, loopback_host(directory) as host, network_of(host):
        addresses = [f"127.0.0.{number}" for number in range(1, count + 1)]
        host_key = " ".join((directory / "host_key.pub").read_text().split()[:2])
        known_hosts, key = directory / "known_hosts", directory / "id_ed25519"
        known_hosts.write_text("".join(f"[{address}]:{SSHD_PORT} {host_key}\n" for address in addresses))
        (directory / "addresses").write_text("\n".join(addresses))
        targets = f"127.0.0.[1-{count}]"
        # Limits that a host with the sessions of a whole fleet on it can keep.
        (directory / "inventory.yaml").write_text(
            f"defaults:\n  {{user: root, port: {SSHD_PORT}, identity: {key}, known_hosts: {known_hosts},\n"
            "   thresholds: {http_timeout: 120s},\n"
            "   timeouts: {tcp: 120s, kex: 120s, auth: 120s, exec: 120s, host: 300s}}\n"
            f'hosts:\n  "T[1-{count}]": {{address: "{targets}"}}\n'
        )
        config = ssh_config(directory, key, known_hosts, SSHD_PORT)
        os.environ["PDSH_SSH_ARGS_APPEND"] = f"-F {config}"
        pdsh = ["pdsh", "-S", "-R", "ssh", "-f", str(FANOUT), "-w", targets, "true"]
        xargs = ["xargs", "-a", str(directory / "addresses"), f"-P{FANOUT}", "-I%", "ssh", "-F", str(config), "%", "true"]
        tools = check_and_clush(directory / "inventory.yaml", ["all"], config, targets)
        tools += [Tool("pdsh true", pdsh, FANOUT + 1), Tool("xargs ssh true", xargs, FANOUT + 1)]
        compare(f"{count} loopback targets, one sshd", tools, count, rounds)


# --- the lab --------------------------------------------------------------------------------------


def lab_hosts() -> list[dict[str, str]]:
    """The hosts of ci/lab that are up."""
    head, *lines = output_of(LAB, "status").splitlines()
    return [dict(zip(head.split(), line.split(), strict=False)) for line in lines]


@contextmanager
def lab(count: int) -> Iterator[list[dict[str, str]]]:
    """At least so many hosts of the lab. A lab that was up is somebody's and stays, with the hosts
    that joined it, for ci/lab takes down all or none."""
    before = len(lab_hosts())
    try:
        if before < count:
            output_of(LAB, "up", str(count), "--real", "0")
        yield lab_hosts()
    finally:
        if before == 0:
            output_of(LAB, "down")


@contextmanager
def on_bastion() -> Iterator[tuple[Path, Path]]:
    """We are where the hosts can be reached, with an inventory and a configuration of ssh."""
    command = [LAB, "bastion", "--", "sh", "-c", "echo $$; exec cat"]  # ends when its stdin does
    with scratch() as directory, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as waiting:
        inventory = directory / "inventory.yaml"
        inventory.write_text(output_of(LAB, "inventory"))
        assert waiting.stdin and waiting.stdout
        with network_of(int(waiting.stdout.readline())):
            yield inventory, ssh_config(directory, LAB_STATE / "id_ed25519", LAB_STATE / "known_hosts", 22)
        waiting.stdin.close()


def lab_comparison(count: int, rounds: int) -> None:
    """The real thing: hosts with their own systemd, journal and gateway."""
    with lab(count) as running, on_bastion() as (inventory, config):
        hosts = running[:count]
        targets = ",".join(host["ADDRESS"] for host in hosts)
        tools = check_and_clush(inventory, [host["HOST"] for host in hosts], config, targets)
        compare(f"{count} hosts of the lab", tools, count, rounds)
        planted = Counter(host["SCENARIO"] for host in hosts)
        print(f"Planted: {', '.join(f'{number} {name}' for name, number in planted.most_common())}.")
        if planted["hung"]:
            print("A hung gateway is asked twice, for 5 s each: that is the wall time of clawfleet.")


# --- what a host pays -----------------------------------------------------------------------------


def probe_script(use_ss: bool) -> str:
    """The probe as src/probe/script.rs composes it."""
    header = f"N='{'0' * 32}'\nUNIT='openclaw-gateway.service'\nPORT='{GATEWAY_PORT}'\nOWNER=''\nLIMIT_S='20'\n"
    probe = (REPOSITORY / "src/probe/scripts/probe.sh").read_text(encoding="utf-8")
    return f"{header}USE_SS='{'yes' if use_ss else 'no'}'\n{probe}"


def started(leader: str, shell: str, script: str) -> tuple[int, Counter[str]]:
    """How many processes came to be in one run, and the programs that they executed."""
    processes, programs, asked = 0, Counter[str](), dict[str, str]()
    with tempfile.NamedTemporaryFile("r", prefix="clawfleet-bench.", dir="/run") as trace:
        strace = ["strace", "-f", "-q", "-o", trace.name, "-e", "trace=execve"]
        output_of(*strace, *HOSTSIDE, "probe", leader, shell, stdin=script)
        for line in trace:
            pid, _, event = line.partition(" ")
            processes += "+++" in event
            if call := re.search(r'execve\("([^"]*)"', event):
                asked[pid] = Path(call[1]).name
            if re.search(r"execve.*\) += 0$", event):
                programs[asked[pid]] += 1
    return processes, programs


def probe_cost(host: str, leader: str) -> None:
    """The probe by itself, run as sshd would run it after the login."""
    def which(names: str) -> list[str]:
        return output_of(LAB, "exec", host, "--", "sh", "-c", f"command -v {names}; :").split()

    scripts = {"sh -s </dev/null": "", "probe without ss": probe_script(False)}
    if which("ss"):
        scripts["probe with ss"] = probe_script(True)
    shells = [path for name in ("dash", "busybox") if (path := next(iter(which(name)), shutil.which(name)))]
    cases = [(Path(shell).name, shell, what, script) for shell in shells for what, script in scripts.items()]
    spent: dict[tuple[str, ...], list[float]] = {case: [] for case in cases}
    for _ in range(PROBES):
        for case in cases:
            spent[case].append(float(output_of(*HOSTSIDE, "probe", leader, case[1], stdin=case[3])))
    rows, lists = [["min / median", "CPU ms", "processes", "of them executed"]], []
    for shell in shells:
        empty, own = started(leader, shell, "")
        for what, script in scripts.items():
            processes, programs = started(leader, shell, script)
            programs -= own
            case = (Path(shell).name, shell, what, script)
            rows.append([f"{case[0]}: {what}", both(spent[case], 1), str(processes - empty + 1), str(programs.total() + 1)])
            lists.append(f"{case[0]}: {what}: " + " ".join(f"{program}×{n}" for program, n in programs.most_common()))
    show(f"the probe on {host}, {PROBES} runs of each in turn, without login, sshd and the daemons that it asks", *rows)
    print("\n".join(line for line in lists if "×" in line))


def host_ticks(host: str) -> Counter[str]:
    """The clock ticks that a host has spent, under its sshd and elsewhere. A process leaves its own
    to its parent when it ends, so none is lost."""
    spent = Counter[str]()
    for line in output_of(LAB, "exec", host, "--", "sh", "-c", "cat /proc/[0-9]*/stat 2>&-; :").splitlines():
        fields = line[line.rindex(")") + 2 :].split()
        listener = "(sshd)" in line and fields[1] == "1"
        spent["sshd" if listener else "rest"] += sum(map(int, fields[11:15]))
    return spent


def login_cost(host: str) -> None:
    """The host as a whole, with sshd, PAM, logind and systemd."""
    rows = [["", "sshd and what it runs", "other processes", "sum"]]
    with on_bastion() as (inventory, config):
        address = next(row["ADDRESS"] for row in lab_hosts() if row["HOST"] == host)
        ssh = ["ssh", "-n", "-F", str(config), address]
        check = [CLAWFLEET, "-i", str(inventory), "check", host, "--format", "json"]
        for name, command in {"ssh HOST true": [*ssh, "true"], "ssh HOST sh -s </dev/null": [*ssh, "exec sh -s"],
                              "clawfleet check HOST": check}.items():  # fmt: skip
            subprocess.run(command, capture_output=True, check=False)  # the first opens what later ones share
            ticks, times = [host_ticks(host)], [time.monotonic()]
            for logins in (0, LOGINS):
                for _ in range(logins):
                    subprocess.run(command, capture_output=True, check=False)
                time.sleep(2 if logins else 5)  # for the sessions to end; idle
                ticks.append(host_ticks(host))
                times.append(time.monotonic())
            idle = (times[2] - times[1]) / (times[1] - times[0])  # what it does unasked is taken off
            costs = [(ticks[2][part] - ticks[1][part] - (ticks[1][part] - ticks[0][part]) * idle) * TICK_MS / LOGINS
                     for part in ("sshd", "rest")]  # fmt: skip
            rows.append([name, *(f"{cost:.1f}" for cost in [*costs, sum(costs)])])
    show(f"{host} as a whole, CPU ms per login, mean of {LOGINS} logins one after the other", *rows)


def host_cost(chosen: str | None) -> None:
    """What a check costs the host that is checked."""
    with lab(1) as running:
        healthy = [host["HOST"] for host in running if host["SCENARIO"] == "healthy"]
        host = chosen or (healthy or [running[0]["HOST"]])[-1]
        output_of(LAB, "exec", host, "--", "true")  # ci/lab says it where there is no such host
        probe_cost(host, (LAB_STATE / "hosts" / host / "leader").read_text().strip())
        login_cost(host)


def main() -> None:
    """Reads the command line; ci/bench has seen to everything else."""
    parser = argparse.ArgumentParser(prog="ci/bench")
    actions = parser.add_subparsers(dest="action", required=True)
    for name, count in (("loopback", 200), ("lab", 30)):
        action = actions.add_parser(name)
        action.add_argument("count", metavar="N", nargs="?", type=int, default=count)
        action.add_argument("--rounds", type=int, default=5)
    actions.add_parser("host").add_argument("host", nargs="?")
    actions.add_parser("all")
    wanted = parser.parse_args()
    if wanted.action == "loopback" and not 1 <= wanted.count <= 254:
        parser.error("N is 1 to 254")
    if not os.access(CLAWFLEET, os.X_OK):
        sys.exit(f"bench: {CLAWFLEET} is not there; build it with: cargo build --release")
    for ending in (signal.SIGTERM, signal.SIGHUP):  # so that every `finally` runs
        signal.signal(ending, lambda *_: sys.exit(143))
    if wanted.action in ("loopback", "all"):
        loopback(getattr(wanted, "count", 200), getattr(wanted, "rounds", 5))
    if wanted.action in ("lab", "all"):
        lab_comparison(getattr(wanted, "count", 30), getattr(wanted, "rounds", 5))
    if wanted.action in ("host", "all"):
        host_cost(getattr(wanted, "host", None))


if __name__ == "__main__":
    main()
