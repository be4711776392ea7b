# shellcheck shell=bash
# What root starts by the clock or at boot, and what changes how units and the kernel run: files that no package brought, that are
# not ours, and that came after the system was delivered.
mapfile -t declared <<<"${FILES:?}"

extras() {
  local file
  while IFS= read -r file; do
    describe "$file"
  done < <(strangers)
  # A guard of a change that is being made lives for ten minutes at most.
  find /run/systemd/transient -name '*.timer' ! \( -name 'technicia-guard-*' -mmin -11 \) -printf 'transient timer %f\ttransient\t%f\n' 2>/dev/null || true
  kernel_settings
}

take() {
  local kind=$1
  shift
  "take_$kind" "$@"
}

# Touched by cloud-init last, and only at the first boot; without cloud-init, a key that is made then.
delivery() {
  local mark
  for mark in /var/lib/cloud/instance/sem /var/lib/cloud/instance/boot-finished /etc/ssh/ssh_host_ed25519_key; do
    if [ -d "$mark" ]; then mark=$(find "$mark" -type f -printf '%T@ %p\n' | sort --numeric --reverse | sed --quiet '1s/^[^ ]* //p'); fi
    if [ -n "$mark" ] && [ -e "$mark" ]; then
      echo "$mark"
      return
    fi
  done
  echo "expected a trace of the first boot under /var/lib/cloud/instance or in /etc/ssh, got none" >&2
  exit 1
}

# An empty change time beats none: a moved file keeps its dates, not this one.
touched() {
  local folders=() folder
  for folder in /etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly /etc/cron.yearly /etc/crontab /etc/anacrontab \
    /var/spool/cron /etc/rc.local /etc/ld.so.preload /etc/systemd /usr/lib/systemd /usr/local/lib/systemd \
    /etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d /usr/local/lib/sysctl.d; do
    [ ! -e "$folder" ] || folders+=("$folder")
  done
  find "${folders[@]}" \( -type f -o -type l \) -newercm "$(delivery)" ! -name .SEQ ! -path '/usr/lib/systemd/catalog/*' | LC_ALL=C sort
}

# Of what was touched, what is neither declared nor as its package brought it.
strangers() {
  local all packaged
  all=$(touched | grep --invert-match --fixed-strings --line-regexp --file <(printf '%s\n' "${declared[@]}") || true)
  [ -n "$all" ] || return 0
  # Packages may name /lib what is /usr/lib.
  packaged=$(grep --no-filename --fixed-strings --line-regexp --file <(echo "$all" | sed -e p -e 's#^/usr/lib/#/lib/#') /var/lib/dpkg/info/*.list | sed 's#^/lib/#/usr/lib/#' | sort --unique || true)
  {
    grep --invert-match --fixed-strings --line-regexp --file <(echo "$packaged") <<<"$all" || true
    [ -z "$packaged" ] || edited "$packaged"
  } | while IFS= read -r file; do is_harmless "$file" || echo "$file"; done
}

# Of files that packages brought, those that are no longer as they came.
edited() {
  local file sum path
  local -A wanted=()
  # A package's settings are in dpkg's status with their digests, all else in lists of its own.
  while read -r sum path; do wanted[$path]=$sum; done < <(
    dpkg-query --show --showformat '${Conffiles}\n' | awk 'NF >= 2 && $3 != "obsolete" { print $2, $1 }'
    grep --no-filename --fixed-strings --file <(echo "$1" | sed -e 's#^/usr/lib/#lib/#' -e 's#^/##') /var/lib/dpkg/info/*.md5sums | sed -e 's#  \(usr/\)\?lib/#  /usr/lib/#' -e 's#  \([^/]\)#  /\1#'
  )
  while IFS= read -r file; do
    if [ -L "$file" ]; then
      # A link has no digest; a package's own points where the package said, a mask nowhere.
      [ "$(readlink "$file")" != /dev/null ] || echo "$file"
    elif [ -n "${wanted[$file]-}" ] && [ "$(md5sum <"$file")" != "${wanted[$file]}  -" ]; then
      echo "$file"
    fi
  done <<<"$1"
}

is_harmless() {
  local target
  case $1 in
    # snapd writes its units itself, under new names with every revision.
    /etc/systemd/system/snap-*.mount | /etc/systemd/system/snap.*) [ -x /usr/bin/snap ] && return 0 ;;
  esac
  [ -L "$1" ] || return 1
  target=$(readlink --canonicalize-missing "$1")
  # Enabling a unit makes a link to it. Where the unit itself is a stranger, it is found by its own file.
  case $target in
    /dev/null) return 1 ;;
    /usr/lib/systemd/* | /etc/systemd/* | /usr/local/lib/systemd/*) return 0 ;;
  esac
  return 1
}

describe() {
  local kind
  if [ "$(readlink "$1")" = /dev/null ]; then
    kind="mask"
  elif dpkg-query --search "$1" >/dev/null 2>&1 || dpkg-query --search "${1#/usr}" >/dev/null 2>&1; then
    printf 'edited file of a package %s\tpackaged\t%s\n' "$1" "$1"
    return
  else
    case $1 in
      /etc/cron* | /etc/anacrontab | /var/spool/cron/*) kind="cron entry" ;;
      *.d/*.conf) case $1 in */sysctl.d/*) kind="kernel settings" ;; *) kind="override" ;; esac ;;
      */systemd/*.timer) kind="timer" ;;
      */systemd/*) kind="unit" ;;
      */sysctl*) kind="kernel settings" ;;
      *) kind="file" ;;
    esac
  fi
  printf '%s %s\tfile\t%s\n' "$kind" "$1" "$1"
}

take_file() {
  local unit=${1##*/} folder=${1%/*} users
  [ -e "$1" ] || [ -L "$1" ] || return 0
  case $1 in
    /etc/systemd/system/*.d/*)
      unit=${folder##*/}
      unit=${unit%.d}
      users=$(users_of_override "$unit" "$1")
      rm "$1"
      rmdir --ignore-fail-on-non-empty "$folder"
      systemctl daemon-reload
      # Whoever started under the override goes on under it until it starts again.
      if [ -n "$users" ]; then systemctl try-restart "$unit"; fi
      ;;
    */systemd/*.conf)
      rm "$1"
      ;;
    */systemd/*)
      if [ "$(readlink "$1")" != /dev/null ] && [[ $unit != *@.* ]]; then systemctl disable --now --quiet "$unit" 2>&1 || true; fi
      rm --force "$1"
      find /etc/systemd -xtype l -lname "*$unit" -delete
      systemctl daemon-reload
      systemctl reset-failed "$unit" 2>/dev/null || true
      ;;
    */sysctl*)
      rm "$1"
      # Some keys cannot be written in a container.
      sysctl --system >/dev/null 2>&1 || true
      ;;
    *) rm "$1" ;;
  esac
}

users_of_override() {
  local since
  since=$(systemctl show --property ActiveEnterTimestamp --value "$1")
  if [ -n "$since" ] && [ "$(date --date "$since" +%s)" -ge "$(stat --format %Z "$2")" ]; then echo "$1"; fi
}

take_transient() { systemctl stop "$1"; }

take_packaged() {
  local package
  package=$( (dpkg-query --search "$1" 2>/dev/null || dpkg-query --search "${1#/usr}") | sed --quiet '1s/[:,].*$//p')
  mv "$1" "$1.edited"
  if ! DEBIAN_FRONTEND=noninteractive apt-get install --reinstall --yes --quiet -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confmiss -o Dpkg::Options::=--force-confold "$package" >&2 || [ ! -e "$1" ]; then
    mv "$1.edited" "$1"
    echo "expected the package $package to bring $1 back, got the failure above; look at its source with apt-get update" >&2
    return 1
  fi
  rm "$1.edited"
  if [[ $1 == */systemd/* ]]; then systemctl daemon-reload; fi
}

kernel_settings() {
  local key value found
    while IFS='= ' read -r key value; do
    found=$(cat "/proc/sys/${key//.//}" 2>/dev/null) || continue
    [ "$found" = "$value" ] || printf 'kernel setting %s is %s instead of %s\tkernel_setting\t%s\t%s\n' "$key" "$found" "$value" "$key" "$value"
  done <<<"${SYSCTL:?}"
}

take_kernel_setting() { sysctl --quiet --write "$1=$2"; }
