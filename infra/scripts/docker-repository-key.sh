# shellcheck shell=bash source=/dev/null disable=SC2015
# The key that signs Docker's packages.

# part: observe
test -s /etc/apt/keyrings/docker.asc && echo present || echo absent

# part: apply
. /etc/os-release
install --directory --mode 0755 /etc/apt/keyrings
curl --fail --silent --show-error --location "https://download.docker.com/linux/$ID/gpg" --output /etc/apt/keyrings/docker.asc.new
mv /etc/apt/keyrings/docker.asc.new /etc/apt/keyrings/docker.asc

# part: remove
rm -f /etc/apt/keyrings/docker.asc
