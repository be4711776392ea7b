# shellcheck shell=bash disable=SC2034,SC2154
# Installs everything that is pending. Files that were changed on the server stay, and no package is removed. Run after apt.sh.

# Whatever became of the packages: an upgrade of containerd may stop Docker and not start it again.
start_docker() {
  local unit
  for unit in containerd.service docker.service; do
    if systemctl --quiet is-enabled "$unit" 2>/dev/null; then systemctl start "$unit" || true; fi
  done
}
trap start_docker EXIT

deadline=$((SECONDS + 1200))
await_first_boot
finish_interrupted
# A package that was unpacked, and whose dependencies were not.
apt-get "${options[@]}" -o DPkg::Lock::Timeout="$(seconds_left)" --fix-broken install
apt-get "${options[@]}" -o DPkg::Lock::Timeout="$(seconds_left)" --with-new-pkgs upgrade
# What was downloaded shares the disk with the data.
apt-get clean
