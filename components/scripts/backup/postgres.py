"""n8n's database server: a dump with the counts of the same moment, and its return in one transaction."""

import contextlib
import os
import shutil
import subprocess
import tempfile

from base import Problem, run, say
from containers import require_container

SERVICE = "technicia-postgres"
VOLUME = "technicia-postgres-data"
DUMP, ROLES = "n8n.dump", "roles.sql"

# restic compresses, and finds what has not changed.
DUMP_DATABASE = ("pg_dump", "--username", "n8n", "--format", "custom", "--compress", "0")
DUMP_ROLES = ("pg_dumpall", "--username", "n8n", "--globals-only", "--no-role-passwords")
ASK = ("psql", "--username", "n8n", "--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", "n8n")

# What a later n8n has added goes too, or that version would fail when it adds it again.
BEGIN = b"BEGIN; SET LOCAL lock_timeout = '1min'; SET LOCAL client_min_messages = warning; DROP SCHEMA public CASCADE; CREATE SCHEMA public;\n"
COMMIT = b"\nCOMMIT;\n"


def take(folder, tables):
    """
    Dumps the database, and counts the rows of the tables as they are in the dump: n8n goes on writing meanwhile.

    The dump goes to a file, and its exit code is looked at before anything is stored: restic takes a set in one piece, so a dump that
    fails makes no set.
    """
    say("n8n: dumping its database")
    container = require_container(SERVICE)
    inside = ("docker", "exec", container, "nice", "-n", "19")
    with moment_of(container) as (name, ask):
        for file, command in ((ROLES, DUMP_ROLES), (DUMP, (*DUMP_DATABASE, f"--snapshot={name}", "n8n"))):
            run([*inside, *command], purpose=command[0], into=folder / file)
            if (folder / file).stat().st_size == 0:
                raise Problem(f"{command[0]}: expected a dump, got nothing")
        return counted(ask, tables)


def counts(container, tables):
    with moment_of(container) as (_, ask):
        return counted(ask, tables)


def counted(ask, tables):
    return {what: int(ask(f'SELECT count(*) FROM "{table}"')) for what, table in tables.items()}


@contextlib.contextmanager
def moment_of(container):
    """The database as it is at one moment: the name by which pg_dump sees the same, and what asks for one value."""
    with tempfile.TemporaryFile() as said:
        command = ["docker", "exec", "--interactive", container, *ASK]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, bufsize=0) as session:

            def ask(query):
                with contextlib.suppress(BrokenPipeError):
                    session.stdin.write(f"{query};\n".encode())
                line = session.stdout.readline()
                if not line:
                    raise Problem(f"n8n's database: {last_lines(said)}")
                return line.decode().strip()

            with contextlib.suppress(BrokenPipeError):
                session.stdin.write(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n")
            yield ask("SELECT pg_export_snapshot()"), ask


def last_lines(file):
    file.seek(0)
    return " | ".join(file.read().decode(errors="replace").strip().splitlines()[-3:]) or "nothing printed"


def restore(folder, keep):
    """Keeps a dump of what is there in the folder `keep`, where one is named."""
    container = require_container(SERVICE)
    if keep is not None and not (keep / DUMP).exists():
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = keep / f"{DUMP}.part"
        run(["docker", "exec", container, *DUMP_DATABASE, "n8n"], purpose="keep n8n's database", into=part)
        os.replace(part, keep / DUMP)
    say("n8n: restoring its database")
    load(container, folder / DUMP)


def load(container, dump):
    """
    Replaces the database by a dump. The transaction is committed only once pg_restore has read the dump to its end: whatever ends before,
    here or there, leaves the database as it was.
    """
    inside = ("docker", "exec", "--interactive", container)
    with tempfile.TemporaryFile() as said, open(dump, "rb") as source:
        with subprocess.Popen([*inside, "pg_restore", "--file=-", "--no-owner"], stdin=source, stdout=subprocess.PIPE, stderr=said) as reader:
            with subprocess.Popen([*inside, *ASK], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, bufsize=0) as writer:
                with contextlib.suppress(BrokenPipeError):
                    writer.stdin.write(BEGIN)
                    shutil.copyfileobj(reader.stdout, writer.stdin)
                    if reader.wait() == 0:
                        writer.stdin.write(COMMIT)
        if reader.returncode != 0 or writer.returncode != 0:
            raise Problem(f"restore n8n's database: {last_lines(said)}")
