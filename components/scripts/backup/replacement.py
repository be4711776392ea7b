"""The parts of a set that are files no program has to be asked about: how they replace what is there."""

import documents
import records
from base import run
from exchange import FETCHED, INCOMING, exchange, roots


def replace_certificates(journal):
    for part, root in roots("certificates").items():
        if (root / INCOMING).is_dir() or part in journal["emptied"] or part in journal.get("returns", ()):
            exchange(part, root, journal)
    reload = records.RELOAD
    if reload.exists():
        run([reload], purpose="have nginx read the certificate")
    return journal["items"].get("certificates", {}).get("counts", {})


def replace_records(journal):
    if not journal.get("undoes"):
        records.add_records(FETCHED / "records", journal["set"])
    return records.counts_of_records(records.RECORDS)


def replace_documents(journal):
    if not documents.is_kept():
        return {}
    home = documents.home()
    # A set of before the files were kept lays nothing out.
    if (home / INCOMING).is_dir() or "documents" in journal["emptied"] or "documents" in journal.get("returns", ()):
        exchange("documents", home, journal)
    return documents.counts_of(home)
