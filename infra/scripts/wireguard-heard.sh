# shellcheck shell=bash
# Which other servers answer through the tunnel. PEERS: `name=address`, with spaces between them.

# part: observe
silent=
for peer in $PEERS; do
  if ! ping -q -c 2 -i 0.3 -W 2 "${peer#*=}" >/dev/null 2>&1; then silent+=" ${peer%%=*}"; fi
done
if [ -z "$silent" ]; then echo "every server answers"; else echo "no answer from$silent"; fi

# part: apply
# A server begins to answer seconds after its own end is there.
for ((waited = 0; waited < 60; waited += 3)); do
  silent=0
  for peer in $PEERS; do
    if ! ping -q -c 1 -W 1 "${peer#*=}" >/dev/null 2>&1; then silent=1; fi
  done
  if [ "$silent" -eq 0 ]; then break; fi
  sleep 2
done
