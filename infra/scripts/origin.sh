# shellcheck shell=bash disable=SC2034,SC2154
# Who brought a file: a package, the first boot, ourselves, or nobody. FILES names ours; a name that ends in a slash is all below it.
mapfile -t declared <<<"${FILES:?}"
readonly packages=/var/lib/dpkg/info
# Never judged by a date alone: settings, and what starts or is trusted by what root runs.
readonly whole=(/etc '/usr/lib/*.d' /usr/lib/systemd /usr/lib/udev /usr/lib/apt /usr/lib/sudo '/usr/lib/*/security' /usr/lib/networkd-dispatcher /usr/lib/NetworkManager
  /usr/share/ca-certificates /usr/share/dbus-1 /usr/share/pam /usr/share/pam-configs /usr/share/polkit-1
  /usr/sbin/sshd /usr/sbin/cron /usr/sbin/agetty /usr/sbin/visudo /usr/sbin/sulogin
  /usr/bin/ssh /usr/bin/sudo /usr/bin/su /usr/bin/login /usr/bin/passwd /usr/bin/bash /usr/bin/dash)
whole_pattern=$(IFS='|'; sed -e 's/[.]/[.]/g' -e 's/[*]/[^\/]*/g' <<<"^(${whole[*]})(/|\$)")

# What the clock or the boot starts, and the settings of the kernel: a set of their own, which removes what is too many.
readonly scheduled=(/etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly /etc/cron.yearly /etc/crontab /etc/anacrontab
  /var/spool/cron /etc/rc.local /etc/ld.so.preload /etc/systemd /usr/lib/systemd /usr/local/lib/systemd
  /etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d /usr/local/lib/sysctl.d)

# What `find` tells of a file, for `strangers`.
readonly facts='%p\t%y\t%C@\t%l\n'

# Of the files on standard input, those that nobody accounts for, with what is wrong: edited, unpackaged or link.
strangers() {
  judged | LC_ALL=C awk -F '\t' -v record="$(cat "$first_boot" 2>/dev/null || true)" '
    BEGIN { known = split(record, lines, "\n"); for (i = 2; i <= known; i++) as_delivered[lines[i]] = 1 }
    $1 != "delivered" { print $1 "\t" $2; next }
    known && !(($3 "  " $2) in as_delivered) { print "edited\t" $2 }' |
    while IFS=$'\t' read -r why path; do is_passing "$path" || printf '%s\t%s\n' "$why" "$path"; done
}

# Our own files are written beside their places and renamed at once. Other resources do so while this one is compared.
is_passing() {
  [ -e "$1" ] || [ -L "$1" ] || return 0
  [[ ${1##*/} == .technicia.???????? ]] && [ "$(stat --format %Z "$1" 2>/dev/null || echo 9999999999)" -gt "$(($(date +%s) - 600))" ]
}

# Keeps what the first boot left, so that a file with a false date is found later.
remember() {
  local at
  at=$(delivery)
  { echo "$at"; candidates | judged | awk -F '\t' '$1 == "delivered" { print $3 "  " $2 }'; } >"$first_boot.new"
  mv "$first_boot.new" "$first_boot"
}

# Also `delivered` with its digest for what is as old as the first boot and of no package.
judged() {
  local at merged=0 all
  at=$(delivery)
  await_packages
  # Packages may name /lib what is /usr/lib.
  if [ -L /lib ]; then merged=1; fi
  # mawk takes no options after a program; what is read is said before each file.
  all=$(LC_ALL=C awk -v mark="$at" -v merged="$merged" -v whole="$whole_pattern" -F '\t' "$JUDGE" \
    part=declared <(printf '%s\n' "${declared[@]}") \
    part=found - \
    part=unpacked <(find "$packages" -name '*.list' -printf '%f\t%C@\n') \
    part=diverted <(paste - - - </var/lib/dpkg/diversions) \
    part=settings /var/lib/dpkg/status \
    part=digests "$packages"/*.md5sums \
    part=lists "$packages"/*.list)
  awk -F '\t' '$1 ~ /^(check|delivered)$/ { print $2 }' <<<"$all" | xargs --no-run-if-empty --delimiter '\n' md5sum -- 2>/dev/null |
    awk -F '\t' '
      part == "sums" { sum[substr($0, 35)] = substr($0, 1, 32); next }
      $1 == "check" { if ($2 in sum && sum[$2] != $3) print $4 "\t" $2 "\t" sum[$2]; next }
      $1 == "delivered" { if ($2 in sum) print $1 "\t" $2 "\t" sum[$2]; next }
      NF { print }' part=sums - part=all <(echo "$all")
}

# One pass over the records of dpkg; only what was found is kept in memory.
# shellcheck disable=SC2016
readonly JUDGE='
function usr(path) { return merged && path ~ /^\/(s?bin|lib|lib32|lib64|libx32)\// ? "/usr" path : path }
function absolute(link, path,   parts, kept, count, i, depth) {
  if (path !~ /^\//) { sub(/[^\/]*$/, "", link); path = link path }
  count = split(path, parts, "/"); depth = 0
  for (i = 1; i <= count; i++) {
    if (parts[i] == "..") { if (depth > 0) depth-- }
    else if (parts[i] != "" && parts[i] != ".") kept[++depth] = parts[i]
  }
  path = ""
  for (i = 1; i <= depth; i++) path = path "/" kept[i]
  return usr(path)
}
function follow(path,   steps) { while (path in target && steps++ < 9) path = target[path]; return path }
function place(path) { path = usr(path); return path in moved && mover[path] != bare ? moved[path] : path }
function named() { package = FILENAME; sub(/^.*\//, "", package); sub(/\.[^.]*$/, "", package); bare = package; sub(/:.*/, "", bare) }
function ours(path) {
  if (path in declared) return 1
  while (match(path, /\/[^\/]*$/)) { path = substr(path, 1, RSTART - 1); if ((path "/") in declared) return 1 }
  return 0
}
function accounted(end) { return end in owner || end in declared || end ~ /^\/(proc|run\/systemd\/resolve)\// || (end in type && type[end] != "l" && at[end] + 0 <= mark + 0) }
function verdict(path,   young, unpackaged) {
  young = at[path] + 0 > mark + 0
  if (type[path] == "l") {
    # A file of a package, replaced.
    if (young && path in digest) return "link"
    # A unit that its package masks.
    if (path in owner && target[path] == "/dev/null") return ""
    if (!young || (path in owner && at[path] + 0 <= unpacked[owner[path]] + 0) || accounted(follow(path))) return ""
    return "link"
  }
  if (type[path] != "f") return young ? "unpackaged" : ""
  # Settings of a package that were edited before the end of the first boot are those of the image.
  if (path in digest) return path ~ whole || (young && at[path] + 0 > unpacked[owner[path]] + 0) ? "check" : ""
  if (young) return path in owner ? "edited" : "unpackaged"
  return path in owner ? "" : "delivered"
}
part == "declared" { declared[$1] = 1; next }
part == "found" {
  if ($1 in type) next
  type[$1] = NF == 4 ? $2 : "odd"; at[$1] = $3
  if ($2 == "l") { target[$1] = absolute($1, $4); needed[target[$1]] = 1 }
  next
}
part == "unpacked" { sub(/\.list$/, "", $1); unpacked[$1] = $2; next }
part == "diverted" { moved[usr($1)] = usr($2); mover[usr($1)] = $3; next }
part == "settings" {
  if (/^Package: /) bare = substr($0, 10)
  if (!/^ /) { settings = /^Conffiles:/; next }
  if (!settings) next
  split($0, words, " ")
  path = place(words[1])
  # A package that is gone, or no longer has it, may still name the settings that another one brings now.
  if (words[3] == "obsolete" && path in setting) next
  if (path in type && length(words[2]) == 32) { digest[path] = words[2]; owner[path] = bare; setting[path] = 1 }
  next
}
part == "digests" {
  if (FNR == 1) named()
  path = place("/" substr($0, 35))
  if (path in type && !(path in setting)) { digest[path] = substr($0, 1, 32); owner[path] = package }
  next
}
part == "lists" {
  if (FNR == 1) named()
  path = place($0)
  if (path in type || path in needed) owner[path] = package
}
END {
  for (path in type) {
    said = verdict(path)
    if (said == "" || ours(path)) continue
    if (said == "check") said = said "\t" path "\t" digest[path] "\t" (at[path] + 0 <= mark + 0 && path in setting ? "delivered" : "edited")
    else said = said "\t" path
    print said
  }
}'
