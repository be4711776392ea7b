# shellcheck shell=bash
# Starts $PROGRAM as a unit of its own, which goes on when this connection is lost: an upgrade that is killed half-way may leave every service
# stopped. One that runs already is left alone.
folder=/run/technicia-maintenance
case $(systemctl show --property ActiveState --value "$UNIT") in active | activating | deactivating) exit 0 ;; esac
rm -rf "$folder"
install -d -m 0700 "$folder"
printf '%s\n' "${PROGRAM:?}" >"$folder/program"
cat >"$folder/run" <<'END'
code=0
bash -euo pipefail /run/technicia-maintenance/program >/run/technicia-maintenance/log 2>&1 </dev/null || code=$?
echo "$code" >/run/technicia-maintenance/code
END
systemctl reset-failed "$UNIT" 2>/dev/null || true
systemd-run --quiet --unit "$UNIT" --description "Maintenance of the packages" bash "$folder/run"
