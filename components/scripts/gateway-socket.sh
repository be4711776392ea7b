# shellcheck shell=bash
# The folder of the socket for the access log. A socket in it gets the folder's group, that of nginx's workers, who may enter it but not change it.

# part: observe
stat --format '%a %u:%g' "$FOLDER" 2>/dev/null || true

# part: apply
install --directory --mode 0755 "$(dirname "$FOLDER")"
install --directory "$FOLDER"
chown "0:$GROUP" "$FOLDER"
chmod 2750 "$FOLDER"

# part: remove
rm -rf "$FOLDER"
