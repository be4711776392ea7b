"""n8n: its database by the backup interface of SQLite or by pg_dump, and the files of its volume without the encryption key."""

import contextlib
import hashlib
import json
import os
import pathlib
import sqlite3

import postgres
from base import Problem, checksum, copy_file, copy_tree, emptied, moment, now, require_space, say, settings, sha256, size_of
from containers import image_of, version_of, volume

SERVICE = "technicia-n8n"
VOLUME = "technicia-n8n-data"
RUNNERS = "technicia-n8n-runners"

DATABASE = "database.sqlite"
CONFIG = "config"

# Written once and never changed; compared by size.
BINARY = ("binaryData", "storage")

TABLES = {
    "workflows": "workflow_entity",
    "credentials": "credentials_entity",
    "executions": "execution_entity",
    "users": "user",
}


def is_left_out(name):
    """The database is copied in another way; logs, traces of a crash and our own folders are no data."""
    return name == CONFIG or name.startswith((DATABASE, ".technicia-", "n8nEventLog")) or name == "crash.journal"


def take(folder):
    """The item `n8n` of a set."""
    began = now()
    home = volume(VOLUME)
    emptied(folder)
    counts = postgres.take(folder, TABLES) if settings()["database"] == "postgres" else take_sqlite(home / DATABASE, folder / DATABASE)
    copied = now()
    files = folder / "files"
    copy_tree(home, files, leave_out=is_left_out, link=BINARY)
    keep_config(home / CONFIG, folder / CONFIG)
    return {
        "at": moment(copied),
        "took": round((now() - began).total_seconds(), 1),
        "version": version_of(image_of(SERVICE)),
        "database": settings()["database"],
        "key": settings()["keyFingerprint"],
        "counts": counts,
        "size": size_of(folder),
        "sha256": fingerprint(folder),
    }


def fingerprint(folder):
    digest = hashlib.sha256(checksum(folder / "files", by_size=BINARY).encode())
    for name in (DATABASE, postgres.DUMP, postgres.ROLES, CONFIG):
        path = folder / name
        if path.exists():
            digest.update(f"{name} {sha256(path)}\n".encode())
    return digest.hexdigest()


def take_sqlite(source, target):
    """
    Copies in one step, so that other writers cannot make it start again, over a connection that only reads and never moves what is in
    the write-ahead log.
    """
    say("n8n: copying its database")
    require_space(target.parent, source.stat().st_size, "the copy of n8n's database")
    with readable(source) as original:
        with contextlib.closing(sqlite3.connect(target)) as copy:
            original.backup(copy, pages=-1)
            # A copy has no log beside it.
            copy.execute("PRAGMA journal_mode = DELETE")
    owner = source.stat()
    os.chown(target, owner.st_uid, owner.st_gid)
    os.chmod(target, 0o600)
    return counts_of(target)


@contextlib.contextmanager
def readable(database):
    """A connection that only reads. What SQLite cannot read is a Problem, which names the way back."""
    try:
        with contextlib.closing(sqlite3.connect(f"{pathlib.Path(database).as_uri()}?mode=ro", uri=True, timeout=60)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise damaged(database, error) from None


def damaged(database, found):
    stack = settings()["stack"]
    return Problem(
        f"n8n: expected a database without damage, got {' '.join(str(found).split())} ({database}); npm run restore -- {stack} --only n8n brings back the last set"
    )


def counts_of(database):
    """Rows by table, of a database that is whole."""
    with readable(database) as copy:
        found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise damaged(database, found)
        there = {name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if TABLES["workflows"] not in there:
            raise Problem(f"n8n: expected a database of n8n, got one without the table {TABLES['workflows']}")
        return {what: copy.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for what, table in TABLES.items() if table in there}


def keep_config(source, target):
    """n8n writes the encryption key into its settings file, also when it was given one; only the rest goes into a set."""
    known = json.loads(source.read_text())
    known.pop("encryptionKey", None)
    target.write_text(json.dumps(known) + "\n")
    target.chmod(0o600)


def require_same_key(item, stack):
    if item["key"] == settings()["keyFingerprint"]:
        return
    raise Problem(
        f"technicia:n8nEncryptionKey: expected the key that the set was made with ({item['key'][:12]}), got another one ({settings()['keyFingerprint'][:12]}); "
        f"with it n8n could read none of the set's credentials: npx pulumi config set --secret technicia:n8nEncryptionKey --stack {stack}, pulumi up, and again"
    )


def require_same_database(item, stack):
    if item["database"] != settings()["database"]:
        set_it = "npx pulumi config set --path technicia:services.n8n"
        raise Problem(
            f"technicia:services.n8n.database: expected {item['database']}, which the set holds, got {settings()['database']}; to go back to it, "
            f"let n8n start empty there first: {set_it}.database {item['database']} --stack {stack}, {set_it}.startEmpty true --stack {stack}, pulumi up, and again"
        )


def require_no_older(item, stack, image=None):
    """A later n8n migrates an earlier one's data when it starts; an earlier one cannot read a later one's."""
    taken, runs = item["version"], version_of(image or image_of(SERVICE))
    if numbers(taken) > numbers(runs):
        raise Problem(f"technicia:images.n8n: expected {taken} or later, which reads this set, got {runs}; set it for {stack}, run pulumi up, and again")


def require_no_older_server(taken, goes):
    """A dump loads into its own major version or a later one."""
    if numbers(version_of(taken))[:1] > numbers(version_of(goes))[:1]:
        raise Problem(f"technicia:images.postgres: expected {version_of(taken)} or later, which reads this set, got {version_of(goes)}")


def numbers(version):
    return [int(part) for part in version.split("-")[0].split(".") if part.isdigit()]


def require_intact(item, folder):
    if fingerprint(folder) != item["sha256"]:
        raise Problem("n8n: the files are not the ones that the manifest names")


def place(folder, goal, current):
    """Lays out a volume's contents from a set; the key in n8n's settings file stays the server's."""
    home = emptied(goal)
    files = folder / "files"
    copy_tree(files, home)
    owner = files.stat()
    database = folder / DATABASE
    if database.exists():
        copy_file(database, home / DATABASE)
    config = {**json.loads((folder / CONFIG).read_text())}
    if current.exists():
        config = {**config, "encryptionKey": json.loads(current.read_text())["encryptionKey"]}
        (home / CONFIG).write_text(json.dumps(config, indent="\t"))
        (home / CONFIG).chmod(0o600)
        os.chown(home / CONFIG, owner.st_uid, owner.st_gid)
    return home
