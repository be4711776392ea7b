# shellcheck shell=bash disable=SC2154

# part: call
# Both parts below begin with this one. n8n answers programs that it takes for robots with an empty page.
call() { curl --silent --show-error --max-time 20 --user-agent Mozilla/5.0 "$@"; }

# part: workflows
# Signs in as the owner and prints {"login":code,"total":n,"active":n}.
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
code=$(call --output /dev/null --dump-header "$folder/headers" --write-out '%{http_code}' \
  --header 'content-type: application/json' --data @- "$N8N/rest/login" <<<"$OWNER")
if [ "$code" != 200 ]; then
  jq --null-input --compact-output --argjson login "$code" '{ login: $login, total: 0, active: 0 }'
  exit 0
fi
# The cookie is for HTTPS only, which curl would not send here by itself.
sed -n 's/^[Ss]et-[Cc]ookie: \(n8n-auth=[^;]*\).*/Cookie: \1/p' "$folder/headers" | tr -d '\r' >"$folder/cookie"
call --fail --header "@$folder/cookie" "$N8N/rest/workflows" |
  jq --compact-output '.data | map(select(.isArchived != true)) | {
    login: 200,
    total: length,
    active: (map(select(.active == true or (.activeVersionId // null) != null)) | length)
  }'

# part: defaults
# Prints {"setup":bool,"codes":[…]}: whether anybody may claim the instance, and what each of the given logins is answered.
setup=$(call --fail "$N8N/rest/settings" | jq '.data.userManagement.showSetupOnFirstLoad')
codes=$(jq --compact-output '.[]' <<<"$LOGINS" | while read -r login; do
  call --output /dev/null --write-out '%{http_code}\n' --header 'content-type: application/json' --data @- "$N8N/rest/login" <<<"$login"
done)
jq --null-input --compact-output --argjson setup "$setup" --arg codes "$codes" '{ setup: $setup, codes: ($codes | split("\n") | map(tonumber)) }'
