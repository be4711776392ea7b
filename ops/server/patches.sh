# shellcheck shell=bash
# What waits on the server for a maintenance: a line each, its fields separated by tabs. Nothing is changed.
#   security | engine | upgrade   package, installed version (empty: new), available version, why it stays (empty: it is installed)
#   broken | stale | reboot       why
export LC_ALL=C
readonly lists=/var/lib/apt/lists periodic=/var/lib/apt/periodic

simulate() { apt-get --simulate -o Debug::NoLocking=true "$@" 2>&1; }

# One line for each upgrade: package, installed, available, where from.
upgrades_in() {
  sed --quiet --regexp-extended 's/^Inst ([^ :]+)(:\S+)?( \[([^]]*)\])? \((\S+) ([^[]*).*/\1\t\4\t\5\t\6/p' <<<"$1"
}

# The daily upgrade installs security updates by itself: only what it left behind waits for somebody.
daily_left_some() {
  local stamp=$periodic/unattended-upgrades-stamp settings=/etc/apt/apt.conf.d/52technicia-upgrades
  # It was switched on long ago, and has never come to an end.
  if [ ! -e "$stamp" ]; then [ ! -e "$settings" ] || [ -n "$(find "$settings" -mtime +1)" ]; return; fi
  # The folder's date is that of the last list that changed.
  [ "$stamp" -nt "$lists" ] || [ -n "$(find "$stamp" -mtime +1)" ]
}

# report <kept> reads upgrades on standard input.
report() {
  local package installed available origins
  while IFS='|' read -r package installed available origins; do
    [ -n "$package" ] || continue
    # The daily upgrade leaves the engine alone, because its services stop with it.
    if [[ $package =~ ^(docker|containerd|runc) ]]; then
      printf 'engine\t%s\t%s\t%s\t%s\n' "$package" "$installed" "$available" "$1"
    elif [[ $origins == *[Ss]ecurity* ]] && [ -n "$installed" ] && [ "$left" = yes ]; then
      printf 'security\t%s\t%s\t%s\t%s\n' "$package" "$installed" "$available" "$1"
    fi
    printf 'upgrade\t%s\t%s\t%s\t%s\n' "$package" "$installed" "$available" "$1"
  # An empty field between two tabs would be lost.
  done < <(tr '\t' '|')
}

left=no
if daily_left_some; then left=yes; fi

if [ -n "$(dpkg --audit)" ] || [ -n "$(ls /var/lib/dpkg/updates)" ]; then
  printf 'broken\tan installation was interrupted\n'
elif ! said=$(simulate --with-new-pkgs upgrade); then
  printf 'broken\t%s\n' "$(grep --max-count 1 '^E: ' <<<"$said" || tail --lines 1 <<<"$said")"
else
  upgrades=$(upgrades_in "$said")
  report '' <<<"$upgrades"
  if [[ $said =~ \ and\ [1-9][0-9]*\ not\ upgraded ]] && all=$(simulate --ignore-hold dist-upgrade); then
    held=$(apt-mark showhold)
    kept=$(grep --invert-match --line-regexp --fixed-strings --regexp "$upgrades" <<<"$(upgrades_in "$all")" | awk -F '\t' '$2 != ""' || true)
    is_held() { grep --quiet --line-regexp --extended-regexp --regexp "${1//[+.]/\\&}(:.*)?" <<<"$held"; }
    while IFS=$'\t' read -r package rest; do
      [ -n "$package" ] || continue
      if is_held "$package"; then why=held; else why=removal; fi
      report "$why" <<<"$package"$'\t'"$rest"
    done <<<"$kept"
  fi
fi

# Nothing is known of what came since.
newest=$(stat --format %Y "$lists" "$lists/partial" "$periodic/update-stamp" "$periodic/update-success-stamp" 2>/dev/null | sort --numeric-sort | tail --lines 1 || true)
days=$((($(date +%s) - ${newest:-0}) / 86400))
if [ "$days" -ge 4 ]; then printf 'stale\tnot read for %s days\n' "$days"; fi

# A kernel of another flavour than the one that runs, such as one without drivers for real hardware, is not its successor.
flavour() { sed --regexp-extended 's/^[^-]+(-[0-9][^-]*)?-//' <<<"$1"; }
running=$(uname --kernel-release)
newest=$(find /boot -maxdepth 1 -name "vmlinuz-*-$(flavour "$running")" -printf '%f\n' 2>/dev/null | sed 's/^vmlinuz-//' |
  while read -r version; do if [ "$(flavour "$version")" = "$(flavour "$running")" ]; then echo "$version"; fi; done | sort --version-sort | tail --lines 1)
if [ -n "$newest" ] && [ "$newest" != "$running" ] && [ "$(printf '%s\n' "$running" "$newest" | sort --version-sort | tail --lines 1)" = "$newest" ]; then
  printf 'reboot\tkernel %s runs, %s is installed\n' "$running" "$newest"
elif [ -e /run/reboot-required ]; then
  printf 'reboot\t%s\n' "$(sort --unique /run/reboot-required.pkgs 2>/dev/null | paste --serial --delimiters ' ' | sed 's/^$/an upgrade asks for it/')"
fi
