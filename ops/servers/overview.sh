# shellcheck shell=bash
# How a server is: one JSON, sizes in MiB, load as the kernel says it.
read -r load _ </proc/loadavg
available=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
total=$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)
disk=$(df --output=pcent / | tail --lines 1 | tr --delete ' %')
printf '{"load":%s,"cores":%s,"memoryMib":%s,"freeMib":%s,"diskPercent":%s}\n' "$load" "$(nproc)" "$total" "$available" "$disk"
