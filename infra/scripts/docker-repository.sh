# shellcheck shell=bash source=/dev/null disable=SC2015
# apt installs Docker from Docker's own repository.

# part: observe
test -s /etc/apt/sources.list.d/docker.sources && echo present || echo absent

# part: apply
. /etc/os-release
cat > /etc/apt/sources.list.d/docker.sources <<END
Types: deb
URIs: https://download.docker.com/linux/$ID
Suites: $VERSION_CODENAME
Components: stable
Signed-By: /etc/apt/keyrings/docker.asc
END

# part: remove
rm -f /etc/apt/sources.list.d/docker.sources
