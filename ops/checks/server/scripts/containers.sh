# shellcheck shell=bash
# Prints every running container of ours: name of its service, id, number of restarts, health. Of those on other servers the Swarm knows that they
# run, which it says only of healthy ones; a restart is another task.
set -euo pipefail
service='{{with index .Config.Labels "com.docker.swarm.service.name"}}{{.}}{{else}}{{.Name}}{{end}}'
docker ps --quiet | while read -r id; do
  # One that ends meanwhile is not running.
  docker container inspect --format "$service {{.ID}} {{.RestartCount}} {{with .State.Health}}{{.Status}}{{else}}none{{end}}" "$id" || true
done | sed 's,^/,,' | { grep '^technicia-' || true; }
if [ "$(docker node ls --quiet 2>/dev/null | wc --lines)" -gt 1 ]; then
  here=$(docker info --format '{{.Name}}')
  docker service ls --format '{{.Name}}' | { grep '^technicia-' || true; } | while read -r name; do
    docker service ps --filter desired-state=running --format '{{.ID}} {{.Node}} {{.CurrentState}}' "$name" |
      awk -v service="$name" -v here="$here" '$2 != here { print service, $1, 0, ($3 == "Running" ? "healthy" : "starting") }'
  done
fi
