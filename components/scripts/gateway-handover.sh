#!/bin/bash
# While the gateway is replaced, a second one like it answers the visitors: a port of the server belongs to one task, so the gateway stops before
# its successor starts. What has gone wrong here delays nothing but costs visitors the few seconds of that start.
#   begin   starts the second one, leads new connections to it, and waits for the requests that the gateway answers already
#   end     leads new connections to the gateway again, waits for the requests of the second one, and removes it
#   expire  ends it where the gateway answers and nobody else has ended it
set -euo pipefail
service=technicia-gateway
second=technicia-gateway-second
table=technicia_gateway
timer=technicia-gateway-handover
socket=/run/docker.sock

say() { logger --tag gateway-handover -- "$1"; echo "gateway-handover: $1" >&2; }
api() { curl --silent --show-error --fail --max-time 30 --unix-socket "$socket" --header 'content-type: application/json' "${@:2}" "http://docker/$1"; }
healthy() { docker ps --quiet --no-trunc --filter "label=com.docker.swarm.service.name=$1" --filter health=healthy | head -n 1; }

# Until a command succeeds, or for so many seconds.
within() {
  local deadline=$((SECONDS + $1))
  until "${@:2}"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.2
  done
}

is_healthy() { [ -n "$(healthy "$1")" ]; }
is_gone() { [ -z "$(docker ps --quiet --filter "label=com.docker.swarm.service.name=$1")" ]; }

# What nginx says of the requests to n8n: `paused` or `open`, two numbers, and how many are in flight.
requests() { [ -z "$PORT" ] || docker exec "$1" wget -q -T 5 -O - "http://127.0.0.1:$PORT/state" 2>/dev/null || true; }
is_open() { [[ $(requests "$1") != paused* ]]; }
has_answered() {
  local in_flight
  read -r _ _ in_flight _ <<<"$(requests "$1")" || true
  [ "${in_flight:-0}" -le 0 ]
}

# The gateway as it runs, on ports that Docker chooses: what Docker publishes it also lets through to the container, and nobody reaches these ports.
start_second() {
  api "services/$service" | jq '.Spec
    | .Name = "'"$second"'"
    | .Labels = {}
    | .Mode = {Replicated: {Replicas: 1}}
    | .EndpointSpec.Ports = [80, 443 | {Protocol: "tcp", PublishMode: "host", TargetPort: .}]
    | del(.UpdateConfig, .RollbackConfig)' | api services/create --data @- >/dev/null
}

# The container's address on the bridge by which it leaves the server.
address_of() {
  nsenter --net --target "$(docker inspect --format '{{.State.Pid}}' "$1")" ip -4 -o route get 192.0.2.1 | sed -n 's/.* src \([0-9.]*\).*/\1/p'
}

# Before Docker's own rules. Connections that exist keep their way; containers reach published ports by Docker's proxy.
lead_to() {
  nft --file - <<EOF
table ip $table
delete table ip $table
table ip $table {
  chain prerouting {
    type nat hook prerouting priority dstnat - 10
    iifname "docker*" return
    iifname "br-*" return
    fib daddr type local tcp dport { 80, 443 } dnat to $1
  }
}
EOF
}

lead_back() { nft "table ip $table; delete table ip $table"; }

remove_second() {
  docker service rm "$second" >/dev/null 2>&1 || true
  within 40 is_gone "$second" || say "expected the second gateway to stop within 40 s, got it still there"
}

begin() {
  local gateway other address
  gateway=$(healthy "$service")
  if [ -z "$gateway" ]; then
    say "no gateway answers, so nothing is handed over"
    return
  fi
  lead_back
  remove_second
  if ! start_second || ! within "$START_SECONDS" is_healthy "$second"; then
    say "expected a second gateway to answer within $START_SECONDS s, got none; visitors are refused while the gateway restarts"
    remove_second
    return
  fi
  other=$(healthy "$second")
  address=$(address_of "$other")
  systemctl stop "$timer.timer" 2>/dev/null || true
  systemd-run --quiet --collect --unit "$timer" --on-active="${EXPIRE_SECONDS}s" --timer-property=OnUnitInactiveSec=30s "$0" expire
  # Requests that wait for n8n wait in the gateway that is to stop.
  within "$HOLD_SECONDS" is_open "$gateway" || say "expected the requests to n8n to go on within $HOLD_SECONDS s, got them still held"
  lead_to "$address"
  within "$REQUEST_SECONDS" has_answered "$gateway" || say "expected all requests to be answered within $REQUEST_SECONDS s, got some in flight"
}

end() {
  local other
  # Whoever removes the second one leaves visitors without any.
  if ! docker service inspect "$second" >/dev/null 2>&1 && ! nft list table ip "$table" >/dev/null 2>&1; then return; fi
  if ! within "$START_SECONDS" is_healthy "$service"; then
    say "expected the gateway to answer within $START_SECONDS s, got no healthy container; the second one goes on; look at docker service ps $service"
    return 1
  fi
  lead_back
  other=$(healthy "$second")
  [ -z "$other" ] || within "$REQUEST_SECONDS" has_answered "$other" || say "expected the second gateway to have answered within $REQUEST_SECONDS s, got some in flight"
  remove_second
  systemctl stop "$timer.timer" 2>/dev/null || true
}

case ${1-} in
  begin) begin ;;
  end) end ;;
  expire)
    # What was begun has not come to its end: the next update begins again.
    rm -f "$RECORD"
    if is_healthy "$service"; then end; fi
    ;;
  *)
    echo "gateway-handover: expected begin, end or expire, got ${1-nothing}" >&2
    exit 2
    ;;
esac
