# shellcheck shell=bash disable=SC2154
# A service with a task on every server: Docker's plugin does not wait for such a service, nor does it see that Docker took an update back.

# part: look
api() { curl --silent --show-error --fail --max-time 30 --unix-socket /run/docker.sock --get "http://docker/$1" "${@:2}"; }

# An update that Docker has not begun yet shows in its tasks alone.
look() {
  local servers found tasks
  servers=$(docker service ls --filter "name=$SERVICE" --format '{{.Name}} {{.Replicas}}' | sed --quiet "s#^$SERVICE [0-9]*/\([0-9]*\).*#\1#p")
  found=$(api "services/$SERVICE")
  tasks=$(api tasks --data-urlencode "filters={\"service\":[\"$SERVICE\"],\"desired-state\":[\"running\"]}")
  jq --null-input --raw-output --argjson servers "${servers:-0}" --argjson service "$found" --argjson tasks "$tasks" '
    ($service.UpdateStatus.State // "completed") as $update
    | $service.Spec.TaskTemplate as $wanted
    | ([$tasks[] | select(.Status.State == "running" and .Spec.ContainerSpec == $wanted.ContainerSpec and .Spec.Resources == $wanted.Resources)] | length) as $current
    | if ($update != "completed" and $update != "updating") then "\($update): \($service.UpdateStatus.Message)"
      elif $update == "completed" and $servers > 0 and $current == $servers then "every server runs it"
      else "\($current) of \($servers) servers run it" end'
}

# part: observe
look

# part: apply
deadline=$((SECONDS + LIMIT_SECONDS))
while now=$(look) && [ "$now" != "every server runs it" ]; do
  if [[ $now =~ ^(rollback|paused) ]]; then
    echo "expected the update of $SERVICE to succeed on every server, got $now; look at docker service ps --no-trunc $SERVICE" >&2
    exit 1
  fi
  if [ "$SECONDS" -ge "$deadline" ]; then
    echo "expected $SERVICE to run on every server within $LIMIT_SECONDS s, got $now; look at docker service ps --no-trunc $SERVICE" >&2
    exit 1
  fi
  sleep 1
done
