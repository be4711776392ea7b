# shellcheck shell=bash disable=SC2034,SC2154
# For whoever installs packages: waits, until $deadline at most, for others that do; finishes what was interrupted; asks nothing. The deadline
# is for all waiting together, in bash's $SECONDS.
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none UCF_FORCE_CONFFOLD=1
# Nobody has agreed to the removal of a package that conflicts with ours.
options=(-y --no-remove -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0)

holder() { sed --quiet --regexp-extended 's/.*(held by process [0-9]+ \([^)]*\)|locked by another process with pid [0-9]+).*/\1/p' <<<"$1" | head --lines 1; }
interrupted() { [ -n "$(dpkg --audit)" ] || [ -n "$(ls /var/lib/dpkg/updates)" ]; }
await() {
  [ "$SECONDS" -lt "$deadline" ] || return 1
  echo "waiting for $1"
  sleep 1
}
update() {
  # The lock of the package lists has no time limit of its own in apt.
  while true; do
    # Descriptions of packages in words are 6 MB that nobody reads here.
    if said=$(apt-get "${options[@]}" -o Acquire::Languages=none -o APT::Update::Error-Mode=any update 2>&1); then
      printf '%s\n' "$said"
      return
    fi
    if [[ $said != *'Could not get lock'* ]] || ! await "another apt to end: the lists are $(holder "$said")"; then
      printf '%s\n' "$said" >&2
      return 1
    fi
  done
}

# cloud-init writes apt's sources and installs packages at the first boot; the daily upgrade begins then, too. Fails with a line of its own.
await_first_boot() {
  local busy
  while busy=$(systemctl list-jobs --no-legend --plain | awk '$2 ~ /^(cloud-(init|init-local|init-network|init-main|config|final)|apt-daily|apt-daily-upgrade)\.service$/ { print $2 }' | paste --serial --delimiters ' ') && [ -n "$busy" ]; do
    await "the first boot or the daily upgrade to end: $busy" || {
      echo "technicia-busy: $busy" >&2
      return 1
    }
  done
}

# What an interrupted dpkg left makes every later apt-get refuse.
finish_interrupted() {
  interrupted || return 0
  echo "finishing an interrupted installation"
  while ! said=$(dpkg --configure -a --force-confdef --force-confold 2>&1 </dev/null); do
    if [[ $said != *lock* ]] || ! await "another installation to end: dpkg is $(holder "$said")"; then
      printf '%s\n' "$said" >&2
      return 1
    fi
  done
}

seconds_left() { echo "$((deadline > SECONDS ? deadline - SECONDS : 1))"; }
