# shellcheck shell=bash
# The IPv6 address that OVHcloud assigned, ADDRESS, with a default route through GATEWAY. Some images configure IPv4 alone. The address stands
# alone (/128), so the gateway is outside its network and is reached on the link.
file_of() {
  case $1 in
    netplan) echo /etc/netplan/60-technicia-ipv6.yaml ;;
    # Of the file by which networkd configures the interface.
    networkd) echo "/etc/systemd/network/$(basename "$(networkctl status "$2" | sed --quiet --regexp-extended 's/^ *Network File: (\S+).*/\1/p')").d/60-technicia-ipv6.conf" ;;
    # Some systems read names without a dot alone, others those that end in .cfg.
    ifupdown) echo "/etc/network/interfaces.d/60-technicia-ipv6$(grep --only-matching --max-count 1 '\*\.cfg' /etc/network/interfaces | sed 's/^\*//' || true)" ;;
  esac
}

interface() { ip -4 route show default | sed --quiet --regexp-extended '1s/.* dev (\S+).*/\1/p'; }

manager_of() {
  if command -v netplan >/dev/null && compgen -G '/etc/netplan/*.yaml' >/dev/null; then
    echo netplan
  elif networkctl status "$1" 2>/dev/null | grep --quiet '^ *Network File: /'; then
    echo networkd
  elif [ -e /etc/network/interfaces ] && command -v ifup >/dev/null; then
    echo ifupdown
  fi
}

settings_for() {
  local device=$2
  case $1 in
    netplan)
      cat <<END
network:
  version: 2
  ethernets:
    $device:
      addresses: ["$ADDRESS/128"]
      routes: [{ to: "::/0", via: "$GATEWAY", on-link: true }]
END
      ;;
    networkd) printf '[Network]\nAddress=%s/128\n\n[Route]\nGateway=%s\nGatewayOnLink=yes\n' "$ADDRESS" "$GATEWAY" ;;
    ifupdown)
      cat <<END
iface $device inet6 static
    address $ADDRESS/128
    accept_ra 0
    post-up ip -6 route replace $GATEWAY dev $device
    post-up ip -6 route replace default via $GATEWAY dev $device
END
      ;;
  esac
}

# The gateway of the route that is used, whoever announced it; what answers no echo may still answer on the link.
answers() {
  local route via device
  route=$(ip -6 route show default | head --lines 1)
  [[ $route =~ via\ ([^ ]+) ]] || return 0
  via=${BASH_REMATCH[1]}
  [[ $route =~ dev\ ([^ ]+) ]]
  device=${BASH_REMATCH[1]}
  command -v ping >/dev/null || return 0
  ping -6 -q -c 1 -W 2 -I "$device" "$via" >/dev/null 2>&1 || ip -6 neighbour show "$via" dev "$device" | grep --quiet --extended-regexp 'REACHABLE|STALE|DELAY|PROBE|PERMANENT'
}

observe() {
  if [ -z "$ADDRESS" ]; then
    # OVHcloud assigned none.
    echo configured
  elif [ -z "$(ip -6 address show to "$ADDRESS" scope global 2>/dev/null)" ]; then
    echo "no interface has $ADDRESS"
  elif [ -z "$(ip -6 route show default)" ]; then
    echo "no default route"
  elif ! answers; then
    echo "the gateway of the default route does not answer"
  else
    echo configured
  fi
}

apply() {
  local device manager file
  if [ ! -e /proc/sys/net/ipv6 ]; then
    echo "server.ipv6: expected a kernel with IPv6, got one that was started without it; set server.ipv6 to false" >&2
    return 1
  fi
  device=$(interface)
  manager=$(manager_of "$device")
  if [ -z "$GATEWAY" ] || [ -z "$manager" ]; then
    echo "server.ipv6: expected a gateway of OVHcloud's and an interface that netplan, networkd or ifupdown configures, got gateway \"$GATEWAY\" and interface \"$device\"; configure $ADDRESS on the server yourself, or set server.ipv6 to false" >&2
    return 1
  fi
  file=$(file_of "$manager" "$device")
  mkdir --parents "${file%/*}"
  settings_for "$manager" "$device" >"$file"
  # netplan warns of files that others may read.
  if [ "$manager" = netplan ]; then chmod 0600 "$file"; else chmod 0644 "$file"; fi
  case $manager in
    netplan) netplan apply ;;
    networkd) networkctl reload && networkctl reconfigure "$device" ;;
  esac
  sysctl --quiet --write "net.ipv6.conf.$device.disable_ipv6=0"
  # At once, and for good where the manager takes its time.
  ip -6 address replace "$ADDRESS/128" dev "$device"
  ip -6 route replace "$GATEWAY" dev "$device"
  ip -6 route replace default via "$GATEWAY" dev "$device"
  # The kernel first asks whether somebody else has the address.
  for _ in {1..50}; do
    [ -n "$(ip -6 address show to "$ADDRESS" tentative)" ] || break
    sleep 0.1
  done
  if ! answers; then
    # Whatever the server asks for over IPv6 would wait for an answer in vain.
    ip -6 route del default via "$GATEWAY" dev "$device"
    ip -6 address del "$ADDRESS/128" dev "$device"
    remove
    echo "server.ipv6: expected the gateway $GATEWAY to answer, got no answer; set server.ipv6 to false to do without IPv6" >&2
    return 1
  fi
}

# The address stays until the next boot: what runs may use it.
remove() { rm --force /etc/netplan/60-technicia-ipv6.yaml /etc/systemd/network/*.network.d/60-technicia-ipv6.conf /etc/network/interfaces.d/60-technicia-ipv6*; }
