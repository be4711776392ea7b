"""What other programs of ours left on the disk: backups, checks, releases, the certificate, and what apt has pending."""

import calendar
import collections
import json
import os
import pathlib
import re
import time

from measure import Failure, instant, read_json, run, sample, say

RECORDS = pathlib.Path(os.environ.get("RECORDS", "/var/lib/technicia"))
CERTIFICATE = pathlib.Path(os.environ.get("CERTIFICATE", "/opt/technicia/gateway/tls/fullchain.pem"))
PATCHES = pathlib.Path(os.environ.get("PATCHES", "/opt/technicia/monitoring/patches.sh"))
REBOOT = pathlib.Path(os.environ.get("REBOOT", "/run/reboot-required"))

PATCHES_SECONDS = 3600


class Records:
    """What other programs of ours left on the disk. A file is read again when it has changed."""

    def __init__(self):
        self.read = {}
        self.audit = {"offset": 0, "inode": None}
        self.events = {}
        self.patches = []
        self.patches_due = 0

    def metrics(self):
        for part in (self.backups, self.checks, self.release, self.certificate, self.pending):
            yield from part()

    def when_changed(self, path, read):
        """The result of `read`, while the file behind the path stays the same; an empty list where there is none."""
        try:
            found = path.stat()
        except FileNotFoundError:
            return []
        mark = (found.st_mtime_ns, found.st_ino, found.st_size)
        known = self.read.get(path)
        if known is None or known[0] != mark:
            known = (mark, list(read()))
            self.read[path] = known
        return known[1]

    def backups(self):
        written = RECORDS / "metrics" / "backup.prom"
        yield from self.when_changed(written, lambda: [line for line in written.read_text().splitlines() if line and not line.startswith("#")])
        status = RECORDS / "backup" / "status.json"
        yield from self.when_changed(status, lambda: failures(read_json(status)))

    def checks(self):
        self.follow_audit()
        drift, test = self.events.get("drift"), self.events.get("alert-test")
        if drift:
            yield sample("technicia_drift_last_check_timestamp_seconds", instant(drift["at"]))
            if "findings" in drift:
                yield sample("technicia_drift_findings", int(drift["findings"]))
        if test:
            yield sample("technicia_alert_test_timestamp_seconds", instant(test["at"]))

    def follow_audit(self):
        """Reads what was added to the audit; its lines are kept for years."""
        path = RECORDS / "history.jsonl"
        try:
            found = path.stat()
        except FileNotFoundError:
            return
        if found.st_ino != self.audit["inode"] or found.st_size < self.audit["offset"]:
            self.audit = {"offset": 0, "inode": found.st_ino}
        with path.open("rb") as file:
            file.seek(self.audit["offset"])
            for line in file:
                # Its writer has not finished it.
                if not line.endswith(b"\n"):
                    break
                self.audit["offset"] += len(line)
                if b'"drift"' in line or b'"alert-test"' in line:
                    self.note(line)

    def note(self, line):
        try:
            event = json.loads(line)
            instant(event["at"])
            self.events[event["action"]] = event
        except (ValueError, KeyError, TypeError):
            say("a line of the audit is not JSON, and was left out")

    def release(self):
        folder = RECORDS / "releases"
        yield from self.when_changed(folder, lambda: current_release(folder))

    def certificate(self):
        yield from self.when_changed(CERTIFICATE, certificate_dates)

    def pending(self):
        """apt is asked at most once an hour: it takes a second of a processor."""
        if time.monotonic() >= self.patches_due and PATCHES.exists():
            self.patches_due = time.monotonic() + PATCHES_SECONDS
            self.patches = run(["bash", str(PATCHES)], 120).splitlines()
        if self.patches_due:
            kinds = collections.Counter(line.split("\t")[0] for line in self.patches)
            yield sample("technicia_patches_pending", kinds["upgrade"])
            yield sample("technicia_patches_security", kinds["security"])
            yield sample("technicia_reboot_required", int(kinds["reboot"] > 0 or REBOOT.exists()))


def failures(status):
    """Whether the newest set and the newest rehearsal failed: what is newer than the last success counts."""
    failure = status.get("failure") or {}
    last, drills = status.get("last") or {}, status.get("drills") or []
    made = failure.get("command") == "make" and failure.get("at", "") > last.get("time", "")[:19]
    yield sample("technicia_backup_failed", int(made))
    rehearsed = drills[-1] if drills else {}
    broken = failure.get("command") == "drill" and failure.get("at", "") > rehearsed.get("at", "")
    yield sample("technicia_drill_failed", int(broken or rehearsed.get("passed") is False))


def current_release(folder):
    """The last release that succeeded, or the one that a rollback restored."""
    for path in sorted(folder.glob("*.end.json"), reverse=True):
        try:
            release = json.loads(path.read_text())
        except ValueError:
            continue
        if release.get("restored") is not None and release.get("outcome") != "succeeded":
            return [sample("technicia_release_number", int(release["restored"]))]
        if release.get("outcome") == "succeeded":
            return [sample("technicia_release_number", int(release["number"])), *hops(release)]
    return []


HOPS = {"uploadMs": "upload", "indexingMs": "indexing", "searchMs": "search", "modelMs": "model", "answerMs": "answer"}


def hops(release):
    """What the question of its verification took, part by part; nothing where none was asked."""
    for check in release.get("verify", []):
        if check.get("id") == "performance-question":
            measures = check.get("measures") or {}
            yield from (sample("technicia_release_hop_seconds", measures[name] / 1000, hop=hop) for name, hop in HOPS.items() if name in measures)


def certificate_dates():
    said = run(["openssl", "x509", "-noout", "-enddate", "-subject", "-in", str(CERTIFICATE)], 20)
    end = re.search(r"^notAfter=(.*) GMT$", said, re.MULTILINE)
    if end is None:
        raise Failure(f"{CERTIFICATE}: expected a certificate")
    yield sample("technicia_certificate_not_after_timestamp_seconds", calendar.timegm(time.strptime(end[1], "%b %d %H:%M:%S %Y")))
    yield sample("technicia_certificate_placeholder", int("placeholder.invalid" in said))
