# shellcheck shell=bash
# Collections and aliases of Qdrant beside COLLECTIONS. What they hold may be somebody's data: a person decides.
: "${QDRANT:?}" "${COLLECTIONS:?}"
readonly nothing="nothing beside what is declared"

# Qdrant may still be starting.
call() { curl --silent --show-error --fail --max-time 20 --retry 10 --retry-delay 1 --retry-all-errors --header @<(printf 'api-key: %s\n' "${API_KEY-}") "$@"; }

observe() {
  local found
  found=$({
    call "$QDRANT/collections" | jq --raw-output --arg ours "$COLLECTIONS" '.result.collections[].name | select(. as $name | $ours | split("\n") | index($name) | not) | "collection \(gsub("[^[:print:]]"; "?"))"'
    call "$QDRANT/aliases" | jq --raw-output '.result.aliases[] | "alias \(.alias_name) of \(.collection_name)" | gsub("[^[:print:]]"; "?")'
  } | LC_ALL=C sort)
  echo "${found:-$nothing}"
}

apply() {
  # A changed key is no reason to complain.
  [ "$(observe)" != "$nothing" ] || return 0
  {
    echo "qdrant: expected only the collections of the settings, got also:"
    observe
    echo "nothing was changed; delete what nobody needs, or name what workflows use in technicia:services.qdrant.otherCollections"
  } >&2
  exit 1
}
