# shellcheck shell=bash disable=SC2015
# LOGIN has an account and may use sudo.

# part: observe
id --groups --name "$LOGIN" 2>/dev/null | tr " " "\n" | grep -qx sudo && echo "$LOGIN administers" || echo "$LOGIN does not administer"

# part: apply
id "$LOGIN" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$LOGIN"; usermod --append --groups sudo "$LOGIN"

# part: remove
! id "$LOGIN" >/dev/null 2>&1 || userdel "$LOGIN"
