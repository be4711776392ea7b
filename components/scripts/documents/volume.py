"""
What the volume and Qdrant have of each document.

In the volume a document is `<id>.pdf`, and for each of its ingestions a card `<id>.<ingestion>.json` and a folder `<id>/<ingestion>/` with the
images. n8n writes the PDF and the cards, document-processor the images; only the commands about documents delete any of it. A card says
`running`, `ready` or `failed`. A point names its document (`document_id`) and its ingestion.
"""

import contextlib
import datetime
import json
import pathlib
import re
import time
import typing

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
CARD = re.compile(rf"({ID.pattern})\.({ID.pattern})\.json")

# What has no card is being uploaded; no upload takes longer.
UPLOAD_SECONDS = 3600
PAGE = 1000


class Card(typing.NamedTuple):
    """What an ingestion says of itself."""

    path: pathlib.Path
    known: dict

    # running, ready or failed; `lost` for one that runs no longer and has not said so.
    state: str
    at: float


class Kept(typing.NamedTuple):
    """What the volume has of one document."""

    pdf: typing.Optional[pathlib.Path]
    cards: dict
    folders: dict


def read_card(path, stale_seconds):
    changed = path.stat().st_mtime
    try:
        known = json.loads(path.read_text())
        state, at = known["state"], moment_of(known["at"])
    except (ValueError, KeyError, TypeError):
        # n8n is writing it, or was stopped while it did.
        known, state, at = {}, "running", changed
    if state == "running" and time.time() - max(at, changed) > stale_seconds:
        state = "lost"
    return Card(path, known, state, at)


def moment_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def moment(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_volume(world):
    """Document → what the volume has of it. What begins with a dot is a restore's."""
    found = {}

    def kept(document):
        return found.setdefault(document, {"pdf": None, "cards": {}, "folders": {}})

    for entry in sorted(world.root.iterdir()):
        card = CARD.fullmatch(entry.name)
        with contextlib.suppress(FileNotFoundError):
            if card:
                kept(card[1])["cards"][card[2]] = read_card(entry, world.settings["staleSeconds"])
            elif entry.suffix == ".pdf" and ID.fullmatch(entry.stem):
                kept(entry.stem)["pdf"] = entry
            elif entry.is_dir() and ID.fullmatch(entry.name):
                kept(entry.name)["folders"] = {one.name: one for one in entry.iterdir()}
    return {document: Kept(**parts) for document, parts in found.items()}


def read_points(world, chosen=None):
    """Document → title, and page numbers by ingestion; of every point, or of those that Qdrant's filter chooses."""
    found, offset = {}, None
    while True:
        body = {"limit": PAGE, "with_vector": False, "with_payload": ["document_id", "document_name", "page_number", "ingestion"]}
        if chosen is not None:
            body["filter"] = chosen
        answer = world.points("scroll", body if offset is None else {**body, "offset": offset})
        for point in answer["points"]:
            payload = point.get("payload") or {}
            document = payload.get("document_id")
            if isinstance(document, str):
                known = found.setdefault(document, {"title": payload.get("document_name"), "ingestions": {}})
                known["ingestions"].setdefault(payload.get("ingestion"), []).append(payload.get("page_number"))
        offset = answer.get("next_page_offset")
        if offset is None:
            return found


NOTHING = Kept(None, {}, {})


def current(kept):
    """The ingestion that a document's answers come from, and its card; None where none has ended well."""
    ready = [(card.at, name) for name, card in kept.cards.items() if card.state == "ready"]
    return max(ready)[1] if ready else None


def state_of(kept):
    states = {card.state for card in kept.cards.values()}
    if "running" in states:
        return "running"
    if "ready" in states:
        return "ready"
    if states:
        return "failed"
    if kept.pdf is None:
        return "unknown"
    return "running" if time.time() - kept.pdf.stat().st_mtime < UPLOAD_SECONDS else "failed"


def files_of(kept):
    found = [] if kept.pdf is None else [kept.pdf]
    for folder in kept.folders.values():
        found += [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else [folder]
    return found


def describe(document, kept, points):
    """What a person wants to know of one document, and what is wrong with it."""
    chosen = current(kept)
    card = kept.cards[chosen].known if chosen else {}
    newest = max(kept.cards.values(), key=lambda one: one.at, default=None)
    pages = [page for numbers in points["ingestions"].values() for page in numbers]
    state, bytes_taken = state_of(kept), sum(path.stat().st_size for path in files_of(kept))
    at = kept.cards[chosen].at if chosen else newest.at if newest else kept.pdf.stat().st_mtime if kept.pdf else None
    return {
        "id": document,
        "title": card.get("document_name") or (newest and newest.known.get("document_name")) or points["title"],
        "pages": card.get("pages") or len({page for page in pages if page is not None}),
        "points": len(pages),
        "images": sum(path.suffix == ".png" for path in files_of(kept)),
        "bytes": bytes_taken,
        "at": None if at is None else moment(at),
        "state": state,
        "problems": problems_of(kept, points, state),
    }


def problems_of(kept, points, state):
    count, chosen = sum(len(pages) for pages in points["ingestions"].values()), current(kept)
    problems = []
    if kept.pdf is None:
        problems.append("points without a file" if count else "files without a PDF")
    elif count == 0 and state == "ready":
        problems.append("a file without points")
    if state == "failed":
        reasons = [card.known.get("reason") for card in sorted(kept.cards.values(), key=lambda one: one.at)]
        problems.append(f"its ingestion failed: {next((one for one in reversed(reasons) if one), 'it was interrupted')}")
    if chosen and count > 0 and state == "ready":
        expected, got = kept.cards[chosen].known.get("passages"), len(points["ingestions"].get(chosen, []))
        if expected is not None and got != expected:
            problems.append(f"expected {expected} points, got {got}")
        if count != got:
            problems.append(f"{count - got} points of an earlier ingestion")
    return problems
