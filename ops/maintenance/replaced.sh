# shellcheck shell=bash
# Names of the system's services that still run with programs or libraries that an upgrade has replaced. Containers have namespaces of their
# own, and a login ends by itself.
own=$(readlink /proc/1/ns/pid)
for folder in /proc/[0-9]*; do
  if [ "$(readlink "$folder/ns/pid" 2>/dev/null)" = "$own" ] && ! grep --quiet --no-messages /user.slice/ "$folder/cgroup" &&
    grep --quiet --no-messages --extended-regexp ' /(usr/)?(lib|lib64|libx32|bin|sbin)/[^ ]* \(deleted\)$' "$folder/maps"; then
    cat "$folder/comm" 2>/dev/null || true
  fi
done | sort --unique
