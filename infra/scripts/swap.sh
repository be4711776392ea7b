# shellcheck shell=bash
# A swap file of SIZE_GIB, used now and after every boot. It may be a symbolic link to where the disk takes swap.

# part: observe
file=$(realpath --canonicalize-missing /swapfile)
swapon --show=NAME,SIZE --noheadings --bytes | awk -v file="$file" '$1 == file { printf "%d GiB\n", ($2 + 536870912) / 1073741824 }'
awk '$1 == "/swapfile" && $3 == "swap" && $4 !~ /(^|,)noauto(,|$)/ { found = 1 } END { exit !found }' /etc/fstab || echo "not mounted at boot"
[ ! -e "$file" ] || [ "$(stat --format '%a %U' "$file")" = "600 root" ] || echo "not root's alone"

# part: apply
file=$(realpath --canonicalize-missing /swapfile)
wanted=$((SIZE_GIB * 1073741824))
is_on() { swapon --show=NAME --noheadings | grep --quiet --fixed-strings --line-regexp "$file"; }
# Whatever fails or is killed in between: the server keeps the swap that it had.
trap 'is_on || swapon "$file" 2>/dev/null || true' EXIT
mkdir --parents "$(dirname "$file")"
have=0
if [ -e "$file" ]; then have=$(($(stat --format '%b * %B' "$file"))); fi
free=$(df --output=avail --block-size=1 "$(dirname "$file")" | tail --lines 1)
# dockerd and the databases stop on a full disk.
if [ "$wanted" -gt "$have" ] && [ "$((free - (wanted - have)))" -lt 1073741824 ]; then
  echo "host.swapGib: expected $(((wanted - have + 2147483647) / 1073741824)) GiB free on the server's disk, one of them to spare, got $((free / 1073741824)) GiB; free some, or ask for less swap" >&2
  exit 1
fi
if ! is_on; then
  # It may have holes, which no swap file has.
  rm --force "$file"
elif [ "$(stat --format %s "$file")" -ne "$wanted" ] && ! swapoff "$file"; then
  echo "expected room in memory for what is swapped out, got the failure above; free some memory on the server, then retry" >&2
  exit 1
fi
if ! is_on; then
  [ ! -e "$file" ] || truncate --size "<$wanted" "$file"
  fallocate --length "$wanted" "$file"
  chmod 0600 "$file"
  # mkswap has no --quiet before util-linux 2.38.
  mkswap "$file" >/dev/null
  swapon "$file"
fi
chown root:root "$file"
chmod 0600 "$file"
sed --in-place --regexp-extended '\#^/swapfile[[:space:]]#d' /etc/fstab
echo "/swapfile none swap sw 0 0" >>/etc/fstab

# part: remove
file=$(realpath --canonicalize-missing /swapfile)
swapoff "$file" 2>/dev/null || ! swapon --show=NAME --noheadings | grep --fixed-strings --line-regexp "$file"
sed --in-place --regexp-extended '\#^/swapfile[[:space:]]#d' /etc/fstab
rm --force "$file"
