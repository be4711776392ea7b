#!/usr/bin/env bash
# Lets a server of ours into the Swarm, and gives the certificate to another gateway. systemd runs it for one connection through the tunnel,
# which sends "<server> <proof>", or "<server> <proof> certificate <digest of the pair that it has>".
#   answers: "refused", "none" while this server has not what is asked for, or
#     "token <token>", which is valid until the connection ends
#     "same <what it is valid for>" where the pair is the same, or "pair <what it is valid for>", chain and key, and "end"
set -euo pipefail

# Its list says who may ask for it. What is on its way to expire, the placeholder, or another one than the authority's is none.
give_certificate() {
  local described folder pair
  if ! described=$(/opt/technicia/bin/certificate status) || [[ $described != "valid for "* ]]; then
    echo "none ${described:-its program does not answer}"
    return
  fi
  # Both files of one version: a renewal meanwhile has another folder.
  folder=$(readlink --canonicalize-existing /opt/technicia/gateway/tls/current)
  pair=$(cat "$folder/fullchain.pem" "$folder/privkey.pem")
  if [ "$1" = "$(sha256sum <<<"$pair" | cut -d ' ' -f 1)" ]; then
    printf 'same %s\n' "$described"
  else
    printf 'pair %s\n%s\nend\n' "$described" "$pair"
  fi
}

read -r -t 10 server proof wish had || exit 0
role=
rights=
while read -r name known_role known_proof known_rights; do
  if [ "$server" = "$name" ] && [ "$proof" = "$known_proof" ]; then
    role=$known_role
    rights=$known_rights
  fi
done </etc/technicia/swarm-door
if [ -z "$role" ] || { [ -n "$wish" ] && [ "$wish" != "$rights" ]; }; then
  echo refused
  exit 0
fi
if [ "$wish" = certificate ]; then
  give_certificate "$had"
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
