"""The repository of restic: what goes into it, what comes out, and whether it is still there."""

import json
import os
import re
import subprocess
import tempfile

import s3
from base import CLOCK_SECONDS, CREDENTIALS, HELD, Problem, STATE, age, now, run, say, settings

CACHE = "/var/cache/technicia-backup"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
NAME = "technicia-backup"

REFUSED, INCOMPLETE, NO_REPOSITORY, LOCKED, WRONG_PASSWORD = 1, 3, 10, 11, 12

MEANINGS = {
    REFUSED: "the storage refused or did not answer: look at the key, the bucket and the region",
    NO_REPOSITORY: "there is no repository at this place",
    LOCKED: "another program has locked the repository: it is at work, or was killed less than half an hour ago",
    WRONG_PASSWORD: "the password is not the repository's: technicia:backupPassword",
    INCOMPLETE: "some files could not be read",
}

# What restic would try again for a quarter of an hour, and what a person has to do.
HOPELESS = (
    (r"RequestTimeTooSkewed|difference between the request time and", "the server's clock is wrong, here it is {now} UTC: set it right, see timedatectl"),
    (
        r"QuotaExceeded|Insufficient ?Storage|StorageFull",
        "the bucket is full: raise its quota, or remove old sets with npm run backups -- {stack} --prune",
    ),
    (
        # A set that restic passes over is not the one that was asked for.
        r"^(?!Ignoring ).*(ciphertext verification failed|invalid data returned)",
        "somebody has written to the storage what restic did not: npm run backups -- {stack} --undelete, or --undelete --as-of <time> for what was added, removes it with the administrator's key",
    ),
)


def restic(arguments, *, key, purpose, mounts=(), codes=(0,)):
    """
    Runs restic in a container of its own with little memory, at the lowest priority, with the writer's or the reader's key.

    What a killed run left is removed first, so that two never read the same folder. A listing beside a run has a container of its own.
    """
    known = settings()
    name = NAME if HELD else f"{NAME}-{os.getpid()}"
    clear(name)
    memory = known["memoryMib"]
    files = {CREDENTIALS / key: "key", CREDENTIALS / "password": "password", AUTHORITIES: "authorities"}
    command = [
        *["docker", "run", "--rm", "--name", name, "--label", "technicia.backup=1", "--log-driver", "none", "--network", "host"],
        *["--read-only", "--tmpfs", "/tmp", "--memory", f"{memory}m", "--memory-swap", f"{memory}m", "--cpu-shares", "2", "--pids-limit", "256"],
        # Files of every owner are read, and get their owners back.
        *["--user", "0", "--cap-drop", "ALL", "--cap-add", "DAC_OVERRIDE", "--cap-add", "CHOWN", "--cap-add", "FOWNER", "--cap-add", "MKNOD"],
        # A file that is missing is an error: --volume would make a folder in its place.
        *[word for source, target in files.items() for word in ("--mount", f"type=bind,source={source},target=/run/{target},readonly")],
        *["--volume", f"{CACHE}:/cache"],
        *[word for mount in mounts for word in ("--volume", mount)],
        *["--env", "AWS_SHARED_CREDENTIALS_FILE=/run/key", "--env", f"AWS_DEFAULT_REGION={known['region']}"],
        # Small buffers, and one thread: it is the services' server.
        *["--env", "GOMAXPROCS=1", "--env", "GOGC=20", "--env", f"GOMEMLIMIT={memory * 3 // 4}MiB"],
        *["--entrypoint", "nice", known["restic"], "-n", "19", "ionice", "-c", "3", "restic"],
        *["--repo", known["repository"], "--password-file", "/run/password", "--cache-dir", "/cache", "--cacert", "/run/authorities"],
        *["--option", "s3.connections=2", "--retry-lock", "5m", *arguments],
    ]
    return followed(command, name=name, purpose=purpose, codes=codes)


def followed(command, *, name, purpose, codes):
    """Like `run`, and ends what would only go on trying."""
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE) as program:
            printed, hopeless = [], None
            for line in program.stderr:
                printed.append(line.decode(errors="replace").strip())
                if printed[-1].startswith("Ignoring "):
                    say(f"{purpose}: {printed[-1]}")
                if hopeless is None and (hopeless := meaning_of(printed[-1])):
                    clear(name)
        output.seek(0)
        ended = subprocess.CompletedProcess(command, program.returncode, output.read(), "\n".join(printed))
    hopeless = hopeless or (meaning_of(s3.refusal()) if ended.returncode == REFUSED else None)
    if hopeless:
        raise Problem(f"{purpose}: {hopeless}")
    if ended.returncode not in codes:
        meaning = MEANINGS.get(ended.returncode)
        last = " | ".join(printed[-3:]) or "nothing printed"
        raise Problem(f"{purpose}: exit code {ended.returncode}: {last}{f' ({meaning})' if meaning else ''}")
    return ended


def meaning_of(line):
    for pattern, meaning in HOPELESS:
        if re.search(pattern, line):
            return meaning.format(now=now().strftime("%Y-%m-%d %H:%M"), stack=settings()["stack"])
    return None


def clear(name=NAME):
    run(["docker", "rm", "--force", name], purpose="remove what a killed run left", codes=(0, 1))


def ensure_repository(status):
    """
    Makes the repository at the first run. One that was there before and is gone is never made again, also where only the storage knows of
    it: its objects may be hidden, and the administrator's key brings them back.
    """
    known = settings()
    # Each start of restic is a second of the services' processor, every hour.
    if status.get("last", {}).get("repository") == known["repository"] and s3.holds("config"):
        return status["repository"]
    found = restic(["cat", "config", "--json"], key="writer", purpose="open the repository", codes=(0, NO_REPOSITORY))
    if found.returncode == 0:
        return json.loads(found.stdout)["id"]
    back = f"the administrator's key brings them back: npm run backups -- {known['stack']} --undelete"
    if status.get("repository"):
        raise Problem(
            f"{known['repository']}: expected the repository {status['repository'][:8]}, got none; check that the bucket "
            f"is there; if somebody deleted its objects, {back}"
        )
    if s3.had("config") or s3.had("snapshots/"):
        raise Problem(
            f"{known['repository']}: expected a repository or an empty place, got sets without a repository: somebody deleted its objects; {back}. "
            "To begin anew without them, name another bucket in technicia:backup"
        )
    if s3.had("keys/"):
        raise Problem(
            f"{known['repository']}: expected a repository or an empty place, got keys without a repository, as a first run leaves them that was killed; "
            "remove what is below this place with a key of the bucket's owner, or name another bucket in technicia:backup"
        )
    made = restic(["init", "--json"], key="writer", purpose="make the repository")
    return json.loads(made.stdout.splitlines()[-1])["id"]


def remove_old_locks():
    """Of whoever was killed: left there, one would stop every prune, or every backup. One that somebody has renewed within half an hour stays."""
    if s3.holds("locks/"):
        restic(["unlock", "--quiet"], key="writer", purpose="remove the locks of programs that were killed")


def is_untouched(status):
    """Whether no set was ever made: this server knows of none, and the storage has nothing and had nothing."""
    if status.get("repository"):
        return False
    found = restic(["cat", "config", "--json"], key="reader", purpose="open the repository", codes=(0, NO_REPOSITORY))
    return found.returncode == NO_REPOSITORY and not any(s3.had(name) for name in ("config", "snapshots/", "keys/"))


# What the storage has, and not what restic has kept of it on this disk.
FRESH = ("--no-cache",)


def snapshots(selection=(), *, key="reader"):
    """Newest last."""
    listed = restic(["snapshots", "--json", "--no-lock", *selection], key=key, purpose="list the sets")
    return sorted(json.loads(listed.stdout), key=lambda one: one["time"])


def going(policy):
    """Ids of the sets that a prune by this policy removes; restic's own words, such as --keep-within-daily 35d."""
    words = ["forget", "--dry-run", "--no-lock", "--json", "--host", settings()["stack"], "--group-by", "host", *policy]
    planned = restic(words, key="reader", purpose="find the sets that a prune removes")
    return {one["id"] for group in json.loads(planned.stdout) for one in group["remove"] or []}


def stored():
    """Bytes that the repository holds for all sets together."""
    counted = restic(["stats", "--json", "--no-lock", "--mode", "raw-data"], key="reader", purpose="measure the repository")
    return json.loads(counted.stdout)["total_size"]


def find(given, *, key="reader", selection=()):
    """The snapshot of an id or of its beginning, or the newest one, of this stack."""
    stack = settings()["stack"]
    there = snapshots(selection, key=key)
    if given in (None, "latest"):
        # S3 answers nobody whose clock is this far off: the clock was wrong that wrote such a time.
        past = [one for one in there if age(one["time"]) >= -CLOCK_SECONDS]
        if past and len(past) < len(there):
            say(f"not taken for the newest: {', '.join(one['id'][:8] for one in there if one not in past)}, of a time that has not come yet")
        there = past or there
    found = [one for one in there if given in (None, "latest") or one["id"].startswith(given)]
    if not found:
        raise Problem(f"--set: expected a set of the repository, got {given or 'none at all'}; see npm run backups -- {stack}")
    if given not in (None, "latest") and len(found) > 1:
        raise Problem(f"--set: expected more digits, got {given}, with which {len(found)} sets begin")
    return found[-1]


def dump(snapshot, path, *, selection=()):
    return restic(["dump", "--no-lock", *selection, snapshot, path], key="reader", purpose=f"read {path} of the set").stdout


def fetch(snapshot, target, include=()):
    """Restores the set, or only some of its folders, below the target."""
    chosen = [word for folder in include for word in ("--include", folder)]
    mounts = [f"{target}:/target"]
    restic(["restore", "--no-lock", f"{snapshot}:/set", "--target", "/target", *chosen], key="reader", purpose="fetch the set", mounts=mounts)


def ensure_folders():
    for folder in (STATE, STATE.__class__(CACHE)):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
