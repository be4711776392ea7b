"""What Docker says of our services, and what the kernel accounts for their containers."""

import collections
import hashlib
import json
import os
import pathlib

from measure import ask, instant, read_json, sample, say

SOCKET = os.environ.get("DOCKER_SOCKET", "/run/docker.sock")
CGROUPS = pathlib.Path(os.environ.get("CGROUPS", "/sys/fs/cgroup"))
PROCESSES = pathlib.Path(os.environ.get("PROCESSES", "/proc"))
KEPT = pathlib.Path(os.environ.get("RUNTIME_DIRECTORY", "/run/technicia-collect")) / "counters.json"

PREFIX = "technicia-"
TUNNEL = "technicia-tunnel"


def numbers(path):
    """A file of lines such as `oom_kill 3`."""
    return {key: int(value) for key, value in (line.split()[:2] for line in path.read_text().splitlines() if " " in line)}


class Containers:
    """The containers of our services. What they count ends with them, so it is added up here and outlives a restart of this program."""

    def __init__(self):
        self.inspected = {}
        self.specs: dict[str, str] = {}
        self.kept = {"starts": {}, "kills": {}, "known": {}}
        self.is_first = True
        try:
            self.kept.update(read_json(KEPT))
            self.is_first = not KEPT.exists()
        except (ValueError, OSError) as error:
            say(f"the counters begin anew: {error}")

    def metrics(self):
        services = json.loads(ask(SOCKET, "/services"))
        listed = [one for one in json.loads(ask(SOCKET, "/containers/json?all=1")) if service_of(one)]
        desired = {one["Spec"]["Name"][len(PREFIX) :]: replicas(one) for one in services if one["Spec"]["Name"].startswith(PREFIX)}
        if any(service_of(one) == "tunnel" for one in listed):
            desired["tunnel"] = 1
        yield from (sample("technicia_service_desired", count, service=service) for service, count in desired.items())
        running = collections.Counter(service_of(one) for one in listed if is_well(one))
        yield from (sample("technicia_service_running", running[service], service=service) for service in desired)
        self.learn_specs(services)
        yield from self.account(listed, desired)

    def account(self, listed, services):
        """What each of these containers uses, and what those of each of these services have counted so far."""
        before = json.dumps(self.kept)
        yield from self.of_each(listed, services)
        yield from (sample("technicia_task_starts_total", self.kept["starts"].get(one, 0), service=one) for one in services)
        yield from (sample("technicia_container_oom_kills_total", self.kept["kills"].get(one, 0), service=one) for one in services)
        self.forget(listed)
        self.is_first = False
        if json.dumps(self.kept) != before:
            self.keep()

    def learn_specs(self, services):
        """What the tasks of each service are made from; each update changes it, and each `--force`."""
        self.specs = {one["Spec"]["Name"][len(PREFIX) :]: digest(one["Spec"]["TaskTemplate"]) for one in services}

    def of_each(self, listed, desired):
        newest = {}
        for one in listed:
            service = service_of(one)
            details = self.inspect(one)
            self.count_start(one["Id"], service)
            if one["State"] != "running":
                self.count_kills(one["Id"], service, 1 if details["killed"] else 0)
                continue
            newest[service] = max(newest.get(service, (0, None)), (details["started"], one["Id"]))
        for service, (started, container) in newest.items():
            if service not in desired:
                continue
            # Only a start of what ran before is a restart: another version is another series.
            spec = self.inspected[container]["spec"]
            yield sample("technicia_task_started_timestamp_seconds", started, service=service, spec=spec)
            measured = usage(container, self.inspected[container]["pid"])
            if measured is None:
                continue
            self.count_kills(container, service, measured["kills"])
            yield sample("technicia_container_memory_working_set_bytes", measured["memory"], service=service)
            yield sample("technicia_container_cpu_seconds_total", f"{measured['cpu']:.3f}", service=service)
            if measured["limit"] is not None:
                yield sample("technicia_container_memory_limit_bytes", measured["limit"], service=service)

    def inspect(self, one):
        """When it started, its process, and whether the kernel killed it; asked once for each state of a task, which never starts twice."""
        known, state = self.inspected.get(one["Id"]), one["State"]
        if known is None or known["state"] != state or service_of(one) == "tunnel":
            found = json.loads(ask(SOCKET, f"/containers/{one['Id']}/json"))["State"]
            known = {
                "state": state,
                "started": instant(found["StartedAt"]),
                "pid": found.get("Pid", 0),
                "killed": found.get("OOMKilled", False),
                "spec": known["spec"] if known else "",
            }
            self.inspected[one["Id"]] = known
        # As the service is when its container comes: an update changes it before the old container is gone.
        known["spec"] = known["spec"] or self.specs.get(service_of(one), "")
        return known

    def count_start(self, container, service):
        if container in self.kept["known"]:
            return
        self.kept["known"][container] = 0
        if not self.is_first:
            self.kept["starts"][service] = self.kept["starts"].get(service, 0) + 1

    def count_kills(self, container, service, kills):
        """`kills` are those of this container so far."""
        more = kills - self.kept["known"].get(container, 0)
        if more <= 0:
            return
        self.kept["known"][container] = kills
        # What was there before the first measurement is no news.
        if not self.is_first:
            self.kept["kills"][service] = self.kept["kills"].get(service, 0) + more

    def forget(self, listed):
        there = {one["Id"] for one in listed}
        for known in (self.inspected, self.kept["known"]):
            for container in [one for one in known if one not in there]:
                del known[container]

    def keep(self):
        try:
            new = KEPT.with_name(KEPT.name + ".new")
            new.write_text(json.dumps(self.kept))
            new.replace(KEPT)
        except OSError as error:
            say(f"the counters were not kept: {error}")


def service_of(container):
    """`vector-store`; None for a container that is none of our services."""
    name = container.get("Labels", {}).get("com.docker.swarm.service.name", "")
    if f"/{TUNNEL}" in container.get("Names", []):
        name = TUNNEL
    return name[len(PREFIX) :] if name.startswith(PREFIX) else None


def digest(spec):
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:8]


def replicas(service):
    return service["Spec"]["Mode"].get("Replicated", {}).get("Replicas", 1)


def is_well(container):
    """Runs, and is healthy where it says anything about that: `Up 5 minutes (healthy)`."""
    status = container["Status"]
    return container["State"] == "running" and ("(" not in status or "(healthy)" in status)


def folders(container, pid, controller):
    """Where the kernel may account for a container: with either driver of Docker, with either version of cgroups."""
    base = CGROUPS / controller if controller else CGROUPS
    yield base / "system.slice" / f"docker-{container}.scope"
    yield base / "docker" / container
    for line in (PROCESSES / str(pid) / "cgroup").read_text().splitlines() if pid else []:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(",") or (not controller and controllers == ""):
            yield base / path.lstrip("/")


def usage(container, pid):
    """Memory in bytes without what only caches files, CPU in seconds, and kills; None where nothing accounts for the container."""
    try:
        if (CGROUPS / "cgroup.controllers").exists():
            found = next((one for one in folders(container, pid, "") if (one / "memory.current").exists()), None)
            return None if found is None else unified_usage(found)
        memory = next((one for one in folders(container, pid, "memory") if (one / "memory.usage_in_bytes").exists()), None)
        cpu = next((one for one in folders(container, pid, "cpuacct") if (one / "cpuacct.usage").exists()), None)
        return None if memory is None or cpu is None else separate_usage(memory, cpu)
    except FileNotFoundError:
        # It ended just now.
        return None


def unified_usage(folder):
    limit = (folder / "memory.max").read_text().strip()
    inactive = numbers(folder / "memory.stat").get("inactive_file", 0)
    return {
        "memory": max(0, int((folder / "memory.current").read_text()) - inactive),
        "limit": None if limit == "max" else int(limit),
        "cpu": numbers(folder / "cpu.stat").get("usage_usec", 0) / 1e6,
        "kills": numbers(folder / "memory.events").get("oom_kill", 0),
    }


def separate_usage(memory, cpu):
    limit = int((memory / "memory.limit_in_bytes").read_text())
    inactive = numbers(memory / "memory.stat").get("total_inactive_file", 0)
    return {
        "memory": max(0, int((memory / "memory.usage_in_bytes").read_text()) - inactive),
        # No limit is the largest number of pages.
        "limit": None if limit > 1 << 60 else limit,
        "cpu": int((cpu / "cpuacct.usage").read_text()) / 1e9,
        "kills": numbers(memory / "memory.oom_control").get("oom_kill", 0),
    }
