# shellcheck shell=bash
# Before its first start the tunnel has no container to tell, and one that stands still reads its configuration when it starts.

# part: reload
if [ "$(docker container inspect --format '{{.State.Status}}' technicia-tunnel 2>/dev/null)" = running ]; then
  docker exec technicia-tunnel nginx -c /etc/nginx/tunnel/nginx.conf -s reload
fi
