# shellcheck shell=bash source=/dev/null
# The key that signs Docker's packages. The one that was fetched first is trusted: its digest is kept, and another key on the disk is drift.

# part: observe
if [ ! -s /etc/apt/keyrings/docker.asc ]; then
  echo absent
elif sha256sum --check --status /var/lib/technicia/docker-repository-key.sha256 2>/dev/null; then
  echo present
else
  echo differs
fi

# part: apply
. /etc/os-release
install --directory --mode 0755 /etc/apt/keyrings /var/lib/technicia
curl --fail --silent --show-error --location "https://download.docker.com/linux/$ID/gpg" --output /etc/apt/keyrings/docker.asc.new
mv /etc/apt/keyrings/docker.asc.new /etc/apt/keyrings/docker.asc
sha256sum /etc/apt/keyrings/docker.asc >/var/lib/technicia/docker-repository-key.sha256

# part: remove
rm -f /etc/apt/keyrings/docker.asc /var/lib/technicia/docker-repository-key.sha256
