# shellcheck shell=bash disable=SC2016
# What a server is in the Swarm, as a manager knows it: AVAILABILITY, ROLE and LABELS (`label=value`, with spaces) of the node at ADDRESS.

# part: nodes
# What is known of the nodes at ADDRESS, first the one that runs; "$1" is the rest of a program for jq.
nodes() {
  docker node ls --quiet | xargs --no-run-if-empty docker node inspect | jq --raw-output --arg address "$ADDRESS" \
    'map(select(((.ManagerStatus.Addr // "" | sub(":2377$"; "")) == $address) or .Status.Addr == $address))
      | sort_by(.Status.State != "ready") | .[] | '"$1"
}

# part: observe
found=$(nodes '"\(.Spec.Availability), \(.Spec.Role), labels: \(.Spec.Labels | to_entries | sort_by(.key) | map("\(.key)=\(.value)") | join(" ") | if . == "" then "none" else . end)"')
if [ -n "$found" ]; then echo "$found"; else echo "not in the Swarm"; fi

# part: apply
# A node appears some seconds after it has joined.
for ((waited = 0; waited < 30; waited++)); do
  id=$(nodes .ID | head --lines 1)
  if [ -n "$id" ]; then break; fi
  sleep 1
done
if [ -z "$id" ]; then
  echo "server $SERVER: expected a node of the Swarm at $ADDRESS, got none; look at docker node ls" >&2
  exit 1
fi
# What a server was before its disk was installed anew.
for old in $(nodes 'select(.Status.State == "down") | .ID' | grep --invert-match --fixed-strings --line-regexp "$id" || true); do
  docker node demote "$old" >/dev/null 2>&1 || true
  docker node rm --force "$old" >/dev/null
done
options=()
while read -r label; do
  if [ -n "$label" ] && [[ " $LABELS " != *" $label="* ]]; then options+=(--label-rm "$label"); fi
done < <(docker node inspect "$id" --format '{{range $name, $_ := .Spec.Labels}}{{println $name}}{{end}}')
for label in $LABELS; do options+=(--label-add "$label"); done
docker node update --availability "$AVAILABILITY" --role "$ROLE" "${options[@]}" "$id" >/dev/null
