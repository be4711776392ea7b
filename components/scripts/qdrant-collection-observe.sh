# shellcheck shell=bash disable=SC2154
# Prints the collection's vectors and payload indexes as one line of JSON; nothing when there is no collection.
set -euo pipefail
call() { curl --silent --show-error --max-time 20 --header @<(printf 'api-key: %s\n' "$API_KEY") "$@"; }

answer=$(call --write-out '\n%{http_code}' "$QDRANT/collections/$COLLECTION")
code=${answer##*$'\n'}
if [ "$code" = 404 ]; then exit 0; fi
if [ "$code" != 200 ]; then
  echo "qdrant: expected 200 for the collection $COLLECTION, got $code" >&2
  exit 1
fi
jq --compact-output '.result | {
  size: .config.params.vectors.size,
  distance: .config.params.vectors.distance,
  indexes: (.payload_schema | to_entries | sort_by(.key) | map({ key, value: .value.data_type }) | from_entries)
}' <<<"${answer%$'\n'*}"
