# shellcheck shell=bash
# Reads questions, one a line with tabs between its words, and answers each with seconds since 1970 or an empty line.

# A file that is gone changed its folder when it went.
file() {
  if [ -e "$1" ] || [ -L "$1" ]; then
    stat --format %Z "$1"
  elif [ -d "${1%/*}" ]; then
    stat --format %Y "${1%/*}"
  fi
}

seconds() { if [ -n "$1" ] && [[ $1 != 0001-* ]]; then date --date "$1" +%s; fi; }

# A unit that is stopped may be forgotten; the journal remembers what it did last.
unit() {
  local at
  at=$(systemctl show --property StateChangeTimestamp --value "$1")
  if [ -n "$at" ]; then seconds "$at"; else journalctl --quiet --unit "$1" --lines 1 --output short-unix | sed --quiet 's/^\([0-9]*\)\..*/\1/p'; fi
}

package() {
  seconds "$(awk -v name="$1" '$3 ~ /^(remove|purge)$/ && ($4 == name || index($4, name ":") == 1) { at = $1 " " $2 } END { print at }' /var/log/dpkg.log)"
}

service() { seconds "$(docker service inspect "$1" | jq --raw-output '.[0].UpdatedAt')"; }

container() {
  seconds "$(docker container inspect "$1" | jq --raw-output '.[0] | if .State.Running then .Created else .State.FinishedAt end')"
}

# What dockerd remembers since it started.
event() {
  docker events --since 720h --until "$(date +%s)" --filter "type=$1" --format '{{json .}}' |
    jq --raw-output --arg name "$2" 'select((.Action | test("^(remove|destroy|delete)$")) and (.Actor.Attributes.name == $name or .Actor.ID == $name)) | .time' |
    tail --lines 1
}

process() {
  local pid
  pid=$(ss --no-header --listening --numeric --processes --tcp --udp "sport = :$1" | sed --quiet 's/.*pid=\([0-9]*\),.*/\1/p' | head --lines 1)
  if [ -n "$pid" ]; then stat --format %Y "/proc/$pid"; fi
}

# What cannot be told of one thing must not keep the others from being told.
set +e +o pipefail
while IFS=$'\t' read -r -a question; do
  printf '%s\n' "$("${question[@]}" 2>/dev/null | tail --lines 1)"
done
