# shellcheck shell=bash
# Prints, within ten seconds, how the upgrade stands: `none`, `running` or `ended <exit code>`, and below that the last of what it printed.
folder=/run/technicia-maintenance
is_running() { case $(systemctl show --property ActiveState --value "$UNIT" 2>/dev/null) in active | activating | deactivating) ;; *) return 1 ;; esac; }

silent=0
for ((seconds = 0; seconds < 10; seconds++)); do
  if [ -e "$folder/code" ] || [ ! -e "$folder/program" ]; then break; fi
  # While systemd itself is upgraded it answers nobody for a moment.
  if is_running; then silent=0; elif [ "$((silent += 1))" -ge 10 ]; then break; fi
  sleep 1
done
if [ -e "$folder/code" ]; then
  echo "ended $(cat "$folder/code")"
elif [ -e "$folder/program" ] && [ "$silent" -lt 10 ]; then
  echo running
else
  echo none
fi
tail --lines 20 "$folder/log" 2>/dev/null || true
