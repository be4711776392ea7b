# shellcheck shell=bash disable=SC2015
# The clock follows the network. A container has its host's clock: there the service is enabled and rightly does not run.

# part: observe
systemctl is-enabled --quiet systemd-timesyncd.service && { systemctl is-active --quiet systemd-timesyncd.service || systemd-detect-virt --quiet --container; } && echo "kept in time" || echo "left alone"

# part: apply
systemctl enable --now --quiet systemd-timesyncd.service
