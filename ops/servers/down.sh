# shellcheck shell=bash disable=SC2016
# Whether another server is heard through the tunnel; prints "answers: <how>" where it is.
if ping -q -c 3 -W 2 "$ADDRESS" >/dev/null 2>&1; then
  echo "answers: pings through the tunnel"
# The Swarm's own port, which dockerd opens.
elif timeout 5 bash --norc -c 'exec 3<>"/dev/tcp/$1/7946"' - "$ADDRESS" 2>/dev/null; then
  echo "answers: the Swarm's port through the tunnel"
else
  echo silent
fi
