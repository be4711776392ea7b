import { Octokit } from "@octokit/rest";

import { failed, notChecked, ok, type Probe } from "./finding.ts";
import type { World } from "./world.ts";

/** Runs `npm test`. */
const WORKFLOW = "ci.yml";

/** What GitHub says of the commit that is being deployed; outside of GitHub's CI nobody knows. */
export function automatedTestsProbe(world: World): Probe {
  return {
    id: "automated-tests",
    title: "Tous les tests automatisés passent avec succès",
    async find(signal) {
      const { GITHUB_REPOSITORY, GITHUB_SHA, GITHUB_TOKEN, GITHUB_API_URL } = world.variables;
      const [owner, repo] = (GITHUB_REPOSITORY ?? "").split("/");
      if (!owner || !repo || !GITHUB_SHA || !GITHUB_TOKEN) {
        return notChecked(
          "hors de GitHub Actions, rien ne dit si les tests de ce commit ont réussi ; npm test les lance",
        );
      }
      const github = new Octokit({
        auth: GITHUB_TOKEN,
        ...(GITHUB_API_URL ? { baseUrl: GITHUB_API_URL } : {}),
        request: { fetch: world.fetch, signal },
        log: { debug() {}, info() {}, warn() {}, error() {} },
      });
      const { data } = await github.rest.actions.listWorkflowRuns({
        owner,
        repo,
        workflow_id: WORKFLOW,
        head_sha: GITHUB_SHA,
      });
      const newest = [...data.workflow_runs].sort((a, b) => b.run_number - a.run_number)[0];
      const commit = GITHUB_SHA.slice(0, 7);
      if (!newest) return notChecked(`${WORKFLOW} n'a pas tourné pour ${commit}`);
      if (newest.status !== "completed") return notChecked(`${WORKFLOW} tourne encore pour ${commit}`);
      return newest.conclusion === "success"
        ? ok(`${WORKFLOW} a réussi pour ${commit}`)
        : failed(
            `${WORKFLOW} pour ${commit} : ${newest.conclusion ?? "sans résultat"} ; voir ${newest.html_url}`,
          );
    },
  };
}
