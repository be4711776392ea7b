#!/usr/bin/env python3
"""The collector on one of several servers.

A service may have tasks on several of them, so each server measures what it runs, and those that manage the Swarm say how many tasks there should
be. The store adds the server's name.
"""

import collections
import json
import os
import time

import collect
from containers import PREFIX, SOCKET, Containers, is_well, service_of
from measure import ask, sample, say

MANAGES = os.environ.get("MANAGES_SWARM") == "yes"
SIGN_SECONDS = float(os.environ.get("SIGN_SECONDS", "600"))


class ContainersHere(Containers):
    """The containers on this server."""

    def metrics(self):
        listed = [one for one in json.loads(ask(SOCKET, "/containers/json?all=1")) if service_of(one)]
        # What ran here before goes on counting: it may come back.
        here = {service_of(one) for one in listed} | set(self.kept["starts"]) | set(self.kept["kills"])
        running = collections.Counter(service_of(one) for one in listed if is_well(one))
        yield from (sample("technicia_service_running", running[service], service=service) for service in sorted(here))
        yield from self.account(listed, sorted(here))

    def swarm_metrics(self):
        """
        How many tasks of each service there should be on all servers together, which is also known of one that runs on every server with a label.
        A worker is not told of services: there each update counts as a restart.
        """
        services = json.loads(ask(SOCKET, "/services?status=true"))
        self.learn_specs(services)
        for one in services:
            name = one["Spec"]["Name"]
            if name.startswith(PREFIX):
                yield sample("technicia_service_desired", one["ServiceStatus"]["DesiredTasks"], service=name[len(PREFIX) :])


class ServerCollector(collect.Collector):
    def __init__(self):
        super().__init__()
        here = ContainersHere()
        self.sources["docker"] = here.metrics
        if MANAGES:
            self.sources["swarm"] = here.swarm_metrics
        self.sign_due = time.monotonic()

    def once(self):
        super().once()
        # A server without work writes nothing for hours, and its journal would count as lost.
        if time.monotonic() >= self.sign_due:
            self.sign_due = time.monotonic() + SIGN_SECONDS
            say("measures")


if __name__ == "__main__":
    # Its loop makes the collector by this name; the program of an only server stays as it is.
    collect.Collector = ServerCollector
    collect.main()
