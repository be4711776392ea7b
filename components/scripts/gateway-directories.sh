# shellcheck shell=bash
# The folders that the gateway reads; only root may open the one with the private key.

# part: observe
stat --format '%n %a' "$TLS" "$WEBROOT" 2>/dev/null || true

# part: apply
install --directory --mode 0755 "$WEBROOT" "$(dirname "$TLS")"; install --directory --mode 0700 "$TLS"

# part: remove
rm -rf "$WEBROOT" "$TLS"
