#!/bin/bash
# Has the gateway hold the requests to n8n, and let them go again. Each call prints what nginx then says: `paused` or `open`, for how many
# seconds yet, how many requests are in flight to n8n, and how many wait.
#   pause   until MAX_SECONDS from now, and waits up to DRAIN_SECONDS for the requests in flight
#   renew   until MAX_SECONDS from now
#   resume
#   state
set -euo pipefail
container=$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-gateway --filter status=running | head -n 1)
if [ -z "$container" ]; then
  echo "gateway-hold: expected the gateway to run, got no container; look at docker service ps technicia-gateway" >&2
  exit 1
fi

ask() { docker exec "$container" wget -q -T 5 -O - "$@"; }
say() { ask --post-data '' "http://127.0.0.1:$PORT/$1"; }
state() { ask "http://127.0.0.1:$PORT/state"; }

case ${1:-state} in
  pause)
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
