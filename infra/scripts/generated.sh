# shellcheck shell=bash disable=SC2154
# Files that programs of packages write again and again, judged by what they hold: is_generated <path> says whether nothing else is in it.

is_generated() {
  case $1 in
    # Accounts are a set of their own.
    /etc/passwd | /etc/passwd- | /etc/group | /etc/group- | /etc/shadow | /etc/shadow- | /etc/gshadow | /etc/gshadow- | /etc/subuid | /etc/subuid- | /etc/subgid | /etc/subgid-) return 0 ;;
    *.dpkg-dist | *.dpkg-old | *.dpkg-new | *.dpkg-bak | *.dpkg-remove | *.ucf-dist | *.ucf-old) is_packaged "${1%.*}" || is_of_ucf "${1%.*}" || is_generated "${1%.*}" ;;
    /etc/.pwd.lock | /etc/.java/*.lock | /etc/.java/.systemPrefs/.systemRootModFile) [ ! -s "$1" ] ;;
    /etc/machine-id) only '[0-9a-f]+' "$1" ;;
    /etc/hostname) only "$(hostname --short)(\.[a-z0-9.-]+)?" "$1" ;;
    /etc/hosts) only_own_addresses ;;
    /etc/resolv.conf) only_known_resolvers ;;
    /etc/fstab) only_known_mounts ;;
    /etc/timezone) only '[A-Za-z0-9_+/-]+' "$1" ;;
    /etc/adjtime) only '[0-9. -]+|UTC|LOCAL' "$1" ;;
    /etc/networks) only '(default|loopback|link-local)[[:space:]]+[0-9.]+' "$1" ;;
    /etc/locale.gen) only '[A-Za-z]{2,3}(_[A-Z]{2})?[A-Za-z0-9.@_-]* [A-Z0-9-]+' "$1" ;;
    /etc/default/locale | /etc/locale.conf) only '(LANG|LANGUAGE|LC_[A-Z]+)="?[A-Za-z0-9_.@:-]*"?' "$1" ;;
    /etc/default/keyboard | /etc/default/console-setup | /etc/vconsole.conf) only '(XKB[A-Z]+|KEYMAP|FONT[A-Z]*|BACKSPACE|CHARMAP|CODESET|ACTIVE_CONSOLES|VIDEOMODE|SCREEN_(WIDTH|HEIGHT))="?[][A-Za-z0-9_.,:/ -]*"?' "$1" ;;
    /etc/python3/debian_config) only '\[DEFAULT\]|byte-compile = [a-z, ]+' "$1" ;;
    /etc/cloud/cloud.cfg.d/90_dpkg.cfg) only 'datasource_list: \[[A-Za-z0-9, ]*\]' "$1" ;;
    /etc/docker/key.json) jq --exit-status 'type == "object" and (keys - ["crv", "d", "kid", "kty", "x", "y"]) == []' "$1" >/dev/null 2>&1 ;;
    /etc/shells) only_own_shells ;;
    /etc/nsswitch.conf) only_own_sources ;;
    /etc/pam.d/common-*) only_own_profiles "${1##*/}" ;;
    /etc/ld.so.cache) is_own_cache ;;
    /etc/ca-certificates.conf) only '!?(mozilla|debconf\.org|spi-inc\.org|cacert\.org)/[^/]+\.crt' "$1" ;;
    /etc/ssl/certs/*) only_own_certificates "$1" ;;
    /etc/ssl/private/ssl-cert-snakeoil.key) is_packaged /usr/sbin/make-ssl-cert ;;
    /etc/tmpfiles.d/screen-cleanup.conf) only 'd /run/screen [0-7]+ root [a-z]+' "$1" ;;
    /etc/console-setup/cached_setup_*.sh) only_console_settings "$1" ;;
    # Written by dh_apparmor for the owner of the server to fill in.
    /etc/apparmor.d/local/*) only '' "$1" ;;
    # Data that nothing trusts or starts.
    /etc/xml/* | /etc/sgml/* | /etc/init.d/.depend.* | /etc/udev/hwdb.bin | /etc/.updated | /etc/mailcap | /etc/console-setup/cached_*.gz) return 0 ;;
    /usr/share/mime/* | /usr/share/info/dir | /usr/share/info/dir.old | /usr/share/icons/*/icon-theme.cache | /usr/share/glib-2.0/schemas/gschemas.compiled) return 0 ;;
    /usr/share/applications/mimeinfo.cache | /usr/share/fonts/*/.uuid | /usr/share/fonts/*/fonts.* | /usr/share/vim/*/doc/tags) return 0 ;;
    /usr/lib/locale/* | /usr/lib/udev/hwdb.bin | /usr/lib/modules/*/modules.* | /usr/lib/*/gconv/gconv-modules.cache | /usr/lib/*/giomodule.cache | /usr/lib/*/loaders.cache | /usr/lib/*/immodules.cache) return 0 ;;
    /root/.* | /home/*/.*) is_of_skeleton "$1" || is_template "$1" ;;
    *) is_of_ucf "$1" || is_template "$1" ;;
  esac
}

# Whether every line that is neither empty nor a comment is one of these.
only() { ! grep --quiet --invert-match --extended-regexp --line-regexp "[[:space:]]*(#.*)?|$1" "$2"; }

# Whether packages brought all of these; they may name /lib what is /usr/lib.
is_packaged() {
  local path
  for path in "$@"; do
    grep --quiet --no-messages --fixed-strings --line-regexp --regexp "$path" --regexp "${path#/usr}" --regexp "/usr$path" "$packages"/*.list || return 1
  done
}

# What a package's own program installed, and nobody edited since.
is_of_ucf() { [ -f "$1" ] && grep --quiet --fixed-strings --line-regexp "$(md5sum <"$1" | cut --characters -32)  $1" /var/lib/ucf/hashfile 2>/dev/null; }

# A copy of a file of the same name below /usr/share, which its package brought.
is_template() {
  local name=${1##*/}
  [ -f "$1" ] && grep --quiet --no-filename --extended-regexp "^$(md5sum <"$1" | cut --characters -32)  usr/share/.*/(dot)?${name//./\\.}$" "$packages"/*.md5sums
}

# What every new account gets.
is_of_skeleton() { cmp --silent "$1" "/etc/skel/${1#/home/*/}"; }

# Names may lead to this machine, and nowhere else.
only_own_addresses() {
  local own
  own=$({ ip -oneline address show 2>/dev/null | awk '{ sub(/\/.*/, "", $4); print $4 }'; } || true)
  awk -v own="$own" -v name="$(hostname)" '
    BEGIN { count = split(own, list, "\n"); for (i = 1; i <= count; i++) mine[list[i]] = 1 }
    { sub(/#.*/, "") }
    NF == 0 || $1 ~ /^(127\.[0-9.]+|::1|fe00::0?|ff0[0-9]::[0-9]*)$/ || $1 in mine { next }
    { other = 1 }
    END { exit other }' /etc/hosts
}

# A name server that systemd-resolved, the address lease, the network's settings or cloud-init name.
only_known_resolvers() {
  local address
  while read -r address; do
    case $address in 127.*) continue ;; esac
    grep --quiet --recursive --fixed-strings --word-regexp -- "$address" /var/lib/dhcp /run/systemd/netif /run/NetworkManager /var/lib/dhcpcd \
      /etc/netplan /etc/network /etc/systemd/network /var/lib/cloud/instance /run/cloud-init 2>/dev/null || return 1
  done < <(awk '$1 == "nameserver" { print $2 }' /etc/resolv.conf)
  ! grep --quiet --invert-match --extended-regexp '^[[:space:]]*([#;].*)?$|^(nameserver|search|domain|options|sortlist)[[:space:]]' /etc/resolv.conf
}

# Disks by name, and the swap file.
only_known_mounts() {
  awk '
    { sub(/#.*/, "") }
    NF == 0 { next }
    $1 == "/swapfile" && $3 == "swap" { next }
    $1 ~ /^(UUID=|LABEL=|PARTUUID=|PARTLABEL=|\/dev\/)/ && $2 ~ /^(\/|none|swap|\/boot|\/boot\/efi)$/ && $3 ~ /^(ext[234]|xfs|btrfs|vfat|swap)$/ { next }
    { other = 1 }
    END { exit other }' /etc/fstab
}

only_own_shells() {
  local shell shells=()
  while read -r shell; do
    # Which shell sh is, is a link that dpkg does not know.
    case $shell in '' | '#'* | /bin/sh | /usr/bin/sh) continue ;; esac
    shells+=("$shell")
  done </etc/shells
  is_packaged "${shells[@]}"
}

# Where names come from: the libraries of packages.
only_own_sources() {
  local source
  while read -r source; do
    case $source in files | dns | db | compat | nis | '[!'* | '['*) continue ;; esac
    is_packaged /usr/lib/*/"libnss_$source.so.2" || return 1
  done < <(sed -e 's/#.*//' -e 's/^[^:]*://' /etc/nsswitch.conf | tr -s ' \t' '\n' | sed '/^$/d' | sort --unique)
}

# pam-auth-update builds these of profiles; a success leaps over the refusal that follows the profiles.
only_own_profiles() {
  local template=/usr/share/pam/$1
  [ -f "$template" ] || return 1
  awk '
    function plain(text) { gsub(/success=[0-9]+/, "success=end", text); gsub(/[ \t]+/, " ", text); sub(/^ /, "", text); sub(/ $/, "", text); return text }
    { sub(/^[ \t]*#.*/, "") }
    part == "profile" { if (/^[ \t]/) known[plain($0)] = 1; next }
    NF == 0 || $1 ~ /^\$/ { next }
    { kind = $1; sub(/^[^ \t]+[ \t]+/, "") }
    part == "template" { known[plain($0)] = 1; if (/pam_deny/) refuses = 1; next }
    { line++; text = plain($0); if (!(text in known) && !(type == "session" && text == "[default=1] pam_permit.so") || kind != type) other = 1 }
    match($0, /success=[0-9]+|default=[0-9]+/) { leap[line] = substr($0, RSTART + 8, RLENGTH - 8) }
    text == "requisite pam_deny.so" && !refusal { refusal = line }
    END {
      for (line in leap) if (line < refusal && leap[line] != refusal - line) other = 1
      exit other || (refuses && !refusal)
    }' part=profile /usr/share/pam-configs/* part=template "$template" part=found type="$(sed -e 's/^common-//' -e 's/-.*//' <<<"$1")" "/etc/pam.d/$1"
}

# Made of the same libraries again.
is_own_cache() {
  local made=$work/ld.so.cache
  ldconfig -X -C "$made" 2>/dev/null && cmp --silent "$made" /etc/ld.so.cache
}

# The bundle and its parts: certificates of packages, and those that are files of their own and so looked at themselves.
only_own_certificates() {
  # A certificate of this machine's own, which vouches for no other.
  if [ "$(readlink --canonicalize "$1")" = /etc/ssl/certs/ssl-cert-snakeoil.pem ]; then
    [[ $(openssl x509 -noout -ext basicConstraints -in "$1" 2>/dev/null) == *CA:FALSE* ]]
    return
  fi
  # Java's own store cannot be read like this; a link that leads nowhere says nothing.
  [[ $1 != */java/* ]] || return 1
  [ -e "$1" ] || return 0
  local known
  mapfile -t known < <(find /usr/share/ca-certificates /usr/local/share/ca-certificates -name '*.crt' 2>/dev/null)
  awk '
    /^-----BEGIN/ { body = ""; next }
    /^-----END/ { if (FILENAME == asked) { if (!(body in known)) other = 1 } else known[body] = 1; next }
    { sub(/\r$/, ""); body = body $0 }
    END { exit other }' asked="$1" "${known[@]}" "$1"
}

# What setupcon writes for the next boot: it loads fonts and keys that are on the disk.
only_console_settings() {
  only "if .*then|then|fi|for i in /dev/vcs\[0-9\]\*; do|done|\{ :|\} <? ?/?[a-z\$\{\}/1i#<> ]*|exit 0|rm /run/console-setup/[a-z_-]+|mkdir -p /run/console-setup|> /run/console-setup/[a-z_-]+|kbd_mode '[-a-z]+'( < [a-z/0-9\$\{\}#]+)?|(setfont|loadkeys) '/(usr/share/consolefonts|etc/console-setup)/[A-Za-z0-9._-]+'( > '/dev/null')?|printf '[\\\\0-9%G]+'" <(sed -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//' "$1") &&
    ! grep --extended-regexp '^[[:space:]]*if ' "$1" | grep --quiet --invert-match --extended-regexp '^[[:space:]]*if (ls /dev/fb\* >/dev/null 2>/dev/null|\[ -f /run/console-setup/[a-z_]+ \]); then$'
}
