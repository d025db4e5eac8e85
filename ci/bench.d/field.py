"""Measures what operators meet in the field: false alarms under load, and slow links."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from collections.abc import Iterator
from statistics import median

import measure
from measure import CLAWFLEET, LAB, output_of, show


@contextmanager
def load(processes: int) -> Iterator[None]:
    """So many processes compute all the while."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for one in busy:
            one.kill()
            one.wait()


def check(inventory: str, hosts: list[str]) -> dict:
    """One report."""
    command = [CLAWFLEET, "-i", inventory, "--format", "json", "check", *hosts]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout)


def alarms(count: int, runs: int, busy: int) -> None:
    """Healthy hosts, a busy machine: whatever is found is a false alarm."""
    with measure.lab(count) as (running, inventory, _):
        # Of one kind, or their units differ, which is no false alarm.
        hosts = [host["HOST"] for host in running if (host["SCENARIO"], host["GATEWAY"]) == ("healthy", "standin")][:count]
        if len(hosts) < count:
            sys.exit(f"bench: only {len(hosts)} healthy hosts are up, {count} are wanted")
        found: Counter[str] = Counter()
        walls = []
        with load(busy):
            for _ in range(runs):
                begin = time.monotonic()
                report = check(str(inventory), hosts)
                walls.append(time.monotonic() - begin)
                for host in report["hosts"]:
                    if host["outcome"] != "observed":
                        found[f"{host['outcome']} ({host.get('error', {}).get('stage')})"] += 1
                    for finding in host["findings"]:
                        found[finding["class"]] += 1
                for finding in report["fleet_findings"]:
                    found[finding["class"]] += 1
        text = ", ".join(f"{number} {name}" for name, number in found.most_common()) or "none"
        print(f"\n{runs} runs on {count} healthy hosts, {busy} processes computing beside them on {os.cpu_count()} processors")
        print(f"a run took {min(walls):.1f} to {max(walls):.1f} s, {median(walls):.1f} in the middle; load {os.getloadavg()[0]:.1f} at the end")
        print(f"false alarms: {sum(found.values())} ({text})")
        sys.exit(1 if found else 0)


def link(delay_ms: int, rounds: int) -> None:
    """How many round trips a check waits for, beside a plain login."""
    with measure.lab(1) as (running, inventory, config):
        host = next(host for host in running if host["SCENARIO"] == "healthy")
        name, address = host["HOST"], host["ADDRESS"]
        tools = {
            "ssh HOST true": ["ssh", "-n", "-F", str(config), address, "true"],
            "clawfleet check HOST": [CLAWFLEET, "-i", str(inventory), "--format", "json", "check", name],
        }
        walls: dict[tuple[str, int], list[float]] = {}
        try:
            for delay in (0, delay_ms):
                output_of(LAB, "delay", name, str(delay))
                for _ in range(rounds):
                    for tool, command in tools.items():
                        begin = time.monotonic()
                        subprocess.run(command, capture_output=True, check=False)
                        walls.setdefault((tool, delay), []).append((time.monotonic() - begin) * 1000)
        finally:
            output_of(LAB, "delay", name, "0")
        rows = [["median of ms", "no delay", f"{delay_ms} ms", "round trips"]]
        for tool in tools:
            near, far = median(walls[tool, 0]), median(walls[tool, delay_ms])
            rows.append([tool, f"{near:.0f}", f"{far:.0f}", f"{(far - near) / delay_ms:.1f}"])
        show(f"{name} behind a link of {delay_ms} ms round trip, {rounds} rounds in turn", *rows)


def main() -> None:
    """Reads the command line; ci/bench has seen to everything else."""
    parser = argparse.ArgumentParser(prog="ci/bench")
    actions = parser.add_subparsers(dest="action", required=True)
    quiet = actions.add_parser("alarms")
    quiet.add_argument("count", metavar="N", nargs="?", type=int, default=20)
    quiet.add_argument("--runs", type=int, default=100)
    quiet.add_argument("--busy", type=int, default=2 * (os.cpu_count() or 1))
    slow = actions.add_parser("link")
    slow.add_argument("ms", nargs="?", type=int, default=50)
    slow.add_argument("--rounds", type=int, default=9)
    wanted = parser.parse_args()
    if wanted.action == "alarms":
        alarms(wanted.count, wanted.runs, wanted.busy)
    else:
        link(wanted.ms, wanted.rounds)


if __name__ == "__main__":
    main()
