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

# apt refuses a repository that two files name with different keys.
others() {
  local file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    if [ "$file" != "$source" ] && grep --quiet '^[^#]*://download\.docker\.com/' "$file" 2>/dev/null; then echo "$file"; fi
  done
}

observe() {
  if [ ! -s "$source" ]; then
    echo absent
  elif cmp --silent "$source" <(wanted) && [ "$(stat --format '%a %u %F' "$source")" = "644 $EUID regular file" ] && [ -z "$(others)" ]; then
    echo present
  else
    echo differs
  fi
}

# Another file that names nothing else is replaced by ours.
apply() {
  local file
  for file in $(others); do
    if grep --quiet --extended-regexp --invert-match '^[[:space:]]*(#.*)?$|://download\.docker\.com/' "$file" && [[ $file != *.sources || $(grep --count '^URIs:' "$file") -gt 1 ]]; then
      echo "host.dockerSource: expected Docker's repository in $source alone, got it among others in $file; delete its lines there" >&2
      return 1
    fi
    rm "$file"
  done
  rm --recursive --force "$source"
  install --mode 0644 <(wanted) "$source"
}
