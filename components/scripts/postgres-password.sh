# shellcheck shell=bash disable=SC2016,SC2153
# The password of n8n's role in PostgreSQL. The secret of the container counts only once, when it sets its data up.
set -euo pipefail

# inside <program>: runs it in PostgreSQL's container; `$given` is the password there, and nowhere a part of a command line.
inside() {
  local container
  container=$(docker ps --quiet --filter status=running --filter "label=com.docker.swarm.service.name=$SERVICE" | head -n 1)
  if [ -z "$container" ]; then
    echo "$SERVICE: expected its container to run, got none; look at docker service ps $SERVICE" >&2
    return 1
  fi
  docker exec --interactive "$container" sh -ec "IFS= read -r given; export given; $1" <<<"$PASSWORD"
}

observe() {
  local said
  # Over the network: on its own loopback PostgreSQL asks nobody for a password.
  if said=$(inside 'PGPASSWORD=$given PGCONNECT_TIMEOUT=10 exec psql --username n8n --dbname n8n --host "$(hostname -i | cut -d " " -f 1)" --no-psqlrc --no-password --command "select 1" 2>&1'); then
    echo "n8n logs in"
  elif [[ $said == *"password authentication failed"* ]]; then
    echo "n8n has another password"
  else
    echo "PostgreSQL: expected an answer to a login, got: $said" >&2
    return 1
  fi
}

apply() {
  # A statement that fails would be in the log of the container, with the password.
  inside 'printf "%s\n" "set log_min_error_statement = panic;" "\\getenv given given" "alter role n8n password :'"'given'"';" |
    psql --username n8n --dbname n8n --no-psqlrc --quiet --set ON_ERROR_STOP=1'
}
