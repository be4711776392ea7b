# shellcheck shell=bash
# The clock follows the network, whichever time daemon does it. A container has its host's clock: there one is enabled and rightly does not run.

# part: observe
is_enabled_one() {
  local units
  mapfile -t units < <(cat /etc/systemd/ntp-units.d/*.list /usr/lib/systemd/ntp-units.d/*.list 2>/dev/null | grep --invert-match '^#')
  systemctl is-enabled --quiet "${units[@]}" 2>/dev/null
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
