# shellcheck shell=bash disable=SC2154
# Who may come in and become root: accounts, members of groups that are as good as root, keys, sudo's rules, sshd's settings.
: "${LOGIN:?}" "${SSHD:?}" "${INSIDE:?}"
read -r -a admins <<<"${ADMINS-}"
declare -A shells=()
while read -r shell; do [[ $shell != /* ]] || shells[$shell]=yes; done </etc/shells
readonly powerful='^(sudo|admin|wheel|docker|lxd|disk|shadow)$'

work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT

extras() {
  accounts
  members
  keys
  sudo_rules
  sshd_files
  sshd_settings
}

# foreign <folder> <file>…: what is in the folder beside these and came after the first boot.
foreign() {
  local folder=$1 file
  shift
  while IFS= read -r file; do
    among "${file##*/}" "$@" || is_packaged "$file" || echo "$file"
  done < <(find "$folder" -maxdepth 1 ! -type d -newerct "@$(delivery)" 2>/dev/null || true)
}

is_packaged() { dpkg-query --search "$1" >/dev/null 2>&1; }

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
    elif among "$name" root "$LOGIN" "${admins[@]}"; then
      continue
    elif [ "$uid" -ge 1000 ] && [ "$uid" -ne 65534 ]; then
      printf 'account %s with the shell %s\taccount\t%s\t%s\n' "$name" "$shell" "$name" "$uid"
    elif [ -n "${shells[${shell:-/bin/sh}]-}" ]; then
      # A package's own account has a locked password; with that and without keys it lets nobody in.
      password=$(getent shadow "$name" | cut --delimiter : --fields 2)
      if [[ $password != [!*]* ]] || [ -s "$home/.ssh/authorized_keys" ]; then
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
    '' | 'Defaults env_reset' | 'Defaults mail_badpass' | 'Defaults use_pty' | 'Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'*'"') return 1 ;;
    Defaults*) return 0 ;;
    '@includedir /etc/sudoers.d' | '#includedir /etc/sudoers.d') return 1 ;;
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
  done >"$work/rules"
  cat "$work/rules"
  while IFS= read -r file; do
    grep --quiet --fixed-strings " in $file"$'\t' "$work/rules" || printf 'sudo file %s\tsudo_file\t%s\n' "$file" "$file"
    # cloud-init's own is judged by its rules alone: without an extra one it is as young as its last repair.
  done < <(foreign /etc/sudoers.d 90-cloud-init-users "${admins[@]/#/technicia-}")
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

# Not the file by which the login user becomes root: whoever repairs would be locked out.
take_sudo_file() {
  local kept
  kept=$(mktemp "$1.XXXXXX")
  mv "$1" "$kept"
  if [ "$LOGIN" = root ] || runuser --user "$LOGIN" -- sudo --non-interactive true; then
    rm "$kept"
    return
  fi
  mv "$kept" "$1"
  echo "expected $LOGIN to become root without $1, got a refusal; the file is kept" >&2
  return 1
}

sshd_files() {
  local file
  while IFS= read -r file; do
    printf 'sshd file %s\tsshd_file\t%s\n' "$file" "$file"
  done < <(foreign /etc/ssh/sshd_config.d 10-technicia.conf 11-technicia-penalties.conf)
}

take_sshd_file() {
  rm --force "$1"
  /usr/sbin/sshd -t
  systemctl reload ssh.service
}

# One line for each setting, with all its values.
in_force() { /usr/sbin/sshd -T "$@" 2>/dev/null | awk '{ key = $1; sub(/^[^ ]+ ?/, ""); if (key in value) value[key] = value[key] " " $0; else value[key] = $0 } END { for (key in value) print key "\t" value[key] }'; }

# What sshd does with its files as they are, beside what it does with our settings and those of its package: every setting, for everybody
# who may come in, from outside and from an administrator's network. A file read before ours would win over it.
sshd_settings() {
  local user address
  # sshd prints its ports on one line, and reads each on one of its own. The file of penalties is compared by itself.
  { awk '$1 == "port" { for (i = 2; i <= NF; i++) print $1, $i; next } { print }' <<<"$SSHD"; cat /etc/ssh/sshd_config.d/11-technicia-penalties.conf 2>/dev/null || true; grep --invert-match --ignore-case '^[[:space:]]*Include' /usr/share/openssh/sshd_config 2>/dev/null || true; } >"$work/sshd_config"
  in_force -f "$work/sshd_config" >"$work/wanted"
  cut --delimiter ' ' --fields 1 <<<"$SSHD" >"$work/ours"
  # A user whom no block names.
  in_force -C user=nobody,host=stranger,addr=192.0.2.1 >"$work/found"
  # Without an answer sshd cannot even start, which its unit and its port tell.
  [ -s "$work/found" ] && [ -s "$work/wanted" ] || return 0
  differences ""
  mv "$work/found" "$work/wanted"
  # Without a block for some, everybody gets the same.
  grep --quiet --recursive --ignore-case --extended-regexp '^[[:space:]]*(Match|Include[[:space:]]+/etc/ssh/sshd_config\.d/.*[[:space:]]|Include[[:space:]]+/?[^/[:space:]]*[^.]*$)' /etc/ssh/sshd_config /etc/ssh/sshd_config.d || return 0
  for user in root "$LOGIN" "${admins[@]}"; do
    for address in 192.0.2.1 "$INSIDE"; do
      in_force -C "user=$user,host=stranger,addr=$address" >"$work/found"
      differences " for $user from $address"
    done
  done | awk -F '\t' '!seen[substr($1, 1, index($1, " for "))]++'
}

# Settings that are not ours may be the image's, as long as nobody has touched its file.
differences() {
  local touched=no
  [ -z "$(find /etc/ssh/sshd_config -newerct "@$(delivery)")" ] || touched=yes
  awk -F '\t' -v touched="$touched" -v whom="$1" '
    part == "ours" { ours[$1] = 1; next }
    part == "wanted" { wanted[$1] = $2; next }
    { found[$1] = $2 }
    END {
      for (key in wanted) if (!(key in found)) found[key] = "not there"
      for (key in found) if (found[key] != (key in wanted ? wanted[key] : "not there") && (key in ours || touched == "yes" || whom != ""))
        print "sshd setting " key " is " found[key] " instead of " (key in wanted ? wanted[key] : "not there") whom "\tsshd_setting\t" key
    }' part=ours "$work/ours" part=wanted "$work/wanted" part=found "$work/found"
}

take_sshd_setting() {
  local file
  for file in /etc/ssh/sshd_config.d/*.conf; do
    case ${file##*/} in 10-technicia.conf | 11-technicia-penalties.conf | 50-cloud-init.conf) ;; *) rm --force "$file" ;; esac
  done
  # Without this line no file of the folder counts; before the others, because the first value wins.
  sed --in-place '/^[[:space:]]*Include[[:space:]]*\/etc\/ssh\/sshd_config.d\//d' /etc/ssh/sshd_config
  sed --in-place '1i Include /etc/ssh/sshd_config.d/*.conf' /etc/ssh/sshd_config
  # A block for some users stands above what holds for all.
  sed --in-place --regexp-extended "/^[[:space:]]*($1|Port|AuthorizedKeysFile|AuthorizedKeysCommand|TrustedUserCAKeys|PermitEmptyPasswords|AllowUsers)[[:space:]]/Id; /^[[:space:]]*Match[[:space:]]/I,\$d" /etc/ssh/sshd_config
  # A line that the package brings was another one: its own file, as it comes.
  if [ -n "$(sshd_settings)" ] && [ -s /usr/share/openssh/sshd_config ]; then
    { echo 'Include /etc/ssh/sshd_config.d/*.conf'; grep --invert-match --ignore-case '^[[:space:]]*Include' /usr/share/openssh/sshd_config; } >"$work/sshd_config"
    install --mode 0644 "$work/sshd_config" /etc/ssh/sshd_config
  fi
  /usr/sbin/sshd -t
  systemctl reload ssh.service
}
