#!/usr/bin/python3
"""Stands in for Docker's client: a Swarm that is a file, and that starts and moves tasks as a real one does."""
import json
import os
import sys

FILE = os.path.join(os.environ["FOLDER"], "swarm.json")
words = sys.argv[1:]


def load():
    with open(FILE) as file:
        return json.load(file)


def save(swarm):
    with open(FILE + ".new", "w") as file:
        json.dump(swarm, file)
    os.replace(FILE + ".new", FILE)


def fail(text):
    print(f"Error response from daemon: {text}", file=sys.stderr)
    sys.exit(1)


def able(swarm, service):
    wanted = [one.removeprefix("node.labels.").split("==") for one in service.get("constraints", [])]
    return [
        node["name"]
        for node in swarm["nodes"]
        if node["state"] == "ready" and node["availability"] == "active"
        and all(node["labels"].get(name) == value for name, value in wanted)
    ]


def schedule(swarm):
    """As many tasks as there should be, where the service has the fewest; one too many ends where it has the most."""
    for service in swarm["services"]:
        nodes = able(swarm, service)
        tasks = [node for node in service["on"] if node in nodes]
        if service.get("replicas") is None:
            tasks = nodes
        else:
            while len(tasks) > service["replicas"]:
                tasks.remove(max(nodes, key=tasks.count))
            while nodes and len(tasks) < service["replicas"]:
                tasks.append(min(nodes, key=tasks.count))
        service["on"] = tasks
    save(swarm)


def node_of(swarm, name):
    found = [node for node in swarm["nodes"] if node["name"] == name]
    return found[0] if found else fail(f"node {name} not found")


def describe_node(node):
    # A node that is a worker is known by where it came from.
    manages = node["role"] == "manager"
    reachability = "reachable" if node["state"] == "ready" else "unreachable"
    manager = {"Leader": node.get("leader", False), "Reachability": reachability, "Addr": node["address"] + ":2377"}
    return {
        "ID": node["name"],
        "Description": {"Hostname": node["name"]},
        "Spec": {"Availability": node["availability"], "Role": node["role"], "Labels": node["labels"]},
        "Status": {"State": node["state"], "Addr": "0.0.0.0" if manages else node["address"]},
        **({"ManagerStatus": manager} if manages else {}),
    }


def describe_service(service):
    replicas = service.get("replicas")
    return {
        "ID": service["name"],
        "Spec": {
            "Name": service["name"],
            "Mode": {"Global": {}} if replicas is None else {"Replicated": {"Replicas": replicas}},
            "TaskTemplate": {"Placement": {"Constraints": service.get("constraints", [])}},
        },
    }


def tasks_of(service):
    return [
        {
            "ID": f'{service["name"]}.{index}',
            "ServiceID": service["name"],
            "NodeID": node,
            "DesiredState": "running",
            "Status": {"State": service.get("state", "running"), "Err": service.get("error", "")},
        }
        for index, node in enumerate(service["on"])
    ]


def inspect(kind, ids):
    swarm = load()
    found = {
        "node": [describe_node(node) for node in swarm["nodes"]],
        "service": [describe_service(service) for service in swarm["services"]],
        "task": [task for service in swarm["services"] for task in tasks_of(service)],
    }[kind]
    print(json.dumps([one for one in found if one["ID"] in ids]))


def update(swarm, arguments):
    node = node_of(swarm, arguments[-1])
    node["availability"] = arguments[arguments.index("--availability") + 1]
    schedule(swarm)


def forget(swarm, arguments):
    node = node_of(swarm, arguments[-1])
    if node["role"] == "manager":
        fail(f'node {node["name"]} is a cluster manager and is a member of the raft cluster')
    if node["state"] != "down" and "--force" not in arguments:
        fail(f'node {node["name"]} is not down and can\'t be removed')
    swarm["nodes"].remove(node)
    schedule(swarm)


def main():
    swarm = load()
    if swarm.get("error"):
        fail(swarm["error"])
    changing = words[:2] in (["node", "update"], ["node", "demote"], ["node", "rm"], ["service", "scale"], ["swarm", "leave"])
    if changing:
        with open(os.path.join(os.environ["FOLDER"], "calls"), "a") as calls:
            print(f'{os.environ["SELF"]}: docker {" ".join(words)}', file=calls)
    if words == ["node", "ls", "--quiet"]:
        print("\n".join(node["name"] for node in swarm["nodes"]))
    elif words == ["service", "ls", "--quiet"]:
        print("\n".join(service["name"] for service in swarm["services"]))
    elif words[:2] == ["service", "ps"]:
        print("\n".join(task["ID"] for one in swarm["services"] if one["name"] in words for task in tasks_of(one)))
    elif words[:2] == ["inspect", "--type"]:
        inspect(words[2], words[3:])
    elif words[:2] == ["node", "update"]:
        update(swarm, words[2:])
    elif words[:2] == ["node", "demote"]:
        node_of(swarm, words[2])["role"] = "worker"
        save(swarm)
    elif words[:2] == ["node", "rm"]:
        forget(swarm, words[2:])
    elif words[:2] == ["service", "scale"]:
        name, replicas = words[-1].split("=")
        service = next(one for one in swarm["services"] if one["name"] == name)
        service["replicas"] = int(replicas)
        schedule(swarm)
    elif words == ["swarm", "leave"]:
        node = node_of(swarm, os.environ["SELF"])
        if node["role"] == "manager":
            fail("You are attempting to leave the swarm on a node that is participating as a manager.")
        node["state"] = "down"
        schedule(swarm)
    else:
        fail(f"unexpected: docker {' '.join(words)}")


main()
