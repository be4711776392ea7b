"""
Brings a set's data back into the running services.

Everything is fetched and checked before a service is stopped. From then on a journal says what is done, so that the same command finishes
what was interrupted; the services that it concerns stay stopped until then. What was there is kept until it is forgotten.

With images, the services go to these versions at the same time: each starts on data of its own version, and on nothing else.
"""

import re

import documents
import n8n
import postgres
import qdrant
import records
import sets
import storage
from base import Problem, STAGING, STATUS, emptied, lock, moment, now, read_json, read_moment, remove, require_space, run, say, settings, write_json
from containers import has_volume, hold_requests, image_of, is_known, pull, require_container, start, stop, version_of, volume
from exchange import FETCHED, INCOMING, JOURNAL, KEPT, REPLACED, exchange, parts_to_undo, put_back, renew, roots, save
from replacement import replace_certificates, replace_documents, replace_records
from upgrade import ALL_WRITERS, UPGRADE, UPGRADED, begin

# Item → services that write to it, which stop meanwhile.
WRITERS = {
    "qdrant": ("technicia-vector-store",),
    "n8n": (n8n.SERVICE,),
    "postgres": (n8n.SERVICE,),
    "documents": (n8n.SERVICE, documents.SERVICE),
    "certificates": (),
    "records": (),
}


def plan(given, only, asked=None):
    """What a restore would overwrite; fails where it would be refused. `done`: it was the last one, and its versions still run."""
    snapshot = storage.find(given)
    manifest = sets.manifest_of(snapshot["id"])
    only = sets.chosen_parts(manifest, only)
    require_fitting(manifest, only, asked or {})
    # What is broken is what a restore is for.
    counting = {"qdrant": qdrant.counts, "n8n": counts_of_n8n, "documents": lambda: documents.counts_of(documents.home())}
    return {
        "done": bool(asked) and not JOURNAL.exists() and not changing(asked) and read_json(STATUS).get("ran") == {"set": snapshot["id"], "images": asked},
        "id": snapshot["id"],
        "time": snapshot["time"],
        # Qdrant's snapshots may be carried on from a set before.
        "minutesLost": round(max((now() - read_moment(manifest["items"][name]["at"])).total_seconds() for name in only) / 60),
        "release": manifest["release"],
        "indexedSince": manifest["indexedSince"],
        "items": {
            name: {"at": manifest["items"][name]["at"], "now": (tolerant(counting[name]) if name in counting else None) or {}, "then": manifest["items"][name]["counts"]}
            for name in only
        },
    }


def tolerant(count):
    """What it counts; None, and the reason is said, where it fails."""
    try:
        return count()
    except (Problem, OSError, ValueError, LookupError) as error:
        say(f"not counted: {error}")
        return None


def changing(asked):
    """Of the images that are asked for, those that do not run yet."""
    return {service: image for service, image in asked.items() if is_known(service) and image_of(service) != image}


def counts_of_n8n():
    if settings()["database"] == "postgres":
        return postgres.counts(require_container(postgres.SERVICE), n8n.TABLES)
    database = volume(n8n.VOLUME) / n8n.DATABASE
    return n8n.counts_of(database) if database.exists() else {}


def require_fitting(manifest, only, asked):
    stack = settings()["stack"]
    if "n8n" in only:
        item = manifest["items"]["n8n"]
        n8n.require_same_key(item, stack)
        n8n.require_same_database(item, stack)
        n8n.require_no_older(item, stack, asked.get(n8n.SERVICE))
        if item["database"] == "postgres" and postgres.SERVICE in asked:
            n8n.require_no_older_server(manifest["images"].get(postgres.SERVICE, ""), asked[postgres.SERVICE])
    if "qdrant" in only:
        item = manifest["items"]["qdrant"]
        answers = qdrant.SERVICE not in asked and qdrant.answers()
        version = qdrant.running().version() if answers else version_of(asked.get(qdrant.SERVICE) or image_of(qdrant.SERVICE))
        # A tag may name no version; then it is compared once that version runs.
        if re.match(r"\d+\.\d+", version):
            qdrant.require_same_minor(item, version)


def restore(given, only, *, keep=True, asked=None, command=None):
    with lock():
        began = now()
        journal = read_json(JOURNAL)
        if journal.get("phase") == "replace":
            require_same(journal, given, only, asked)
            if not keep:
                save(journal, keep=False)
            say(f"finishing the restore of {journal['set'][:8]} that was interrupted")
        else:
            journal = prepare(given, only, keep=keep, asked=asked or {}, command=command)
        return finish(journal, began)


def require_same(journal, given, only, asked=None):
    same = given in (None, "latest") or journal["set"].startswith(given)
    is_other = len(journal["only"]) == 1 if only is None else sorted(only) != sorted(journal["only"])
    if not same or is_other or (asked and asked != journal.get("asked")):
        raise Problem(
            f"a restore of the set {journal['set'][:8]} was interrupted: finish it with {sets.finishing(journal)}, "
            f"or take it back with npm run restore -- {settings()['stack']} --undo"
        )


def prepare(given, only, *, keep, asked, command):
    """Fetches, checks and lays out; nothing that runs is touched. A run that was killed here has left nothing but files, which the next one removes."""
    snapshot = storage.find(given)["id"]
    manifest = sets.manifest_of(snapshot)
    only = sets.chosen_parts(manifest, only)
    require_fitting(manifest, only, asked)
    images = changing(asked)
    if asked and "n8n" in only and settings()["database"] == "postgres":
        # A later n8n's tables would stay beside an earlier one's: the database begins anew.
        images.setdefault(postgres.SERVICE, image_of(postgres.SERVICE))
    damaged = [] if asked else broken(only)
    for service in damaged:
        say(f"{service}: what it holds cannot be read; it is moved out as it is")
        if service != n8n.SERVICE:
            # A server that cannot start begins anew on an empty folder.
            images[service] = image_of(service)
    for image in images.values():
        pull(image)
    emptied(FETCHED)
    require_space(FETCHED, sum(SPACE.get(name, 2) * manifest["items"][name]["size"] for name in only), "the set")
    try:
        say(f"fetching the set {snapshot[:8]}")
        storage.fetch(snapshot, FETCHED, [f"/{name}" for name in only])
        for name in only:
            require_intact(name, manifest["items"][name])
        lay_out(only)
    except BaseException:
        remove_prepared()
        raise
    journal = {
        "operation": now().strftime("%Y%m%dT%H%M%S%f"),
        "set": snapshot,
        "only": list(only),
        "keep": keep,
        "items": manifest["items"],
        "asked": asked,
        "images": images,
        "before": {service: image_of(service) for service in images},
        "writers": list(ALL_WRITERS) if asked else None,
        "command": command,
        "broken": damaged,
    }
    return save(journal, phase="replace", emptied=[], done=[])


# How much of the disk an item takes while it is restored, in its own size. Qdrant: fetched, handed over, unpacked, in place, and what is kept.
SPACE = {"qdrant": 5}


def broken(only):
    """Services with a database that is to be restored and does not say what it holds."""
    database = postgres.SERVICE if settings()["database"] == "postgres" else n8n.SERVICE
    holding = {"qdrant": (qdrant.SERVICE, qdrant.counts), "n8n": (database, counts_of_n8n)}
    return [service for name, (service, count) in holding.items() if name in only and tolerant(count) is None]


def remove_prepared():
    """What was fetched and laid out, and has not replaced anything."""
    remove(FETCHED)
    for root in exchanged_folders():
        remove(root / INCOMING)


def exchanged_folders():
    """Those that a restore exchanges whatever versions run."""
    return [root for name in ("n8n", "documents", "certificates") for root in roots(name).values()]


def require_intact(name, item):
    check = {"qdrant": qdrant.require_intact, "n8n": n8n.require_intact, "documents": documents.require_intact}.get(name)
    if check:
        check(item, FETCHED / name)
    else:
        records.require_intact(name, item, FETCHED / name)


def lay_out(only):
    """Puts what goes into a folder beside what it replaces, on the same file system, so that exchanging them takes no time."""
    for name in only:
        for part, root in roots(name).items():
            source = FETCHED / (part if part == name else f"{name}/{part}")
            if part == "n8n":
                n8n.place(source, root / INCOMING, root / n8n.CONFIG)
            elif source.is_dir():
                remove(root / INCOMING)
                root.mkdir(parents=True, exist_ok=True)
                records.copy_tree(source, root / INCOMING)


def finish(journal, began):
    """Stops the writers, exchanges the data, compares it, and starts the writers, in the versions of the journal."""
    images = journal.get("images", {})
    of_parts = dict.fromkeys(one for name in journal["only"] for one in WRITERS[name])
    writers = [one for one in journal.get("writers") or of_parts if is_known(one)]
    if n8n.SERVICE in writers:
        hold_requests()
    stopped = now()
    for service in writers:
        say(f"stopping {service}")
        stop(service)
    results = {}
    for name in journal["only"]:
        if name not in journal["done"]:
            results[name] = (UPGRADE if journal.get("upgrades") else REPLACE)[name](journal)
            save(journal, done=[*journal["done"], name])
    for service in reversed(writers):
        say(f"starting {service}")
        start(service, images.get(service))
    if "qdrant" in journal["only"]:
        # Snapshots of what is gone are not for the next set.
        remove(STAGING / "qdrant")
    seconds = round((now() - stopped).total_seconds(), 1)
    known = read_json(STATUS)
    kept = [{key: journal.get(key) for key in KEPT_KEYS} | {"at": moment(began)}] if journal["keep"] else []
    ran = {"set": journal["set"], "images": journal["asked"]} if journal.get("asked") else None
    over = (journal["operation"], journal.get("undoes"))
    write_json(STATUS, {**known, "kept": [one for one in known.get("kept", []) if one["operation"] not in over] + kept, "ran": ran})
    remove(JOURNAL)
    remove(FETCHED)
    if journal.get("undoes"):
        remove(KEPT / journal["undoes"])
    return {"set": journal["set"], "only": journal["only"], "counts": results, "stoppedSeconds": seconds, "took": round((now() - began).total_seconds(), 1)}


# What an undo has to know of what it takes back.
KEPT_KEYS = ("operation", "set", "only", "before", "writers", "broken", "undoes")


def replace_n8n(journal):
    home = volume(n8n.VOLUME)
    item = journal["items"]["n8n"]
    if item["database"] == "postgres" and postgres.SERVICE in journal.get("images", {}):
        renew(postgres.SERVICE, "postgres", volume(postgres.VOLUME), journal)
        if not journal.get("undoes"):
            say("n8n: restoring its database")
            postgres.load(require_container(postgres.SERVICE), FETCHED / "n8n" / postgres.DUMP)
    elif item["database"] == "postgres":
        source = KEPT / journal["undoes"] if journal.get("undoes") else FETCHED / "n8n"
        postgres.restore(source, KEPT / journal["operation"] if journal["keep"] else None)
    exchange("n8n", home, journal)
    if journal.get("undoes"):
        # What comes back may be what was broken.
        return tolerant(counts_of_n8n) or {}
    counts = counts_of_n8n()
    if counts != item["counts"]:
        raise Problem(f"n8n: expected {item['counts']}, as in the set, got {counts}; run this again, or take it back with --undo")
    return counts


def replace_qdrant(journal):
    kept = KEPT / journal["operation"]
    if qdrant.SERVICE in journal.get("images", {}):
        # A version reads neither the files nor the snapshots of another one.
        renew(qdrant.SERVICE, "qdrant", volume(qdrant.STORAGE), journal)
        if not journal["items"].get("qdrant"):
            return tolerant(qdrant.counts) or {}
    elif journal["keep"] and not (kept / "qdrant.json").exists():
        try:
            write_json(kept / "qdrant.json", qdrant.take(kept / "qdrant"))
        except Problem as problem:
            raise Problem(f"{problem}; to go on without a copy of what Qdrant holds now, type the same with --keep-nothing") from None
    running = qdrant.running()
    item, folder = journal["items"]["qdrant"], KEPT / journal["undoes"] / "qdrant" if journal.get("undoes") else FETCHED / "qdrant"
    counts = qdrant.restore(running, item, folder)
    found = qdrant.differences(running, item)
    if found:
        raise Problem("; ".join(found))
    return counts


def replace_postgres(journal):
    """Of an upgrade that is taken back; it has a dump of its own otherwise."""
    renew(postgres.SERVICE, "postgres", volume(postgres.VOLUME), journal)
    return postgres.counts(require_container(postgres.SERVICE), n8n.TABLES)


REPLACE = {
    "qdrant": replace_qdrant,
    "n8n": replace_n8n,
    "postgres": replace_postgres,
    "documents": replace_documents,
    "certificates": replace_certificates,
    "records": replace_records,
}


def upgrade(service, image, snapshot, *, command=None):
    """Takes one database to its next version while nobody writes to it; what cannot be compared, or differs, is taken back."""
    if read_json(JOURNAL).get("undoes"):
        undo()
        raise Problem("what was being taken back is taken back now; type this again")
    with lock():
        began, journal = now(), read_json(JOURNAL)
        if journal and journal.get("upgrades") != image:
            sets.refuse_half_restored()
        if not journal and image_of(service) == image:
            return {"set": snapshot, "only": [UPGRADED[service]], "counts": {}, "stoppedSeconds": 0, "took": 0}
        if not journal:
            journal = begin(service, image, snapshot, command)
        try:
            return finish(journal, began)
        except (Problem, OSError, LookupError, ValueError) as error:
            failure = error
    say(f"{failure}; taking the upgrade back")
    undo()
    raise Problem(f"{failure}; {service} runs {journal['before'][service]} again, with the data of before")


def undo():
    """
    Exchanges the data once more: what the last restore replaced comes back, and what it brought is kept instead. Typed again, it takes back the
    restore before, and after all of them what it has taken back.
    """
    with lock():
        began, journal = now(), read_json(JOURNAL)
        if journal.get("phase") == "replace" and journal.get("undoes") is None:
            if not journal["keep"]:
                raise Problem("the restore that was interrupted keeps nothing (--keep-nothing): finish it")
            last = {key: journal.get(key) for key in KEPT_KEYS}
        elif journal.get("undoes"):
            return finish(journal, began)
        else:
            kept = read_json(STATUS).get("kept", [])
            if not kept:
                raise Problem(f"{settings()['stack']}: expected a restore to take back, got none since the last deployment")
            last = next((one for one in reversed(kept) if not one.get("undoes")), kept[-1])
        refuse_broken(last)
        if journal:
            put_back(journal)
        only = [name for name in last["only"] if name != "records"]
        items = {name: read_json(KEPT / last["operation"] / f"{name}.json") for name in only}
        items["n8n"] = items.get("n8n") or {"database": settings()["database"], "counts": {}}
        images = last.get("before") or {}
        returns, untouched = parts_to_undo({**last, "only": only}, images=images, items=items)
        undoing = {
            "operation": now().strftime("%Y%m%dT%H%M%S%f"),
            "set": last["set"],
            "only": only,
            "keep": True,
            "items": items,
            "images": images,
            "before": {service: image_of(service) for service in images},
            "writers": last.get("writers"),
            "command": f"npm run restore -- {settings()['stack']} --undo",
            "undoes": last["operation"],
            "returns": returns,
            "untouched": untouched,
        }
        done = [name for name in only if name == "qdrant" and qdrant.SERVICE not in images and not items.get("qdrant")]
        return finish(save(undoing, phase="replace", emptied=untouched, done=done), began)


def refuse_broken(last):
    """A service would not start on it, and the undo could neither end nor be left."""
    if last.get("broken"):
        raise Problem(
            f"{', '.join(last['broken'])}: expected something to bring back, got data that could not be read before the restore; "
            f"it is in folders {REPLACED} of the volumes until the next deployment"
        )


def forget():
    """Removes what restores have replaced."""
    with lock():
        if JOURNAL.exists():
            sets.refuse_half_restored()
        remove_prepared()
        folders = exchanged_folders()
        folders += [volume(name) for name in (qdrant.STORAGE, postgres.VOLUME) if has_volume(name)]
        for root in folders:
            remove(root / REPLACED)
        remove(KEPT)
        known = read_json(STATUS)
        write_json(STATUS, {**known, "kept": [], "ran": None})
        return {"forgotten": len(known.get("kept", []))}
