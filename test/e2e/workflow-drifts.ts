/** Ways in which somebody changes n8n's workflows and credentials in the editor, and what a check has to say of it. */
import type { Drift } from "./drifts.ts";

const QUESTION = "technicia-question";
const CREDENTIAL = "technicia-anthropic";

/** Bash that asks n8n's public API as the commands do: `call <path> [arguments of curl]`. */
export const CALL = `call() {
  curl --silent --show-error --fail --noproxy '*' --user-agent Mozilla/5.0 --header @/var/lib/technicia/n8n/api-key \\
    --header 'content-type: application/json' "http://127.0.0.1:5678/api/v1$1" "\${@:2}"
}`;

const CONTAINER =
  "$(docker ps --quiet --filter status=running --filter label=com.docker.swarm.service.name=technicia-n8n | head --lines 1)";

function inEditor(name: string, command: string, ...expect: RegExp[]): Drift {
  return { name, layer: "data", tamper: { where: "server", command: `${CALL}; ${command}` }, expect };
}

export const WORKFLOWS: readonly Drift[] = [
  inEditor(
    "a node of a workflow is edited",
    `call /workflows/${QUESTION} | jq '{ name, connections, settings: { executionOrder: .settings.executionOrder, errorWorkflow: .settings.errorWorkflow }, nodes: [.nodes[] | if .name == "Chercher" then .parameters.url = "http://mallory:1/search" | .position = [1, 1] else . end] }' | call /workflows/${QUESTION} --request PUT --data-binary @- >/dev/null`,
    /^data n8n-content: workflows\.technicia-question\.nodes\.Chercher\.parameters\.url: http:\/\/vector-store:8000\/search → http:\/\/mallory:1\/search$/,
  ),
  inEditor(
    "a workflow runs no longer",
    `call /workflows/technicia-diagnosis-step/deactivate --request POST --data '{}' >/dev/null`,
    /^data n8n-content: workflows\.technicia-diagnosis-step\.runs: this → nothing$/,
  ),
  inEditor(
    "a workflow is deleted",
    "call /workflows/technicia-diagnosis-start --request DELETE >/dev/null",
    /^data n8n-content: workflows\.technicia-diagnosis-start: .* → nothing$/,
  ),
  inEditor(
    "a workflow runs that nobody declared",
    `id=$(call /workflows/technicia-errors | jq '{ name: "Mallory", nodes, connections, settings: {} }' | call /workflows --data-binary @- | jq --raw-output .id); call "/workflows/$id/activate" --request POST --data '{}' >/dev/null`,
    /^data n8n-content: workflows\.\w+: nothing → \{"name":"Mallory","runs":"this"\}$/,
  ),
  inEditor(
    "a credential has another value",
    `docker exec --interactive --user node ${CONTAINER} sh -c 'cat >/dev/shm/mallory.json && n8n import:credentials --input=/dev/shm/mallory.json; rm /dev/shm/mallory.json' <<<'[{"id":"${CREDENTIAL}","name":"Anthropic","type":"anthropicApi","data":{"apiKey":"mallory","url":"https://api.anthropic.com"}}]' >/dev/null`,
    /^data n8n-content: credentialStates\.technicia-anthropic: as declared → other values$/,
    /^data n8n-content: credentials\.technicia-anthropic\.data: \[secret\] → /,
  ),
];
