"""The repository of restic: what goes into it, what comes out, and whether it is still there."""

import json

from base import CREDENTIALS, Problem, STATE, run, settings

CACHE = "/var/cache/technicia-backup"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
NAME = "technicia-backup"

NO_REPOSITORY, LOCKED, WRONG_PASSWORD, INCOMPLETE = 10, 11, 12, 3

MEANINGS = {
    1: "the storage refused or did not answer: look at the key, the bucket and the region",
    NO_REPOSITORY: "there is no repository at this place",
    LOCKED: "another program has locked the repository",
    WRONG_PASSWORD: "the password is not the repository's: technicia:backupPassword",
    INCOMPLETE: "some files could not be read",
}


def restic(arguments, *, key, purpose, mounts=(), codes=(0,)):
    """
    Runs restic in a container of its own with little memory, at the lowest priority, with the writer's or the reader's key.

    What a killed run left is removed first, so that two never read the same folder.
    """
    known = settings()
    clear()
    memory = known["memoryMib"]
    command = [
        *["docker", "run", "--rm", "--name", NAME, "--label", "technicia.backup=1", "--log-driver", "none", "--network", "host"],
        *["--read-only", "--tmpfs", "/tmp", "--memory", f"{memory}m", "--memory-swap", f"{memory}m", "--cpu-shares", "2", "--pids-limit", "256"],
        # Files of every owner are read, and get their owners back.
        *["--user", "0", "--cap-drop", "ALL", "--cap-add", "DAC_OVERRIDE", "--cap-add", "CHOWN", "--cap-add", "FOWNER", "--cap-add", "MKNOD"],
        *["--volume", f"{CREDENTIALS / key}:/run/key:ro", "--volume", f"{CREDENTIALS / 'password'}:/run/password:ro"],
        *["--volume", f"{AUTHORITIES}:/run/authorities:ro", "--volume", f"{CACHE}:/cache"],
        *[word for mount in mounts for word in ("--volume", mount)],
        *["--env", "AWS_SHARED_CREDENTIALS_FILE=/run/key", "--env", f"AWS_DEFAULT_REGION={known['region']}"],
        # Small buffers, and one thread: it is the services' server.
        *["--env", "GOMAXPROCS=1", "--env", "GOGC=20", "--env", f"GOMEMLIMIT={memory * 3 // 4}MiB"],
        *["--entrypoint", "nice", known["restic"], "-n", "19", "ionice", "-c", "3", "restic"],
        *["--repo", known["repository"], "--password-file", "/run/password", "--cache-dir", "/cache", "--cacert", "/run/authorities"],
        *["--option", "s3.connections=2", "--retry-lock", "5m", *arguments],
    ]
    try:
        return run(command, purpose=purpose, codes=codes)
    except Problem as problem:
        code = str(problem).partition("exit code ")[2].partition(":")[0]
        meaning = MEANINGS.get(int(code)) if code.isdigit() else None
        raise Problem(f"{problem} ({meaning})" if meaning else str(problem)) from None


def clear():
    run(["docker", "rm", "--force", NAME], purpose="remove what a killed run left", codes=(0, 1))


def ensure_repository(status):
    """
    Makes the repository at the first run. One that was there before and is gone is never made again: its objects may only be hidden, and
    the administrator's key brings them back.
    """
    found = restic(["cat", "config", "--json"], key="writer", purpose="open the repository", codes=(0, NO_REPOSITORY))
    if found.returncode == 0:
        return json.loads(found.stdout)["id"]
    if status.get("repository"):
        raise Problem(
            f"{settings()['repository']}: expected the repository {status['repository'][:8]}, got none; check that the bucket "
            "is there; if somebody deleted its objects, the administrator's key brings them back: npm run backups -- <stack> --undelete"
        )
    made = restic(["init", "--json"], key="writer", purpose="make the repository")
    return json.loads(made.stdout.splitlines()[-1])["id"]


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


def find(given, *, key="reader"):
    """The snapshot of an id or of its beginning, or the newest one, of this stack."""
    stack = settings()["stack"]
    found = [one for one in snapshots(key=key) if given in (None, "latest") or one["id"].startswith(given)]
    if not found:
        raise Problem(f"--set: expected a set of the repository, got {given or 'none at all'}; see npm run backups -- {stack}")
    if given not in (None, "latest") and len(found) > 1:
        raise Problem(f"--set: expected more digits, got {given}, with which {len(found)} sets begin")
    return found[-1]


def dump(snapshot, path):
    return restic(["dump", "--no-lock", snapshot, path], key="reader", purpose=f"read {path} of the set").stdout


def fetch(snapshot, target, include=()):
    """Restores the set, or only some of its folders, below the target."""
    chosen = [word for folder in include for word in ("--include", folder)]
    mounts = [f"{target}:/target"]
    restic(["restore", "--no-lock", f"{snapshot}:/set", "--target", "/target", *chosen], key="reader", purpose="fetch the set", mounts=mounts)


def ensure_folders():
    for folder in (STATE, STATE.__class__(CACHE)):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
