# shellcheck shell=bash
# The distribution's own firewall, which is off unless somebody starts it; stopping it empties every table.
fetch_lists
install_packages nftables
systemctl enable --now --quiet nftables.service
