# shellcheck shell=bash disable=SC2016,SC2153
# What the Swarm is and what is done to its nodes; run on a manager.

# part: view
# Nodes, services and tasks as one JSON; of a task that has ended only those that are still on their way.
inspect() {
  local kind=$1
  shift
  # One may have ended since it was listed.
  if [ $# -gt 0 ]; then docker inspect --type "$kind" "$@" 2>/dev/null || true; else echo '[]'; fi
}
nodes=$(docker node ls --quiet)
services=$(docker service ls --quiet)
tasks=
if [ -n "$services" ]; then tasks=$(xargs docker service ps --quiet --no-trunc <<<"$services" | sort --unique); fi
# shellcheck disable=SC2086
{ inspect node $nodes && inspect service $services && inspect task $tasks; } | jq --slurp --compact-output '{
  nodes: .[0] | map({
    id: .ID, hostname: .Description.Hostname, state: .Status.State, availability: .Spec.Availability, role: .Spec.Role,
    address: ((.ManagerStatus.Addr // "" | sub(":2377$"; "")) as $manager | if $manager == "" then .Status.Addr // "" else $manager end),
    isLeader: (.ManagerStatus.Leader // false), reachability: (.ManagerStatus.Reachability // ""),
    labels: ((.Spec.Labels // {}) | to_entries | map("\(.key)==\(.value)")) }),
  services: .[1] | map({
    id: .ID, name: .Spec.Name, replicas: (if .Spec.Mode.Global then null else .Spec.Mode.Replicated.Replicas end),
    constraints: (.Spec.TaskTemplate.Placement.Constraints // []) }),
  tasks: .[2] | map(select(.DesiredState == "running" or (.Status.State | IN("running", "starting", "preparing"))) | {
    service: .ServiceID, node: (.NodeID // ""), state: .Status.State, desired: .DesiredState, error: (.Status.Err // "") }) }'

# part: availability
docker node update --availability "$AVAILABILITY" "$NODE" >/dev/null

# part: demote
docker node demote "$NODE" >/dev/null

# part: forget
# A node that has left, or one that is down for good.
docker node rm ${FORCE:+--force} "$NODE" >/dev/null

# part: scale
docker service scale --detach "$SERVICE=$TASKS" >/dev/null

# part: leave
docker swarm leave
