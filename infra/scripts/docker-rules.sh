# shellcheck shell=bash
# Docker writes its rules when it starts; whoever flushes all tables takes every container's way in and out.

# part: observe
leads_to_docker() { iptables --wait --table "$1" --list-rules "$2" 2>/dev/null | grep --quiet -- '-j DOCKER'; }
if ! systemctl is-active --quiet docker.service; then
  # Its own unit says that, and starts it.
  echo "Docker's rules are loaded"
elif nft list table ip docker-bridges >/dev/null 2>&1 || { leads_to_docker nat PREROUTING && leads_to_docker filter FORWARD; }; then
  echo "Docker's rules are loaded"
else
  echo "Docker's rules are gone"
fi
