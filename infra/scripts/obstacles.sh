# shellcheck shell=bash
# What is in the way of a first deployment: an engine that is not SOURCE's, its source of packages, and whoever has the ports of the gateway
# and the tunnel.

# part: observe
case $SOURCE in
  distribution) engine=docker.io own="docker.io docker-cli containerd runc" wanted="the distribution's Docker" other=docker ;;
  docker) engine=docker-ce own="docker-ce docker-ce-cli containerd.io" wanted="the Docker of Docker's own repository" other=distribution ;;
esac

# Whatever is called as ours is: the name of its package, or its path where no package brought it.
engines() {
  local program path
  for program in dockerd docker containerd runc; do
    for path in $(type -aP "$program" || true) "/snap/bin/$program"; do
      case $path in
        /snap/*) if [ -e "$path" ]; then echo "snap:docker"; fi ;;
        *) owner_of "$(realpath "${path%/*}")/$program" ;;
      esac
    done
  done | sort --unique
}

owner_of() {
  local package
  package=$(dpkg-query --search "$1" "${1#/usr}" 2>/dev/null | sed --quiet '/^diversion /!s/[:,].*//p' | head --lines 1) || true
  [[ " $own " == *" ${package:-none} "* ]] || echo "${package:-$1}"
}

engine_in_the_way() {
  local found remedy
  found=$(engines | paste --serial --delimiters ' ')
  [ -n "$found" ] || return 0
  case $found in
    snap:*) remedy="remove it with sudo snap remove docker" ;;
    /*) remedy="remove it as it was installed" ;;
    *) remedy="remove it with sudo apt-get remove $found, which stops its containers" ;;
  esac
  case " $found " in *" docker-ce "* | *" docker.io "*) remedy="keep it and set host.dockerSource to $other, or $remedy" ;; esac
  echo "host.dockerSource: expected $wanted and no other engine on the server, got $found; $remedy"
}

sources_in_the_way() {
  local file
  [ "$SOURCE" = distribution ] || return 0
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    if grep --quiet '^[^#]*://download\.docker\.com/' "$file" 2>/dev/null; then
      echo "host.dockerSource: expected no packages from download.docker.com, got $file; delete its lines for that address, or set host.dockerSource to docker"
    fi
  done
}

holders_of() {
  local name pid unit container
  ss --no-header --listening --tcp --numeric --processes "sport = :$1" | sed --quiet --regexp-extended 's/.*users:\(\("([^"]*)",pid=([0-9]+).*/\1 \2/p' | while read -r name pid; do
    unit=$(sed --quiet --regexp-extended 's/^[0-9]+:(name=systemd)?:.*\/([^/]+\.service)$/\2/p' "/proc/$pid/cgroup" 2>/dev/null | tail --lines 1)
    if [ "$name" = docker-proxy ]; then
      docker ps --filter "publish=$1" --format '{{.Label "com.docker.swarm.service.name"}} {{.Names}}' | awk '$1 != "technicia-gateway" && $NF != "technicia-tunnel" { print $NF }' | while read -r container; do
        echo "port $1 of the server: expected nobody there, got the container $container; stop it with sudo docker stop $container"
      done
    elif [ -n "$unit" ]; then
      echo "port $1 of the server: expected nobody there, got $name of $unit; stop it with sudo systemctl disable --now $unit"
    else
      echo "port $1 of the server: expected nobody there, got $name (process $pid); stop it"
    fi
  done | sort --unique
}

# Once everything runs, strangers are found and removed one by one.
if [ -d /var/lib/technicia/compared ] && [ "$(dpkg-query --show --showformat '${db:Status-Abbrev}' "$engine" 2>/dev/null || true)" = "ii " ]; then
  found=
else
  found=$(engine_in_the_way; sources_in_the_way; for port in 80 443 5678 6333; do holders_of "$port"; done)
fi
echo "${found:-nothing in the way}"

# part: apply
printf '%s\n' "$OBSERVED" >&2
exit 1
