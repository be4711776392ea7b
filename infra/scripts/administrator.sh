# shellcheck shell=bash disable=SC2015
# LOGIN has an account and may use sudo.

# part: observe
id --groups --name "$LOGIN" 2>/dev/null | tr " " "\n" | grep -qx sudo && echo "$LOGIN administers" || echo "$LOGIN does not administer"

# part: apply
if [ "$(id --user "$LOGIN" 2>/dev/null || echo 1000)" -lt 1000 ]; then
  echo "technicia:ssh.admins: expected the name of a person, got $LOGIN, an account of the system on this server; choose another" >&2
  exit 1
fi
id "$LOGIN" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$LOGIN"; usermod --append --groups sudo "$LOGIN"

# part: remove
! id "$LOGIN" >/dev/null 2>&1 || userdel "$LOGIN"
