# shellcheck shell=bash
# Returns once every service runs as many containers as it should, and none of them is unhealthy or still starting.
settled() {
  local wanted running name replicas
  wanted=$(docker service ls --format '{{.Name}} {{.Replicas}}') || return 1
  running=$(docker ps --format '{{.Label "com.docker.swarm.service.name"}}') || return 1
  [ -n "$wanted" ] || return 1
  # Right after a boot Swarm still tells what ran before it.
  while read -r name replicas _; do
    [ "$(grep --count --line-regexp --fixed-strings --regexp "$name" <<<"$running")" -ge "${replicas#*/}" ] || return 1
  done <<<"$wanted"
  [ -z "$(docker ps --quiet --filter health=starting --filter health=unhealthy)" ] || return 1
  # Containers of no service, which Docker starts by itself.
  [ -z "$(docker ps --all --filter name=^technicia- --filter status=created --filter status=restarting --filter status=exited --filter status=dead --format '{{.Names}} {{.Label "com.docker.swarm.service.name"}}' | awk 'NF == 1')" ]
}

deadline=$((SECONDS + 600))
until settled 2>/dev/null; do
  if [ "$SECONDS" -ge "$deadline" ]; then
    echo "expected every service to run within 600 s, got this; look at docker service ps <name> there" >&2
    { docker service ls && docker ps --all --filter name=^technicia- --format '{{.Names}} {{.Status}}'; } >&2 || systemctl status --no-pager --lines 5 docker.service >&2 || true
    exit 1
  fi
  sleep 1
done
