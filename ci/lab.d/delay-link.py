"""Joins two network namespaces by a pair of TAP devices with a delay in each direction.

usage: delay-link.py NETNS DEVICE NETNS DEVICE ROUND_TRIP_MS

Whole Ethernet frames pass, so that TCP, its checksums and its window are the kernel's own.
Prints `ready` when both devices exist; they vanish with this process.
"""

import collections
import ctypes
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def open_tap(namespace, name):
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(namespace, os.O_RDONLY)
    if libc.setns(there, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH14x", name.encode(), IFF_TAP | IFF_NO_PI))
    libc.setns(here, CLONE_NEWNET)
    os.close(here)
    os.close(there)
    return tap


def main():
    first = open_tap(sys.argv[1], sys.argv[2])
    second = open_tap(sys.argv[3], sys.argv[4])
    one_way = float(sys.argv[5]) / 2000
    peer = {first: second, second: first}
    waiting = collections.deque()  # (when due, where to, frame), in order: the delay is constant
    print("ready", flush=True)
    poller = select.epoll()
    for tap in peer:
        poller.register(tap, select.EPOLLIN)
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else -1
        for tap, _ in poller.poll(timeout):
            try:
                for _ in range(64):
                    frame = os.read(tap, 65536)
                    waiting.append((time.monotonic() + one_way, peer[tap], frame))
            except (BlockingIOError, OSError):
                pass  # nothing more to read, or that side is down
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, target, frame = waiting.popleft()
            try:
                os.write(target, frame)
            except OSError:
                pass  # that side is down: the frame is lost, as on a cut cable


main()
