# shellcheck shell=bash
# Prints every running container of ours: name of its service, id, number of restarts, health.
set -euo pipefail
docker ps --quiet | while read -r id; do
  docker inspect --format '{{or (index .Config.Labels "com.docker.swarm.service.name") .Name}} {{.Id}} {{.RestartCount}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}' "$id" 2>/dev/null || true
done | sed 's,^/,,' | { grep '^technicia-' || true; }
