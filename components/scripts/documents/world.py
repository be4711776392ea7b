"""What the commands about documents reach: the volume, Qdrant and n8n on the server's loopback, and one lock."""

import contextlib
import fcntl
import json
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

LOCK = "/run/technicia-documents.lock"
LOCK_SECONDS = 60

# A restore that is at work, or was interrupted: files and points are of two times until it ends.
RESTORE = "/var/lib/technicia/backup/restore.json"


class Problem(Exception):
    """What a person can do something about; its text says what."""


class World:
    """The settings, and what they lead to."""

    def __init__(self, settings):
        self.settings = settings
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        found = subprocess.run(
            ["docker", "volume", "inspect", "--format", "{{.Mountpoint}}", settings["volume"]], capture_output=True, text=True, check=False
        )
        if found.returncode != 0:
            raise Problem(f"{settings['volume']}: expected a volume of Docker, got none: {found.stderr.strip()}; npm run drift -- {settings['stack']} says more")
        self.root = pathlib.Path(found.stdout.strip())

    def ask(self, service, path, body, *, key=False, seconds=60):
        headers = {"content-type": "application/json"}
        if key and self.settings.get("qdrantKey"):
            headers["api-key"] = pathlib.Path(self.settings["qdrantKey"]).read_text().strip()
        request = urllib.request.Request(f"{self.settings[service]}{path}", json.dumps(body).encode(), headers, method="POST")
        try:
            with self.opener.open(request, timeout=seconds) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise Problem(f"{service}: POST {path}: expected the status 200, got {error.code}: {error.read(300).decode(errors='replace')}") from None
        except (OSError, ValueError) as error:
            stack = self.settings["stack"]
            raise Problem(f"{service}: POST {path}: expected an answer, got {error}; npm run status -- {stack} says what runs, and then type this again") from None

    def points(self, action, body, query=""):
        return self.ask("qdrant", f"/collections/{self.settings['collection']}/points/{action}{query}", body, key=True)["result"]

    def count(self, chosen=None):
        """Of every point, or of those that Qdrant's filter chooses."""
        return self.points("count", {"exact": True} if chosen is None else {"filter": chosen, "exact": True})["count"]

    def remove_points(self, chosen):
        self.points("delete", {"filter": chosen}, "?wait=true")


def say(line):
    print(line, file=sys.stderr, flush=True)


def of_document(document, ingestion=None, *, other=False):
    """Qdrant's filter of a document's points: all of them, those of one ingestion, or all other ones."""
    chosen = {"must": [{"key": "document_id", "match": {"value": document}}]}
    if ingestion is not None:
        same = {"key": "ingestion", "match": {"value": ingestion}}
        chosen["must_not" if other else "must"] = [same] if other else [*chosen["must"], same]
    return chosen


@contextlib.contextmanager
def lock(world, *, wait=True):
    """One that changes files at a time, beside n8n's ingestions; gives whether it is ours."""
    with open(world.settings.get("lock", LOCK), "a") as file:
        deadline = time.monotonic() + (LOCK_SECONDS if wait else 0)
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not wait:
                    yield False
                    return
                if time.monotonic() > deadline:
                    raise Problem(f"another run holds {file.name} for more than {LOCK_SECONDS} s; see systemctl status technicia-documents") from None
                time.sleep(0.2)
        yield True


def is_restoring(world):
    return pathlib.Path(world.settings.get("restore", RESTORE)).exists()


def require_no_restore(world):
    if is_restoring(world):
        raise Problem(f"a restore is at work or was interrupted: npm run status -- {world.settings['stack']} says which; wait for its end, or finish it first")
