# shellcheck shell=bash
# Begins what runs on a server before it is handed over: waits for the first boot and its updates.
export DEBIAN_FRONTEND=noninteractive
cloud-init status --wait >/dev/null || true
while systemctl list-jobs --no-legend --plain | grep --quiet 'apt-daily'; do sleep 1; done

fetch_lists() { apt-get --quiet --quiet update; }
install_packages() { apt-get --quiet --quiet --yes -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"; }
