# shellcheck shell=bash
# The second gateways of several servers, which a server that manages the Swarm starts and removes. What the record holds is what they were last
# started for.

# part: observeStarted
cat "$RECORD" 2>/dev/null || true

# part: start
api() { curl --silent --show-error --fail --max-time 30 --unix-socket /run/docker.sock --header 'content-type: application/json' "${@:2}" "http://docker/$1"; }
# The gateway as it runs, on each server that has one, on ports that Docker chooses. Before several servers had one it was another service.
start() {
  local running
  running=$(api services/technicia-gateway 2>/dev/null) || return 0
  jq --exit-status '.Spec.Mode | has("Global")' <<<"$running" >/dev/null || return 0
  jq '.Spec
    | .Name = "technicia-gateway-second"
    | .Labels = {}
    | .EndpointSpec.Ports = [80, 443 | {Protocol: "tcp", PublishMode: "host", TargetPort: .}]
    | del(.UpdateConfig, .RollbackConfig)' <<<"$running" | api services/create --data @- >/dev/null
}
# Those that an update has left go on: visitors may be with them.
if ! docker service inspect technicia-gateway-second >/dev/null 2>&1; then
  start || echo "gateway-second: expected second gateways to start, got the refusal above; visitors of each server are refused while its gateway restarts" >&2
fi
install --directory --mode 0755 "$(dirname "$RECORD")"
printf '%s\n' "$REVISION" >"$RECORD"

# part: forget
rm -f "$RECORD"

# part: observeEnded
if docker service inspect technicia-gateway-second >/dev/null 2>&1; then echo "second gateways run"; else echo "the gateways run alone"; fi

# part: end
docker service rm technicia-gateway-second >/dev/null
