# shellcheck shell=bash
# The key that signs Docker's packages is KEY; another one on the disk is drift.
readonly file=/etc/apt/keyrings/docker.asc

observe() {
  if [ ! -e "$file" ]; then
    echo absent
  elif cmp --silent "$file" <(printf %s "$KEY") && [ "$(stat --format '%a %u %F' "$file")" = "644 $EUID regular file" ]; then
    echo present
  else
    echo differs
  fi
}

apply() {
  install --directory --mode 0755 "${file%/*}"
  rm --recursive --force "$file"
  install --mode 0644 <(printf %s "$KEY") "$file"
}
