# shellcheck shell=bash
# Prints every running container of ours: name of its service, id, number of restarts, health.
set -euo pipefail
service='{{with index .Config.Labels "com.docker.swarm.service.name"}}{{.}}{{else}}{{.Name}}{{end}}'
docker ps --quiet | while read -r id; do
  # One that ends meanwhile is not running.
  docker container inspect --format "$service {{.ID}} {{.RestartCount}} {{with .State.Health}}{{.Status}}{{else}}none{{end}}" "$id" || true
done | sed 's,^/,,' | { grep '^technicia-' || true; }
