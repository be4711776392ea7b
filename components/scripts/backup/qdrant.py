"""Qdrant: a snapshot of each collection with what no snapshot holds, and their return."""

import json
import os
import pathlib
import urllib.parse

from base import CREDENTIALS, Problem, copy_file, emptied, files_of, moment, now, remove, require_space, say, sha256, size_of
from containers import http, require_container, volume

SERVICE = "technicia-qdrant"
PORT = 6333
STORAGE, SNAPSHOTS = "technicia-qdrant-storage", "technicia-qdrant-snapshots"

# Where Qdrant's own container sees the folder of snapshots.
INSIDE = "/qdrant/snapshots"


class Qdrant:
    """One Qdrant, the service's or a drill's, that answers in its container."""

    def __init__(self, container, snapshots):
        self.container, self.snapshots = container, pathlib.Path(snapshots)

    def ask(self, method, path, body=None, **options):
        key = CREDENTIALS / "qdrant-key"
        code, text = http(self.container, method, path, port=PORT, key=key.read_text() if key.exists() else "", body=body, **options)
        return code, json.loads(text) if text.startswith("{") else {}

    def result(self, method, path, body=None):
        return self.ask(method, path, body)[1]["result"]

    def version(self):
        return self.ask("GET", "/")[1]["version"]

    def names(self):
        return sorted(one["name"] for one in self.result("GET", "/collections")["collections"])

    def aliases(self):
        known = self.result("GET", "/aliases")["aliases"]
        return {one["alias_name"]: one["collection_name"] for one in sorted(known, key=lambda one: one["alias_name"])}

    def points(self, name):
        return self.result("POST", f"{path_of(name)}/points/count", {"exact": True})["count"]

    def indexes(self, name):
        """Field → what makes the index again."""
        schema = self.result("GET", path_of(name))["payload_schema"]
        return {field: known.get("params") or known["data_type"] for field, known in sorted(schema.items())}

    def take(self, name, folder):
        """Snapshots a collection into the folder; its points are counted before and after, because others write meanwhile."""
        before = self.points(name)
        made = self.result("POST", f"{path_of(name)}/snapshots?wait=true")
        try:
            source = self.snapshots / name / made["name"]
            target = folder / f"{len(files_of(folder))}.snapshot"
            require_space(folder, source.stat().st_size, f"the snapshot of {name}")
            copy_file(source, target, may_link=True)
            digest = sha256(target)
            if made.get("checksum") not in (None, digest):
                raise Problem(f"qdrant: expected the snapshot of {name} with the checksum {made['checksum']}, got {digest}")
        finally:
            self.ask("DELETE", f"{path_of(name)}/snapshots/{urllib.parse.quote(made['name'], safe='')}?wait=true", codes=(200, 404))
        after = self.points(name)
        return {
            "file": target.name,
            "sha256": digest,
            "size": target.stat().st_size,
            "points": after,
            "least": min(before, after),
            "most": max(before, after),
            "indexes": self.indexes(name),
        }

    def recover(self, name, known, folder):
        """Replaces a collection by the set's, then makes the indexes that its snapshot may lack."""
        inbox = self.snapshots / ".technicia"
        inbox.mkdir(exist_ok=True)
        owner = self.snapshots.stat()
        target = inbox / known["file"]
        remove(target)
        try:
            copy_file(folder / known["file"], target)
            for path in (inbox, target):
                os.chown(path, owner.st_uid, owner.st_gid)
            # Without this priority a node keeps what it has, and on a new one that is nothing.
            body = {"location": f"file://{INSIDE}/.technicia/{known['file']}", "priority": "snapshot", "checksum": known["sha256"]}
            self.ask("PUT", f"{path_of(name)}/snapshots/recover?wait=true", body)
        finally:
            remove(inbox)
        there = self.indexes(name)
        for field, schema in known["indexes"].items():
            if there.get(field) != schema:
                self.ask("PUT", f"{path_of(name)}/index?wait=true", {"field_name": field, "field_schema": schema})

    def point_aliases(self, item):
        """Gives the restored collections the aliases that they had, and no others; those of other collections stay."""
        wanted, there = item["aliases"], self.aliases()
        gone = [alias for alias, name in there.items() if wanted.get(alias, None if name in item["collections"] else name) != name]
        made = [alias for alias, name in wanted.items() if there.get(alias) != name]
        actions = [{"delete_alias": {"alias_name": alias}} for alias in gone]
        actions += [{"create_alias": {"alias_name": alias, "collection_name": wanted[alias]}} for alias in made]
        if actions:
            self.ask("POST", "/collections/aliases", {"actions": actions})


def path_of(name):
    return f"/collections/{urllib.parse.quote(name, safe='')}"


def running():
    return Qdrant(require_container(SERVICE), volume(SNAPSHOTS))


def answers():
    """Whether it runs, and can say what each of its collections holds."""
    try:
        counts()
    except (Problem, OSError, ValueError, LookupError):
        return False
    return True


def counts():
    there = running()
    return {name: there.points(name) for name in there.names()}


def take(folder):
    """The item `qdrant` of a set: every collection, the aliases, and the version that wrote them."""
    began = now()
    qdrant = running()
    emptied(folder)
    say("qdrant: taking snapshots")
    collections = {name: qdrant.take(name, folder) for name in qdrant.names()}
    return {
        "at": moment(began),
        "took": round((now() - began).total_seconds(), 1),
        "version": qdrant.version(),
        "aliases": qdrant.aliases(),
        "collections": collections,
        "counts": {name: one["points"] for name, one in collections.items()},
        "size": size_of(folder),
    }


def require_same_minor(item, version):
    taken, runs = (tuple(int(part) for part in text.split("-")[0].split(".")[:3]) for text in (item["version"], version))
    if taken[:2] != runs[:2] or taken > runs:
        raise Problem(
            f"qdrant: expected a running version {taken[0]}.{taken[1]}.{taken[2]} or a later {taken[0]}.{taken[1]}.x, which reads this set, got {version}; "
            f"set technicia:images.qdrant to it and run pulumi up first"
        )


def require_intact(item, folder):
    for name, known in item["collections"].items():
        if sha256(folder / known["file"]) != known["sha256"]:
            raise Problem(f"qdrant: the snapshot of {name} is not the one that the manifest names")


def restore(qdrant, item, folder):
    """Returns the number of points of each collection afterwards."""
    require_same_minor(item, qdrant.version())
    require_intact(item, folder)
    for name, known in item["collections"].items():
        say(f"qdrant: restoring {name}, {known['points']} points")
        qdrant.recover(name, known, folder)
    qdrant.point_aliases(item)
    return {name: qdrant.points(name) for name in item["collections"]}


def differences(qdrant, item):
    """What is not as in the set, one sentence each."""
    found = []
    for name, known in item["collections"].items():
        points = qdrant.points(name)
        if not known["least"] <= points <= known["most"]:
            found.append(f"qdrant {name}: expected {known['points']} points, got {points}")
        missing = sorted(known["indexes"].items() - qdrant.indexes(name).items(), key=str) if all_plain(known) else []
        found += [f"qdrant {name}: expected an index of {field}, got none" for field, _ in missing]
    there = qdrant.aliases()
    found += [f"qdrant: expected the alias {alias} of {name}" for alias, name in item["aliases"].items() if there.get(alias) != name]
    return found


def all_plain(known):
    return all(isinstance(schema, str) for schema in known["indexes"].values())
