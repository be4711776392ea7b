#!/bin/bash
# monitoring-reload <alias> <port>: has a running program of the monitoring read its files again, and fails when it refuses them; does nothing
# while it does not run, because it reads them when it starts.
set -euo pipefail
alias=$1 program=http://127.0.0.1:$2
container=$(docker ps --quiet --filter "label=com.docker.swarm.service.name=technicia-$alias" --filter health=healthy | head -n 1)
[ -n "$container" ] || exit 0

refused() {
  echo "monitoring-reload: expected $alias to take its new files, got ${1:-no reason; look at docker service logs technicia-$alias}; it goes on with those from before" >&2
  exit 1
}

# Where a program reads its files after it has answered, its own metrics say how that ended.
case $alias in
  metrics) prefix=vm_promscrape_config errors=vm_promscrape_config_reloads_errors_total ;;
  metric-rules | log-rules) prefix=vmalert_config errors=vmalert_config_last_reload_errors_total ;;
  *) prefix='' errors='' ;;
esac
value() { curl --silent --show-error --fail --max-time 10 "$program/metrics" | awk -v name="$1" '$1 == name { print $2 }'; }

if [ -n "$prefix" ]; then
  failed=$(value "$errors")
  taken=$(value "${prefix}_last_reload_success_timestamp_seconds")
fi
answer=$(curl --silent --show-error --max-time 10 --request POST --write-out '\n%{http_code}' "$program/-/reload")
if [[ ${answer##*$'\n'} != 2?? ]]; then refused "${answer##*$'\n'}: ${answer%$'\n'*}"; fi
[ -n "$prefix" ] || exit 0

# Files that say the same in other words change nothing that could be seen.
deadline=$((SECONDS + 5))
while [ "$SECONDS" -lt "$deadline" ]; do
  if [ "$(value "$errors")" != "$failed" ]; then
    refused "$(docker logs --since 30s "$container" 2>&1 | grep --extended-regexp 'error|cannot' | tail -n 1 || true)"
  fi
  if [ "$(value "${prefix}_last_reload_success_timestamp_seconds")" != "$taken" ]; then break; fi
  sleep 0.2
done
if [ "$(value "${prefix}_last_reload_successful")" != 1 ]; then refused ''; fi
