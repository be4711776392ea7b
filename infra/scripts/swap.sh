# shellcheck shell=bash
# A swap file of SIZE_GIB, used now and after every boot.

# part: observe
swapon --show=NAME,SIZE --noheadings --bytes | awk '$1 == "/swapfile" { printf "%d GiB\n", ($2 + 536870912) / 1073741824 }'; grep -q "^/swapfile " /etc/fstab || echo "not mounted at boot"

# part: apply
swapoff /swapfile 2>/dev/null || true
fallocate --length "${SIZE_GIB}G" /swapfile
chmod 0600 /swapfile
mkswap --quiet /swapfile
swapon /swapfile
grep -q "^/swapfile " /etc/fstab || echo "/swapfile none swap sw 0 0" >> /etc/fstab

# part: remove
swapoff /swapfile; sed --in-place "\#^/swapfile #d" /etc/fstab; rm -f /swapfile
