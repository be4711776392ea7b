# shellcheck shell=bash disable=SC2154
# A certificate that nobody trusts, so that nginx can start and answer the authority's challenge.
set -euo pipefail
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
  -subj /CN=placeholder.invalid -addext "subjectAltName=DNS:$DOMAIN" \
  -keyout "$TLS/privkey.pem.new" -out "$TLS/fullchain.pem.new" 2>/dev/null
mv "$TLS/privkey.pem.new" "$TLS/privkey.pem"
mv "$TLS/fullchain.pem.new" "$TLS/fullchain.pem"
