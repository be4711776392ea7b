# shellcheck shell=bash disable=SC2154
# Programs on the server that n8n's content takes. Keys and values travel on standard input, in variables and in files of root alone.

# part: call
# The other parts begin with this one. n8n answers programs that it takes for robots with an empty page.
call() { curl --silent --show-error --max-time 30 --user-agent Mozilla/5.0 --noproxy '*' "$@"; }
fail() {
  echo "n8n: $1" >&2
  exit 1
}

# part: look
# Prints what n8n answers to the key, 000 without one, and the second at which it ends.
status=000
if [ -s "$KEY_FILE" ]; then
  status=$(call --output /dev/null --write-out '%{http_code}' --header "@$KEY_FILE" "$N8N/api/v1/workflows?limit=1" || true)
fi
echo "$status $(cat "$KEY_FILE.ends" 2>/dev/null || echo 0)"

# part: make
# Makes a key of the public API, keeps it in KEY_FILE as a header, and deletes the earlier ones of the same kind. Prints the second at which it ends.
umask 077
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
code=$(call --output /dev/null --dump-header "$folder/headers" --write-out '%{http_code}' \
  --header 'content-type: application/json' --data @- "$N8N/rest/login" <<<"$OWNER" || true)
case $code in
  200) ;;
  401) fail "expected the e-mail and password of the settings to sign in, got a refusal; put the owner's into technicia:adminEmail and technicia:n8nOwnerPassword" ;;
  429) fail "it refuses sign-ins for some minutes after several of them; run again then" ;;
  *) fail "expected it to answer a sign-in with 200, got $code; look at it with docker service logs technicia-n8n" ;;
esac
# The cookie is for HTTPS only, which curl would not send here by itself.
sed -n 's/^[Ss]et-[Cc]ookie: \(n8n-auth=[^;]*\).*/Cookie: \1/p' "$folder/headers" | tr -d '\r' >"$folder/cookie"
session() { call --header "@$folder/cookie" --header 'content-type: application/json' "$@"; }
code=$(session --output "$folder/scopes" --write-out '%{http_code}' "$N8N/rest/api-keys/scopes" || true)
case $code in
  200) ;;
  404) fail "its public API is off (N8N_PUBLIC_API_DISABLED); deploy the stack with technicia:workflows.enabled true" ;;
  *) fail "expected it to name the scopes of a key, got $code" ;;
esac
ends=$(($(date +%s) + DAYS * 86400))
label="technicia-$(date +%s%N)"
# A version of n8n may not know every scope; without a licence it heeds none of them.
jq --null-input --compact-output --arg name "$label" --argjson ends "$ends" --argjson wanted "$SCOPES" \
  --slurpfile known "$folder/scopes" \
  '{ "label": $name, expiresAt: $ends, scopes: ($wanted - ($wanted - $known[0].data)) }' >"$folder/order"
code=$(session --data "@$folder/order" --output "$folder/answer" --write-out '%{http_code}' "$N8N/rest/api-keys" || true)
[ "${code:0:1}" = 2 ] || fail "expected it to make a key, got $code: $(jq --raw-output '.message // "no reason"' "$folder/answer")"
jq --exit-status --raw-output '"X-N8N-API-KEY: \(.data.rawApiKey // empty)"' "$folder/answer" >"$folder/key" ||
  fail "expected a key, got an answer without one"
mkdir -p "${KEY_FILE%/*}"
mv "$folder/key" "$KEY_FILE"
echo "$ends" >"$KEY_FILE.ends"
session "$N8N/rest/api-keys" | jq --raw-output --arg name "$label" \
  '.data[] | select((.["label"] | startswith("technicia-")) and .["label"] != $name) | .id' >"$folder/earlier"
while read -r earlier; do
  session --output /dev/null --request DELETE "$N8N/rest/api-keys/$earlier"
done <"$folder/earlier"
session --output /dev/null --request POST "$N8N/rest/logout" || true
echo "$ends"

# part: ask
# One request to the public API; standard input is its body, if METHOD is not GET. Debian 11's curl has no message, and leaves it out.
body=()
[ "$METHOD" = GET ] || body=(--header 'content-type: application/json' --data-binary @-)
call --header "@$KEY_FILE" --request "$METHOD" ${body[@]+"${body[@]}"} --write-out '\n%{http_code} %{errormsg}' "$N8N/api/v1$ADDRESS" || true

# part: webhooks
# Prints for each of WEBHOOKS, which are paths, its status and the methods that n8n has registered. An OPTIONS request starts no workflow.
while read -r path; do
  headers=$(call --request OPTIONS --header "Origin: $ORIGIN" --header 'Access-Control-Request-Method: POST' \
    --output /dev/null --dump-header - "$N8N/webhook/$path" || true)
  code=$(sed -n 's/^HTTP[^ ]* \([0-9]*\).*/\1/p' <<<"$headers" | tail -n 1)
  allowed=$(sed -n 's/^[Aa]ccess-[Cc]ontrol-[Aa]llow-[Mm]ethods: *//p' <<<"$headers" | tr -d '\r ')
  echo "${code:-000} $allowed"
done <<<"$WEBHOOKS"

# part: container
# The parts below begin with this one as well.
container=$(docker ps --quiet --filter status=running --filter label=com.docker.swarm.service.name=technicia-n8n | head -n 1)
[ -n "$container" ] || fail "expected its container to run, got none; look at it with docker service ps technicia-n8n"
# inside <flag> <arguments of n8n>: the flag names a file in the container's memory, which gets standard input before and is printed afterwards.
# shellcheck disable=SC2016
inside() {
  docker exec --interactive --user node "$container" sh -c '
    umask 077
    file=$(mktemp /dev/shm/technicia-XXXXXX) || exit 1
    trap "rm -f \"$file\"" EXIT
    cat >"$file"
    flag=$1
    shift
    n8n "$@" "$flag=$file" >"$file.said" 2>&1
    cat "$file.said" >&2
    rm -f "$file.said"
    cat "$file"' sh "$@"
}

# part: import
# Imports standard input, a list of COUNT of KIND: workflow or credentials. n8n ends with 0 also when it has imported nothing.
said=$(inside --input "import:$KIND" 2>&1 >/dev/null)
grep -q "Successfully imported $COUNT " <<<"$said" || fail "expected it to import $COUNT of $KIND, got: $(tail -n 3 <<<"$said" | cut -c 1-300)"

# part: compare
# Prints which of the credentials on standard input n8n lacks, which are other than there, and which it has besides; no value leaves the server.
wanted=$(cat)
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
live=$(inside --output export:credentials --all --decrypted </dev/null 2>"$folder/said")
if ! grep -q 'Successfully exported' "$folder/said"; then
  grep -q 'No credentials found' "$folder/said" || fail "expected it to export credentials, got: $(tail -n 3 "$folder/said" | cut -c 1-300)"
  live='[]'
fi
jq --null-input --compact-output --slurpfile live <(printf '%s' "$live") --slurpfile wanted <(printf '%s' "$wanted") '
  ($live[0] | INDEX(.id)) as $at | ($wanted[0] | INDEX(.id)) as $ours |
  {
    missing: [$wanted[0][] | select($at[.id] == null) | .id],
    changed: [
      $wanted[0][] | . as $one | $at[.id] | select(. != null) | . as $now |
      select($now.type != $one.type or $now.name != $one.name
        or ($one.data | to_entries | any(.key as $key | .value != $now.data[$key]))) | $one.id
    ],
    extra: [$live[0][] | select($ours[.id] == null) | { id, name, type }]
  }'
