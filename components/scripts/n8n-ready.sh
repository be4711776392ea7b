# shellcheck shell=sh disable=SC2034
# n8n takes about 6 s to start. The check at 5 s waits for it, or n8n would count as ready only with the next one, at 10 s.

# part: ready
for try in 1 2 3 4; do wget -q -O /dev/null http://127.0.0.1:5678/healthz/readiness && exit 0; sleep 1; done; exit 1
