"""Reads `NAME ADDRESS` lines, waits until port 22 of each sends an ssh banner, prints the names that did not.

usage: wait-banner.py SECONDS
"""

import socket
import sys
import time


def answers(address):
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            connection.settimeout(2)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


deadline = time.monotonic() + float(sys.argv[1])
silent = dict(line.split() for line in sys.stdin)
while silent and time.monotonic() < deadline:
    for name in [name for name, address in silent.items() if answers(address)]:
        del silent[name]
    time.sleep(0.05)
print(*silent, sep="\n", end="\n" if silent else "")
