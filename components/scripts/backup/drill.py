"""
Proves that the newest set can be restored: into containers of the running versions, without network and at the lowest priority, one after
the other. Nothing of it stays but the result.
"""

import os
import pathlib
import secrets
import typing

import documents
import n8n
import postgres
import qdrant
import records
import sets
import silence
import storage
from base import Problem, STATE, STATUS, emptied, is_younger, lock, moment, now, read_json, remove, require_space, run, say, settings, write_json
from containers import http, is_healthy, require_container, spec_of, until, volume

NAMES = ("technicia-drill-n8n", "technicia-drill-postgres", "technicia-drill-qdrant")
FOLDER = STATE / "drill"
# In memory: the services' secrets, for as long as the drill's containers read them.
SECRETS = pathlib.Path("/run/technicia-drill")

# Name of the file with PostgreSQL's password, in n8n's container and in its own.
PASSWORD = "postgres_password"

# n8n may have to migrate an older set.
READY_SECONDS = 240
KEPT_RESULTS = 60


def drill(given=None):
    storage.ensure_folders()
    with lock():
        began = now()
        clean()
        try:
            snapshot = storage.find(given)
            require_memory()
            with silence.silenced():
                counts, findings = rehearse(snapshot["id"])
        finally:
            clean()
        result = {
            "set": snapshot["id"],
            "at": moment(began),
            "took": round((now() - began).total_seconds(), 1),
            "passed": not findings,
            "findings": findings,
            "counts": counts,
        }
        known = read_json(STATUS)
        write_json(STATUS, {**known, "drills": [*known.get("drills", []), result][-KEPT_RESULTS:]})
        sets.write_metrics()
        return result


def is_due():
    """The timer comes every night; half a day of grace lets a weekly one keep its day."""
    passed = [one for one in read_json(STATUS).get("drills", []) if one["passed"]]
    return not any(is_younger(one["at"], settings()["drillDays"] * 86400 - 43200) for one in passed)


def rehearse(snapshot):
    """What the copies hold, and what is wrong with them."""
    manifest = sets.manifest_of(snapshot)
    emptied(FOLDER)
    require_space(FOLDER, 3 * sum(item["size"] for item in manifest["items"].values()), "the drill")
    say(f"fetching the set {snapshot[:8]}")
    (FOLDER / "set").mkdir()
    storage.fetch(snapshot, FOLDER / "set")
    counts, findings = {}, []
    for name, item in manifest["items"].items():
        say(f"{name}: restoring a copy")
        counts[name], found = REHEARSALS[name](item, FOLDER / "set" / name)
        findings += found
        remove_containers()
    return counts, findings


def require_memory():
    """What the drill takes must be free, or the services would be pushed out."""
    needed = settings()["drillMemoryMib"]
    lines = dict(line.split(":") for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) // 1024
    if free < needed:
        raise Problem(f"expected {needed} MiB of free memory for the drill, got {free} MiB; nothing was started")


def clean():
    remove_containers()
    remove(FOLDER)
    remove(SECRETS)
    storage.clear()


def remove_containers():
    run(["docker", "rm", "--force", "--volumes", *NAMES], purpose="remove the drill's containers", codes=(0, 1))


def start(name, service, *, mounts, environment=(), capabilities=(), arguments=(), network="none", memory=None, detach=True):
    """A container like a service's, with nobody to talk to."""
    spec, memory = spec_of(service), memory or settings()["drillMemoryMib"]
    entrypoint = ["--entrypoint", spec["Command"][0]] if spec.get("Command") else []
    inside = [*(spec.get("Command") or [])[1:], *(arguments or spec.get("Args") or [])]
    command = [
        *["docker", "run", *(["--detach"] if detach else ["--rm"]), "--name", name, "--label", "technicia.backup=1", "--network", network, "--init"],
        *["--memory", f"{memory}m", "--memory-swap", f"{memory}m", "--cpus", "1", "--cpu-shares", "2", "--pids-limit", "512", "--cap-drop", "ALL"],
        *[word for capability in capabilities for word in ("--cap-add", capability)],
        *["--tmpfs", "/tmp", "--no-healthcheck"],
        *[word for variable in [*(spec.get("Env") or []), *environment] for word in ("--env", variable)],
        *[word for mount in mounts for word in ("--volume", mount)],
        *[*entrypoint, spec["Image"], *inside],
    ]
    return run(command, purpose=f"start {name}").stdout.decode().strip()


def answers(container, port, path):
    try:
        return http(container, "GET", path, port=port, codes=(200,), seconds=5)[0] == 200
    except Problem:
        if not is_healthy(container):
            printed = run(["docker", "logs", "--tail", "5", container], purpose="read the drill's log").stdout.decode(errors="replace")
            raise Problem(f"{container[:12]}: expected it to run, got an end: {' | '.join(printed.splitlines())}") from None
        return False


def owned(folder, like):
    known = like.stat()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, known.st_uid, known.st_gid, follow_symlinks=False)
    return folder


def rehearse_qdrant(item, folder):
    storage_like = volume(qdrant.STORAGE)
    kept, snapshots = (owned(emptied(FOLDER / name), storage_like) for name in ("qdrant-storage", "qdrant-snapshots"))
    container = start("technicia-drill-qdrant", qdrant.SERVICE, mounts=[f"{kept}:/qdrant/storage", f"{snapshots}:{qdrant.INSIDE}"])
    until(lambda: answers(container, qdrant.PORT, "/readyz"), READY_SECONDS, "the copy of Qdrant to be ready")
    copy = qdrant.Qdrant(container, snapshots)
    counts = qdrant.restore(copy, item, folder)
    return counts, qdrant.differences(copy, item)


def rehearse_n8n(item, folder):
    n8n.require_same_key(item, settings()["stack"])
    n8n.require_intact(item, folder)
    return rehearse_postgres(item, folder) if item["database"] == "postgres" else rehearse_sqlite(item, folder)


def rehearse_files(name, count):
    """Of files that no program has to start on."""

    def rehearsal(item, folder):
        records.require_intact(name, item, folder)
        counts = count(folder)
        return counts, [f"{name}: expected {item['counts']}, got {counts}"] if counts != item["counts"] else []

    return rehearsal


def rehearse_documents(item, folder):
    documents.require_intact(item, folder)
    counts = documents.counts_of(folder)
    return counts, [f"documents: expected {item['counts']}, got {counts}"] if counts != item["counts"] else []


REHEARSALS = {
    "qdrant": rehearse_qdrant,
    "n8n": rehearse_n8n,
    "documents": rehearse_documents,
    "certificates": rehearse_files("certificates", records.counts_of_certificates),
    "records": rehearse_files("records", records.counts_of_records),
}


def rehearse_postgres(item, folder):
    """n8n on a database server of its own: both see each other, and nobody else."""
    home = n8n.place(folder, FOLDER / "n8n", volume(n8n.VOLUME) / n8n.CONFIG)
    mounts = [f"{home}:/home/node/.n8n", f"{secrets_of(n8n.SERVICE)}:/run/secrets:ro"]
    memory = settings()["drillMemoryMib"]
    server = start(
        "technicia-drill-postgres",
        postgres.SERVICE,
        mounts=[f"{new_password()}:/run/secrets/{PASSWORD}:ro"],
        capabilities=("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"),
        memory=memory // 4,
    )
    asked = ["docker", "exec", server, "pg_isready", "--quiet", "--username", "n8n", "--dbname", "n8n", "--host", "127.0.0.1"]
    until(lambda: run(asked, purpose="ask PostgreSQL", codes=(0, 1, 2, 3)).returncode == 0, READY_SECONDS, "the copy of PostgreSQL to be ready")
    postgres.load(server, folder / postgres.DUMP)
    copy = Copy(lambda: postgres.counts(server, n8n.TABLES), mounts, memory - memory // 4)
    return start_n8n(item, copy, network=f"container:{server}", environment=("DB_POSTGRESDB_HOST=127.0.0.1",))


def new_password():
    """Of a server that is thrown away: n8n gets it instead of the service's. Gives the file that the server reads."""
    password, owner = secrets.token_hex(16), spec_of(postgres.SERVICE)["Secrets"][0]["File"]
    (SECRETS / PASSWORD).write_text(password)
    goal = SECRETS / "server"
    goal.touch(0o400)
    goal.write_text(password)
    os.chown(goal, int(owner["UID"]), int(owner["GID"]))
    return goal


def rehearse_sqlite(item, folder):
    home = n8n.place(folder, FOLDER / "n8n", volume(n8n.VOLUME) / n8n.CONFIG)
    mounts = [f"{home}:/home/node/.n8n", f"{secrets_of(n8n.SERVICE)}:/run/secrets:ro"]
    return start_n8n(item, Copy(lambda: n8n.counts_of(home / n8n.DATABASE), mounts, settings()["drillMemoryMib"]))


class Copy(typing.NamedTuple):
    """An n8n that is started on a set's data: how its rows are counted, what it sees, and its memory."""

    count: typing.Callable
    mounts: list
    memory: int


def start_n8n(item, copy, *, network="none", environment=()):
    counts = copy.count()
    findings = [f"n8n: expected {item['counts']}, got {counts}"] if counts != item["counts"] else []
    kind = {
        "mounts": copy.mounts,
        "environment": [*environment, f"NODE_OPTIONS=--max-old-space-size={copy.memory * 7 // 10}"],
        "network": network,
        "memory": copy.memory,
    }
    if counts["credentials"] > 0:
        say("n8n: decrypting the credentials")
        arguments = ["export:credentials", "--all", "--decrypted", "--output=/tmp/credentials.json"]
        start("technicia-drill-n8n", n8n.SERVICE, arguments=arguments, detach=False, **kind)
    say("n8n: starting on the copy")
    container = start("technicia-drill-n8n", n8n.SERVICE, **kind)
    until(lambda: answers(container, 5678, "/healthz/readiness"), READY_SECONDS, "the copy of n8n to be ready")
    after = copy.count()
    changed = [what for what in ("workflows", "credentials", "users") if after[what] != counts[what]]
    return counts, findings + [f"n8n, {what}: expected {counts[what]} after its start, got {after[what]}" for what in changed]


def secrets_of(service):
    """The files that the service's own container reads, copied within memory."""
    container, spec = require_container(service), spec_of(service)
    emptied(SECRETS, 0o711)
    for secret in spec.get("Secrets") or []:
        file = secret["File"]
        goal = SECRETS / pathlib.PurePath(file["Name"]).name
        goal.touch(0o400)
        # As the file's owner: in a container without capabilities, root reads no file of others.
        run(["docker", "exec", "--user", f"{file['UID']}:{file['GID']}", container, "cat", f"/run/secrets/{goal.name}"], purpose="read the service's secrets", into=goal)
        os.chown(goal, int(file["UID"]), int(file["GID"]))
    return SECRETS
