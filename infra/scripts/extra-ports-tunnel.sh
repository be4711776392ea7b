# shellcheck shell=bash
# Who listens besides, where there are several servers: WireGuard, which is the kernel's, or a program's on a server whose kernel has none; and the
# door to the Swarm.
: "${TUNNEL_PORT:?}"
eval "$(declare -f is_declared | sed '1s/^is_declared/is_declared_alone/')"

is_declared() {
  case "$1 $3 $4" in
    "udp $TUNNEL_PORT " | "udp $TUNNEL_PORT /usr/bin/wireguard-go" | "tcp 7947 /usr/lib/systemd/systemd") ;;
    *) is_declared_alone "$@" ;;
  esac
}
