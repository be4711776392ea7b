# shellcheck shell=bash
# The Swarm's only node: takes tasks, manages, has no labels. A drained one runs nothing, and everything that is read through a service fails.

# part: observe
# A dockerd that is in no Swarm has no node; one that does not answer fails here.
if [ "$(docker info --format '{{.Swarm.ControlAvailable}}')" = true ]; then
  docker node inspect self --format '{{.Spec.Availability}}, {{.Spec.Role}}, labels:{{range $name, $value := .Spec.Labels}} {{$name}}={{$value}}{{else}} none{{end}}'
fi

# part: apply
options=()
while read -r label; do
  if [ -n "$label" ]; then options+=(--label-rm "$label"); fi
done < <(docker node inspect self --format '{{range $name, $_ := .Spec.Labels}}{{println $name}}{{end}}')
docker node update --availability active --role manager "${options[@]}" "$(docker node inspect self --format '{{.ID}}')" >/dev/null
# What comes next is read through the services. One that cannot start at all says so itself.
for ((waited = 0; waited < 120; waited++)); do
  if [ -z "$(docker service ls --format '{{.Replicas}}' | awk -F '[/ ]' '$1 != $2')" ]; then break; fi
  sleep 1
done
