"""What every step of a backup needs: the settings, the folders, other programs, trees of files, and the lock."""

import contextlib
import datetime
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile
import time

CREDENTIALS = pathlib.Path("/etc/technicia/backup")
STATE = pathlib.Path("/var/lib/technicia/backup")
STAGING = STATE / "staging"
STATUS = STATE / "status.json"
METRICS = pathlib.Path("/var/lib/technicia/metrics/backup.prom")

# How far two clocks may differ: S3 refuses requests beyond it.
CLOCK_SECONDS = 900

# Longest that a run waits for the one before it.
LOCK_SECONDS = 1800

# Bytes that are left free on a file system whatever is written to it.
RESERVE = 256 * 1024 * 1024


class Problem(Exception):
    """What a person can do something about; its text says what."""


def settings():
    return json.loads(pathlib.Path("/etc/technicia/backup.json").read_text())


def say(line):
    """Progress; standard output is kept for the result."""
    print(line, file=sys.stderr, flush=True)


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def moment(instant):
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def read_moment(text):
    # restic writes nanoseconds, which Python 3.9 does not read.
    return datetime.datetime.strptime(text[:19] + "+0000", "%Y-%m-%dT%H:%M:%S%z")


def age(at):
    """Seconds since then; less than -CLOCK_SECONDS where the clock was wrong that wrote it, or is wrong now."""
    return (now() - read_moment(at)).total_seconds()


def is_younger(at, seconds):
    """What has not happened yet is not young."""
    return -CLOCK_SECONDS <= age(at) < seconds


def run(command, *, purpose, given=None, read=None, codes=(0,), into=None):
    """
    Runs a program and gives its ending; another exit code is a Problem with the last lines that it printed. It reads the text
    `given` or the file `read`; what it prints goes into the file `into`, where one is named.
    """
    with contextlib.ExitStack() as stack:
        output = subprocess.PIPE if into is None else stack.enter_context(open(into, "wb"))
        source = {"input": given or b""} if read is None else {"stdin": stack.enter_context(open(read, "rb"))}
        ended = subprocess.run([str(word) for word in command], **source, stdout=output, stderr=subprocess.PIPE, check=False)
    if ended.returncode not in codes:
        printed = (ended.stderr.strip() or (ended.stdout or b"").strip()).decode(errors="replace").splitlines()
        raise Problem(f"{purpose}: exit code {ended.returncode}: {' | '.join(printed[-3:]) or 'nothing printed'}")
    return ended


HELD = []


@contextlib.contextmanager
def lock():
    """One run at a time, whatever starts it; it ends with the process. What only reads takes none."""
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (STATE / "lock").open("w") as file:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno != errno.EWOULDBLOCK:
                    raise
                if time.monotonic() > deadline:
                    raise Problem(f"another run holds {file.name} for more than {LOCK_SECONDS} s; see systemctl list-units 'technicia-backup*'") from None
                time.sleep(0.5)
        HELD.append(file.name)
        try:
            yield
        finally:
            HELD.pop()


def read_json(path):
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}


def write_whole(path, text, mode=0o600):
    """A reader sees the old text or the new one, also after a loss of power."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)


def write_json(path, value):
    write_whole(path, json.dumps(value, indent=2) + "\n")


def sync_folder(folder):
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def emptied(folder, mode=0o700):
    remove(folder)
    folder.mkdir(mode=mode, parents=True)
    return folder


def files_of(folder):
    """Files and links below a folder, in an order that is always the same."""
    found = [pathlib.Path(root) / name for root, _, names in os.walk(folder) for name in names]
    found += [pathlib.Path(root) / name for root, names, _ in os.walk(folder) for name in names if (pathlib.Path(root) / name).is_symlink()]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix().encode())


def size_of(folder):
    return sum(path.lstat().st_size for path in files_of(folder))


def sha256(path):
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def checksum(folder, by_size=(), by_size_files=lambda name: False):
    """Of every file's path and content; below the folders `by_size`, and of the names `by_size_files`, of its path and size."""
    digest = hashlib.sha256()
    for path in files_of(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            known = f"link {os.readlink(path)}"
        elif name.split("/")[0] in by_size or by_size_files(path.name):
            known = f"size {path.lstat().st_size}"
        else:
            known = sha256(path)
        digest.update(f"{known}  {name}\n".encode())
    return digest.hexdigest()


def copy_tree(source, target, *, leave_out=lambda name: False, link=(), link_files=lambda name: False):
    """
    Copies a folder with owners and times. Files below the folders `link`, and those of the names `link_files`, which never change once
    they are written, become hard links where the file system is the same. What vanishes meanwhile is left out.
    """
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(os.scandir(source), key=lambda one: one.name):
        if leave_out(entry.name):
            continue
        path, goal = pathlib.Path(entry.path), target / entry.name
        with contextlib.suppress(FileNotFoundError):
            if entry.is_symlink():
                goal.symlink_to(os.readlink(path))
            elif entry.is_dir():
                copy_tree(path, goal, link=("",) if entry.name in link or "" in link else (), link_files=link_files)
            elif stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                copy_file(path, goal, may_link="" in link or link_files(entry.name))
    keep_owner(source, target)


def copy_file(source, target, *, may_link=False):
    if may_link:
        with contextlib.suppress(OSError):
            os.link(source, target, follow_symlinks=False)
            return
    shutil.copy2(source, target, follow_symlinks=False)
    keep_owner(source, target)


def keep_owner(source, target):
    known = source.lstat()
    os.chown(target, known.st_uid, known.st_gid, follow_symlinks=False)
    shutil.copystat(source, target, follow_symlinks=False)


def require_space(folder, size, what):
    free = shutil.disk_usage(folder).free
    if free < size + RESERVE:
        raise Problem(f"{folder}: expected {(size + RESERVE) >> 20} MiB of free space for {what}, got {free >> 20} MiB; make room and run this again")
