# shellcheck shell=bash
# Whether services, secrets and the Swarm hold anything beside what is declared, in every field that Docker knows now or later, and none but
# our own node is in it. SPECS: our services as Docker's API describes them, as JSON. What Docker's plugin compares itself is left to it.
: "${SPECS:?}"
readonly nothing="nothing beside what is declared" socket=/var/run/docker.sock
# What this engine fills in by itself: it remained after everything was set as declared.
readonly defaults=/var/lib/technicia/engine-defaults

api() { curl --silent --show-error --fail --max-time 60 --unix-socket "$socket" --header 'content-type: application/json' "${@:2}" "http://docker/$1"; }

observe() {
  local found
  found=$(extras | cut --fields 1 | LC_ALL=C sort --unique)
  echo "${found:-$nothing}"
}

extras() { differences | grep --invert-match --fixed-strings --line-regexp --file <(cat "$defaults" 2>/dev/null || true) || true; }

# A field that is empty, and one that says "default", is not there. The order of what is a set means nothing.
# shellcheck disable=SC2016
readonly COMPARE='
def is_nothing: . == null or . == false or . == 0 or . == "" or . == [] or . == {} or . == "default";
def bare: if type == "object" then with_entries(.value |= bare) | with_entries(select(.value | is_nothing | not))
  elif type == "array" then map(bare) | map(select(is_nothing | not)) else . end;
def is_ordered: test("(Command|Args|Test)$");
# A mount, a secret or a network is known by where it is; a port by its number.
def named: (.Target? // .File?.Name? // .TargetPort? // .Name? // .) | if type == "string" then . else tojson end;
def lines($at): if type == "object" then to_entries[] | .key as $key | .value | lines($at + (if $at == "" then "" else "." end) + $key)
  elif type == "array" then
    if $at | is_ordered then "\($at)\t\(tojson)"
    else .[] | if type == "object" then named as $name | lines("\($at)[\($name)]") else "\($at)\t\(if type == "string" then . else tojson end)" end end
  else "\($at)\t\(if type == "string" then . else tojson end)" end;
# What the engine and its clients always add.
def usual: del(.TaskTemplate.ForceUpdate) | if .TaskTemplate.Runtime == "container" then del(.TaskTemplate.Runtime) else . end
  | if [.TaskTemplate.Placement.Platforms[]? | select(.OS != "linux")] == [] then del(.TaskTemplate.Placement.Platforms) else . end;
# Compared by the plugin, which repairs it too.
def is_of_plugin: test("^TaskTemplate\\.ContainerSpec\\.(Env|Image)\t|^TaskTemplate\\.Resources\\.Limits\\.MemoryBytes\t|^Mode\\.Replicated\\.Replicas\t|^EndpointSpec\\.Ports");
def differ($wanted; $found):
  ([$wanted | bare | lines("")] | map(select(is_of_plugin | not))) as $wanted | ([$found | usual | bare | lines("")] | map(select(is_of_plugin | not))) as $found
  | [$found - $wanted, $wanted - $found | map(split("\t") | { key: .[0], value: (.[1:] | join(" ")) })] as [$more, $less]
  | def only($list): map(select(.key as $key | [$list[] | select(.key == $key)] | length == 1));
    ($more | only($more)) as $one | ($less | only($less) | map(select(.key as $key | $one | any(.key == $key)))) as $other
  | ($more[] | .key as $key | [$other[] | select(.key == $key)] as $was
      | if $was == [] then "\(.key) has \(.value)" else "\(.key) is \(.value) instead of \($was[0].value)" end),
    ($less[] | select(.key as $key | $other | any(.key == $key) | not) | "\(.key) lacks \(.value)");
'

# A Swarm as it is created. Written out: newer versions of jq keep an exponent as it is written.
readonly SWARM='{ "Name": "default", "Orchestration": { "TaskHistoryRetentionLimit": 5 }, "Dispatcher": { "HeartbeatPeriod": 5000000000 },
  "CAConfig": { "NodeCertExpiry": 7776000000000000 },
  "Raft": { "SnapshotInterval": 10000, "LogEntriesForSlowFollowers": 500, "ElectionTick": 10, "HeartbeatTick": 1 } }'

differences() {
  local services secrets nodes swarm
  services=$(api services)
  secrets=$(api secrets)
  nodes=$(api nodes)
  swarm=$(api swarm)
  jq --null-input --raw-output --argjson specs "$SPECS" --slurpfile services <(echo "$services") --slurpfile secrets <(echo "$secrets") --slurpfile nodes <(echo "$nodes") --slurpfile swarm <(echo "$swarm") \
    --argjson created "$SWARM" --arg self "$(docker info --format '{{.Swarm.NodeID}}')" "$COMPARE"'
    def told: gsub("[^[:print:]]"; "?");
    ($specs[] as $wanted | $services[0][] | select(.Spec.Name == $wanted.Name) | .ID as $id | differ($wanted; .Spec) | "service \($wanted.Name): \(. | told)\tservice\t\($wanted.Name)"),
    ($specs | [.[].TaskTemplate.ContainerSpec.Secrets[]?.SecretName]) as $ours
    | ($secrets[0][] | select(.Spec.Name as $name | $ours | index($name)) | .ID as $id | .Spec.Name as $name | differ({ Name: $name }; .Spec) | "secret \($name): \(. | told)\tsecret\t\($id)"),
    ($nodes[0][] | select(.ID != $self) | "node \(.Description.Hostname) at \(.Status.Addr // "?") in the Swarm\tnode\t\(.ID)"),
    (differ($created; $swarm[0].Spec) | "swarm: \(. | told)\tswarm")' | awk '!seen[$0]++'
}

apply() {
  local line fields
  while IFS= read -r line; do
    [ -n "$line" ] || continue
    IFS=$'\t' read -r -a fields <<<"$line"
    "restore_${fields[1]}" "${fields[2]-}"
  done < <(extras | cut --fields 2- | sort --unique | sed 's/^/x\t/')
  # Nobody but the engine has written these since.
  install --directory --mode 0755 "${defaults%/*}"
  differences | grep --perl-regexp '\tservice\t' >"$defaults.new" || true
  mv "$defaults.new" "$defaults"
}

restore_service() {
  local found
  found=$(api "services/$1")
  jq --null-input --argjson specs "$SPECS" --slurpfile found <(echo "$found") --arg name "$1" \
    '$specs[] | select(.Name == $name) | .TaskTemplate.ForceUpdate = ($found[0].Spec.TaskTemplate.ForceUpdate // 0)' |
    api "services/$(jq --raw-output .ID <<<"$found")/update?version=$(jq .Version.Index <<<"$found")" --data @- >/dev/null
  await_service "$1"
}

# The old task is gone, the new one is healthy, or the engine has given up.
await_service() {
  local deadline=$((SECONDS + 200)) state
  while state=$(api "services/$1" | jq --raw-output '.UpdateStatus.State // "completed"') && [ "$state" = updating ]; do
    if [ "$SECONDS" -ge "$deadline" ]; then break; fi
    sleep 0.5
  done
  [ "$state" = completed ] || {
    echo "service $1: expected its tasks to run as declared within 200 s, got an update that is $state; look at docker service ps $1" >&2
    return 1
  }
}

# Only labels of a secret can be set.
restore_secret() {
  local found
  found=$(api "secrets/$1")
  jq '{ Name: .Spec.Name }' <<<"$found" | api "secrets/$1/update?version=$(jq .Version.Index <<<"$found")" --data @- >/dev/null
}

restore_node() {
  docker node demote "$1" >/dev/null 2>&1 || true
  docker node rm --force "$1" >/dev/null
}

restore_swarm() {
  local found
  found=$(api swarm)
  # The engine refuses to change the ticks.
  jq --argjson created "$SWARM" '$created + { Raft: (.Spec.Raft + ($created.Raft | del(.ElectionTick, .HeartbeatTick))) }' <<<"$found" |
    api "swarm/update?version=$(jq .Version.Index <<<"$found")" --data @- >/dev/null
}
