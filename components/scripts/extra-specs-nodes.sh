# shellcheck shell=bash
# Where there are several servers, theirs are no strangers in the Swarm. NODES: their addresses in the tunnel.
: "${NODES:?}"
eval "$(declare -f differences | sed '1s/^differences/differences_alone/')"

differences() {
  local ours
  ours=$(api nodes | jq --raw-output --arg ours "$NODES" \
    '($ours | split(" ")) as $ours | .[] | select([.Status.Addr, (.ManagerStatus.Addr // "" | sub(":2377$"; ""))] | any(. as $one | $ours | index($one))) | .ID')
  differences_alone | awk -F '\t' -v ours="$ours" 'BEGIN { n = split(ours, ids, "\n"); for (i = 1; i <= n; i++) known[ids[i]] = 1 } !($2 == "node" && $3 in known)'
}
