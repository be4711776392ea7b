# shellcheck shell=bash
# The clock follows the network, whichever time daemon does it. A container has its host's clock: there one is enabled and rightly does not run.

# part: observe
is_enabled_one() {
  local unit
  for unit in $(cat /etc/systemd/ntp-units.d/*.list /usr/lib/systemd/ntp-units.d/*.list 2>/dev/null | grep --invert-match '^#'); do
    ! systemctl is-enabled --quiet "$unit" 2>/dev/null || return 0
  done
  return 1
}
if [ "$(timedatectl show --property NTP --value)" = yes ] || { systemd-detect-virt --quiet --container && is_enabled_one; }; then
  echo "kept in time"
else
  echo "left alone"
fi

# part: apply
if [ "$(timedatectl show --property CanNTP --value)" != yes ]; then
  echo "expected a time daemon that timedatectl can switch on, got none; install one on the server with sudo apt-get install systemd-timesyncd" >&2
  exit 1
fi
timedatectl set-ntp true
