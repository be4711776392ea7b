# shellcheck shell=bash
# Who listens beside sshd, Docker and the system's own resolver and clients. A published port belongs to its container, compared elsewhere.
: "${SSH_PORT:?}"

extras() {
  local seen
  seen=$(listeners | LC_ALL=C sort)
  [ -n "$seen" ] || return 0
  # Whoever asks a name server listens for the answer for a moment.
  sleep 2
  LC_ALL=C comm -12 <(printf "%s\n" "$seen") <(listeners | LC_ALL=C sort)
}

listeners() {
  local protocol address owner pid name exe unit
  while read -r protocol _ _ _ address _ owner; do
    pid=
    if [[ $owner =~ pid=([0-9]+) ]]; then pid=${BASH_REMATCH[1]}; fi
    exe=
    name="the kernel"
    if [ -n "$pid" ]; then
      exe=$(readlink "/proc/$pid/exe" 2>/dev/null) || continue
      exe=${exe% (deleted)}
      name=${exe##*/}
    fi
    # The scope of an address is no part of where it listens.
    if [[ $address =~ ^(.*)%[^]:]*(.*)$ ]]; then address=${BASH_REMATCH[1]}${BASH_REMATCH[2]}; fi
    ! is_declared "$protocol" "${address%:*}" "${address##*:}" "$exe" || continue
    unit=$(unit_of "$pid")
    printf 'listener %s %s by %s%s\tlistener\t%s\t%s\n' "$protocol" "$address" "$name" "${unit:+ of $unit}" "$pid" "${address##*:}"
  done < <(ss --no-header --listening --numeric --processes --tcp --udp)
}

take() { "take_$1" "${@:2}"; }

is_declared() {
  local protocol=$1 address=$2 port=$3 exe=$4 loopback=no
  case $address in 127.* | '[::1]') loopback=yes ;; esac
  case $exe in
    # Of the kernel: Swarm's overlay; and the resolver that a container which is itself the server gets from its own Docker.
    '') [ "$protocol $port" = "udp 4789" ] || [ "$address" = 127.0.0.11 ] ;;
    /usr/sbin/sshd | /usr/lib/systemd/systemd) [ "$protocol" = tcp ] && [[ " $SSH_PORT " == *" $port "* ]] ;;
    /usr/bin/docker-proxy | /usr/sbin/docker-proxy | /usr/libexec/docker/docker-proxy) true ;;
    /usr/bin/dockerd | /usr/sbin/dockerd) [[ $port =~ ^(2377|7946)$ ]] || [ "$loopback" = yes ] ;;
    /usr/bin/containerd | /usr/bin/containerd-shim*) [ "$loopback" = yes ] ;;
    /usr/lib/systemd/systemd-resolved) [ "$loopback" = yes ] || [[ $port =~ ^(5353|5355)$ ]] ;;
    /usr/lib/systemd/systemd-networkd | /usr/sbin/dhclient | /usr/sbin/dhcpcd) [[ $protocol:$port =~ ^udp:(68|546)$ ]] ;;
    /usr/sbin/chronyd | /usr/sbin/ntpd) [[ $protocol:$port =~ ^udp:(123|323)$ ]] ;;
    /usr/bin/prometheus-node-exporter) [ "$protocol $loopback $port" = "tcp yes 9100" ] ;;
    *) false ;;
  esac
}

unit_of() { [ -z "$1" ] || sed --quiet --regexp-extended 's/^[0-9]+:(name=systemd)?:.*\/([^/]+\.(service|scope))$/\2/p' "/proc/$1/cgroup" 2>/dev/null | tail --lines 1; }

take_listener() {
  local pid=$1 unit socket
  if [ -z "$pid" ]; then
    echo "expected a process to stop, got a port of the kernel's own; look at ss --listening --extended" >&2
    return 1
  fi
  [ -e "/proc/$pid" ] || return 0
  if [ "$pid" -eq 1 ]; then
    for socket in $(systemctl list-sockets --no-legend --plain | awk -v port=":$2" 'substr($1, length($1) - length(port) + 1) == port { print $2 }'); do
      systemctl disable --now --quiet "$socket"
    done
    return
  fi
  unit=$(unit_of "$pid")
  # A unit goes with its main process; a stray process goes alone, whoever's session it began in.
  if [[ $unit == *.service ]] && [ "$(systemctl show --property MainPID --value "$unit")" = "$pid" ]; then
    systemctl disable --now --quiet "$unit" 2>/dev/null || systemctl stop "$unit"
    return
  fi
  kill -TERM "$pid" 2>/dev/null || return 0
  timeout 3 tail --pid "$pid" --follow /dev/null || kill -KILL "$pid" 2>/dev/null || true
  timeout 5 tail --pid "$pid" --follow /dev/null
}
