"""The services and containers of Docker: which runs, how it is stopped and started, and what it answers."""

import json
import pathlib
import time

from base import Problem, run, say

# A service that does not start within this time is reported.
START_SECONDS = 300

# Has the gateway hold the requests to n8n; absent where that is off.
HOLD = pathlib.Path("/opt/technicia/bin/gateway-hold")

# Of the login at images.registry; absent without one.
LOGIN = pathlib.Path("/opt/technicia/registry")


def container_of(service):
    """Id of the running container of a service; None when none runs."""
    listed = run(["docker", "ps", "--quiet", "--no-trunc", "--filter", f"label=com.docker.swarm.service.name={service}"], purpose="list containers")
    return (listed.stdout.decode().split() or [None])[0]


def require_container(service):
    container = container_of(service)
    if container is None:
        raise Problem(f"{service}: expected it to run, got no container; see docker service ps {service}")
    return container


def inspect(kind, name, purpose="inspect"):
    return json.loads(run(["docker", kind, "inspect", name], purpose=f"{purpose} {name}").stdout)[0]


def is_known(service):
    return run(["docker", "service", "inspect", service], purpose=f"inspect {service}", codes=(0, 1)).returncode == 0


def spec_of(service):
    """What a service's containers are made from."""
    return inspect("service", service)["Spec"]["TaskTemplate"]["ContainerSpec"]


def image_of(service):
    return spec_of(service)["Image"]


def version_of(image):
    """What the tag says: `1.19.0` of `qdrant/qdrant:v1.19.0-unprivileged@sha256:…`."""
    return image.split("@")[0].rpartition(":")[2].removeprefix("v")


def pull(image):
    """Has the image on the server before anything is stopped."""
    if run(["docker", "image", "inspect", image], purpose=f"look for {image}", codes=(0, 1)).returncode == 0:
        return
    login = ["--config", LOGIN] if (LOGIN / "config.json").exists() else []
    run(["docker", *login, "pull", "--quiet", image], purpose=f"pull {image}")


def has_volume(name):
    return run(["docker", "volume", "inspect", name], purpose=f"look for the volume {name}", codes=(0, 1)).returncode == 0


def volume(name):
    return pathlib.Path(inspect("volume", name)["Mountpoint"])


def hold_requests():
    """Before n8n stops. The gateway ends that by itself; the command that called this renews it, and says when n8n answers again."""
    if not HOLD.exists():
        return
    try:
        answer = run([HOLD, "pause"], purpose="hold the requests to n8n").stdout.decode().split()
    except Problem as error:
        say(f"the requests to n8n are not held: {error}")
        return
    # A gateway that restarts meanwhile holds nothing.
    if answer[:1] == ["paused"]:
        say("the gateway holds the requests to n8n")


def stop(service):
    """Returns once no container of the service runs; it stays stopped when the server restarts."""
    run(["docker", "service", "scale", "--detach", f"{service}=0"], purpose=f"stop {service}")
    until(lambda: container_of(service) is None, START_SECONDS, f"{service} to stop")


def start(service, image=None):
    """Returns once the service's health check passes. Another image comes with the same update, so that the one before never starts."""
    chosen = [] if image is None else ["--image", image, "--no-resolve-image"]
    run(["docker", "service", "update", "--quiet", "--detach", "--replicas", "1", *chosen, service], purpose=f"start {service}")
    until(lambda: is_healthy(container_of(service)), START_SECONDS, f"{service} to become healthy; see docker service logs {service}")


def is_healthy(container):
    if container is None:
        return False
    asked = ["docker", "inspect", "--format", "{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}", container]
    return run(asked, purpose="look at the health", codes=(0, 1)).stdout.decode().strip() in ("healthy", "running")


def until(is_true, seconds, what):
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            raise Problem(f"expected {what} within {seconds} s")
        time.sleep(0.5)


def http(container, method, path, *, port, key="", body=None, codes=(200,), seconds=3600):
    """
    Asks a program in a container over the loopback of that container, which no network policy and no proxy is between. The key and the
    body go over standard input, never over a command line.
    """
    pid = inspect("container", container)["State"]["Pid"]
    lines = [f'request = "{method}"', f'url = "http://127.0.0.1:{port}{path}"', f'header = "api-key: {key}"']
    if body is not None:
        text = json.dumps(body).replace("\\", "\\\\").replace('"', '\\"')
        lines += ['header = "content-type: application/json"', f'data = "{text}"']
    curl = ["curl", "--silent", "--show-error", "--max-time", seconds, "--write-out", "\n%{http_code}", "--config", "-"]
    asked = run(["nsenter", "--target", pid, "--net", *curl], purpose=f"{method} {path}", given="\n".join(lines).encode())
    text, _, code = asked.stdout.decode().rpartition("\n")
    if int(code) not in codes:
        raise Problem(f"{method} {path}: expected the status {codes[0]}, got {code}: {text[:300]}")
    return int(code), text
