# shellcheck shell=bash source=/dev/null
# Docker's repository, as its instructions add it. Nothing answers for it here, and nobody asks.
. /etc/os-release
install --directory --mode 0755 /etc/apt/keyrings
printf -- '-----BEGIN PGP PUBLIC KEY BLOCK-----\n-----END PGP PUBLIC KEY BLOCK-----\n' >/etc/apt/keyrings/docker.asc
echo "deb [arch=$(dpkg --print-architecture) signed-by=/etc/apt/keyrings/docker.asc] https://download.docker.com/linux/$ID $VERSION_CODENAME stable" >/etc/apt/sources.list.d/docker.list
