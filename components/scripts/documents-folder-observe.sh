# shellcheck shell=bash disable=SC2154
# Prints who owns the folder of the volume and its mode; nothing without a volume.
set -euo pipefail
if ! folder=$(docker volume inspect "$VOLUME" --format '{{.Mountpoint}}' 2>/dev/null); then exit 0; fi
stat --format '%u:%g %a' "$folder"
