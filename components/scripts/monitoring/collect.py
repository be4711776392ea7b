#!/usr/bin/env python3
"""Measures the host, its containers and the records on it again and again, and sends that to the metrics store.

A source that fails is reported and left out; the others go on. What the store does not take is kept for some minutes. Every place can be given
by a variable, for tests.
"""

import collections
import os
import signal
import sys
import time

from containers import Containers
from measure import ask, run, sample, say
from records import Records

SECONDS = int(os.environ.get("SECONDS_BETWEEN", "15"))
STORE = os.environ.get("STORE", "127.0.0.1:8428")
EXPORTER = os.environ.get("EXPORTER", "127.0.0.1:9100")
SYSTEMCTL = os.environ.get("SYSTEMCTL", "systemctl")

KEEP_SECONDS = 300
KEEP_BYTES = 4 * 1024 * 1024


def host_metrics():
    """What the node exporter measures, of the job `host`."""
    for line in ask(EXPORTER, "/metrics").splitlines():
        if not line or line.startswith("#"):
            continue
        name, bracket, rest = line.partition("{")
        if bracket:
            yield f'{name}{{job="host",{rest}'
        else:
            name, _, value = line.partition(" ")
            yield f'{name}{{job="host"}} {value}'


class Units:
    """The host's units that have failed; one that no longer has is 0 as long as this program runs, so that its alert ends at once."""

    def __init__(self):
        self.seen = set()

    def metrics(self):
        listed = run([SYSTEMCTL, "list-units", "--failed", "--full", "--plain", "--no-legend"], 10)
        # Escaped as the store reads labels: names of mounts have backslashes.
        failed = {line.split()[0].replace("\\", "\\\\") for line in listed.splitlines() if line.strip()}
        self.seen |= failed
        yield from (sample("technicia_unit_failed", int(unit in failed), unit=unit) for unit in sorted(self.seen))


class Collector:
    def __init__(self):
        self.containers = Containers()
        self.records = Records()
        self.sources = {
            "host": host_metrics,
            "units": Units().metrics,
            "docker": self.containers.metrics,
            "records": self.records.metrics,
        }
        self.waiting = collections.deque()
        self.troubles = {}

    def once(self):
        began, at = time.monotonic(), int(time.time() * 1000)
        lines = []
        for source, read in self.sources.items():
            found = []
            trouble = None
            try:
                for line in read():
                    found.append(line)
            # Whatever one source does, the others are measured.
            except Exception as error:
                trouble = f"{type(error).__name__}: {error}"
            lines += found
            lines.append(sample("technicia_collector_up", int(trouble is None), source=source))
            self.tell(source, trouble)
        lines.append(sample("technicia_collector_seconds", f"{time.monotonic() - began:.3f}"))
        self.send("".join(f"{line} {at}\n" for line in lines).encode())

    def send(self, text):
        self.waiting.append((time.monotonic(), text))
        while len(self.waiting) > 1 and (
            self.waiting[0][0] < time.monotonic() - KEEP_SECONDS or sum(len(one) for _, one in self.waiting) > KEEP_BYTES
        ):
            self.waiting.popleft()
        try:
            while self.waiting:
                ask(STORE, "/api/v1/import/prometheus", self.waiting[0][1])
                self.waiting.popleft()
            self.tell("store", None)
        except Exception as error:
            self.tell("store", f"{type(error).__name__}: {error}")

    def tell(self, source, trouble):
        """Once when it begins, and once when it is over."""
        if trouble != self.troubles.get(source):
            say(f"{source}: {trouble or 'answers again'}")
        self.troubles[source] = trouble


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    collector = Collector()
    due = time.monotonic()
    while True:
        collector.once()
        # A measurement that took long is followed at the next moment that is due, not by all that were missed.
        due = max(due + SECONDS, time.monotonic() - SECONDS)
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
