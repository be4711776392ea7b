# shellcheck shell=bash
# Before its first start the tunnel has no container to tell.

# part: reload
if docker container inspect technicia-tunnel >/dev/null 2>&1; then
  docker exec technicia-tunnel nginx -c /etc/nginx/tunnel/nginx.conf -s reload
fi
