# shellcheck shell=bash disable=SC2034
# Reads the package lists anew. Run after apt.sh.
deadline=$((SECONDS + 1200))
await_first_boot
update
