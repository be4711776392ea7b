"""How the parts of the collector ask, read and say what they found."""

import calendar
import json
import socket
import subprocess
import sys
import time

LIMIT_SECONDS = 5


def say(line):
    print(line, file=sys.stderr, flush=True)


class Failure(Exception):
    """A source or the store did not answer as it should."""


# Python's own client would load TLS, which takes a third of the memory.
def ask(where, path, body=None):
    """An HTTP request to `host:port` or to the path of a socket; gives the text of the answer."""
    is_local = where.startswith("/")
    with socket.socket(socket.AF_UNIX if is_local else socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.settimeout(LIMIT_SECONDS)
        host, _, port = where.rpartition(":")
        connection.connect(where if is_local else (host, int(port)))
        method, length = ("GET", "") if body is None else ("POST", f"Content-Length: {len(body)}\r\n")
        head = f"{method} {path} HTTP/1.0\r\nHost: localhost\r\n{length}\r\n"
        connection.sendall(head.encode() + (body or b""))
        parts = []
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            part = connection.recv(65536)
            if not part:
                break
            parts.append(part)
            if time.monotonic() > deadline:
                raise Failure(f"{where}{path}: expected an answer within {LIMIT_SECONDS} s")
    answer = b"".join(parts)
    head, _, text = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if not status or not status[0].startswith(b"2"):
        raise Failure(f"{where}{path}: expected success, got {head[:60].decode(errors='replace')}")
    return unchunked(head, text).decode(errors="replace")


def unchunked(head, text):
    """Some servers send chunks even to who speaks HTTP/1.0."""
    if b"transfer-encoding: chunked" not in head.lower():
        return text
    whole = []
    while text:
        size, _, text = text.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        whole.append(text[:length])
        text = text[length + 2 :]
    return b"".join(whole)


def sample(name, value, **labels):
    inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value}" if inside else f"{name} {value}"


def instant(text):
    """Seconds since 1970 of a time in UTC such as 2026-11-27T16:29:35.123Z."""
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def read_json(path):
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}


def run(command, limit):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=limit, text=True)
    if done.returncode != 0:
        raise Failure(f"{command[0]}: {done.stderr.strip().splitlines()[-1:] or done.returncode}")
    return done.stdout
