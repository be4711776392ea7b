# shellcheck shell=bash source=/dev/null
# Docker's own repository as a source of apt. It names the server's release, so that an upgrade of Debian is drift as well.
readonly source=/etc/apt/sources.list.d/docker.sources

wanted() {
  . /etc/os-release
  cat <<END
Types: deb
URIs: https://download.docker.com/linux/$ID
Suites: $VERSION_CODENAME
Components: stable
Signed-By: /etc/apt/keyrings/docker.asc
END
}

observe() {
  if [ ! -s "$source" ]; then
    echo absent
  elif cmp --silent "$source" <(wanted); then
    echo present
  else
    echo differs
  fi
}

apply() { wanted >"$source"; }
