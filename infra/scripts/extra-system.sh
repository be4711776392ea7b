# shellcheck shell=bash disable=SC2154
# What a system trusts or starts beside what the clock and the boot start: settings, programs, authorities, start-up files of people, and files
# that give more rights than their caller has. Whatever neither a package, nor the first boot, nor the settings account for is for a
# person to look at.
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT
read -r -a admins <<<"${ADMINS-}"

extras() {
  [ -s "$work/candidates" ] || look
  local why path
  while IFS=$'\t' read -r why path; do
    is_generated "$path" || for_a_person "$(words_for "$why") $path"
  done < <(strangers <"$work/candidates" | LC_ALL=C sort)
  strangers_of passwd account
  strangers_of group group
  privileged
  loose
  renewal
}

# For a person to look at: nothing is done about it by itself.
for_a_person() { printf '%s\tperson\n' "${1//[^[:print:]]/?}"; }

words_for() {
  case $1 in
    edited) echo "changed file" ;;
    link) echo "stray link" ;;
    *) echo "stray file" ;;
  esac
}

candidates() {
  [ -s "$work/candidates" ] || look
  cat "$work/candidates"
}

# One walk over the disk for all questions, without what belongs to containers and snaps.
look() {
  local at place skip=(-path /proc -o -path /sys -o -path /dev -o -path /run -o -path /snap -o -path /var/lib/snapd -o -path /var/lib/docker -o -path /var/lib/containerd) seen=()
  at=$(delivery)
  for place in "${scheduled[@]}" /etc/sudoers /etc/sudoers.d /etc/ssh/sshd_config /etc/ssh/sshd_config.d; do seen+=(-o -path "$place" -o -path "$place/*"); done
  find / -type d \( "${skip[@]}" \) -prune -o \( \
    \( -type f -perm /6000 -fprintf "$work/privileged" '%p\t%C@\tsetuid or setgid\n' \) , \
    \( -type f -perm /0111 -fprintf "$work/executable" '%p\n' \) , \
    \( ! -type l \( -perm -0002 ! -perm -1000 -o -uid +999 ! -uid 65534 \) \( -path '/etc/*' -o -path '/usr/*' \) -fprintf "$work/loose" '%p\t%#m\t%u\n' \) , \
    \( ! -type d \( -path '/etc/*' ! \( -false "${seen[@]}" \) -o -path '/opt/technicia/*' -o -path '/var/lib/systemd/linger/*' -o \
      -newerct "@$at" -path '/usr/*' ! -path '*/__pycache__/*.pyc' ! \( -false "${seen[@]}" \) \) -fprintf "$work/candidates" "$facts" \) \) 2>/dev/null || true
  # shellcheck disable=SC2068
  find ${whole[@]:1} \( -false "${seen[@]}" \) -prune -o ! -type d -printf "$facts" >>"$work/candidates" 2>/dev/null || true
  start_up_files >>"$work/candidates"
}

# What shells, sshd, systemd and other programs of people read in their homes; a history or a cache starts nothing.
start_up_files() {
  local uid home
  while IFS=: read -r _ _ uid _ _ home _; do
    if [ "$uid" -ne 0 ] && { [ "$uid" -lt 1000 ] || [ "$uid" -eq 65534 ]; } || [ ! -d "$home" ] || [ "$home" = / ]; then continue; fi
    find "$home" -mindepth 1 \( -path "$home/[!.]*" -o -path "$home/.cache" -o -path "$home/.docker/buildx" \) -prune -o ! -type d \
      ! -name '.*_history' ! -name '.*hst*' ! -name .viminfo ! -path "$home/.ssh/known_hosts*" ! -path "$home/.ssh/authorized_keys*" ! -name .sudo_as_admin_successful \
      ! -path "$home/.local/share/nano/*" ! -path "$home/.local/state/*" ! -path "$home/.docker/.*" -printf "$facts" 2>/dev/null || true
  done < <(sort --unique --field-separator : --key 6,6 /etc/passwd)
}

# Accounts and groups of the system come with packages, which name them where they make them, or with snaps.
strangers_of() {
  local name id rest
  local -A known=()
  while IFS= read -r name; do known[$name]=yes; done < <(
    { cat /usr/share/base-passwd/"$1".master /usr/lib/sysusers.d/*.conf /etc/cloud/cloud.cfg /var/lib/dpkg/info/*.postinst /var/lib/dpkg/info/*.preinst /var/lib/dpkg/info/*.config 2>/dev/null || true; } |
      LC_ALL=C grep --text --only-matching --word-regexp --fixed-strings --file <(cut --delimiter : --fields 1 "/etc/$1") | LC_ALL=C sort --unique
  )
  while IFS=: read -r name _ id rest; do
    # Accounts of people and those with root's uid are the business of extra-access.
    if [ "$1" = passwd ] && { [ "$id" -ge 1000 ] || [ "$id" -eq 0 ]; } || [ -n "${known[$name]-}" ] || among "$name" "$LOGIN" "${admins[@]}"; then continue; fi
    case $name:$rest in snap*:* | *:/var/snap/*) continue ;; esac
    # A group of nobody, or of the account of its name alone, gives nothing to anybody.
    if [ "$1" = group ] && [ -z "$rest" ]; then continue; fi
    printf '%s %s of no package\tperson\n' "$2" "$name"
  done <"/etc/$1"
}

# Programs that give more rights than their caller has: of packages, as these or their own programs set it. What was unpacked after the mode
# was set brought it.
privileged() {
  local path rights list
  capable >>"$work/privileged"
  grep --no-messages --fixed-strings --line-regexp --file <(cut --fields 1 "$work/privileged" | sed -e p -e 's#^/usr/#/#') "$packages"/*.list |
    sed 's#\.list:/\(usr/\)\?#.list\t/#' >"$work/brought" || true
  while IFS=$'\t' read -r path rights list; do
    is_set_by_program "$path" "$list" || for_a_person "$rights file $path"
  done < <(awk -F '\t' -v mark="$(delivery)" '
    part == "unpacked" { unpacked[$1] = $2; next }
    part == "brought" { list[$2] = $1; next }
    { bare = $1; sub(/^\/usr\//, "/", bare) }
    !(bare in list) || ($2 + 0 > mark + 0 && $2 + 0 > unpacked[list[bare]] + 0) { print $1 "\t" $3 "\t" list[bare] }' \
    part=unpacked <(cut --fields 1 "$work/brought" | sort --unique | xargs --no-run-if-empty stat --printf '%n\t%.9Z\n') part=brought "$work/brought" part=found "$work/privileged")
}

capable() {
  xargs --no-run-if-empty --delimiter '\n' getcap <"$work/executable" 2>/dev/null | sed -e 's/ = / /' -e 's/ [^ ]*$//' |
    xargs --no-run-if-empty --delimiter '\n' stat --printf '%n\t%.9Z\tcapability\n'
}

is_set_by_program() {
  local name=${1##*/}
  [ -n "$2" ] || return 1
  grep --quiet --fixed-strings " $1" /var/lib/dpkg/statoverride ||
    grep --quiet --no-messages --extended-regexp "(chmod|setcap|dpkg-statoverride).*$name|$name.*(chmod|setcap|dpkg-statoverride)|PROGRAM=.*$name" "${2%.list}.postinst"
}

# Whom others than root may change.
loose() {
  local path mode owner
  while IFS=$'\t' read -r path mode owner; do
    if [ "$owner" = root ]; then for_a_person "file of mode $mode, which everybody may change, $path"; else for_a_person "file of $owner, who is not root, $path"; fi
  done < <(cat "$work/loose" 2>/dev/null || true)
}

# certbot renews by this file; it may name nothing but what the certificate's settings say.
renewal() {
  local settings=/etc/technicia/certificate.env
  [ -s "$settings" ] || return 0
  (
    # shellcheck source=/dev/null
    . "$settings"
    name=${DOMAINS%% *}
    find "$LETSENCRYPT/renewal-hooks" "$LETSENCRYPT/cli.ini" -type f -printf 'stray file %p\tperson\n' 2>/dev/null || true
    [ -f "$LETSENCRYPT/renewal/$name.conf" ] || exit 0
    server=${DIRECTORY#*://}
    awk -F ' = ' -v name="$name" -v domains="$DOMAINS" -v server="$DIRECTORY" -v kind="$KEY_TYPE" -v accounts="$LETSENCRYPT/accounts/${server%/}" '
      BEGIN {
        split(domains, list, " "); for (i in list) wanted[list[i]] = "/var/www/acme"
        wanted["archive_dir"] = "/etc/letsencrypt/archive/" name
        split("cert privkey chain fullchain", parts, " ")
        for (i in parts) wanted[parts[i]] = "/etc/letsencrypt/live/" name "/" parts[i] ".pem"
        wanted["authenticator"] = "webroot"; wanted["server"] = server; wanted["key_type"] = kind
      }
      /^[ \t]*(#.*)?$/ || /^\[/ || $1 == "version" { next }
      $1 == "webroot_path" && $2 ~ /^\/var\/www\/acme,?$/ { next }
      $1 == "account" && $2 ~ /^[0-9a-f]+$/ { next }
      $1 == "ari_retry_after" && $2 ~ /^[0-9T:.Z+-]+$/ { next }
      $1 ~ /^(renew_before_expiry|rsa_key_size|elliptic_curve|preferred_chain)$/ && $2 ~ /^(None|[0-9A-Za-z ]+)$/ { next }
      !($1 in wanted) || wanted[$1] != $2 { print "renewal of the certificate by " $0 "\tperson" }' "$LETSENCRYPT/renewal/$name.conf"
  )
}
