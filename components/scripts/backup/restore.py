"""
Brings a set's data back into the running services.

Everything is fetched and checked before a service is stopped. From then on a journal says what is done, so that the same command finishes
what was interrupted; the services that it concerns stay stopped until then. What was there is kept until it is forgotten.
"""

import os

import n8n
import qdrant
import records
import sets
import storage
from base import Problem, STATE, STATUS, emptied, lock, moment, now, read_json, read_moment, remove, require_space, run, say, settings, sync_folder, write_json
from containers import is_known, require_container, start, stop, volume

JOURNAL = STATE / "restore.json"
KEPT = STATE / "kept"
FETCHED = STATE / "fetched"
INCOMING, REPLACED = ".technicia-incoming", ".technicia-replaced"

# Item → services that write to it, which stop meanwhile.
WRITERS = {"qdrant": ("technicia-vector-store",), "n8n": (n8n.SERVICE,), "certificates": (), "records": ()}


def roots(item):
    """Folders whose contents are replaced: name of the part of the set → folder."""
    if item == "n8n":
        return {"n8n": volume(n8n.VOLUME)}
    if item == "certificates":
        return {"letsencrypt": records.LETSENCRYPT, "tls": records.TLS}
    return {}


def plan(given, only):
    """What a restore would overwrite; fails where it would be refused."""
    snapshot = storage.find(given)
    manifest = sets.manifest_of(snapshot["id"])
    require_fitting(manifest, only)
    there = {"qdrant": counts_of_qdrant, "n8n": counts_of_n8n}
    return {
        "id": snapshot["id"],
        "time": snapshot["time"],
        "minutesLost": round((now() - read_moment(manifest["startedAt"])).total_seconds() / 60),
        "release": manifest["release"],
        "indexedSince": manifest["indexedSince"],
        "items": {
            name: {"at": manifest["items"][name]["at"], "now": there[name]() if name in there else {}, "then": manifest["items"][name]["counts"]}
            for name in only
        },
    }


def counts_of_qdrant():
    running = qdrant.running()
    return {name: running.points(name) for name in running.names()}


def counts_of_n8n():
    if settings()["database"] == "postgres":
        return n8n.counts_of_postgres(require_container(n8n.POSTGRES))
    database = volume(n8n.VOLUME) / n8n.DATABASE
    return n8n.counts_of(database) if database.exists() else {}


def require_fitting(manifest, only):
    stack = settings()["stack"]
    if "n8n" in only:
        item = manifest["items"]["n8n"]
        n8n.require_same_key(item, stack)
        n8n.require_same_database(item, stack)
        n8n.require_no_older(item, stack)
    if "qdrant" in only:
        qdrant.require_same_minor(manifest["items"]["qdrant"], qdrant.running().version())


def restore(given, only, *, keep=True):
    with lock():
        began = now()
        journal = read_json(JOURNAL)
        if journal.get("phase") == "replace":
            require_same(journal, given, only)
            say(f"finishing the restore of {journal['set'][:8]} that was interrupted")
        else:
            journal = prepare(given, only, keep=keep)
        return finish(journal, began)


def require_same(journal, given, only):
    same = given in (None, "latest") or journal["set"].startswith(given)
    if not same or sorted(only) != sorted(journal["only"]):
        chosen = "" if len(journal["only"]) > 1 else f" --only {journal['only'][0]}"
        stack = settings()["stack"]
        raise Problem(
            f"a restore of the set {journal['set'][:8]} was interrupted: finish it with npm run restore -- {stack} --set {journal['set'][:8]}{chosen}, "
            f"or take it back with npm run restore -- {stack} --undo"
        )


def prepare(given, only, *, keep):
    """Fetches, checks and lays out; nothing that runs is touched."""
    snapshot = storage.find(given)["id"]
    manifest = sets.manifest_of(snapshot)
    require_fitting(manifest, only)
    emptied(FETCHED)
    require_space(FETCHED, 2 * sum(manifest["items"][name]["size"] for name in only), "the set")
    say(f"fetching the set {snapshot[:8]}")
    storage.fetch(snapshot, FETCHED, [f"/{name}" for name in only])
    for name in only:
        require_intact(name, manifest["items"][name])
    lay_out(only)
    journal = {"operation": now().strftime("%Y%m%dT%H%M%S%f"), "set": snapshot, "only": list(only), "keep": keep, "items": manifest["items"]}
    return save(journal, phase="replace", emptied=[], done=[])


def require_intact(name, item):
    check = {"qdrant": qdrant.require_intact, "n8n": n8n.require_intact}.get(name)
    if check:
        check(item, FETCHED / name)
    else:
        records.require_intact(name, item, FETCHED / name)


def lay_out(only):
    """Puts what goes into a folder beside what it replaces, on the same file system, so that exchanging them takes no time."""
    for name in only:
        for part, root in roots(name).items():
            source = FETCHED / ("n8n" if part == "n8n" else f"certificates/{part}")
            if part == "n8n":
                n8n.place(source, root / INCOMING, root / n8n.CONFIG)
            elif source.is_dir():
                remove(root / INCOMING)
                root.mkdir(parents=True, exist_ok=True)
                records.copy_tree(source, root / INCOMING)


def save(journal, **changes):
    journal.update(changes)
    write_json(JOURNAL, journal)
    return journal


def finish(journal, began):
    """Stops the writers, exchanges the data, compares it, and starts the writers."""
    writers = [one for name in journal["only"] for one in WRITERS[name] if is_known(one)]
    stopped = now()
    for service in writers:
        say(f"stopping {service}")
        stop(service)
    results = {}
    for name in journal["only"]:
        if name not in journal["done"]:
            results[name] = REPLACE[name](journal)
            save(journal, done=[*journal["done"], name])
    for service in reversed(writers):
        say(f"starting {service}")
        start(service)
    seconds = round((now() - stopped).total_seconds(), 1)
    known = read_json(STATUS)
    kept = [{"operation": journal["operation"], "set": journal["set"], "only": journal["only"], "at": moment(began)}] if journal["keep"] else []
    write_json(STATUS, {**known, "kept": [one for one in known.get("kept", []) if one["operation"] != journal["operation"]] + kept})
    remove(JOURNAL)
    remove(FETCHED)
    return {"set": journal["set"], "only": journal["only"], "counts": results, "stoppedSeconds": seconds, "took": round((now() - began).total_seconds(), 1)}


def exchange(part, root, journal):
    """
    Moves out what is there, then moves in what comes; a rename happens wholly or not at all. With a database its write-ahead log moves out:
    left behind, it would be played back into the one that comes.
    """
    incoming, replaced = root / INCOMING, root / REPLACED / journal["operation"]
    if part not in journal["emptied"]:
        replaced.mkdir(mode=0o700, parents=True, exist_ok=True)
        for entry in contents(root):
            os.rename(entry, replaced / entry.name)
        sync_folder(root)
        save(journal, emptied=[*journal["emptied"], part])
    if incoming.is_dir():
        for entry in sorted(incoming.iterdir()):
            os.rename(entry, root / entry.name)
        sync_folder(root)
        incoming.rmdir()
    if not journal["keep"]:
        remove(replaced)


def contents(root):
    return [entry for entry in sorted(root.iterdir()) if entry.name not in (INCOMING, REPLACED)]


def replace_n8n(journal):
    home = volume(n8n.VOLUME)
    item = journal["items"]["n8n"]
    if item["database"] == "postgres":
        source = KEPT / journal["undoes"] if journal.get("undoes") else FETCHED / "n8n"
        n8n.restore_postgres(source, KEPT / journal["operation"] if journal["keep"] else None)
    exchange("n8n", home, journal)
    counts = counts_of_n8n()
    if counts != item["counts"] and not journal.get("undoes"):
        raise Problem(f"n8n: expected {item['counts']}, as in the set, got {counts}; run this again, or take it back with --undo")
    return counts


def replace_qdrant(journal):
    running, kept = qdrant.running(), KEPT / journal["operation"]
    if journal["keep"] and not (kept / "qdrant.json").exists():
        try:
            write_json(kept / "qdrant.json", qdrant.take(kept / "qdrant"))
        except Problem as problem:
            raise Problem(f"{problem}; without a copy of what Qdrant holds now: add --keep-nothing") from None
    item, folder = journal["items"]["qdrant"], KEPT / journal["undoes"] / "qdrant" if journal.get("undoes") else FETCHED / "qdrant"
    counts = qdrant.restore(running, item, folder)
    found = qdrant.differences(running, item)
    if found:
        raise Problem("; ".join(found))
    return counts


def replace_certificates(journal):
    for part, root in roots("certificates").items():
        if (root / INCOMING).is_dir() or part in journal["emptied"]:
            exchange(part, root, journal)
    reload = records.RELOAD
    if reload.exists():
        run([reload], purpose="have nginx read the certificate")
    return journal["items"].get("certificates", {}).get("counts", {})


def replace_records(journal):
    if not journal.get("undoes"):
        records.add_records(FETCHED / "records", journal["set"])
    return {"releases": len(records.releases(records.RECORDS)), "events": len(records.events(records.RECORDS))}


REPLACE = {"qdrant": replace_qdrant, "n8n": replace_n8n, "certificates": replace_certificates, "records": replace_records}


def undo():
    """Exchanges the data once more: what the last restore replaced comes back, and what it brought is kept instead."""
    with lock():
        began, journal = now(), read_json(JOURNAL)
        if journal.get("phase") == "replace" and journal.get("undoes") is None:
            if not journal["keep"]:
                raise Problem("the restore that was interrupted keeps nothing (--keep-nothing): finish it")
            last = {key: journal[key] for key in ("operation", "set", "only")}
            put_back(journal)
        elif journal.get("undoes"):
            return finish(journal, began)
        else:
            kept = read_json(STATUS).get("kept", [])
            if not kept:
                raise Problem(f"{settings()['stack']}: expected a restore to take back, got none since the last deployment")
            last = kept[-1]
        only = [name for name in last["only"] if name != "records"]
        items = {name: read_json(KEPT / last["operation"] / f"{name}.json") for name in only}
        items["n8n"] = items.get("n8n") or {"database": settings()["database"], "counts": {}}
        untouched = return_to(last["operation"], only)
        undoing = {"operation": now().strftime("%Y%m%dT%H%M%S%f"), "set": last["set"], "only": only, "keep": True, "items": items, "undoes": last["operation"]}
        done = [name for name in only if name == "qdrant" and not items.get("qdrant")]
        result = finish(save(undoing, phase="replace", emptied=untouched, done=done), began)
        known = read_json(STATUS)
        write_json(STATUS, {**known, "kept": [one for one in known.get("kept", []) if one["operation"] != last["operation"]]})
        remove(KEPT / last["operation"])
        return result


def put_back(journal):
    """Of an exchange that ended in its first half: what was moved out returns to its place."""
    for name in journal["only"]:
        for part, root in roots(name).items():
            replaced = root / REPLACED / journal["operation"]
            if part not in journal["emptied"] and replaced.is_dir():
                for entry in sorted(replaced.iterdir()):
                    os.rename(entry, root / entry.name)
                replaced.rmdir()


def return_to(operation, only):
    """Lays out what an operation replaced as what comes in. Gives the parts that it had not reached, which stay as they are."""
    untouched = []
    for name in only:
        for part, root in roots(name).items():
            replaced = root / REPLACED / operation
            remove(root / INCOMING)
            if replaced.is_dir():
                os.rename(replaced, root / INCOMING)
            else:
                untouched.append(part)
    return untouched


def forget():
    """Removes what restores have replaced."""
    with lock():
        if JOURNAL.exists():
            sets.refuse_half_restored()
        for name in ("n8n", "certificates"):
            for root in roots(name).values():
                remove(root / REPLACED)
        remove(KEPT)
        known = read_json(STATUS)
        write_json(STATUS, {**known, "kept": []})
        return {"forgotten": len(known.get("kept", []))}
