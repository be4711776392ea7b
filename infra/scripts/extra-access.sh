# shellcheck shell=bash
# Who may come in and become root: accounts, members of groups that are as good as root, keys, sudo's rules, sshd's settings.
: "${LOGIN:?}" "${SSHD:?}"
read -r -a admins <<<"${ADMINS-}"
declare -A shells=()
while read -r shell; do [[ $shell != /* ]] || shells[$shell]=yes; done </etc/shells
readonly powerful='^(sudo|admin|wheel|docker|lxd|disk|shadow)$'

extras() {
  accounts
  members
  keys
  sudo_rules
  sshd_settings
}

take() {
  local kind=$1
  shift
  "take_$kind" "$@"
}

accounts() {
  local name password uid shell home
  while IFS=: read -r name _ uid _ _ home shell; do
    if [ "$uid" -eq 0 ] && [ "$name" != root ]; then
      printf 'account %s with uid 0\taccount\t%s\t0\n' "$name" "$name"
    elif [ -n "${shells[${shell:-/bin/sh}]-}" ] && ! among "$name" root "$LOGIN" "${admins[@]}"; then
      # A package's own account has a locked password; with that and without keys it lets nobody in.
      password=$(getent shadow "$name" | cut --delimiter : --fields 2)
      if [ "$uid" -ge 1000 ] || [[ $password != [!*]* ]] || [ -s "$home/.ssh/authorized_keys" ]; then
        printf 'account %s with the shell %s\taccount\t%s\t%s\n' "$name" "$shell" "$name" "$uid"
      fi
    fi
  done </etc/passwd
}

take_account() {
  [ "$2" -eq 0 ] || pkill -KILL --uid "$2" || true
  userdel --force "$1" 2>&1 | grep --invert-match 'mail spool' || true
  ! getent passwd "$1" >/dev/null
}

members() {
  local group gid list user allowed
  while IFS=: read -r group _ gid list; do
    [[ $group =~ $powerful ]] || continue
    allowed=("$LOGIN")
    [ "$group" = docker ] || allowed+=("${admins[@]}")
    for user in ${list//,/ } $(awk -F : -v gid="$gid" '$4 == gid && $1 != "root" { print $1 }' /etc/passwd); do
      among "$user" "${allowed[@]}" || printf 'member %s of the group %s\tmember\t%s\t%s\n' "$user" "$group" "$user" "$group"
    done
  done </etc/group
}

take_member() {
  # The account may have gone first, and its membership with it.
  ! getent passwd "$1" >/dev/null || gpasswd --delete "$1" "$2" >/dev/null 2>&1 || usermod --gid nogroup "$1"
}

keys() {
  local name uid home shell file line print
  while IFS=: read -r name _ uid _ _ home shell; do
    [ "$uid" -eq 0 ] || [ -n "${shells[${shell:-/bin/sh}]-}" ] || continue
    for file in "$home/.ssh/authorized_keys" "$home/.ssh/authorized_keys2"; do
      [ -s "$file" ] || continue
      # This one is compared as a file.
      if [ "${file##*/}" = authorized_keys ] && among "$name" "$LOGIN" "${admins[@]}"; then continue; fi
      while IFS= read -r line || [ -n "$line" ]; do
        case $line in
          '' | '#'*) continue ;;
          # So cloud-init tells people to log in as another user.
          *'command="echo '*'Please login as the user'*) continue ;;
        esac
        print=$(ssh-keygen -l -f - 2>/dev/null <<<"$line" | cut --delimiter ' ' --fields 2-3) || print="that is unreadable"
        printf 'key %s in %s\tkey\t%s\t%s\n' "${print:-that is unreadable}" "$file" "$file" "$(sha256sum <<<"$line" | cut --characters -64)"
      done <"$file"
    done
  done </etc/passwd
}

take_key() {
  local line kept
  kept=$(mktemp "$1.XXXXXX")
  while IFS= read -r line || [ -n "$line" ]; do
    [ "$(sha256sum <<<"$line" | cut --characters -64)" = "$2" ] || printf '%s\n' "$line"
  done <"$1" >"$kept"
  chmod --reference "$1" "$kept"
  chown --reference "$1" "$kept"
  mv "$kept" "$1"
}

# Rules on one line each, without comments.
rules_of() { sed -e ':join' -e '/\\$/{N;s/\\\n//;b join' -e '}' -e 's/[[:space:]]\+/ /g' -e 's/^ //' "$1"; }

is_extra_rule() {
  case $1 in
    '' | Defaults* | '@includedir /etc/sudoers.d' | '#includedir /etc/sudoers.d') return 1 ;;
    '#include'* | '@include'* | '#'[0-9]*) return 0 ;;
    '#'*) return 1 ;;
  esac
  ! among "${1%% *}" root %root %sudo %admin %wheel "$LOGIN" "${admins[@]}"
}

sudo_rules() {
  local file line
  for file in /etc/sudoers /etc/sudoers.d/*; do
    # sudo passes over names with a dot or a tilde.
    case ${file##*/} in *.* | *'~') continue ;; esac
    [ -f "$file" ] || continue
    while IFS= read -r line; do
      ! is_extra_rule "$line" || printf 'sudo rule "%s" in %s\tsudo_rule\t%s\n' "${line//$'\t'/ }" "$file" "$file"
    done < <(rules_of "$file")
  done
}

take_sudo_rule() {
  [ -f "$1" ] || return 0
  local line kept mode
  # The dot keeps sudo from reading it.
  kept=$(mktemp "$1.XXXXXX")
  while IFS= read -r line; do is_extra_rule "$line" || printf '%s\n' "$line"; done < <(rules_of "$1") >"$kept"
  if [ "$1" != /etc/sudoers ] && ! grep --quiet '^[^#]' "$kept"; then
    rm "$1" "$kept"
    return
  fi
  mode=$(stat --format %a "$1")
  visudo --check --quiet --file="$kept"
  chmod "$mode" "$kept"
  mv "$kept" "$1"
}

# What sshd does with its files as they are; a file read before ours would win over it.
sshd_settings() {
  local key value
  local -A found=()
  while read -r key value; do
    found[$key]="${found[$key]-}${found[$key]+ }$value"
  done < <(/usr/sbin/sshd -T -C user=root,host=stranger,addr=192.0.2.1 2>/dev/null)
  # Without an answer sshd cannot even start, which its unit and its port tell.
  [ "${#found[@]}" -gt 0 ] || return 0
  while read -r key value; do
    [ "${found[$key]-}" = "$value" ] || printf 'sshd setting %s is %s instead of %s\tsshd_setting\n' "$key" "${found[$key]:-not there}" "$value"
  done <<<"$SSHD"
}

take_sshd_setting() {
  local file
  for file in /etc/ssh/sshd_config.d/*.conf; do
    case ${file##*/} in 10-technicia.conf | 11-technicia-penalties.conf | 50-cloud-init.conf) ;; *) rm "$file" ;; esac
  done
  # Without this line no file of the folder counts; before the others, because the first value wins.
  sed --in-place '/^[[:space:]]*Include[[:space:]]*\/etc\/ssh\/sshd_config.d\//d' /etc/ssh/sshd_config
  sed --in-place '1i Include /etc/ssh/sshd_config.d/*.conf' /etc/ssh/sshd_config
  # A block for some users stands above what holds for all.
  sed --in-place --regexp-extended '/^[[:space:]]*(Port|AuthorizedKeysFile|AuthorizedKeysCommand|TrustedUserCAKeys|PermitEmptyPasswords|AllowUsers)[[:space:]]/Id; /^[[:space:]]*Match[[:space:]]/I,$d' /etc/ssh/sshd_config
  /usr/sbin/sshd -t
  systemctl reload ssh.service
}
