# shellcheck shell=bash disable=SC2015
# LOGIN may speak to Docker, as a connection by ssh:// needs.

# part: observe
getent group docker | grep -qE "[:,]$LOGIN(,|$)" && echo "$LOGIN may use docker" || echo "$LOGIN may not use docker"

# part: apply
usermod --append --groups docker "$LOGIN"

# part: remove
gpasswd --delete "$LOGIN" docker
