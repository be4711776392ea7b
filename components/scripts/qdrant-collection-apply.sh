# shellcheck shell=bash disable=SC2153,SC2154
# Makes the collection and its payload indexes what they should be, without ever touching stored vectors.
set -euo pipefail
call() { curl --silent --show-error --fail --max-time 60 --header @<(printf 'api-key: %s\n' "$API_KEY") "$@"; }
collection="$QDRANT/collections/$COLLECTION"

if ! call "$collection/exists" | jq --exit-status .result.exists >/dev/null; then
  jq --null-input --argjson size "$SIZE" --arg distance "$DISTANCE" '{ vectors: { size: $size, distance: $distance } }' |
    call --request PUT --header 'content-type: application/json' --data @- "$collection" >/dev/null
fi

description=$(call "$collection")
found=$(jq --raw-output '.result.config.params.vectors | "\(.size) \(.distance)"' <<<"$description")
if [ "$found" != "$SIZE $DISTANCE" ]; then
  echo "qdrant collection $COLLECTION: expected vectors of $SIZE $DISTANCE, got $found; copy its points into a new collection, nothing was changed" >&2
  exit 1
fi

jq --raw-output --argjson wanted "$INDEXES" \
  '.result.payload_schema | to_entries[] | select($wanted[.key] != .value.data_type) | .key' <<<"$description" |
  while read -r field; do
    call --request DELETE "$collection/index/$field?wait=true" >/dev/null
  done
jq --raw-output 'to_entries[] | "\(.key) \(.value)"' <<<"$INDEXES" |
  while read -r field kind; do
    jq --null-input --arg field "$field" --arg kind "$kind" '{ field_name: $field, field_schema: $kind }' |
      call --request PUT --header 'content-type: application/json' --data @- "$collection/index?wait=true" >/dev/null
  done
