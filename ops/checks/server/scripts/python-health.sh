# shellcheck shell=bash disable=SC2154
# Asks a FastAPI service for its health from inside its container, whose image has no curl; prints the code, then the body.
set -euo pipefail
container=$(docker ps --quiet --filter "label=com.docker.swarm.service.name=$SERVICE" | head -n 1)
if [ -z "$container" ]; then
  echo "$SERVICE does not run" >&2
  exit 1
fi
docker exec "$container" python3 -c '
import urllib.error, urllib.request
try:
    answer = urllib.request.urlopen("http://127.0.0.1:8000/health", timeout=10)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status)
print(answer.read(4000).decode())'
