/** Comments and issues on GitHub, each found again by a hidden marker, so that it is edited and never repeated. */
import { readFile } from "node:fs/promises";

import { Octokit } from "@octokit/rest";
import { z } from "zod";

import { UserError } from "../../common/user-error.ts";

/** Variables of a GitHub Actions job, or of a shell that stands in for one. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface CommentRequest {
  /** Number of the pull request. */
  readonly number: number;
  /** An HTML comment, such as `<!-- technicia-preview:test -->`. */
  readonly marker: string;
  readonly body: string;
}

export interface IssueRequest {
  readonly marker: string;
  readonly title: string;
  readonly body: string;
  readonly labels: readonly string[];
}

export interface Written {
  readonly action: "created" | "updated" | "unchanged" | "closed";
  readonly number: number;
  readonly url: string;
}

export interface Github {
  /** Writes the comment with this marker on a pull request; only a comment of our own is ever edited. */
  upsertComment(request: CommentRequest): Promise<Written>;

  /** Writes the open issue with this marker. */
  upsertIssue(request: IssueRequest): Promise<Written>;

  /** Closes the open issue with this marker with a note; undefined when there is none. */
  closeIssue(request: { readonly marker: string; readonly note: string }): Promise<Written | undefined>;

  /** How an attempt of a workflow run stands; undefined when the repository has no such run. */
  runStatus(run: { readonly id: number; readonly attempt: number }): Promise<string | undefined>;
}

const TIMEOUT_MS = 30_000;

export function openGithub(environment: Environment): Github {
  const { token, owner, repo, baseUrl } = readAccess(environment);
  const octokit = new Octokit({
    auth: token,
    baseUrl,
    userAgent: "technicia-infrastructure",
    // Failures are told once, as our own errors.
    log: { debug: ignore, info: ignore, warn: ignore, error: ignore },
    request: { fetch: fetchInTime },
  });
  const place = { owner, repo };
  const name = `${owner}/${repo}`;
  const ask = <T>(purpose: string, permission: string, call: () => Promise<T>) =>
    call().catch((error: unknown) => {
      throw explain(error, { purpose, permission, name, baseUrl });
    });

  // A job's token may not ask REST who it is, but GraphQL.
  const viewer = () =>
    ask("ask whose the token is", "contents: read", async () => {
      const { viewer: self } = await octokit.graphql<{ viewer: { login: string } }>(
        "query { viewer { login } }",
      );
      return self.login;
    });

  const findIssue = async (marker: string) => {
    const self = await viewer();
    const pages = octokit.paginate.iterator(octokit.rest.issues.listForRepo, {
      ...place,
      state: "open",
      per_page: 100,
    });
    return ask("read the issues", "issues: write", async () => {
      for await (const { data } of pages) {
        const found = data.find((one) => one.pull_request === undefined && isOurs(one, marker, self));
        if (found) return found;
      }
      return undefined;
    });
  };

  return {
    async upsertComment({ number, marker, body }) {
      const self = await viewer();
      const target = { ...place, issue_number: number };
      const permission = "pull-requests: write";
      const pages = octokit.paginate.iterator(octokit.rest.issues.listComments, { ...target, per_page: 100 });
      const found = await ask(`read the comments of #${number}`, permission, async () => {
        for await (const { data } of pages) {
          const ours = data.find((one) => isOurs(one, marker, self));
          if (ours) return ours;
        }
        return undefined;
      });
      const text = `${marker}\n${body}`;
      if (!found) {
        const { data } = await ask(`comment on #${number}`, permission, () =>
          octokit.rest.issues.createComment({ ...target, body: text }),
        );
        return { action: "created", number, url: data.html_url };
      }
      if (found.body === text) return { action: "unchanged", number, url: found.html_url };
      await ask(`edit our comment on #${number}`, permission, () =>
        octokit.rest.issues.updateComment({ ...place, comment_id: found.id, body: text }),
      );
      return { action: "updated", number, url: found.html_url };
    },

    async upsertIssue({ marker, title, body, labels }) {
      const text = `${marker}\n${body}`;
      const found = await findIssue(marker);
      if (!found) {
        const { data } = await ask("open an issue", "issues: write", () =>
          octokit.rest.issues.create({ ...place, title, body: text, labels: [...labels] }),
        );
        return { action: "created", number: data.number, url: data.html_url };
      }
      const written = { number: found.number, url: found.html_url };
      if (found.body === text && found.title === title) return { action: "unchanged", ...written };
      await ask(`edit issue #${found.number}`, "issues: write", () =>
        // Labels that people gave it meanwhile stay.
        octokit.rest.issues.update({ ...place, issue_number: found.number, title, body: text }),
      );
      return { action: "updated", ...written };
    },

    async closeIssue({ marker, note }) {
      const found = await findIssue(marker);
      if (!found) return undefined;
      const target = { ...place, issue_number: found.number };
      await ask(`comment on issue #${found.number}`, "issues: write", () =>
        octokit.rest.issues.createComment({ ...target, body: note }),
      );
      await ask(`close issue #${found.number}`, "issues: write", () =>
        octokit.rest.issues.update({ ...target, state: "closed", state_reason: "completed" }),
      );
      return { action: "closed", number: found.number, url: found.html_url };
    },

    async runStatus({ id, attempt }) {
      return ask(`read workflow run ${id}`, "actions: read", async () => {
        try {
          const { data } = await octokit.rest.actions.getWorkflowRunAttempt({
            ...place,
            run_id: id,
            attempt_number: attempt,
          });
          return data.status ?? "unknown";
        } catch (error) {
          if (statusOf(error) === 404) return undefined;
          throw error;
        }
      });
    },
  };
}

const event = z.object({ pull_request: z.object({ number: z.number().int().positive() }) });

/** Number of the pull request that the job runs for. */
export async function readPullRequest({ GITHUB_EVENT_PATH: path = "" }: Environment): Promise<number> {
  const hint = "run this in a workflow that pull_request starts";
  if (path === "") {
    throw new UserError(
      `GITHUB_EVENT_PATH: expected the file of a pull request's event, got nothing; ${hint}`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    throw new UserError(`${path}: expected the event in JSON, got: ${(error as Error).message}; ${hint}`);
  }
  const { data } = event.safeParse(value);
  if (!data) throw new UserError(`${path}: expected pull_request.number, got an event without it; ${hint}`);
  return data.pull_request.number;
}

function readAccess(environment: Environment) {
  const { GITHUB_TOKEN: token = "", GITHUB_REPOSITORY: repository = "" } = environment;
  const baseUrl = environment["GITHUB_API_URL"] ?? "https://api.github.com";
  const [owner = "", repo = "", ...rest] = repository.split("/");
  const problems = [
    ...(token === ""
      ? ["GITHUB_TOKEN: expected a token, got nothing; pass it in the step's env, never as an argument"]
      : []),
    ...(owner === "" || repo === "" || rest.length > 0
      ? [`GITHUB_REPOSITORY: expected <owner>/<name>, got ${JSON.stringify(repository)}; export it`]
      : []),
    ...(URL.canParse(baseUrl)
      ? []
      : [`GITHUB_API_URL: expected an address, got ${JSON.stringify(baseUrl)}; correct it or leave it out`]),
  ];
  if (problems.length > 0) throw new UserError(problems.join("\n"));
  return { token, owner, repo, baseUrl: baseUrl.replace(/\/$/, "") };
}

interface Item {
  readonly body?: string | null | undefined;
  readonly user?: { readonly login: string } | null;
}

// Anybody can write our marker, so it counts only in what we wrote.
function isOurs({ body, user }: Item, marker: string, self: string): boolean {
  return user?.login === self && body?.startsWith(`${marker}\n`) === true;
}

interface Attempt {
  readonly purpose: string;
  /** What a job's token needs for it, as workflows write it. */
  readonly permission: string;
  readonly name: string;
  readonly baseUrl: string;
}

function explain(error: unknown, { purpose, permission, name, baseUrl }: Attempt): unknown {
  if (!(error instanceof Error)) return error;
  const status = statusOf(error);
  const got = `got ${status ?? "an error"}: ${error.message}`;
  if (status === undefined) {
    // GraphQL answers 200 also to what it refuses.
    return "errors" in error
      ? new UserError(`GITHUB_TOKEN: expected to ${purpose}, ${got}; see what the token is for`, {
          cause: error,
        })
      : error;
  }
  if (!("response" in error) || error.response === undefined) {
    return new UserError(
      `GITHUB_API_URL: expected an answer from ${baseUrl} to ${purpose}, got: ${error.message}; see whether it is reachable from here`,
      { cause: error },
    );
  }
  const text = SENTENCES[status]?.({ purpose, permission, name, got }) ?? otherwise(status, purpose, got);
  const limit = rateLimit(error.response);
  return new UserError(limit ?? text, { cause: error });
}

type Sentence = (about: Omit<Attempt, "baseUrl"> & { readonly got: string }) => string;

const SENTENCES: Readonly<Record<number, Sentence>> = {
  401: ({ purpose, got }) =>
    `GITHUB_TOKEN: expected a valid token to ${purpose}, ${got}; make a new one, or use the job's own`,
  403: ({ purpose, permission, got }) =>
    `GITHUB_TOKEN: expected the right to ${purpose}, ${got}; give the job "${permission}" (a pull request from a fork never has it)`,
  404: ({ purpose, name, got }) =>
    `GITHUB_REPOSITORY: expected ${name} to have what it takes to ${purpose}, ${got}; check the name, and that the token may see it`,
  422: ({ purpose, got }) => `GitHub: expected to ${purpose}, ${got}; what was sent is not acceptable to it`,
};

function otherwise(status: number, purpose: string, got: string): string {
  return status >= 500
    ? `GitHub: expected to ${purpose}, ${got}; try again later (https://www.githubstatus.com)`
    : `GitHub: expected to ${purpose}, ${got}`;
}

function rateLimit(response: unknown): string | undefined {
  const { headers } = z
    .object({ headers: z.record(z.string(), z.unknown()) })
    .catch({ headers: {} })
    .parse(response);
  if (String(headers["x-ratelimit-remaining"]) !== "0") return undefined;
  const reset = new Date(Number(headers["x-ratelimit-reset"]) * 1000);
  const until = Number.isNaN(reset.getTime()) ? "later" : `after ${reset.toISOString()}`;
  return `GitHub: expected requests left for this token, got none; run this again ${until}`;
}

function statusOf(error: unknown): number | undefined {
  return error instanceof Error && "status" in error && typeof error.status === "number"
    ? error.status
    : undefined;
}

function fetchInTime(address: string, init: RequestInit): Promise<Response> {
  return fetch(address, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
}

function ignore(): void {
  // Nothing is logged.
}
