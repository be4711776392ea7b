#!/usr/bin/env python3
"""Sends the gateway's access log from one of several servers to the store of logs, which is on another one.

nginx writes datagrams of syslog to a socket that systemd keeps, and waits for nobody. Lines are sent once a second; what the store does not take is
kept for some minutes.
"""

import collections
import datetime
import itertools
import json
import os
import re
import signal
import socket
import sys
import threading
import time

from measure import ask, say

STORE = os.environ["STORE"]
PATH = "/insert/jsonline"

SECONDS = 1
# Of one request: the store refuses more than 32 MiB.
MOST_LINES = 2000
KEEP_LINES = 100_000
KEEP_BYTES = 32 * 1024 * 1024

# Longer than any that nginx writes.
LONGEST = 65_536

# systemd's first one.
SOCKET = 3

HEAD = re.compile(r"<\d{1,3}>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?P<tag>[\w-]+): ")


def stored(datagram):
    """The line as the store has those of its own server's gateway."""
    text = datagram.decode(errors="replace")
    head = HEAD.match(text)
    tag, message = (head["tag"], text[head.end() :]) if head else ("gateway", text)
    # nginx's own time has whole seconds.
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    return json.dumps({"_time": now, "app_name": tag, "_msg": message}).encode()


class Lines:
    """Lines that wait, the oldest first; of too many, the oldest go."""

    def __init__(self):
        self.waiting = collections.deque()
        self.bytes = 0
        self.lost = 0
        self.lock = threading.Lock()

    def add(self, line):
        with self.lock:
            self.waiting.append(line)
            self.bytes += len(line)
            while len(self.waiting) > KEEP_LINES or self.bytes > KEEP_BYTES:
                self.bytes -= len(self.waiting.popleft())
                self.lost += 1

    def first(self):
        with self.lock:
            return list(itertools.islice(self.waiting, MOST_LINES)), self.lost

    def sent(self, count, lost_before):
        """Takes those out that were sent, but for those of them that have gone meanwhile."""
        with self.lock:
            for _ in range(max(0, count - (self.lost - lost_before))):
                self.bytes -= len(self.waiting.popleft())


def receive(lines, taken):
    while True:
        lines.add(stored(taken.recv(LONGEST)))


def send(lines):
    """Everything that waits."""
    while True:
        some, lost = lines.first()
        if not some:
            return
        ask(STORE, PATH, b"\n".join(some) + b"\n")
        lines.sent(len(some), lost)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    lines = Lines()
    taken = socket.socket(fileno=SOCKET)
    taken.setblocking(True)
    threading.Thread(target=receive, args=(lines, taken), daemon=True).start()
    trouble = None
    while True:
        time.sleep(SECONDS)
        before = trouble
        try:
            send(lines)
            trouble = None
        except Exception as error:
            trouble = f"{type(error).__name__}: {error}"
        # Once when it begins, and once when it is over.
        if (trouble is None) != (before is None):
            lost = f"; {lines.lost} lines were lost so far" if lines.lost else ""
            say(f"store: {trouble or 'answers again'}{lost}")


if __name__ == "__main__":
    main()
