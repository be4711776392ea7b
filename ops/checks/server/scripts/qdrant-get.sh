# shellcheck shell=bash disable=SC2154
# Prints the code, then the body, of one path of Qdrant's, asked with the key that was given.
set -euo pipefail
answer=$(curl --silent --show-error --max-time 20 --header @<(printf 'api-key: %s\n' "$API_KEY") \
  --write-out '\n%{http_code}' "$QDRANT$REQUEST_PATH")
printf '%s\n%s\n' "${answer##*$'\n'}" "${answer%$'\n'*}"
