# shellcheck shell=bash disable=SC2154
# Says where n8n's data is: in the database that n8n uses, or, between a move and n8n's next start, where the move put it.
set -euo pipefail
if [ "$START_EMPTY" = true ]; then
  echo "$KIND"
  exit 0
fi
services=$(docker service ls --quiet --filter name=technicia-n8n)
volumes=$(docker volume ls --quiet --filter 'name=^technicia-n8n-data$')
type='' home=/nonexistent
if [ -n "$services" ]; then
  type=$(docker service inspect technicia-n8n --format '{{range .Spec.TaskTemplate.ContainerSpec.Env}}{{println .}}{{end}}' 2>/dev/null | sed -n 's/^DB_TYPE=//p' || true)
fi
if [ -n "$volumes" ]; then home=$(docker volume inspect technicia-n8n-data --format '{{.Mountpoint}}'); fi
moved=$home/.technicia-sqlite
if [ "$type" = postgresdb ]; then
  echo postgres
elif [ ! -e "$home/database.sqlite" ]; then
  # Nothing is anywhere yet, or it was moved and n8n has not started since.
  if [ -e "$moved/database.sqlite" ]; then echo postgres; else echo "$KIND"; fi
elif [ -d "$moved" ] && [ ! -e "$moved/database.sqlite" ]; then
  echo "sqlite, and a move to PostgreSQL that was interrupted"
else
  echo sqlite
fi
