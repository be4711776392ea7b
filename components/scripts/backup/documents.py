"""The files of uploaded documents: PDFs, their images, and a card for each ingestion."""

from base import Problem, checksum, copy_tree, emptied, moment, now, settings, size_of
from containers import volume

SERVICE = "technicia-document-processor"


def is_kept():
    return "documents" in settings()


def home():
    return volume(settings()["documents"])


def is_left_out(name):
    """What a restore has laid aside, and a card that is being written."""
    return name.startswith(".")


def take(folder):
    """
    The item `documents` of a set, taken after Qdrant's: a document that has come or gone since is one whose points are missing, and can be indexed
    again. PDFs and images are written once, so they become hard links.
    """
    began = now()
    emptied(folder)
    copy_tree(home(), folder, leave_out=is_left_out, link_files=is_written_once)
    return {
        "at": moment(began),
        "took": round((now() - began).total_seconds(), 1),
        "counts": counts_of(folder),
        "size": size_of(folder),
        "sha256": fingerprint(folder),
    }


def fingerprint(folder):
    """PDFs and images by size: reading all of them every hour would take the services' disk."""
    return checksum(folder, by_size_files=is_written_once)


def require_intact(item, folder):
    if fingerprint(folder) != item["sha256"]:
        raise Problem("documents: the files are not the ones that the manifest names")


def is_written_once(name):
    return name.endswith((".pdf", ".png"))


def counts_of(folder):
    return {"documents": len(list(folder.glob("*.pdf"))), "images": sum(1 for _ in folder.rglob("*.png"))}
