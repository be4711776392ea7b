import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { onlyStack, readArguments, type Commands } from "../command.ts";
import { openGithub, readPullRequest } from "../vendors/github.ts";
import { openServer } from "../server/connection.ts";
import { pulumiWithOwnLocks } from "../engine/state-lock.ts";
import { systemFetch } from "../../common/system-trust.ts";
import { UserError } from "../../common/user-error.ts";
import { gitOnPath } from "../server/identity.ts";
import { GITHUB_LIMIT, renderPreview, type PreviewReport } from "./markdown.ts";
import { previewStack } from "./preview.ts";

/** Most characters of one value in a comment. */
const VALUE_LENGTH = 200;

export const commands: Commands = {
  preview: {
    usage: "npm run preview -- <stack> [--out <folder>] [--refresh] [--comment]",
    summary: "prints what a deployment would change; --out saves the plan for a review",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        out: { type: "string" },
        refresh: { type: "boolean", default: false },
        comment: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      const { out, refresh, comment } = values;
      // Checked first, so that a preview of minutes does not end with a missing variable.
      const target = comment ? await commentTarget(stack) : undefined;
      const world = {
        pulumi: pulumiWithOwnLocks,
        git: gitOnPath,
        now: () => new Date(),
        environment: process.env,
        openServer,
        fetch: systemFetch,
      };
      const report = await previewStack({ stack, out, refresh }, world);
      const whole = renderPreview(report);
      if (out !== undefined) await writeFile(join(out, "preview.md"), `${whole}\n`);
      const short = shorten(report, out);
      const { GITHUB_STEP_SUMMARY: summary } = process.env;
      if (summary !== undefined && summary !== "") await appendFile(summary, `${short}\n`);

      const problem = await target?.(short).then(
        () => undefined,
        (error: unknown) => {
          if (error instanceof UserError) return error.message;
          throw error;
        },
      );
      const text = problem === undefined ? whole : `${whole}\n\n${problem}`;
      return { text, exitCode: problem === undefined && report.failure === undefined ? 0 : 1 };
    },
  },
};

/** Writes the comment; fails here when a variable for it is missing. */
async function commentTarget(stack: string): Promise<(body: string) => Promise<unknown>> {
  const github = openGithub(process.env);
  const number = await readPullRequest(process.env);
  return (body) => github.upsertComment({ number, marker: previewMarker(stack), body });
}

function previewMarker(stack: string): string {
  return `<!-- technicia-preview:${stack} -->`;
}

function shorten(report: PreviewReport, out: string | undefined): string {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository, GITHUB_RUN_ID: run } = process.env;
  const artifacts =
    server && repository && run
      ? ` among the [run's artifacts](${server}/${repository}/actions/runs/${run}#artifacts)`
      : "";
  return renderPreview(report, {
    length: GITHUB_LIMIT - previewMarker(report.stack).length - 1,
    value: VALUE_LENGTH,
    whole: out === undefined ? "the job's log" : `preview.md${artifacts}`,
  });
}
