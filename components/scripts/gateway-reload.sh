#!/bin/bash
# Makes the running gateway read its files again, and ends once nobody is answered by what it had read before; does nothing while there is none.
set -euo pipefail
container=$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-gateway --filter health=healthy | head -n 1)
[ -n "$container" ] || exit 0

# A worker that only ends what it has begun is called "worker process is shutting down".
accepting() { docker top "$container" -eo pid,args | awk '/nginx: worker process$/ { print $1 }' | LC_ALL=C sort; }

docker exec "$container" nginx -t -q -c /etc/nginx/technicia/nginx.conf
before=$(accepting)
docker exec "$container" nginx -s reload -c /etc/nginx/technicia/nginx.conf
deadline=$((SECONDS + 30))
# For a moment both answer, the new ones and those from before.
while [ -n "$(LC_ALL=C comm -12 <(echo "$before") <(accepting))" ]; do
  if [ "$SECONDS" -ge "$deadline" ]; then
    echo "gateway-reload: expected nginx to work by its new files within 30 s, got the old ones still at work; look at the gateway's log" >&2
    exit 1
  fi
  sleep 0.05
done
