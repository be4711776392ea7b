"""
Moves n8n's data from SQLite to PostgreSQL, with n8n stopped: n8n of the running version makes its tables, every row is copied in one
transaction, and the rows of every table are counted in both before it is committed. Whatever fails leaves n8n on SQLite.

n8n's own import:entities compares the last migration of both databases, and refuses where one of them has migrations of its own.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

SERVICE, DATABASE_SERVICE = "technicia-n8n", "technicia-postgres"
VOLUME, DATABASE = "technicia-n8n-data", "database.sqlite"
START_SECONDS, TABLES_SECONDS = 300, 900
RESERVE = 256 * 1024 * 1024

# PostgreSQL has its own; SQLite counts in the other.
LEFT_OUT = ("migrations", "sqlite_sequence")

# A table of data that people have made in n8n, and the types of its columns.
DATA_TABLE = "data_table_user_"
DATA_TYPES = {"string": "text", "number": "double precision", "boolean": "boolean", "date": "timestamp(3) with time zone"}

EMPTIED = "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
PSQL = ("psql", "--username", "n8n", "--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", "n8n")

COLUMNS = """
SELECT coalesce(json_object_agg(name, columns), '{}') FROM (
  SELECT table_name AS name, json_object_agg(column_name, CASE WHEN is_identity = 'YES'
    THEN pg_get_serial_sequence(quote_ident(table_name), column_name) ELSE substring(column_default from 'nextval\\(''(.*)''::regclass\\)') END) AS columns
  FROM information_schema.columns WHERE table_schema = 'public' GROUP BY table_name) AS found"""


class Problem(Exception):
    """What a person can do something about."""


def say(text):
    print(f"n8n's database: {text}", file=sys.stderr, flush=True)


def run(*words, given=None, seconds=120):
    try:
        ended = subprocess.run(words, input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise Problem(f"{' '.join(words[:3])}: expected an end within {seconds} s, got none") from None
    if ended.returncode != 0:
        printed = (ended.stderr + ended.stdout).decode(errors="replace").strip().splitlines()
        # A stack trace comes after what is of interest.
        told = [line.strip() for line in printed if "rror" in line][:3] or printed[-3:]
        raise Problem(f"{' '.join(words[:3])}: exit code {ended.returncode}: {' | '.join(told) or 'nothing printed'}")
    return ended.stdout.decode()


def container_of(service):
    return (run("docker", "ps", "--quiet", "--no-trunc", "--filter", f"label=com.docker.swarm.service.name={service}").split() or [None])[0]


def until(is_true, seconds, what):
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            raise Problem(f"expected {what} within {seconds} s")
        time.sleep(0.5)


def stop():
    run("docker", "service", "scale", "--detach", f"{SERVICE}=0")
    until(lambda: container_of(SERVICE) is None, START_SECONDS, "n8n to stop")


def start():
    run("docker", "service", "scale", "--detach", f"{SERVICE}=1")
    until(lambda: container_of(SERVICE) is not None, START_SECONDS, "n8n to start again")


def ask(server, query):
    return run("docker", "exec", server, *PSQL, "--command", query).strip()


def require_empty(server):
    """Tables of n8n without an owner are what a start without data leaves."""
    if ask(server, "SELECT to_regclass('public.user') IS NOT NULL") == "t":
        users = int(ask(server, 'SELECT count(*) FROM "user" WHERE email IS NOT NULL'))
        if users > 0:
            raise Problem(
                f"expected an empty PostgreSQL, got the data of an n8n with {users} users; n8n goes on with SQLite. "
                f"If that data is not needed, remove it on the server: docker exec $(docker ps --quiet --filter name={DATABASE_SERVICE}) "
                f'psql --username n8n --command "{EMPTIED}" n8n; then run pulumi up again'
            )


def make_tables(server):
    """n8n of the version that wrote the SQLite database makes the same tables in PostgreSQL, in a container that sees nothing else."""
    spec = json.loads(run("docker", "service", "inspect", SERVICE))[0]["Spec"]["TaskTemplate"]
    memory = spec.get("Resources", {}).get("Limits", {}).get("MemoryBytes")
    with tempfile.TemporaryDirectory(dir="/run", prefix="technicia-n8n-") as folder:
        os.chmod(folder, 0o711)
        password = pathlib.Path(folder, "password")
        password.touch(0o400)
        password.write_text(run("docker", "exec", "--user", "0", server, "cat", "/run/secrets/postgres_password"))
        os.chown(password, 1000, 1000)
        settings = {
            **{"DB_TYPE": "postgresdb", "DB_POSTGRESDB_HOST": "127.0.0.1", "DB_POSTGRESDB_DATABASE": "n8n", "DB_POSTGRESDB_USER": "n8n"},
            **{"DB_POSTGRESDB_PASSWORD_FILE": "/run/technicia/password", "N8N_DIAGNOSTICS_ENABLED": "false", "N8N_USER_FOLDER": "/tmp"},
        }
        run(
            *("docker", "run", "--rm", "--name", "technicia-n8n-tables", "--init", "--network", f"container:{server}", "--cap-drop", "ALL"),
            *(["--memory", str(memory)] if memory else []),
            *("--tmpfs", "/tmp", "--volume", f"{folder}:/run/technicia:ro"),
            *(word for name, value in settings.items() for word in ("--env", f"{name}={value}")),
            *(spec["ContainerSpec"]["Image"], "list:workflow"),
            seconds=TABLES_SECONDS,
        )


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def text_of(value):
    """In the text format of COPY."""
    if value is None:
        return b"\\N"
    if isinstance(value, bytes):
        return b"\\\\x" + value.hex().encode()
    text = repr(value) if isinstance(value, float) else str(value)
    for plain, escaped in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(plain, escaped)
    return text.encode()


class Source:
    """The SQLite database, which nobody else has open now."""

    def __init__(self, path):
        # What is in its write-ahead log goes into the database itself: from now on that is one file.
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
        self.connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=60)
        found = self.rows("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise Problem(f"expected an SQLite database without damage, got {found}; restore a set of backups first")

    def rows(self, query, *values):
        return self.connection.execute(query, values)

    def tables(self):
        return [name for (name,) in self.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name") if name not in LEFT_OUT]

    def columns(self, table):
        return [row[1] for row in self.rows(f"PRAGMA table_info({quoted(table)})")]

    def count(self, table):
        return self.rows(f"SELECT count(*) FROM {quoted(table)}").fetchone()[0]

    def is_used(self, table, column):
        return self.rows(f"SELECT count({quoted(column)}) FROM {quoted(table)}").fetchone()[0] > 0

    def data_table(self, table):
        """SQL that makes such a table as n8n does."""
        types = dict(self.rows("SELECT name, type FROM data_table_column WHERE dataTableId = ?", table[len(DATA_TABLE) :]))
        moment = "timestamp(3) with time zone NOT NULL DEFAULT CURRENT_TIMESTAMP(3)"
        fixed = {"id": "integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY", "createdAt": moment, "updatedAt": moment}
        columns = [f"{quoted(name)} {fixed.get(name) or DATA_TYPES[types[name]]}" for name in self.columns(table)]
        return f"CREATE TABLE {quoted(table)} ({', '.join(columns)});"


def fitting(source, there):
    """Table → columns that are copied; fails where SQLite has something for which PostgreSQL has no place."""
    found, lost = {}, []
    for table in source.tables():
        columns = source.columns(table)
        if table.startswith(DATA_TABLE):
            found[table] = columns
        elif table in there:
            found[table] = [column for column in columns if column in there[table]]
            lost += [f"{table}.{column}" for column in columns if column not in there[table] and source.is_used(table, column)]
        elif source.count(table) > 0:
            lost.append(table)
    if lost:
        raise Problem(f"expected a place in PostgreSQL for everything in SQLite, got none for {', '.join(lost)}")
    return found


def copy(source, server):
    """Copies and counts in one transaction; gives the number of rows by table."""
    there = json.loads(ask(server, COLUMNS))
    tables = fitting(source, there)
    expected = {table: source.count(table) for table in tables}
    command = ["docker", "exec", "--interactive", server, *PSQL]
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, bufsize=0) as session:
        with contextlib.suppress(BrokenPipeError):
            for piece in statements(source, tables, there):
                session.stdin.write(piece)
            session.stdin.write(f"SELECT json_object_agg(name, rows) FROM (VALUES {', '.join(counting(tables))}) AS found (name, rows);\n".encode())
            counted = json.loads(session.stdout.readline() or "null")
            if counted == expected:
                session.stdin.write(b"COMMIT;\n")
        session.stdin.close()
        if session.wait() != 0:
            raise Problem(f"PostgreSQL did not take the rows: {refusal(said)}")
    differing = [f"{table}: expected {count} rows, got {counted.get(table)}" for table, count in expected.items() if counted.get(table) != count]
    if differing:
        raise Problem("; ".join(differing))
    return expected


def counting(tables):
    return [f"('{table}', (SELECT count(*) FROM {quoted(table)}))" for table in tables]


def refusal(file):
    """What PostgreSQL says of the rows, and where, without what is in them."""
    file.seek(0)
    text = file.read().decode(errors="replace")
    reason = re.search(r"(?:ERROR|FATAL|PANIC):\s+([^\n\"]*)", text)
    place = re.search(r"COPY (\S+), line \d+(?:, column \w+)?", text)
    return " in ".join(found for found in (reason and reason[1].strip(" :"), place and place[0]) if found) or "its program ended"


def statements(source, tables, there):
    yield b"BEGIN; SET LOCAL session_replication_role = replica; SET LOCAL TIME ZONE 'UTC';\n"
    for table in tables:
        if table not in there:
            yield f"{source.data_table(table)}\n".encode()
    yield f"TRUNCATE {', '.join(map(quoted, tables))} CASCADE;\n".encode()
    for table, columns in tables.items():
        names = ", ".join(map(quoted, columns))
        yield f"COPY {quoted(table)} ({names}) FROM STDIN;\n".encode()
        for row in source.rows(f"SELECT {names} FROM {quoted(table)}"):
            for column, value in zip(columns, row):
                # psql would end the line there, and take the rest for nothing.
                if isinstance(value, str) and "\0" in value:
                    raise Problem(f"{table}.{column}: expected text without the character NUL, which PostgreSQL does not hold, got some with it")
            yield b"\t".join(map(text_of, row)) + b"\n"
        yield b"\\.\n"
    yield b"\\o /dev/null\n"
    for table, columns in tables.items():
        sequences = there.get(table) or {"id": None}
        for column in columns:
            sequence = f"'{sequences[column]}'" if sequences.get(column) else None
            if table not in there and column == "id":
                sequence = f"pg_get_serial_sequence('{quoted(table)}', 'id')"
            if sequence:
                yield f"SELECT setval({sequence}, max({quoted(column)})) FROM {quoted(table)} HAVING max({quoted(column)}) IS NOT NULL;\n".encode()
    yield b"\\o\n"


def move():
    server = container_of(DATABASE_SERVICE)
    if server is None:
        raise Problem(f"expected {DATABASE_SERVICE} to run, got no container; see docker service ps {DATABASE_SERVICE}")
    if SERVICE not in run("docker", "service", "ls", "--format", "{{.Name}}").split():
        raise Problem("expected n8n to be deployed, whose version wrote its SQLite database; set services.n8n.database to sqlite, run pulumi up, and change it then")
    home = pathlib.Path(run("docker", "volume", "inspect", "--format", "{{.Mountpoint}}", VOLUME).strip())
    kept = home / ".technicia-sqlite"
    if not kept.is_dir():
        require_empty(server)
    needed = 3 * (home / DATABASE).stat().st_size + RESERVE
    if shutil.disk_usage(home).free < needed:
        raise Problem(f"expected {needed >> 20} MiB of free space on {home}, got {shutil.disk_usage(home).free >> 20} MiB; n8n goes on with SQLite")
    kept.mkdir(mode=0o700, exist_ok=True)
    try:
        say("stopping n8n")
        stop()
        ask(server, EMPTIED)
        say("making its tables in PostgreSQL")
        make_tables(server)
        say("copying every row")
        counts = copy(Source(home / DATABASE), server)
    except BaseException as error:
        give_up(server, kept)
        if not isinstance(error, Exception):
            raise
        raise Problem(f"{error}; nothing was moved and n8n goes on with SQLite. Set services.n8n.database back to sqlite, or remove the cause and run pulumi up again") from error
    os.rename(home / DATABASE, kept / DATABASE)
    shown = {"workflows": "workflow_entity", "credentials": "credentials_entity", "users": "user", "executions": "execution_entity"}
    say(f"moved {', '.join(f'{counts.get(table, 0)} {what}' for what, table in shown.items())}; the SQLite database stays in {kept}")


def give_up(server, kept):
    say("going back to SQLite")
    for step in (lambda: run("docker", "rm", "--force", "technicia-n8n-tables"), lambda: ask(server, EMPTIED), kept.rmdir, start):
        try:
            step()
        except (Problem, OSError) as problem:
            say(str(problem))


def go_on():
    """After a move that was interrupted, when SQLite is wanted again."""
    home = pathlib.Path(run("docker", "volume", "inspect", "--format", "{{.Mountpoint}}", VOLUME).strip())
    (home / ".technicia-sqlite").rmdir()
    start()


def refuse(stack):
    raise Problem(
        "services.n8n.database: expected postgres, where n8n's data is, got sqlite; nothing brings data from PostgreSQL back to SQLite, and nothing was changed. "
        f"Set it back with npx pulumi config set --path technicia:services.n8n.database postgres --stack {stack}; "
        f"or let n8n start without its data: npx pulumi config set --path technicia:services.n8n.startEmpty true --stack {stack}"
    )


def main():
    for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(name, lambda *_: sys.exit(1))
    observed, desired = os.environ["OBSERVED"], os.environ["DESIRED"]
    try:
        if desired == "postgres":
            move()
        elif observed == "postgres":
            refuse(os.environ["STACK"])
        else:
            go_on()
    except (Problem, OSError, sqlite3.Error) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
