"""One database goes to its next version: Qdrant on the files of this one, PostgreSQL by a dump into an empty folder. What is counted must be the same."""

import n8n
import postgres
import qdrant
from base import Problem, emptied, now, read_json, say, write_json
from containers import image_of, pull, require_container, start, stop, volume
from exchange import KEPT, renew, save

# All that write to the data of n8n or Qdrant, in the order in which they stop where versions change.
ALL_WRITERS = (n8n.RUNNERS, n8n.SERVICE, "technicia-vector-store")


def upgrade_qdrant(journal):
    """Starts the next version on the files of this one, once their snapshots are taken, and compares."""
    kept, image = KEPT / journal["operation"], journal["images"][qdrant.SERVICE]
    if not (kept / "qdrant.json").exists():
        write_json(kept / "qdrant.json", qdrant.take(kept / "qdrant"))
    stop(qdrant.SERVICE)
    start(qdrant.SERVICE, image)
    found = qdrant.differences(qdrant.running(), read_json(kept / "qdrant.json"))
    if found:
        raise Problem("; ".join(found))
    return qdrant.counts()


def upgrade_postgres(journal):
    """Dumps the database, and loads it into an empty one of the next version."""
    kept = KEPT / journal["operation"]
    if not (kept / "postgres.json").exists():
        emptied(kept / "postgres")
        write_json(kept / "postgres.json", {"counts": postgres.take(kept / "postgres", n8n.TABLES)})
    renew(postgres.SERVICE, "postgres", volume(postgres.VOLUME), journal)
    say("n8n: loading its database")
    postgres.load(require_container(postgres.SERVICE), kept / "postgres" / postgres.DUMP)
    counts, expected = postgres.counts(require_container(postgres.SERVICE), n8n.TABLES), read_json(kept / "postgres.json")["counts"]
    if counts != expected:
        raise Problem(f"n8n: expected {expected}, as before the upgrade, got {counts}")
    return counts


# What is upgraded → its step.
UPGRADE = {"qdrant": upgrade_qdrant, "postgres": upgrade_postgres}
UPGRADED = {qdrant.SERVICE: "qdrant", postgres.SERVICE: "postgres"}


def begin(service, image, snapshot, command):
    pull(image)
    journal = {
        "operation": now().strftime("%Y%m%dT%H%M%S%f"),
        "set": snapshot,
        "only": [UPGRADED[service]],
        "keep": True,
        "items": {},
        "images": {service: image},
        "before": {service: image_of(service)},
        "writers": [n8n.SERVICE] if service == postgres.SERVICE else list(ALL_WRITERS),
        "command": command,
        "upgrades": image,
    }
    return save(journal, phase="replace", emptied=[], done=[])
