# shellcheck shell=bash disable=SC2154
# n8n owns the folder; document-processor writes to it as its group, which everything in it gets.
set -euo pipefail
folder=$(docker volume inspect "$VOLUME" --format '{{.Mountpoint}}')
chown "$OWNER" "$folder"
chmod "$MODE" "$folder"
