# shellcheck shell=bash
# A swap file of 1 GiB, made and mounted as most instructions say.
file=$(realpath --canonicalize-missing /swapfile)
fallocate --length 1G "$file"
chmod 0600 "$file"
mkswap "$file" >/dev/null
swapon "$file"
echo '/swapfile swap swap defaults 0 0' >>/etc/fstab
