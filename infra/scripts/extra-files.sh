# shellcheck shell=bash disable=SC2154
# What root starts by the clock or at boot, and what changes how units and the kernel run: files that no package brought, that are
# not ours, and that came after the first boot.
extras() {
  local why file
  while IFS=$'\t' read -r why file; do
    is_harmless "$file" || describe "$why" "$file"
  done < <(candidates | strangers | LC_ALL=C sort)
  # A guard of a change that is being made lives for ten minutes at most.
  find /run/systemd/transient -name '*.timer' ! \( -name 'technicia-guard-*' -mmin -11 \) -printf 'transient timer %f\ttransient\t%f\n' 2>/dev/null || true
  kernel_settings
  modes
}

take() {
  local kind=$1
  shift
  "take_$kind" "$@"
}

candidates() {
  local folder folders=()
  for folder in "${scheduled[@]}"; do [ ! -e "$folder" ] || folders+=("$folder"); done
  find "${folders[@]}" ! -type d ! -name .SEQ ! -path '/usr/lib/systemd/catalog/*' -printf "$facts"
}

is_harmless() {
  local target
  case $1 in
    *.dpkg-dist | *.dpkg-old | *.dpkg-new | *.ucf-dist | *.ucf-old) return 0 ;;
    # The server's IPv6 address, beside the file that names its interface.
    /etc/systemd/network/*.network.d/60-technicia-ipv6.conf) ! grep --quiet --invert-match --extended-regexp '^(\[Network\]|\[Route\]|Address=[0-9a-f:]+/128|Gateway=[0-9a-f:]+|GatewayOnLink=yes|)$' "$1" && return 0 ;;
    /etc/systemd/system/snap-*.mount | /etc/systemd/system/snap.*) is_of_snapd "$1" && return 0 ;;
  esac
  [ -L "$1" ] || return 1
  target=$(readlink --canonicalize-missing "$1")
  # Enabling a unit makes a link to it. Where the unit itself is a stranger, it is found by its own file.
  case $target in
    # Where packages put units, one of their programs masked it.
    /dev/null) [[ $1 == /usr/lib/systemd/* ]] && ! dpkg-query --search "$1" "${1#/usr}" >/dev/null 2>&1 && grep --quiet --no-messages --fixed-strings "${1##*/}" /var/lib/dpkg/info/*.postinst && return 0 || return 1 ;;
    /usr/lib/systemd/* | /etc/systemd/* | /usr/local/lib/systemd/*) return 0 ;;
  esac
  return 1
}

# snapd writes its units itself, under new names with every revision.
is_of_snapd() {
  [ -x /usr/bin/snap ] && ! grep --extended-regexp '^(Exec[A-Za-z]*|What|Where|Environment[A-Za-z]*)=' "$1" |
    grep --quiet --invert-match --extended-regexp '^(Exec[A-Za-z]*=/usr/bin/snap run |ExecStop[A-Za-z]*=/usr/(bin/snap|lib/snapd/) |What=/var/lib/snapd/snaps/[^/]+$|Where=/snap/|EnvironmentFile=-/etc/environment$)'
}

describe() {
  local kind why=$1
  shift
  if [ "$(readlink "$1")" = /dev/null ]; then
    kind="mask"
  elif [ "$why" = edited ]; then
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

# Owners and modes of what we and our programs write, and of the secrets of the system.
modes() {
  local path mode
  # Copies of data keep the owners of the data, in a folder that only root may enter.
  # nginx writes to the socket of the access log, whose folder it cannot change.
  find /opt/technicia /etc/technicia /var/lib/technicia ! -type l ! -path /opt/technicia/monitoring/socket/access.sock \( -perm /022 -o ! -user 0 \) -print -o -path /var/lib/technicia/backup -prune 2>/dev/null | while IFS= read -r path; do
    printf 'file of %s and mode %s, which others than root may change, %s\tmode\t%s\n' "$(stat --format %U "$path")" "$(stat --format %#a "$path")" "$path" "$path"
  done
  {
    find /var/lib/technicia/backup -maxdepth 0 -perm /077 -printf '%#m\t%p\n'
    find /opt/technicia /etc/technicia /var/lib/technicia -path /var/lib/technicia/backup -prune -o -type f -perm /077 \( -name '*key*.pem' -o -name private_key.json -o -name '*.key' \) -printf '%#m\t%p\n'
    find /etc/shadow /etc/shadow- /etc/gshadow /etc/gshadow- /etc/ssl/private /etc/ssh -type f -perm /007 ! -name '*.pub' \( -path '/etc/*shadow*' -o -path '/etc/ssl/private/*' -o -name 'ssh_host_*_key' \) -printf '%#m\t%p\n'
  } 2>/dev/null | while IFS=$'\t' read -r mode path; do printf 'secret of mode %s, which others may read, %s\tsecret\t%s\n' "$mode" "$path" "$path"; done
}

take_mode() {
  chown --no-dereference root:root "$1"
  chmod go-w "$1"
}

take_secret() { case $1 in /etc/*shadow*) chmod 0640 "$1" ;; *) chmod go-rwx "$1" ;; esac; }
