#!/usr/bin/env bash
# Lets a server of ours into the Swarm. systemd runs it for one connection through the tunnel, which sends "<server> <proof>".
#   answers: "refused", "none" while this server is in no Swarm, or "token <token>", which is valid until the connection ends
set -euo pipefail

read -r -t 10 server proof || exit 0
role=
while read -r name known_role known_proof; do
  if [ "$server" = "$name" ] && [ "$proof" = "$known_proof" ]; then role=$known_role; fi
done </etc/technicia/swarm-door
if [ -z "$role" ]; then
  echo refused
  exit 0
fi
if [ "$(docker info --format '{{.Swarm.ControlAvailable}}')" != true ]; then
  echo none
  exit 0
fi
# One after the other: the token of whoever is still joining must not be taken away.
exec 9>/run/technicia-swarm-door.lock
flock --timeout 120 9
trap 'docker swarm join-token --rotate --quiet "$role" >/dev/null' EXIT
printf 'token %s\n' "$(docker swarm join-token --quiet "$role")"
# Until it has joined, or has gone.
read -r -t 90 _ || true
