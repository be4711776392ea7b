#!/usr/bin/python3 -B
"""Sets of backups of this server: made, listed, restored and rehearsed. Prints its result as JSON; progress and failures go to standard error."""

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import drill
import restore
import sets
import storage
from base import Problem, STATUS, moment, now, read_json, say, write_json

ITEMS = tuple(name for name, _ in sets.ITEMS)


def read_arguments():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("make")
    made.add_argument("--tag", default="scheduled")
    made.add_argument("--qdrant", action="store_true", help="take Qdrant's snapshots whatever their age")
    made.add_argument("--accept-smaller", action="store_true")
    commands.add_parser("list")
    seen = commands.add_parser("overview")
    seen.add_argument("--keep", action="append", default=[], metavar="UNIT=TIME", help="of the next prune: daily=35d")
    commands.add_parser("status")
    commands.add_parser("undo")
    commands.add_parser("forget")
    shown = commands.add_parser("show")
    shown.add_argument("set")
    for name in ("plan", "restore"):
        one = commands.add_parser(name)
        one.add_argument("--set")
        one.add_argument("--only", choices=ITEMS, action="append")
        one.add_argument("--keep-nothing", action="store_true")
        one.add_argument("--images", type=json.loads, help="service → image, as JSON: the versions that run with this data")
        one.add_argument("--command", dest="finishing", help="what a person types to finish it")
    upgraded = commands.add_parser("upgrade")
    upgraded.add_argument("--service", choices=tuple(restore.UPGRADED), required=True)
    upgraded.add_argument("--image", required=True)
    upgraded.add_argument("--set", required=True, help="the set that was made before")
    upgraded.add_argument("--command", dest="finishing")
    drilled = commands.add_parser("drill")
    drilled.add_argument("--set")
    drilled.add_argument("--make", metavar="TAG", help="of a set that is made first")
    drilled.add_argument("--report", action="store_true", help="end well with a result, also when it is a bad one")
    drilled.add_argument("--when-due", action="store_true", help="do nothing while the last good one is young enough")
    return parser.parse_args()


def act(given):
    if given.command == "make":
        return sets.make(given.tag, with_qdrant=given.qdrant, accept_smaller=given.accept_smaller)
    if given.command == "list":
        return sets.listed()
    if given.command == "overview":
        pairs = [one.partition("=") for one in given.keep]
        return sets.overview([word for unit, _, time in pairs for word in (f"--keep-within-{unit}", time)])
    if given.command == "status":
        return read_json(STATUS)
    if given.command == "show":
        return sets.manifest_of(storage.find(given.set)["id"])
    if given.command in ("plan", "restore"):
        only = None if given.only is None else tuple(given.only)
        if given.command == "plan":
            return restore.plan(given.set, only, given.images)
        return restore.restore(given.set, only, keep=not given.keep_nothing, asked=given.images, command=given.finishing)
    if given.command == "upgrade":
        return restore.upgrade(given.service, given.image, given.set, command=given.finishing)
    if given.command == "drill":
        if given.when_due and not drill.is_due():
            return None
        made = sets.make(given.make, with_qdrant=True, accept_smaller=False) if given.make else {"id": given.set}
        return drill.drill(made["id"])
    return {"undo": restore.undo, "forget": restore.forget}[given.command]()


def main():
    given = read_arguments()
    try:
        result = act(given)
    except (Problem, OSError) as error:
        say(str(error))
        if given.command in ("make", "drill"):
            write_json(STATUS, {**read_json(STATUS), "failure": {"command": given.command, "at": moment(now()), "text": str(error)}})
        return 1
    if result is None:
        return 0
    print(json.dumps(result))
    return 1 if given.command == "drill" and not (result["passed"] or given.report) else 0


if __name__ == "__main__":
    sys.exit(main())
