# shellcheck shell=bash disable=SC2154
# Says whether somebody owns the instance. n8n answers programs it takes for robots with an empty page.
set -euo pipefail
# It says that it is ready some moments before these paths answer.
settings=$(curl --silent --show-error --fail --max-time 20 --retry 30 --retry-delay 1 --retry-all-errors --user-agent Mozilla/5.0 "$N8N/rest/settings")
case $(jq '.data.userManagement.showSetupOnFirstLoad' <<<"$settings") in
  false) echo "the instance has an owner" ;;
  true) echo "the instance has no owner" ;;
  *)
    echo "n8n: expected /rest/settings to tell whether the instance has an owner, got neither yes nor no" >&2
    exit 1
    ;;
esac
