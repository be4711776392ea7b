# shellcheck shell=bash disable=SC2016,SC2153,SC2317
# A server's membership in the Swarm of several, over the tunnel. ADDRESS is its own in the tunnel, DOORS are those of the other servers that
# vote; the server with FIRST=yes begins the Swarm where there is none.

# part: observe
docker info --format '{{.Swarm.LocalNodeState}}, at {{.Swarm.NodeAddr}}'

# part: apply
# Asks a server to be let in; an answer stays open as the file descriptor `door`.
ask() {
  # A connection that nobody answers would wait for minutes.
  timeout 5 bash --norc -c 'exec 3<>"/dev/tcp/$1/7947"' - "$1" 2>/dev/null || return 1
  exec {door}<>"/dev/tcp/$1/7947" || return 1
  printf '%s %s\n' "$SERVER" "$PROOF" >&"$door"
  read -r -t 180 -u "$door" answer token || return 1
}

join() {
  # Not on a command line, which everybody on the server can read.
  TOKEN=$token jq --null-input --arg own "$ADDRESS" --arg door "$1" \
    '{ ListenAddr: ($own + ":2377"), AdvertiseAddr: $own, DataPathAddr: $own, RemoteAddrs: [$door + ":2377"], JoinToken: env.TOKEN }' |
    curl --silent --show-error --fail --max-time 90 --unix-socket /var/run/docker.sock \
      --header 'content-type: application/json' --data @- http://docker/swarm/join >/dev/null
  echo joined >&"$door"
  # Closed once the token is another one.
  timeout 30 cat <&"$door" >/dev/null || true
}

begin() { docker swarm init "$@" --listen-addr "$ADDRESS:2377" --advertise-addr "$ADDRESS" --data-path-addr "$ADDRESS" >/dev/null; }

case $OBSERVED in
  active*)
    nodes=$(docker node ls --quiet 2>/dev/null | wc -l)
    if [ "$FIRST" != yes ] || [ "$nodes" -ne 1 ]; then
      echo "server $SERVER: expected a member of the Swarm at $ADDRESS, got one that is ${OBSERVED#active, }; if it is in another Swarm, or had another address, run docker swarm leave on it once nothing runs there, and deploy again" >&2
      exit 1
    fi
    # Alone until now: it keeps its services, and is to be reached by the others from now on.
    begin --force-new-cluster
    exit 0
    ;;
esac

for ((waited = 0; waited < 12; waited++)); do
  unreached=
  for address in $DOORS; do
    answer=
    if ask "$address"; then
      if [ "$answer" = token ]; then
        join "$address"
        exit 0
      fi
      if [ "$answer" = refused ]; then
        echo "server $SERVER: expected to be let in by $address, got refused; deploy again, because its list of servers is older than this one" >&2
        exit 1
      fi
    else
      unreached+=" $address"
    fi
  done
  # A second Swarm beside the others' would be worse than none.
  if [ "$FIRST" = yes ] && [ -z "$unreached" ]; then
    begin
    exit 0
  fi
  sleep 5
done
echo "server $SERVER: expected an answer of a server in the Swarm, got none from${unreached:- anybody in one}; start it, or remove it from the setting servers" >&2
exit 1

# part: remove
# A server that was removed in order has left already.
if [[ $OBSERVED != inactive* ]]; then docker swarm leave --force; fi
