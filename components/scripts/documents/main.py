#!/usr/bin/python3 -B
"""
The documents that visitors have uploaded: lists, shows, counts, deletes and indexes them again, and removes what a failed ingestion has left.
Prints its result as JSON; progress and failures go to standard error.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from volume import ID, NOTHING, PAGE, UPLOAD_SECONDS, current, describe, files_of, moment, read_card, read_points, read_volume
from world import Problem, World, is_restoring, lock, of_document, require_no_restore, say

SETTINGS = pathlib.Path("/etc/technicia/documents.json")


def list_documents(world):
    kept, points = read_volume(world), read_points(world)
    none = {"title": None, "ingestions": {}}
    listed = [describe(document, kept.get(document, NOTHING), points.get(document, none)) for document in {*kept, *points}]
    return sorted(listed, key=lambda one: (one["at"] or "", one["id"]))


def show_document(world, document):
    """One of the list, without reading the points of all others."""
    kept, _ = find(world, document)
    points = read_points(world, of_document(document))
    return describe(document, kept, points.get(document, {"title": None, "ingestions": {}}))


def find(world, document):
    """A document that somebody has named; what it has in both places."""
    if not ID.fullmatch(document):
        raise Problem(f"expected the id of a document, got {document!r}; npm run documents -- {world.settings['stack']} list prints them")
    kept = read_volume(world).get(document, NOTHING)
    count = world.count(of_document(document))
    if kept == NOTHING and count == 0:
        raise Problem(f"{document}: expected a document of {world.settings['stack']}, got none; npm run documents -- {world.settings['stack']} list prints them")
    return kept, count


def delete(world, document):
    """Points first: without them nothing answers from the document. The cards last: until then it is listed, and a second run finishes the first."""
    require_no_restore(world)
    with lock(world):
        kept, count = find(world, document)
        if any(card.state == "running" for card in kept.cards.values()):
            raise Problem(f"{document}: is being indexed now, for {world.settings['staleSeconds']} s at most; type this again then")
        files = files_of(kept)
        taken = sum(path.stat().st_size for path in files)
        images = sum(path.suffix == ".png" for path in files)
        remove(world, document, kept)
        left = world.count(of_document(document))
        if left > 0:
            raise Problem(f"{document}: expected no point after the deletion, got {left}; type this again")
    return {"id": document, "points": count, "files": len(files), "images": images, "bytes": taken}


def remove(world, document, kept):
    world.remove_points(of_document(document))
    remove_folder(world.root / document)
    if kept.pdf is not None:
        kept.pdf.unlink(missing_ok=True)
    for card in kept.cards.values():
        card.path.unlink(missing_ok=True)
    sync(world.root)


def remove_folder(folder):
    if folder.is_dir():
        shutil.rmtree(folder)
    with contextlib.suppress(FileNotFoundError):
        folder.unlink()


def sync(folder):
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_card(card, **changes):
    """n8n's own writes are done: it writes a card twice and never again."""
    known = {**card.known, **changes}
    descriptor, temporary = tempfile.mkstemp(dir=card.path.parent, prefix=".card.")
    with os.fdopen(descriptor, "w") as file:
        json.dump(known, file, ensure_ascii=False)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
    os.replace(temporary, card.path)


def settle(world, document, kept):
    """Leaves a document with one ingestion, or with none where its only one has failed; what is removed can be removed again."""
    if any(card.state == "running" for card in kept.cards.values()):
        return []
    done, chosen = [], current(kept)
    if chosen is not None:
        done += keep_only(world, document, kept, chosen)
    elif kept.cards:
        done += drop_failed(world, document, kept)
    elif kept.pdf is not None or kept.folders:
        # Nobody has begun to index it: it was refused, or the upload was cut off.
        newest = max(path.stat().st_mtime for path in [kept.pdf or world.root / document])
        if time.time() - newest > UPLOAD_SECONDS and world.count(of_document(document)) == 0:
            remove(world, document, kept)
            done.append(f"{document}: removed, because nobody has begun to index it")
    return done


def keep_only(world, document, kept, chosen):
    card, others = kept.cards[chosen], {*kept.cards, *kept.folders} - {chosen}
    if card.known.get("settled") and not others:
        return []
    expected = card.known.get("passages")
    if not card.known.get("settled") and count_once(world, document, chosen) != expected:
        # What an earlier ingestion has left is better than a part of this one.
        return []
    world.remove_points(of_document(document, chosen, other=True))
    for name in others:
        remove_folder(world.root / document / name)
    for name in others & set(kept.cards):
        kept.cards[name].path.unlink(missing_ok=True)
    write_card(card, settled=True)
    sync(world.root)
    return [f"{document}: an earlier ingestion is removed"] if others else []


def count_once(world, document, ingestion):
    """Points of an ingestion, each passage once: n8n stores all of them again where one had to be tried again."""
    seen, twice, offset = set(), [], None
    while True:
        body = {"filter": of_document(document, ingestion), "limit": PAGE, "with_vector": False, "with_payload": ["passage"]}
        answer = world.points("scroll", body if offset is None else {**body, "offset": offset})
        for point in answer["points"]:
            passage = (point.get("payload") or {}).get("passage")
            if passage in seen:
                twice.append(point["id"])
            seen.add(passage)
        offset = answer.get("next_page_offset")
        if offset is None:
            break
    if twice:
        world.points("delete", {"points": twice}, "?wait=true")
    return len(seen)


def drop_failed(world, document, kept):
    newest = max(kept.cards, key=lambda name: kept.cards[name].at)
    card = kept.cards[newest]
    if time.time() - card.at > world.settings["failedDays"] * 86400:
        remove(world, document, kept)
        return [f"{document}: removed {world.settings['failedDays']} days after its ingestion has failed"]
    if card.known.get("settled") and len(kept.cards) == 1 and not kept.folders:
        return []
    world.remove_points(of_document(document))
    remove_folder(world.root / document)
    for name in set(kept.cards) - {newest}:
        kept.cards[name].path.unlink(missing_ok=True)
    reason = card.known.get("reason") or "l'indexation a été interrompue"
    write_card(card, state="failed", at=moment(card.at), reason=reason, settled=True)
    sync(world.root)
    return [f"{document}: points and images of a failed ingestion are removed"]


def sweep(world):
    """By a timer, every minute: most of the time it reads a folder and asks nobody."""
    if is_restoring(world):
        return []
    with lock(world, wait=False) as is_ours:
        return [line for document, kept in read_volume(world).items() for line in settle(world, document, kept)] if is_ours else []


def reindex(world, documents):
    require_no_restore(world)
    chosen = documents or [document for document, kept in sorted(read_volume(world).items()) if kept.pdf is not None and kept.cards]
    return [reindex_one(world, document) for document in chosen]


def reindex_one(world, document):
    """n8n stores the new points beside the old ones, which go once all of the new ones are there."""
    kept, before = find(world, document)
    if kept.pdf is None:
        raise Problem(f"{document}: expected the PDF in {world.settings['volume']}, got none; upload the document again, and delete this one")
    running = [name for name, card in kept.cards.items() if card.state == "running"]
    title = next((card.known["document_name"] for card in kept.cards.values() if card.known.get("document_name")), kept.pdf.name)
    if running:
        # Of an upload, or of a run of this command that was interrupted.
        say(f"{title}: is being indexed already; waiting for its end")
        ingestion = running[0]
    else:
        say(f"{title}: is indexed again")
        body = {"documentId": document, "documentName": title}
        ingestion = world.ask("n8n", "/webhook/reindex", body).get("ingestion")
        if not (isinstance(ingestion, str) and ID.fullmatch(ingestion)):
            raise Problem(f"n8n: expected the ingestion that it has begun, got none; push its workflows with npm run workflows -- {world.settings['stack']} push")
    card = wait_for(world, document, ingestion)
    with lock(world):
        settle(world, document, read_volume(world).get(document, NOTHING))
    after = world.count(of_document(document))
    is_good = card.state == "ready" and after == card.known.get("passages")
    reason = None if is_good else card.known.get("reason") or f"expected {card.known.get('passages')} points, got {after}"
    return {"id": document, "title": title, "indexed": is_good, "before": before, "points": after, "reason": reason}


def wait_for(world, document, ingestion):
    path = world.root / f"{document}.{ingestion}.json"
    while True:
        try:
            card = read_card(path, world.settings["staleSeconds"])
        except FileNotFoundError:
            raise Problem(f"{document}: expected the card {path.name}, which n8n has written, got none; was the document deleted meanwhile?") from None
        if card.state != "running":
            return card
        time.sleep(world.settings.get("pollSeconds", 1))


def read_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", type=pathlib.Path, default=SETTINGS)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    commands.add_parser("count")
    commands.add_parser("sweep")
    commands.add_parser("show").add_argument("document")
    commands.add_parser("delete").add_argument("document")
    commands.add_parser("reindex").add_argument("documents", nargs="*")
    return parser.parse_args()


def main():
    given = read_arguments()
    try:
        world = World(json.loads(given.settings.read_text()))
        if given.command == "sweep":
            for line in sweep(world):
                say(line)
            return 0
        result = {
            "list": lambda: list_documents(world),
            "show": lambda: show_document(world, given.document),
            "count": lambda: {"points": world.count()},
            "delete": lambda: delete(world, given.document),
            "reindex": lambda: reindex(world, given.documents),
        }[given.command]()
    except (Problem, OSError) as error:
        say(str(error))
        return 1
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
