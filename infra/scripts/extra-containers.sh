# shellcheck shell=bash
# Containers, Swarm services, secrets, configs and networks that nobody declared. Volumes stay: what they hold may be somebody's data.
: "${CONTAINERS:?}" "${SERVICES:?}" "${NETWORKS:?}"
readonly socket=/var/run/docker.sock

extras() {
  local api=http://docker
  if ! curl --silent --max-time 10 --output /dev/null --unix-socket "$socket" "$api/_ping"; then
    printf 'docker does not answer\tdown\n'
    return
  fi
  curl --silent --max-time 20 --unix-socket "$socket" "$api/containers/json?all=1" "$api/services" "$api/secrets" "$api/configs" "$api/networks" |
    jq --slurp --raw-output --arg containers "$CONTAINERS" --arg services "$SERVICES" --arg networks "$NETWORKS" '
      def list: if type == "array" then . else [] end;
      def words: split(" ") | map(select(. != ""));
      ($containers | words) as $ours | ($services | words) as $runs | ($networks | words) as $nets
      | map(list) as [$containers, $services, $secrets, $configs, $networks]
      | ($services | map(.Spec.Name)) as $known
      | ($containers[]
          | (.Names[0] // .Id | ltrimstr("/")) as $name
          | .Labels["com.docker.swarm.service.name"] as $service
          | select(($ours | index($name)) == null and ($service == null or (($runs + $known) | index($service)) == null))
          # So run the certificate tool and the check of a new configuration, for seconds.
          | select((now - .Created < 900 and .Ports == [] and any(.Mounts[]?; .Source | tostring | startswith("/opt/technicia/"))) | not)
          | ["container \($name) of \(.Image)", "container", .Id]),
        ($services[] | .Spec.Name as $name | select(($runs | index($name)) == null)
          | ["service \($name) of \(.Spec.TaskTemplate.ContainerSpec.Image // "?" | split("@")[0])", "service", .ID]),
        (($secrets[] | [., "secret"]), ($configs[] | [., "config"])
          | .[0].Spec.Name as $name | .[1] as $kind
          | select(any($runs[]; . as $run | $name | (startswith($run + "-") and test("-[0-9a-f]{7}$"))) | not)
          | ["\($kind) \($name)", $kind, .[0].ID]),
        ($networks[] | .Name as $name
          | select((["bridge", "host", "none", "ingress", "docker_gwbridge"] + $nets | index($name)) == null)
          | ["network \($name)", "network", .Id])
      | @tsv'
}

# Sorted by their words: containers and configs, networks, secrets, services. A second look takes what the first could not yet.
take() {
  case $1 in
    down) await_docker ;;
    container) docker container rm --force "$2" >/dev/null 2>&1 || gone container "$2" ;;
    service) remove_service "$2" ;;
    *) drop_users "$1" "$2" && docker "$1" rm "$2" >/dev/null ;;
  esac
}

# Its own unit starts it; what it runs then is compared when the state is observed again.
await_docker() {
  local deadline=$((SECONDS + 60))
  until curl --silent --max-time 10 --output /dev/null --unix-socket "$socket" http://docker/_ping; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      echo "expected dockerd to answer within 60 s, got nothing at $socket; look at journalctl --unit docker.service" >&2
      return 1
    fi
    sleep 0.5
  done
}

gone() { ! docker "$1" inspect "$2" >/dev/null 2>&1; }

remove_service() {
  docker service rm "$1" >/dev/null 2>&1 || gone service "$1"
  local deadline=$((SECONDS + 60))
  while [ -n "$(docker container ls --all --quiet --filter "label=com.docker.swarm.service.id=$1")" ]; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      echo "expected the tasks of the service to end within 60 s, got some that go on" >&2
      return 1
    fi
    sleep 0.2
  done
}

# An undeclared service that uses a secret or a network would keep it from going.
drop_users() {
  local id
  extras | awk -F '\t' '$2 == "service" { print $3 }' | while read -r id; do remove_service "$id"; done
  [ "$1" = network ] || return 0
  for id in $(docker network inspect --format '{{range $id, $_ := .Containers}}{{$id}} {{end}}' "$2"); do
    docker network disconnect --force "$2" "$id" >/dev/null 2>&1 || true
  done
}
