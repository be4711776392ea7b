# shellcheck shell=bash disable=SC2154
# Claims the instance for the owner of the settings, or makes the owner it has into that one; secrets travel on standard input and in files.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
: >"$folder/cookie"

# call <method> <path>: sends standard input; prints the status, keeps the answer and the session.
call() {
  curl --silent --show-error --max-time 30 --user-agent Mozilla/5.0 --request "$1" \
    --header 'content-type: application/json' --header "@$folder/cookie" --data @- \
    --output "$folder/answer" --dump-header "$folder/headers" --write-out '%{http_code}' "$N8N/rest/$2"
  # The cookie is for HTTPS only, which curl would not send here by itself.
  if grep -qi '^set-cookie: n8n-auth=.' "$folder/headers"; then
    sed -n 's/^[Ss]et-[Cc]ookie: \(n8n-auth=[^;]*\).*/Cookie: \1/p' "$folder/headers" | tr -d '\r' >"$folder/cookie"
  fi
}

fail() {
  echo "n8n's owner: $1" >&2
  exit 1
}

# change <method> <path>: fails with what n8n answers when it refuses.
change() {
  local code
  code=$(call "$1" "$2")
  [ "$code" = 200 ] || fail "expected n8n to accept $1 $2, got $code: $(jq --raw-output '.message // "no reason"' "$folder/answer")"
}

if [ "$OBSERVED" != "$DESIRED" ]; then
  change POST owner/setup <<<"$OWNER"
  exit 0
fi

# Few at a time: n8n refuses the sixth sign-in within some minutes. A run that ended half-way may have left the new password with the old address.
accounts=$(printf '%s\n' "${PREVIOUS_OWNER:-$OWNER}" "$OWNER" | jq --slurp --compact-output \
  '(.[0], .[1], { email: .[0].email, password: .[1].password }) | { email, password }' | awk '!seen[$0]++')
password=
while [ -z "$password" ] && read -r account; do
  code=$(jq --compact-output '{ emailOrLdapLoginId: .email, password }' <<<"$account" | call POST login)
  case $code in
    200) password=$(jq .password <<<"$account") ;;
    429) fail "n8n refuses sign-ins for some minutes after several of them; run again then" ;;
    401) ;;
    *) fail "expected n8n to answer a sign-in, got $code" ;;
  esac
done <<<"$accounts"
if [ -z "$password" ]; then
  fail "expected the e-mail and password of the settings, or the ones before them, to sign in, got none of them; they were changed in n8n: put those into technicia:adminEmail and technicia:n8nOwnerPassword, or set them back in n8n"
fi
new=$(jq .password <<<"$OWNER")
if [ "$password" != "$new" ]; then
  jq --null-input --slurpfile one <(printf '%s' "$password") --slurpfile two <(printf '%s' "$new") \
    '{ currentPassword: $one[0], newPassword: $two[0] }' | change PATCH me/password
fi
jq '{ email, firstName, lastName, currentPassword: .password }' <<<"$OWNER" | change PATCH me
