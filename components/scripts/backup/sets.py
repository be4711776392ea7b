"""A set: everything that is needed to bring an environment back, in one snapshot, with a manifest that says what it holds."""

import json

import documents
import n8n
import qdrant
import records
import storage
from base import METRICS, Problem, STAGING, STATE, STATUS, is_younger, lock, moment, now, read_json, read_moment, say, settings, write_json, write_whole
from containers import image_of, is_known

MANIFEST = "manifest.json"

# What a set must have: an n8n without a user is not the one that was deployed.
LEAST = {("n8n", "users"): 1}

# Shares of what the set before had, under which a count is an error, or is reported.
WARNING_SHARE = 0.8

SERVICES = ("technicia-n8n", "technicia-qdrant", "technicia-postgres", "technicia-vector-store")

# The register of what a set contains: name of the item and of its folder, and what takes it. Qdrant first: what is indexed after it can be
# indexed again, but a point that n8n does not know of stays for ever. Documents, where their files are kept, after both.
ITEMS = (
    ("qdrant", qdrant.take),
    ("n8n", n8n.take),
    ("documents", documents.take),
    ("certificates", records.take_certificates),
    ("records", records.take_records),
)


def make(tag, *, with_qdrant, accept_smaller):
    """Makes a set, reads it back with the reader's key, and gives its description."""
    storage.ensure_folders()
    with lock():
        began = now()
        status = read_json(STATUS)
        refuse_half_restored()
        storage.clear()
        manifest, warnings = stage(began, status, with_qdrant=with_qdrant)
        repository = storage.ensure_repository(status)
        warnings += judge(manifest, status.get("manifest") or newest_manifest(), accept_smaller=accept_smaller)
        write_json(STAGING / MANIFEST, manifest)
        write_json(STATUS, {**read_json(STATUS), "repository": repository})
        summary = store(tag, manifest["release"])
        found = read_back(summary["snapshot_id"], manifest)
        took = round((now() - began).total_seconds(), 1)
        made = {
            "id": summary["snapshot_id"],
            "time": found["time"],
            "tags": found.get("tags", []),
            "repository": settings()["repository"],
            "sent": summary["data_added_packed"],
            "took": took,
            "warnings": warnings,
            "manifest": manifest,
        }
        write_json(STATUS, {**read_json(STATUS), "last": {key: made[key] for key in made if key != "manifest"}, "manifest": manifest})
        write_metrics()
        return made


def refuse_half_restored():
    journal = STATE / "restore.json"
    if journal.exists():
        known = read_json(journal)
        raise Problem(
            f"a restore of the set {known['set'][:8]} was interrupted: finish it with {finishing(known)}; "
            "until then no set is made, because it would hold half of each"
        )


def finishing(journal):
    """What a person types to finish what was interrupted."""
    stack, chosen = settings()["stack"], "" if len(journal["only"]) != 1 else f" --only {journal['only'][0]}"
    return journal.get("command") or f"npm run restore -- {stack} --set {journal['set'][:8]}{chosen}"


def newest_manifest():
    """
    Of the newest set of this stack, for a server that has made none itself: a new one that nobody has restored holds less than the one before,
    and its set would be taken for the newest. None where the storage has none, or one that cannot be read.
    """
    try:
        there = storage.snapshots(("--host", settings()["stack"]))
        return manifest_of(there[-1]["id"]) if there else None
    except (Problem, ValueError, LookupError) as error:
        say(f"not compared with the set before: {error}")
        return None


def stage(began, status, *, with_qdrant):
    """
    Lays the set out; gives its manifest, and warnings. Qdrant's snapshots of an earlier run are carried on while they are young enough, and
    whatever their age while Qdrant does not answer: n8n's data must not wait for it. Their time stands in the manifest.
    """
    STAGING.mkdir(mode=0o700, parents=True, exist_ok=True)
    answers = qdrant.answers()
    carried = carried_qdrant(status, answers=answers) if not (with_qdrant and answers) else None
    warnings = [] if answers or carried is None else [f"qdrant: does not answer; its snapshots of {carried['at']} are carried on"]
    for text in warnings:
        say(f"warning: {text}")
    items = {}
    for name, take in ITEMS:
        if name == "documents" and not documents.is_kept():
            continue
        items[name] = carried if name == "qdrant" and carried is not None else take(STAGING / name)
    known = settings()
    manifest = {
        "version": 1,
        "stack": known["stack"],
        "startedAt": moment(began),
        "finishedAt": moment(now()),
        "release": records.current_release(),
        "images": {name: image_of(name) for name in SERVICES if is_known(name)},
        "items": items,
        "indexedSince": indexed_since(items["qdrant"]) if answers else {},
    }
    return manifest, warnings


def carried_qdrant(status, *, answers):
    item = status.get("manifest", {}).get("items", {}).get("qdrant")
    if item is None or (answers and not is_younger(item["at"], settings()["qdrantHours"] * 3600 - 600)):
        return None
    try:
        # Snapshots of another version could not be restored into the one that runs.
        if answers and item["version"] != qdrant.running().version():
            return None
        qdrant.require_intact(item, STAGING / "qdrant")
    except (OSError, Problem):
        return None
    return item


def indexed_since(item):
    """Collections whose points are others than in Qdrant's snapshot, now that n8n's data is copied: after a restore they are indexed again."""
    return {name: points for name, points in qdrant.counts().items() if points != item["counts"].get(name)}


def judge(manifest, before, *, accept_smaller):
    """Fails for a set that cannot be right, and names what has become much smaller than in the set before."""
    warnings = []
    for name, item in manifest["items"].items():
        had = (before or {}).get("items", {}).get(name, {}).get("counts", {})
        for what in sorted({**had, **item["counts"]}):
            count, earlier = item["counts"].get(what, 0), had.get(what, 0)
            least = LEAST.get((name, what), 0)
            text = f"{name}, {what}: expected about {earlier}, as in the set before, got {count}"
            if count < least:
                raise Problem(f"{name}, {what}: expected at least {least}, got {count}; nothing was stored")
            # n8n removes old executions by itself.
            if what == "executions":
                continue
            if count == 0 and earlier > 0:
                if not accept_smaller:
                    raise Problem(f"{text}; nothing was stored. If this is right, type npm run backup -- {manifest['stack']} --accept-smaller")
                warnings.append(text)
            # Records are only ever added.
            elif count < earlier * (1 if name == "records" else WARNING_SHARE):
                warnings.append(text)
    for text in warnings:
        say(f"warning: {text}")
    return warnings


def store(tag, release):
    """With the release that runs among the tags: a list of sets reads no manifest."""
    storage.remove_old_locks()
    say("storing the set")
    arguments = ["backup", "--json", "--host", settings()["stack"], "--group-by", "host", "--tag", tag, "--read-concurrency", "1"]
    arguments += ["--tag", f"of-release-{release['number']}"] if release else []
    # A hard link changes the time of a file's inode, but not the file.
    arguments += ["--ignore-ctime", "--ignore-inode", "/set"]
    ended = storage.restic(arguments, key="writer", purpose="store the set", mounts=[f"{STAGING}:/set:ro"])
    summaries = [json.loads(line) for line in ended.stdout.splitlines() if b'"summary"' in line]
    if not summaries or not summaries[-1].get("snapshot_id"):
        raise Problem("store the set: expected restic to name the snapshot, got none")
    return summaries[-1]


def read_back(snapshot, manifest):
    """What counts is what the storage gives back to another key."""
    found = storage.find(snapshot, selection=storage.FRESH)
    stored = json.loads(storage.dump(snapshot, f"/set/{MANIFEST}", selection=storage.FRESH))
    if stored != manifest:
        raise Problem(f"the set {snapshot[:8]}: expected its manifest to be read back as it was written, got another one")
    return found


def listed():
    """The sets, newest first; the drill that verified each is in the status."""
    status = read_json(STATUS)
    if storage.is_untouched(status):
        return []
    drills = {one["set"]: one for one in status.get("drills", [])}
    return [
        {
            "id": one["id"],
            "time": one["time"],
            "tags": one.get("tags") or [],
            "size": one.get("summary", {}).get("total_bytes_processed"),
            "sent": one.get("summary", {}).get("data_added_packed"),
            "drill": drills.get(one["id"]),
        }
        for one in reversed(storage.snapshots())
    ]


def overview(policy):
    """The sets with what a prune by this policy does to each, and how much they take together."""
    listing = listed()
    going = storage.going(policy) if listing else set()
    return {"sets": [{**one, "goes": one["id"] in going} for one in listing], "stored": storage.stored() if listing else 0}


def manifest_of(snapshot):
    """The manifest of a set of this stack."""
    known = json.loads(storage.dump(snapshot, f"/set/{MANIFEST}"))
    stack = settings()["stack"]
    if known.get("version") != 1:
        raise Problem(f"the set {snapshot[:8]}: expected a manifest of version 1, got {known.get('version')}; restore it with the commands that made it")
    if known["stack"] != stack:
        raise Problem(f"the set {snapshot[:8]}: expected one of {stack}, got one of {known['stack']}")
    return known


def chosen_parts(manifest, only):
    """All that the set has and this server keeps, where nothing is chosen: a set may be of before the files of documents were kept."""
    held = [name for name, _ in ITEMS if name in manifest["items"] and (name != "documents" or documents.is_kept())]
    missing = [name for name in only or () if name not in held]
    if missing:
        raise Problem(f"--only: expected a part of this set that {settings()['stack']} keeps ({', '.join(held)}), got {', '.join(missing)}")
    return held if only is None else list(only)


def write_metrics():
    """In the text format of the node exporter."""
    status = read_json(STATUS)
    last, drills = status.get("last"), status.get("drills", [])
    lines = []
    if last:
        manifest = status["manifest"]
        lines += [
            f"technicia_backup_last_success_timestamp_seconds {read_moment(last['time']).timestamp():.0f}",
            f"technicia_backup_qdrant_timestamp_seconds {read_moment(manifest['items']['qdrant']['at']).timestamp():.0f}",
            f"technicia_backup_duration_seconds {last['took']}",
            f"technicia_backup_sent_bytes {last['sent']}",
            f"technicia_backup_warnings {len(last['warnings'])}",
            *(f'technicia_backup_size_bytes{{item="{name}"}} {item["size"]}' for name, item in manifest["items"].items()),
        ]
    for passed, name in ((True, "success"), (False, "failure")):
        found = [one for one in drills if one["passed"] is passed]
        if found:
            lines.append(f"technicia_drill_last_{name}_timestamp_seconds {read_moment(found[-1]['at']).timestamp():.0f}")
    if drills:
        lines.append(f"technicia_drill_duration_seconds {drills[-1]['took']}")
    METRICS.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_whole(METRICS, "".join(f"{line}\n" for line in lines), 0o644)
