"""
Data that changes places with what it replaces: by renames within one file system, recorded in a journal, so that whoever was interrupted
knows what is done.
"""

import os

import documents
import n8n
import postgres
import qdrant
import records
from base import STATE, remove, sync_folder, write_json
from containers import start, stop, volume

JOURNAL = STATE / "restore.json"
KEPT = STATE / "kept"
FETCHED = STATE / "fetched"
INCOMING, REPLACED = ".technicia-incoming", ".technicia-replaced"


def roots(item, images=()):
    """Folders whose contents are replaced: name of the part of the set → folder. A database that changes its version has one of its own."""
    if item == "n8n":
        return {"n8n": volume(n8n.VOLUME), **roots("postgres", images)}
    if item == "postgres":
        return {"postgres": volume(postgres.VOLUME)} if postgres.SERVICE in images else {}
    if item == "qdrant":
        return {"qdrant": volume(qdrant.STORAGE)} if qdrant.SERVICE in images else {}
    if item == "documents":
        return {"documents": documents.home()} if documents.is_kept() else {}
    if item == "certificates":
        return {"letsencrypt": records.LETSENCRYPT, "tls": records.TLS}
    return {}


def save(journal, **changes):
    journal.update(changes)
    write_json(JOURNAL, journal)
    return journal


def renew(service, part, root, journal):
    """Starts a database in the journal's version, on an empty folder, or on the one that an undo brings back or had not lost."""
    stop(service)
    if part not in journal["emptied"] or part in journal.get("returns", ()):
        exchange(part, root, journal)
    elif part not in journal.get("untouched", ()):
        # What an interrupted start has left.
        for entry in contents(root):
            remove(entry)
    start(service, journal["images"][service])


def exchange(part, root, journal):
    """
    Moves out what is there, then moves in what comes; a rename happens wholly or not at all. With a database its write-ahead log moves out:
    left behind, it would be played back into the one that comes.
    """
    incoming, replaced = root / INCOMING, root / REPLACED / journal["operation"]
    if part in journal.get("returns", ()) and (root / REPLACED / journal["undoes"]).is_dir():
        # Only now that the journal names it: what comes back must not be taken for what was coming.
        remove(incoming)
        os.rename(root / REPLACED / journal["undoes"], incoming)
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


def put_back(journal):
    """Of an exchange that ended in its first half: what was moved out returns to its place."""
    for name in journal["only"]:
        for part, root in roots(name, journal.get("images", ())).items():
            replaced = root / REPLACED / journal["operation"]
            if part not in journal["emptied"] and replaced.is_dir():
                for entry in sorted(replaced.iterdir()):
                    os.rename(entry, root / entry.name)
                replaced.rmdir()


def parts_to_undo(last, *, images, items):
    """Parts whose data an undo brings back, and those that the operation had not reached, which stay as they are."""
    returns, untouched = [], []
    for name in last["only"]:
        for part, root in roots(name, images).items():
            if (root / REPLACED / last["operation"]).is_dir():
                returns.append(part)
            # An upgrade of Qdrant works on the folder itself, and keeps snapshots of what was in it.
            elif part != "qdrant" or not items.get("qdrant"):
                remove(root / INCOMING)
                untouched.append(part)
    return returns, untouched
