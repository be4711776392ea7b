# shellcheck shell=bash
# Another time daemon than systemd's, which Debian removes for it.
fetch_lists
install_packages chrony
