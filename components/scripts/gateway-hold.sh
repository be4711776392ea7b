#!/bin/bash
# Has the gateway hold the requests to n8n, and let them go again. Each call prints what nginx then says: `paused` or `open`, for how many
# seconds yet, how many requests are in flight to n8n, and how many wait.
#   pause   until MAX_SECONDS from now, and waits up to DRAIN_SECONDS for the requests in flight
#   renew   until MAX_SECONDS from now
#   resume
#   state
set -euo pipefail

# While the gateway is replaced there are two, and both may have visitors.
read_containers() {
  mapfile -t containers < <(for service in technicia-gateway technicia-gateway-second; do
    docker ps --quiet --filter "label=com.docker.swarm.service.name=$service" --filter status=running | head -n 1
  done)
  if [ ${#containers[@]} -eq 0 ]; then
    echo "gateway-hold: expected the gateway to run, got no container; look at docker service ps technicia-gateway" >&2
    exit 1
  fi
}

# Of the first one that answers, with the requests of both.
each() {
  local container answers=()
  for container in "${containers[@]}"; do
    answers+=("$(docker exec "$container" wget -q -T 5 -O - "$@" || true)")
  done
  printf '%s\n' "${answers[@]}" | awk 'NF == 4 { if (!first++) { state = $1; left = $2 } flying += $3; waiting += $4 } END { if (!first) exit 1; print state, left, flying, waiting }'
}
say() { each --post-data '' "http://127.0.0.1:$PORT/$1"; }
state() { each "http://127.0.0.1:$PORT/state"; }

# What comes to the gateway that starts after the pause would not be held.
is_replaced() { nft list table ip technicia_gateway >/dev/null 2>&1; }

read_containers
case ${1:-state} in
  pause)
    deadline=$((SECONDS + MAX_SECONDS))
    while is_replaced && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.2; done
    read_containers
    now=$(say "pause?seconds=$MAX_SECONDS")
    deadline=$((SECONDS + DRAIN_SECONDS))
    # Without the hold, which a restart of the gateway ends, there is nothing to wait for.
    while read -r held _ in_flight _ <<<"$now" && [ "$held" = paused ] && [ "$in_flight" != 0 ] && [ "$SECONDS" -lt "$deadline" ]; do
      sleep 0.2
      now=$(state)
    done
    echo "$now"
    ;;
  renew) say "pause?seconds=$MAX_SECONDS" ;;
  resume) say resume ;;
  state) state ;;
  *)
    echo "gateway-hold: expected pause, renew, resume or state, got $1" >&2
    exit 2
    ;;
esac
