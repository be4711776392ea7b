"""The files that are copied as they are: certificates with their account and renewal settings, and the records of releases and commands."""

import hashlib
import json
import os
import pathlib

from base import Problem, checksum, copy_file, copy_tree, emptied, moment, now, size_of

RECORDS = pathlib.Path("/var/lib/technicia")

# Files that are only ever added: what was released, and n8n's workflows of then, by their digest.
FOLDERS = ("releases", "workflows")
LETSENCRYPT = pathlib.Path("/opt/technicia/letsencrypt")
TLS = pathlib.Path("/opt/technicia/gateway/tls")

# Has nginx read the certificate again.
RELOAD = pathlib.Path("/opt/technicia/bin/gateway-reload")


def described(folder, began, counts):
    return {
        "at": moment(began),
        "took": round((now() - began).total_seconds(), 1),
        "counts": counts,
        "size": size_of(folder),
        "sha256": checksum(folder),
    }


def take_certificates(folder):
    began = now()
    emptied(folder)
    for name, source in (("letsencrypt", LETSENCRYPT), ("tls", TLS)):
        if source.is_dir():
            copy_tree(source, folder / name, leave_out=lambda one: one.startswith(".technicia-"))
    return described(folder, began, counts_of_certificates(folder))


def take_records(folder):
    began = now()
    emptied(folder)
    for name in FOLDERS:
        if (RECORDS / name).is_dir():
            copy_tree(RECORDS / name, folder / name, leave_out=lambda one: one.startswith("."))
    if (RECORDS / "history.jsonl").exists():
        copy_file(RECORDS / "history.jsonl", folder / "history.jsonl")
    return described(folder, began, counts_of_records(folder))


def counts_of_certificates(folder):
    live = folder / "letsencrypt" / "live"
    return {"certificates": len([one for one in live.iterdir() if one.is_dir()] if live.is_dir() else [])}


def counts_of_records(folder):
    return {"releases": len(releases(folder)), "events": len(events(folder)), "workflows": len(list(folder.glob("workflows/*.json")))}


def releases(folder):
    return sorted(folder.glob("releases/[0-9]*[0-9].json"))


def events(folder):
    path = folder / "history.jsonl"
    return [line for line in path.read_text().split("\n") if line] if path.exists() else []


def current_release():
    """The last release that succeeded; None before the first."""
    ended = sorted((RECORDS / "releases").glob("*.end.json"), reverse=True)
    for path in ended:
        try:
            known = json.loads(path.read_text())
        except ValueError:
            continue
        if known.get("outcome") == "succeeded":
            return {"number": known["number"], "revision": known["revision"]}
    return None


def require_intact(name, item, folder):
    if checksum(folder) != item["sha256"]:
        raise Problem(f"{name}: the files are not the ones that the manifest names")


def add_file(source, target):
    """Whole at once: half a file would count as there when the restore goes on."""
    if target.exists():
        return
    target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}")
    copy_file(source, unfinished)
    os.replace(unfinished, target)


def add_records(folder, identifier):
    """Adds what the server's records lack; nothing that is there is changed. Before old lines of the audit stands one that says whose they are."""
    for name in FOLDERS:
        for source in sorted(folder.glob(f"{name}/*.json")):
            add_file(source, RECORDS / name / source.name)
    here = events(RECORDS)
    missing = [line for line in events(folder) if line not in set(here)]
    if missing:
        path = RECORDS / "history.jsonl"
        text = path.read_text() if path.exists() else ""
        unfinished = "\n" if text and not text.endswith("\n") else ""
        lines = (text + unfinished).split("\n")
        # As the commands write it: each line has the digest of the one before.
        last = f"{lines[-2]}\n" if len(lines) > 1 else ""
        head = {"restored": identifier, "lines": len(missing), "previous": hashlib.sha256(last.encode()).hexdigest()}
        with path.open("a") as file:
            file.write(unfinished + "".join(f"{line}\n" for line in [json.dumps(head), *missing]))
