# shellcheck shell=bash
# Prints what room Docker and its tasks have, as one line of JSON.
set -euo pipefail
root=$(docker info --format '{{.DockerRootDir}}')
[ -d "$root" ] || root=/
read -r size free < <(df --block-size=1 --output=size,avail "$root" | tail -n 1)
memory() { awk -v key="$1:" '$1 == key { print int($2 / 1024) }' /proc/meminfo; }
digests=$(docker image ls --digests --format '{{.Digest}}' | { grep sha256: || true; } | sort -u)
reclaimable=$(docker system df --format '{{.Type}} {{.Reclaimable}}' | sed -n 's/^Images //p')
jq --null-input --compact-output \
  --argjson size "$size" --argjson free "$free" \
  --argjson total "$(memory MemTotal)" --argjson available "$(memory MemAvailable)" --argjson swap "$(memory SwapFree)" \
  --arg reclaimable "$reclaimable" --arg digests "$digests" '{
    diskBytes: $size, diskFreeBytes: $free,
    memoryMib: $total, memoryAvailableMib: $available, swapFreeMib: $swap,
    reclaimable: $reclaimable, digests: ($digests | split("\n") | map(select(. != "")))
  }'
