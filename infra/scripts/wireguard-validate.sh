# shellcheck shell=bash disable=SC2154
# wg-quick reads a file only where it has the name of its interface.
folder=$(mktemp --directory)
trap 'rm --recursive "$folder"' EXIT
cp "$FILE" "$folder/wg0.conf"
wg-quick strip "$folder/wg0.conf" >/dev/null
