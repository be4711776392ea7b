# shellcheck shell=bash
# What waits on the server for a maintenance: a line each, its fields separated by tabs. Nothing is changed.

# One line for each upgrade: package, installed, available, where from.
upgrades() {
  apt-get --simulate -o Debug::NoLocking=true dist-upgrade 2>/dev/null |
    sed --quiet --regexp-extended 's/^Inst ([^ :]+)\S* \[([^]]*)\] \((\S+) ([^[]*).*/\1\t\2\t\3\t\4/p'
}

# The daily upgrade installs security updates by itself: only what it left behind waits for somebody.
has_upgraded() {
  local stamp=/var/lib/apt/periodic/unattended-upgrades-stamp lists=/var/lib/apt/lists
  [ -e "$stamp" ] || return 1
  # The folder's date is that of the last list that changed.
  [ "$stamp" -nt "$lists" ] || [ -n "$(find "$stamp" -mtime +1)" ]
}

all=$(upgrades)
left=no
if has_upgraded; then left=yes; fi
while IFS=$'\t' read -r package installed available origins; do
  [ -n "$package" ] || continue
  # The daily upgrade leaves the engine alone, because its services stop with it.
  if [[ $package =~ ^(docker|containerd|runc) ]]; then
    printf 'engine\t%s\t%s\t%s\n' "$package" "$installed" "$available"
  elif [[ $origins == *[Ss]ecurity* ]] && [ "$left" = yes ]; then
    printf 'security\t%s\t%s\t%s\n' "$package" "$installed" "$available"
  fi
  printf 'upgrade\t%s\t%s\t%s\n' "$package" "$installed" "$available"
done <<<"$all"

newest=$(find /boot -maxdepth 1 -name 'vmlinuz-*' -printf '%f\n' 2>/dev/null | sed 's/^vmlinuz-//' | sort --version-sort | tail --lines 1)
if [ -n "$newest" ] && [ "$newest" != "$(uname --kernel-release)" ]; then
  printf 'reboot\tkernel %s runs, %s is installed\n' "$(uname --kernel-release)" "$newest"
elif [ -e /run/reboot-required ]; then
  printf 'reboot\t%s\n' "$(sort --unique /run/reboot-required.pkgs 2>/dev/null | paste --serial --delimiters ' ' | sed 's/^$/an upgrade asks for it/')"
fi
