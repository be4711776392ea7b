"""
Runs the program of backups against services and volumes that exist only here, kills it before its first effect, its second and so on, and
types the same command again. Whoever starts on data of a later version, or writes while data changes, is reported.
"""

import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import sys
import tempfile

sys.path.insert(0, sys.argv[1])
import base
import containers

FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="technicia-versions-"))
base.STATE, base.STAGING, base.STATUS = FOLDER / "state", FOLDER / "state/staging", FOLDER / "state/status.json"
base.require_space = lambda *_: None

OLD, NEW = "1.19.0", "1.20.0"
N8N, QDRANT, STORE, POSTGRES = "technicia-n8n", "technicia-qdrant", "technicia-vector-store", "technicia-postgres"
REPOSITORIES = {N8N: "n8nio/n8n", QDRANT: "qdrant/qdrant", STORE: "technicia/vector-store", POSTGRES: "postgres"}
VOLUMES = {N8N: "technicia-n8n-data", QDRANT: "technicia-qdrant-storage", POSTGRES: "technicia-postgres-data"}
DATABASE = "sqlite"


class Killed(BaseException):
    pass


class World:
    def __init__(self):
        self.left, self.running, self.images, self.faults, self.effects = None, {}, {}, [], 0
        self.refuses = None
        self.loses = False
        shutil.rmtree(FOLDER, ignore_errors=True)
        for name in [*VOLUMES.values(), "technicia-qdrant-snapshots", "state"]:
            (FOLDER / name).mkdir(parents=True)

    def effect(self):
        self.effects += 1
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed

    def stop(self, service):
        self.effect()
        self.running[service] = False

    def start(self, service, image=None):
        self.effect()
        if image is not None:
            self.images[service] = image
        self.running[service] = True
        if self.refuses == self.images[service]:
            raise base.Problem(f"{service} does not start")
        self.open(service)

    def open(self, service):
        """What a program does to its data when it starts: it makes it, or changes it to its own version."""
        version = containers.version_of(self.images[service])
        if service == N8N and DATABASE == "sqlite":
            self.migrate(service, sqlite_version(), version, lambda: set_version(version))
        elif service == N8N:
            self.migrate(service, dict(read_store(POSTGRES)).get("n8n"), version, lambda: update_store(POSTGRES, n8n=version))
        elif service in VOLUMES:
            found = dict(read_store(service))
            # PostgreSQL does not start on another version's files at all.
            if service == POSTGRES and found.get("version") not in (None, version):
                self.faults.append(f"{service} {version} on files of {found['version']}")
            self.migrate(service, found.get("version"), version, lambda: update_store(service, version=version))
        elif version > read_store(QDRANT).get("version", ""):
            self.faults.append(f"{service} {version} writes into data of an earlier version")

    def migrate(self, service, found, version, write):
        if found is not None and found > version:
            self.faults.append(f"{service} {version} on data of {found}")
        write()

    def expect_quiet(self, *services):
        for service in services:
            if self.running.get(service):
                self.faults.append(f"{service} runs while data changes")


def store_of(service):
    return FOLDER / VOLUMES[service] / "data.json"


def read_store(service):
    path = store_of(service)
    return json.loads(path.read_text()) if path.exists() else {}


def update_store(service, **changes):
    store_of(service).write_text(json.dumps({**read_store(service), **changes}))


def sqlite_version():
    path = FOLDER / VOLUMES[N8N] / "database.sqlite"
    if not path.exists():
        return None
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute("select version from schema_version").fetchone()[0]


def set_version(version):
    path = FOLDER / VOLUMES[N8N] / "database.sqlite"
    if not path.exists():
        world.faults.append("n8n starts without its database")
        return
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("update schema_version set version = ?", [version])
        database.commit()


def make_database(path, version, workflows):
    with contextlib.closing(sqlite3.connect(path)) as database:
        for table in ("workflow_entity", "credentials_entity", "execution_entity", "user"):
            database.execute(f'create table "{table}" (id integer)')
        database.execute("create table schema_version (version text)")
        database.execute("insert into schema_version values (?)", [version])
        database.executemany("insert into workflow_entity values (?)", [[one] for one in range(workflows)])
        database.commit()


world = None
rename, replace = os.rename, os.replace


def counted(function):
    def call(*arguments, **options):
        world.effect()
        return function(*arguments, **options)

    return call


os.rename, os.replace = counted(rename), counted(replace)
containers.stop = lambda service: world.stop(service)
containers.start = lambda service, image=None: world.start(service, image)
containers.is_known = lambda service: service in world.images
containers.image_of = lambda service: world.images[service]
containers.volume = lambda name: FOLDER / name
containers.has_volume = lambda name: (FOLDER / name).is_dir()
containers.pull = lambda image: None
containers.require_container = lambda service: service

import documents
import n8n
import postgres
import qdrant
import restore
import sets
import storage
from exchange import JOURNAL

SET = "0123456789abcdef"


def take_qdrant(folder):
    base.emptied(folder)
    (folder / "0.snapshot").write_text(json.dumps(read_store(QDRANT)))
    return describe_qdrant(read_store(QDRANT))


def describe_qdrant(store):
    return {"version": store["version"], "at": "2026-11-24T09:00:00Z", "counts": {"technicia": store["points"]}, "collections": {"technicia": {"points": store["points"]}}}


class FakeQdrant:
    def version(self):
        return read_store(QDRANT)["version"]

    def names(self):
        return ["technicia"]

    def points(self, _name):
        return read_store(QDRANT).get("points", 0)


def restore_qdrant(running, item, folder):
    world.effect()
    world.expect_quiet(N8N, STORE)
    kept = json.loads((folder / "0.snapshot").read_text())
    if kept["version"].split(".")[:2] != running.version().split(".")[:2]:
        world.faults.append(f"a snapshot of {kept['version']} goes into {running.version()}")
    update_store(QDRANT, points=kept["points"])
    return {"technicia": kept["points"]}


def differences(running, item):
    found = running.points("technicia")
    if world.loses and running.version() == NEW:
        found -= 1
    expected = item["counts"]["technicia"]
    return [] if found == expected else [f"qdrant technicia: expected {expected} points, got {found}"]


def load_dump(_container, dump):
    world.effect()
    world.expect_quiet(N8N)
    dump = json.loads(dump.read_text())
    if read_store(POSTGRES).get("workflows") is not None:
        world.faults.append("a dump goes over tables that are there")
    # Whoever is killed here leaves a part.
    update_store(POSTGRES, workflows=0)
    world.effect()
    update_store(POSTGRES, workflows=dump["workflows"] - (1 if world.loses and read_store(POSTGRES)["version"] == NEW else 0), n8n=dump["n8n"])


def take_postgres(folder, _tables):
    world.expect_quiet(N8N)
    (folder / postgres.DUMP).write_text(json.dumps(read_store(POSTGRES)))
    return counts_of_postgres(POSTGRES, n8n.TABLES)


def counts_of_postgres(_container, _tables):
    return {"workflows": read_store(POSTGRES)["workflows"]}


qdrant.running = lambda: FakeQdrant()
qdrant.take, qdrant.restore, qdrant.differences = take_qdrant, restore_qdrant, differences
qdrant.require_intact = n8n.require_intact = lambda *_: None
postgres.load, postgres.take, postgres.counts = load_dump, take_postgres, counts_of_postgres
known = {"stack": "test", "keyFingerprint": "key"}
for module in (restore, n8n, sets, documents):
    module.settings = lambda: {**known, "database": DATABASE}
storage.find = lambda _given=None: {"id": SET, "time": "2026-11-24T09:00:00Z"}
storage.fetch = lambda _snapshot, target, _include: shutil.copytree(FOLDER / "set", target, dirs_exist_ok=True)
sets.manifest_of = lambda _snapshot: json.loads((FOLDER / "set/manifest.json").read_text())


def image(service, version):
    return f"{REPOSITORIES[service]}:v{version}@sha256:{version}"


def prepare(version):
    """A server of this version with other data than the set, which is of the old version."""
    global world
    world = World()
    services = [N8N, QDRANT, STORE] + ([POSTGRES] if DATABASE == "postgres" else [])
    for service in services:
        world.images[service], world.running[service] = image(service, version), True
    home = FOLDER / VOLUMES[N8N]
    (home / "config").write_text('{"encryptionKey":"key"}')
    (home / "version.txt").write_text(version)
    update_store(QDRANT, version=version, points=500)
    if DATABASE == "postgres":
        update_store(POSTGRES, version=version, n8n=version, workflows=5)
    else:
        make_database(home / "database.sqlite", version, 5)
        (home / "database.sqlite-wal").write_text("")
    put = FOLDER / "set"
    for folder in ("n8n/files", "qdrant"):
        (put / folder).mkdir(parents=True)
    (put / "n8n/config").write_text("{}")
    (put / "n8n/files/version.txt").write_text(OLD)
    counts = {"workflows": 3}
    if DATABASE == "postgres":
        (put / "n8n" / postgres.DUMP).write_text(json.dumps({"version": OLD, "n8n": OLD, "workflows": 3}))
    else:
        make_database(put / "n8n/database.sqlite", OLD, 3)
        counts = n8n.counts_of(put / "n8n/database.sqlite")
    (put / "qdrant/0.snapshot").write_text(json.dumps({"version": OLD, "points": 400}))
    items = {
        "qdrant": describe_qdrant({"version": OLD, "points": 400}),
        "n8n": {"at": "2026-11-24T09:00:00Z", "version": OLD, "database": DATABASE, "key": "key", "counts": counts, "size": 1},
    }
    items["qdrant"]["size"] = 1
    manifest = {"stack": "test", "startedAt": "2026-11-24T09:00:00Z", "release": {"number": 1}, "indexedSince": {}, "images": {}, "items": items}
    (put / "manifest.json").write_text(json.dumps(manifest))


def state():
    workflows = read_store(POSTGRES).get("workflows") if DATABASE == "postgres" else n8n.counts_of(FOLDER / VOLUMES[N8N] / "database.sqlite")["workflows"]
    return {
        "images": {service: containers.version_of(one) for service, one in world.images.items()},
        "running": sorted(service for service, runs in world.running.items() if runs),
        "points": read_store(QDRANT)["points"],
        "workflows": workflows,
        "files": (FOLDER / VOLUMES[N8N] / "version.txt").read_text(),
        "wal": (FOLDER / VOLUMES[N8N] / "database.sqlite-wal").exists(),
        "journal": JOURNAL.exists(),
        "faults": sorted(set(world.faults)),
    }


def until_done(command):
    """Kills the command before each of its effects in turn, types it again, and gives the different ends that this has."""
    prepare_again = command["prepare"]
    ends, moment = [], 0
    while True:
        prepare_again()
        world.effects, world.left = 0, moment
        try:
            outcome = attempt(command["run"])
            world.left = None
            if outcome != "killed":
                add(ends, {"outcome": outcome, **state()})
                return {"kills": moment, "ends": ends}
            if command.get("then"):
                outcome = attempt(command["then"])
            for _ in range(3):
                if JOURNAL.exists() or not command.get("then"):
                    outcome = attempt(command["then"] if command.get("then") else command["run"])
                if not JOURNAL.exists():
                    break
            add(ends, {"outcome": outcome, **state()})
        finally:
            world.left = None
        moment += 1


def attempt(run):
    try:
        run()
        return "done"
    except Killed:
        return "killed"
    except base.Problem as problem:
        return str(problem)


def add(ends, end):
    if end not in ends:
        ends.append(end)


def roll_back():
    asked = {service: image(service, OLD) for service in world.images}
    return restore.restore(SET, ("qdrant", "n8n"), asked=asked, command="npm run rollback -- test --with-data")


def upgrade(service):
    return restore.upgrade(service, image(service, NEW), SET, command="npm run upgrade")


def after_rollback():
    prepare(NEW)
    roll_back()


def refusing(version, service=QDRANT, *, loses=False):
    def prepared():
        prepare(version)
        world.loses = loses
        if not loses:
            world.refuses = image(service, NEW)

    return prepared


def half_way():
    """A rollback that was killed once the writers stood still and n8n's data was being exchanged."""
    prepare(NEW)
    world.left = 12
    assert attempt(roll_back) == "killed" and JOURNAL.exists()
    world.left = None


def plan():
    prepare(NEW)
    store_of(QDRANT).unlink()
    asked = {service: image(service, OLD) for service in world.images}
    before = restore.plan(SET, ("qdrant", "n8n"), asked)
    update_store(QDRANT, version=NEW, points=500)
    roll_back()
    after = restore.plan(SET, ("qdrant", "n8n"), asked)
    world.images[N8N] = image(N8N, NEW)
    return {"before": before, "done": [before["done"], after["done"], restore.plan(SET, ("qdrant", "n8n"), asked)["done"]]}


def half():
    half_way()
    answers = {"make": attempt(sets.refuse_half_restored), "other": attempt(lambda: restore.restore("ffff", ("qdrant", "n8n"), asked={})), "forget": attempt(restore.forget)}
    answers["running"] = state()["running"] if (FOLDER / VOLUMES[N8N] / "database.sqlite").exists() else sorted(one for one, runs in world.running.items() if runs)
    return answers


def forget():
    after_rollback()
    restore.forget()
    return {"left": sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob(".technicia-*")), "undo": attempt(restore.undo), "kept": base.read_json(base.STATUS)["kept"]}


def carried():
    """Whether the next set takes over Qdrant's snapshots of the one before: in the same version, in a later one, and after a restore."""
    prepare(OLD)
    item = {**take_qdrant(base.STAGING / "qdrant"), "at": base.moment(base.now())}
    known["qdrantHours"] = 24
    carries = lambda: sets.carried_qdrant({"manifest": {"items": {"qdrant": item}}}, answers=True) is not None
    found = [carries()]
    update_store(QDRANT, version=NEW)
    found.append(carries())
    update_store(QDRANT, version=OLD)
    qdrant.require_intact = lambda _item, folder: (folder / "0.snapshot").read_text()
    restore.restore(SET, ("qdrant",))
    return [*found, carries()]


def main(scenario, database):
    global DATABASE
    DATABASE = database
    sys.stderr = open(os.devnull, "w")
    loops = {
        "rollback": {"prepare": lambda: prepare(NEW), "run": roll_back},
        "undo": {"prepare": after_rollback, "run": restore.undo},
        "rollback-undone": {"prepare": lambda: prepare(NEW), "run": roll_back, "then": restore.undo},
        "upgrade-qdrant": {"prepare": lambda: prepare(OLD), "run": lambda: upgrade(QDRANT)},
        "upgrade-qdrant-that-fails": {"prepare": refusing(OLD), "run": lambda: upgrade(QDRANT)},
        "upgrade-qdrant-that-loses": {"prepare": refusing(OLD, loses=True), "run": lambda: upgrade(QDRANT)},
        "upgrade-postgres": {"prepare": lambda: prepare(OLD), "run": lambda: upgrade(POSTGRES)},
        "upgrade-postgres-that-fails": {"prepare": refusing(OLD, POSTGRES), "run": lambda: upgrade(POSTGRES)},
        "upgrade-postgres-that-loses": {"prepare": refusing(OLD, loses=True), "run": lambda: upgrade(POSTGRES)},
    }
    single = {"plan": plan, "half": half, "forget": forget, "carried": carried}
    result = single[scenario]() if scenario in single else until_done(loops[scenario])
    print(json.dumps(result))
    shutil.rmtree(FOLDER)


main(sys.argv[2], sys.argv[3])
