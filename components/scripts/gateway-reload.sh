#!/bin/bash
# Makes the running gateway read its files again; does nothing while there is none.
set -euo pipefail
container=$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-gateway --filter health=healthy | head -n 1)
[ -n "$container" ] || exit 0
docker exec "$container" nginx -t -q -c /etc/nginx/technicia/nginx.conf
docker exec "$container" nginx -s reload -c /etc/nginx/technicia/nginx.conf
