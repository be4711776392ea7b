# shellcheck shell=bash
# Returns once every service runs as many tasks as it should, and none of its containers is unhealthy or still starting.
settled() {
  local services
  services=$(docker service ls --format '{{.Replicas}}') || return 1
  ! awk '{ split($1, counts, "/"); if (counts[1] != counts[2]) exit 1 }' <<<"$services" && return 1
  [ -z "$(docker ps --quiet --filter health=starting --filter health=unhealthy)" ]
}

deadline=$((SECONDS + 300))
until settled 2>/dev/null; do
  if [ "$SECONDS" -ge "$deadline" ]; then
    echo "expected every service to run within 300 s, got this; look at docker service ps <name>" >&2
    docker service ls >&2
    exit 1
  fi
  sleep 1
done
