# shellcheck shell=bash disable=SC2154
# Written at the first comparison. A clock that is set back later changes nothing of it.
readonly first_boot=$compared.first-boot

# Seconds since 1970 at which the first boot was over: files from before came with the image or were made for this server.
delivery() {
  local marks
  if [ -s "$first_boot" ]; then
    head --lines 1 "$first_boot"
    return
  fi
  # cloud-init writes the last of its own again at every boot; the keys of this server are made beside it or, without it, alone.
  marks=$(
    stat --format %.9Y /var/lib/cloud/instance/sem/* /var/lib/cloud/instance/boot-finished 2>/dev/null | sort
    stat --format %.9Z /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub 2>/dev/null | sort
  ) || true
  if [ -z "$marks" ]; then
    echo "expected a trace of the first boot under /var/lib/cloud/instance or in /etc/ssh, got none" >&2
    exit 1
  fi
  awk 'NR == 1 { first = $1 } $1 <= first + 3600 && $1 > last + 0 { last = $1 } END { print last }' <<<"$marks"
}

# Half of an upgrade looks like a change by hand.
await_packages() {
  local deadline=$((SECONDS + 120))
  # By number: a container with a lock of its own has the same path.
  while grep --quiet --extended-regexp ":($(stat --format %i /var/lib/dpkg/lock /var/lib/dpkg/lock-frontend 2>/dev/null | paste --serial --delimiters '|')) " /proc/locks; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      echo "expected packages to be left alone for a moment within 120 s, got an installation or upgrade that goes on; look again when it has ended: ps -C apt-get,dpkg,unattended-upgr" >&2
      exit 1
    fi
    sleep 1
  done
}
