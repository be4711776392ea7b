# shellcheck shell=bash
# Before and after the gateway's task is replaced. What the record holds is what was last handed over.

# part: observeBegun
cat "$RECORD" 2>/dev/null || true

# part: begin
"$PROGRAM" begin
install --directory --mode 0755 "$(dirname "$RECORD")"
printf '%s\n' "$REVISION" >"$RECORD"

# part: forget
rm -f "$RECORD"

# part: observeEnded
if docker service inspect technicia-gateway-second >/dev/null 2>&1 || nft list table ip technicia_gateway >/dev/null 2>&1; then echo "a second gateway answers"; else echo "the gateway answers alone"; fi

# part: end
"$PROGRAM" end

# part: observeEndedHere
if nft list table ip technicia_gateway >/dev/null 2>&1; then echo "a second gateway answers"; else echo "the gateway answers alone"; fi
