# shellcheck shell=bash disable=SC2154

# part: qdrant
# Prints the code, then the body, of one path of Qdrant's, asked with the key that was given.
answer=$(curl --silent --show-error --max-time 20 --header @<(printf 'api-key: %s\n' "$API_KEY") \
  --write-out '\n%{http_code}' "$QDRANT$REQUEST_PATH")
printf '%s\n%s\n' "${answer##*$'\n'}" "${answer%$'\n'*}"

# part: container
# Both parts below begin with this one: how a service is asked that has no public port. Of several servers its task may be on another one; then
# n8n's container, which is on a network with it, knows where.
container=$(docker ps --quiet --filter "label=com.docker.swarm.service.name=$SERVICE" | head -n 1)
address=127.0.0.1
if [ -z "$container" ]; then
  container=$(docker ps --quiet --filter "label=com.docker.swarm.service.name=technicia-n8n" | head -n 1)
  # shellcheck disable=SC2016
  [ -z "$container" ] || address=$(docker exec "$container" node -e '
    require("node:dns").lookup(process.argv[1], { family: 4 }, (error, found) => { if (!error) console.log(found); })' "${SERVICE#technicia-}")
fi
if [ -z "$container" ] || [ -z "$address" ]; then
  echo "$SERVICE does not run" >&2
  exit 1
fi
process=$(docker inspect --format '{{.State.Pid}}' "$container")
# Prints the body, then the code in a line of its own.
inside() { nsenter --net --target "$process" curl --silent --show-error --noproxy '*' --write-out '\n%{http_code}' "${@:2}" "http://$address:8000$1"; }

# part: health
# Prints the code, then the body.
answer=$(inside /health --max-time 10)
printf '%s\n%s\n' "${answer##*$'\n'}" "${answer%$'\n'*}"

# part: search
# Stores one marked sentence, searches it, takes it out again, and prints what was seen as one line of JSON.
qdrant() {
  curl --silent --show-error --fail --max-time 30 --header @<(printf 'api-key: %s\n' "$API_KEY") \
    --header 'content-type: application/json' --data @- "$QDRANT/collections/$COLLECTION/points/$1"
}
# Size of the collection's vectors.
size() {
  curl --silent --show-error --fail --max-time 30 --header @<(printf 'api-key: %s\n' "$API_KEY") \
    "$QDRANT/collections/$COLLECTION" | jq .result.config.params.vectors.size
}
store() {
  local answer code
  answer=$(inside "$1" --max-time 45 --header 'content-type: application/json' --data-binary @-)
  code=${answer##*$'\n'}
  if [[ $code != 2* ]]; then
    echo "$1: $code ${answer:0:300}" >&2
    return 1
  fi
  printf '%s\n' "${answer%$'\n'*}"
}
named() { jq --null-input --arg key "$1" --arg value "$2" '{ filter: { must: [{ key: $key, match: { value: $value } }] } }'; }
marked=$(named document_id "$MARKER")
# Every sentence of every verification has this name: one that was killed left its own behind.
ours=$(named document_name "$NAME")
count() { jq '. + { exact: true }' <<<"$1" | qdrant count | jq .result.count; }
take_out() { qdrant 'delete?wait=true' <<<"$ours" >/dev/null; }
now() { date +%s%3N; }

take_out
before=$(count '{}')
# Whatever happens from here on, the sentence does not stay.
trap 'take_out' EXIT
began=$(now)
stored=$(jq --null-input --arg text "$SENTENCE" --arg marker "$MARKER" --arg name "$NAME" '{ text: $text, metadata: { document_id: $marker, document_name: $name } }' | store /embed-text)
embedded=$(now)
found=$(jq --null-input --arg text "$SENTENCE" '{ query: $text, limit: 5 }' | store /search)
searched=$(now)
during=$(count "$marked")
take_out
trap - EXIT
jq --null-input --compact-output --argjson stored "$stored" --argjson found "$found" \
  --argjson size "$(size)" --argjson before "$before" --argjson during "$during" --argjson left "$(count "$ours")" --argjson after "$(count '{}')" \
  --argjson embedMs "$((embedded - began))" --argjson searchMs "$((searched - embedded))" '{
    length: $stored.vector_length,
    size: $size,
    rank: ([$found.results[].id] | index($stored.id)),
    score: ($found.results[0].score // null),
    before: $before, during: $during, left: $left, after: $after, embedMs: $embedMs, searchMs: $searchMs
  }'
