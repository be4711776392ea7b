# shellcheck shell=bash
# A Swarm of one node: nobody else has to reach it, so it listens to this server alone. One that listens elsewhere moves with all that runs in it.

# part: observe
docker info --format '{{.Swarm.LocalNodeState}}, manager: {{.Swarm.ControlAvailable}}' | tr '\n' ','
ss --no-header --listening --numeric --tcp 'sport = :2377' | awk '{ print " listening at " $4; found = 1 } END { if (!found) print " not listening" }'

# part: apply
again=
if [[ $OBSERVED == "active, manager: true,"* ]]; then again=--force-new-cluster; fi
docker swarm init $again --listen-addr 127.0.0.1:2377 --advertise-addr 127.0.0.1 >/dev/null

# part: remove
docker swarm leave --force
