# shellcheck shell=bash
# Volumes and plugins of Docker that nobody declared, and volumes of ours that are kept elsewhere than on this disk. What a volume holds may be
# somebody's data: a person decides.
: "${VOLUMES:?}"
readonly socket=/var/run/docker.sock

extras() {
  local api=http://docker
  curl --silent --show-error --fail --max-time 20 --unix-socket "$socket" "$api/volumes" "$api/plugins" |
    jq --slurp --raw-output --arg volumes "$VOLUMES" '
      ($volumes | split(" ")) as $ours | . as [$volumes, $plugins]
      | ($volumes.Volumes[]? | .Name as $name
          # Of a container whose image asks for a volume; nobody chose its name.
          | if ($ours | index($name)) then
              select(.Driver != "local" or (.Options // {}) != {}) | "volume \($name) of the driver \(.Driver) with the options \(.Options // {} | tojson)"
            else select($name | test("^[0-9a-f]{64}$") | not) | "volume \($name)" end),
        ($plugins[]? | "plugin \(.Name)")
      | gsub("[^[:print:]]"; "?") + "\tperson"'
}
