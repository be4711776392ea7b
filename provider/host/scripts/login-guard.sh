# shellcheck shell=bash disable=SC2154
#
# Makes a change that decides who can log in, and takes it back unless a new connection of the operator confirms it.
#
#   GUARD_CHANGE   bash of the change; it reads the standard input of this program
#   GUARD_LOGIN    user whose login has to survive
#   GUARD_TOUCHED  a further file that the change may write; empty for none
#   GUARD_SECONDS  time for the confirmation
#
# Before the change it copies what a login depends on, and arms a timer of systemd that restores it: the timer survives the loss of the
# connection. After the change it prints "guard <folder>" on standard error and waits. <folder>/confirmed keeps the change, <folder>/refused
# takes it back at once, and so does the end of this program for any other reason. What was taken back is on standard error, one line each:
# "restored <what>". The exit code is the change's, or 94 when the change succeeded and was taken back.

guard_folder=$(mktemp --directory /run/technicia-guard-XXXXXXXX)
guard_unit=${guard_folder##*/}
guard_kept=no
guard_pid=$BASHPID

guard_paths() {
  local home
  home=$(getent passwd "$GUARD_LOGIN" | cut --delimiter : --fields 6)
  printf '%s\n' /etc/ssh/sshd_config /etc/sudoers /etc/technicia/firewall.nft \
    "$home/.ssh/authorized_keys" "$home/.ssh/authorized_keys2" ${GUARD_TOUCHED:+"$GUARD_TOUCHED"}
  find /etc/ssh/sshd_config.d /etc/sudoers.d \( -type f -o -type l \) 2>/dev/null || true
}

# Tables that nft can load again from their listing. Those of iptables and Docker it cannot.
guard_tables() {
  command -v nft >/dev/null || return 0
  nft list tables | grep --extended-regexp --invert-match '^table (ip6? (filter|nat|mangle|raw|security)|[a-z0-9]+ (docker|f2b).*)$' || true
}

# nft prints what it then refuses to read: "0x50 [invalid type]" for a port of ct original.
guard_listing() { nft --stateless list table "$1" "$2" 2>/dev/null | sed 's/ \[invalid type\]//g'; }

# Puts one table in place of another in one transaction.
guard_load() {
  { printf 'table %s %s\ndelete table %s %s\n' "$1" "$2" "$1" "$2"; cat "$3"; } | nft --file -
}

# What an incoming connection meets in the tables of iptables, which stands for all of them: Docker changes the others all the time.
guard_input_of() { grep --extended-regexp '^(:|-A )INPUT ' || true; }

guard_save() {
  mkdir "$guard_folder/files"
  guard_paths | while IFS= read -r path; do
    if [ -e "$path" ] || [ -L "$path" ]; then cp --archive --parents -- "$path" "$guard_folder/files"; fi
  done
  mkdir "$guard_folder/tables"
  guard_tables | while read -r _ family table; do
    guard_listing "$family" "$table" >"$guard_folder/tables/$family $table"
  done
  ! guard_sshd_runs || touch "$guard_folder/sshd"
  for program in iptables ip6tables; do
    "$program-save" >"$guard_folder/$program" 2>/dev/null || rm "$guard_folder/$program"
  done
}

guard_sshd_runs() { systemctl --quiet is-active ssh.service || systemctl --quiet is-active ssh.socket; }

guard_restore_tables() {
  local family table saved program
  while read -r family table; do
    saved="$guard_folder/tables/$family $table"
    [ -e "$saved" ] || saved=/dev/null
    [ "$(guard_listing "$family" "$table")" != "$(cat "$saved")" ] || continue
    # A listing that cannot be read: the file, which may be older; at last no table, because the operator has to get in.
    if guard_load "$family" "$table" "$saved"; then echo "restored the loaded firewall ($family $table)"
    elif [ "$table" = technicia ] && nft --file /etc/technicia/firewall.nft; then echo "restored the firewall of /etc/technicia/firewall.nft"
    elif nft delete table "$family" "$table"; then echo "removed the firewall $family $table, whose earlier form could not be loaded"
    fi >>"$guard_folder/told"
  done < <({ guard_tables | cut --delimiter ' ' --fields 2-; ls "$guard_folder/tables"; } | sort --unique)
  for program in iptables ip6tables; do
    saved=$guard_folder/$program
    [ -e "$saved" ] || continue
    [ "$("$program-save" | guard_input_of)" != "$(guard_input_of <"$saved")" ] || continue
    "$program-restore" <"$saved" && echo "restored the rules of $program" >>"$guard_folder/told"
  done
}

guard_same() {
  [ -e "$2" ] && cmp --quiet -- "$1" "$2" && [ "$(stat --format '%a %u %g' -- "$1")" = "$(stat --format '%a %u %g' -- "$2")" ]
}

guard_reload_sshd() {
  # With socket activation systemd listens, on the ports that sshd's settings name.
  if systemctl --quiet is-active ssh.socket; then
    systemctl daemon-reload
    systemctl restart ssh.socket
  else
    systemctl reload-or-restart ssh.service
  fi
}

# Runs as a service of its own. Each step is tried whatever became of the others.
guard_restore() {
  set +e
  # The first decision counts.
  mkdir "$guard_folder/decided" 2>/dev/null || return 0
  local path saved next
  while IFS= read -r path; do
    saved=$guard_folder/files$path
    if [ ! -e "$saved" ] && [ ! -L "$saved" ]; then
      [ -e "$path" ] || [ -L "$path" ] || continue
      rm --force -- "$path"
    else
      ! guard_same "$saved" "$path" || continue
      mkdir --parents -- "$(dirname -- "$path")"
      next=$(dirname -- "$path")/.technicia.restored
      cp --archive --remove-destination -- "$saved" "$next" && mv --force --no-target-directory -- "$next" "$path"
    fi
    echo "restored $path" >>"$guard_folder/told"
  done < <({ guard_paths; cd "$guard_folder/files" && find . \( -type f -o -type l \) -printf '/%P\n'; } | sort --unique)
  guard_restore_tables
  if grep --quiet '^restored /etc/ssh/' "$guard_folder/told" 2>/dev/null; then guard_reload_sshd; fi
  if [ -e "$guard_folder/sshd" ] && ! guard_sshd_runs; then
    systemctl start ssh.service && echo "restored sshd, which had stopped" >>"$guard_folder/told"
  fi
  touch "$guard_folder/restored"
  # Nobody waits for the answer any more.
  kill -0 "$guard_pid" 2>/dev/null || rm --recursive --force "$guard_folder"
}

guard_arm() {
  {
    declare -p guard_folder guard_pid GUARD_LOGIN GUARD_TOUCHED
    declare -f guard_paths guard_tables guard_listing guard_load guard_sshd_runs guard_input_of guard_restore_tables guard_same guard_reload_sshd guard_restore
    echo guard_restore
  } >"$guard_folder/restore"
  systemd-run --quiet --collect --unit "$guard_unit" --description "Restores how to log in" --property Type=oneshot \
    --on-active "$GUARD_SECONDS" --timer-property AccuracySec=1s bash "$guard_folder/restore" </dev/null
}

guard_finish() {
  local code=$?
  trap '' TERM
  set +e
  if [ "$guard_kept" = no ] || ! mkdir "$guard_folder/decided"; then
    # In systemd, because this program may be killed while it restores. It waits for one that runs already.
    [ -e "$guard_folder/restored" ] || systemctl start "$guard_unit.service" || bash "$guard_folder/restore"
    cat "$guard_folder/told" >&2 2>/dev/null
    if [ "$code" = 0 ]; then code=94; fi
  fi
  systemctl --quiet stop "$guard_unit.timer" 2>/dev/null
  rm --recursive --force "$guard_folder"
  exit "$code"
}

guard_save
guard_arm
trap 'exit 143' TERM
# Otherwise a line that nobody reads any more would end this program without its last act.
trap : PIPE
trap guard_finish EXIT
# In a condition bash would ignore -e.
set +e
(
  set -e
  eval "$GUARD_CHANGE"
)
guard_code=$?
set -e
[ "$guard_code" = 0 ] || exit "$guard_code"
echo "guard $guard_folder" >&2
until [ -e "$guard_folder/confirmed" ] || [ -e "$guard_folder/refused" ] || [ -e "$guard_folder/decided" ]; do sleep 0.1; done
if [ -e "$guard_folder/confirmed" ]; then guard_kept=yes; fi
