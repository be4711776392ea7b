# shellcheck shell=bash
# Common to every exclusive set; the set's own script, which follows, says `extras` and `take`.
#   extras        what is there beside what is declared, one a line: words for people, then a tab, then fields for `take`
#   take <field>… takes one away; never called for what has the one field `person`, at which somebody has to look
#   remember      keeps what the first comparison is to know later
readonly nothing="nothing beside what is declared"
# Before the first comparison nothing may be taken away: a server that was in use may hold what its owner still needs.
readonly compared=/var/lib/technicia/compared/${SET:?}

words() { LC_ALL=C sort --unique | cut --fields 1; }

# Whether the first argument is one of the others.
among() {
  local wanted=$1 one
  shift
  for one in "$@"; do [ "$one" != "$wanted" ] || return 0; done
  return 1
}

observe() {
  [ -e "$compared" ] || { echo "not compared yet"; return; }
  local found
  found=$(extras | words)
  echo "${found:-$nothing}"
}

remember() { :; }

apply() {
  local found line fields code left=() kept=()
  found=$(extras | LC_ALL=C sort --unique)
  if [ ! -e "$compared" ]; then
    if [ -n "$found" ]; then
      printf 'expected a server without anything that nobody declared, got:\n%s\nremove each by hand, or begin with a server that is installed anew; nothing was removed\n' "$(words <<<"$found")" >&2
      exit 1
    fi
    install --directory --mode 0755 "${compared%/*}"
    remember
    touch "$compared"
    return
  fi
  [ -n "$found" ] || return 0
  while IFS= read -r line; do
    IFS=$'\t' read -r -a fields <<<"$line"
    if [ "${fields[1]}" = person ]; then
      left+=("${fields[0]}")
      continue
    fi
    echo "removing: ${fields[0]}"
    # In a shell of its own: what cannot be taken away keeps nothing else from going.
    set +e
    (set -e; take "${fields[@]:1}" </dev/null)
    code=$?
    set -e
    [ "$code" -eq 0 ] || kept+=("${fields[0]}")
  done <<<"$found"
  [ "${#kept[@]}" -eq 0 ] || {
    printf 'expected to remove everything that nobody declared, got an error for:\n'
    printf '%s\n' "${kept[@]}"
    printf 'the reason is above; remove each by hand\n'
  } >&2
  [ "${#left[@]}" -eq 0 ] || {
    printf 'expected nothing that nobody declared, got what only a person can judge:\n'
    printf '%s\n' "${left[@]}"
    [ "${#kept[@]}" -gt 0 ] || printf 'everything else of this set is as declared\n'
    printf 'undo each by hand, or list its path in technicia:server.files if it is yours\n'
  } >&2
  [ "$((${#left[@]} + ${#kept[@]}))" -eq 0 ]
}
