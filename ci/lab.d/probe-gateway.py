"""Prints what a gateway on this network namespace's loopback answers, one `name: value` line each.

What differs from run to run (a nonce, a duration) is replaced, so that two gateways can be compared.
"""

import base64
import hashlib
import http.client
import json
import os
import re
import socket
import time

PORT = 18789


def ask(method, path):
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    connection.request(method, path)
    response = connection.getresponse()
    return response, response.read().decode()


def keys(value):
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}{keys(inner)}" for key, inner in sorted(value.items())) + "}"
    return ""


def show(name, response, body):
    print(f"{name}: {response.status} {response.getheader('Content-Type')} {body}")


for path in ("/health", "/healthz"):
    response, body = ask("GET", path)
    show(f"GET {path}", response, body)
    response, body = ask("HEAD", path)
    show(f"HEAD {path}", response, body)
response, body = ask("GET", "/healthz")
print("headers of /healthz:", sorted(name for name, _ in response.getheaders()))
for path in ("/", "/nosuch/page", "/metrics", "/v1/models"):
    response, body = ask("GET", path)
    title = re.search("<title>.*</title>", body)
    show(f"GET {path}", response, title.group(0) if title else body)
# The event loop is reported from the second second on.
while json.loads(ask("GET", "/readyz")[1])["uptimeMs"] < 2500:
    time.sleep(0.2)
for path in ("/ready", "/readyz"):
    response, body = ask("GET", path)
    show(f"keys of {path}", response, keys(json.loads(body)))
for path in ("/healthz", "/readyz", "/nosuch"):
    response, body = ask("POST", path)
    show(f"POST {path}", response, body)
response, body = ask("GET", "/api/x")
show("GET /api/x", response, body)

key = base64.b64encode(os.urandom(16)).decode()
with socket.create_connection(("127.0.0.1", PORT), timeout=10) as connection:
    connection.sendall(
        f"GET / HTTP/1.1\r\nHost: localhost:{PORT}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    data = b""
    while b"}}" not in data:
        data += connection.recv(4096)
head, _, frame = data.partition(b"\r\n\r\n")
accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
print("WebSocket status:", head.split(b"\r\n")[0].decode())
print("WebSocket accept:", accept in head)
event = json.loads(frame[frame.index(b"{") :])
event["payload"] = {name: re.sub("[0-9a-f]", "x", value) if isinstance(value, str) else type(value).__name__
                    for name, value in event["payload"].items()}
print("WebSocket frame:", frame[0], frame[1], json.dumps(event))

for table in ("/proc/net/tcp", "/proc/net/tcp6"):
    with open(table) as lines:
        for line in lines:
            fields = line.split()
            if fields[1].endswith(f":{PORT:04X}") and fields[3] == "0A":
                print("listens on:", fields[1])
