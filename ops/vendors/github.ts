/** Comments and issues on GitHub. A hidden marker in each finds it again, so that it is edited and not repeated. */
import { readFile } from "node:fs/promises";

import { Octokit } from "@octokit/rest";
import { z } from "zod";

import { systemFetch } from "../../common/system-trust.ts";
import { UserError } from "../../common/user-error.ts";

/** Variables of a GitHub Actions job, or of a shell that has the same ones. */
export type Environment = Readonly<Record<string, string | undefined>>;

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

/** Files of the repository that a branch of our own changes, for people to merge. */
export interface Proposal {
  readonly branch: string;
  readonly title: string;
  readonly body: string;

  /** Path in the repository → whole text. */
  readonly files: ReadonlyMap<string, string>;
}

export type Github = Pick<
  Repository,
  "upsertComment" | "upsertIssue" | "closeIssue" | "runStatus" | "readProposed" | "propose"
>;

const TIMEOUT_MS = 30_000;
const ISSUES = "issues: write";
const CONTENTS = "contents: write";
const PULLS = "pull-requests: write";
const MAIN = "main";

export function openGithub(environment: Environment): Github {
  return new Repository(environment);
}

interface Attempt {
  /** What the call is for, to follow "could not". */
  readonly purpose: string;
  /** What a job's token needs for it, as workflows write it. */
  readonly permission: string;
}

interface Item {
  readonly body?: string | null | undefined;
  readonly user?: { readonly login: string } | null;
  readonly pull_request?: unknown;
}

/** One repository, and one token that may work on it. */
class Repository {
  readonly #name: { readonly owner: string; readonly repo: string };
  readonly #octokit: Octokit;
  readonly #baseUrl: string;

  constructor(environment: Environment) {
    const { token, owner, repo, baseUrl } = readAccess(environment);
    this.#name = { owner, repo };
    this.#baseUrl = baseUrl;
    this.#octokit = new Octokit({
      auth: token,
      baseUrl,
      userAgent: "technicia-infrastructure",
      // Each failure is reported once, by our own errors.
      log: { debug() {}, info() {}, warn() {}, error() {} },
      request: { fetch: fetchInTime },
    });
  }

  /** Writes the comment with this marker on a pull request; only a comment of our own is ever edited. */
  async upsertComment({
    number,
    marker,
    body,
  }: {
    /** Number of the pull request. */
    readonly number: number;
    /** An HTML comment, such as `<!-- technicia-preview:test -->`. */
    readonly marker: string;
    readonly body: string;
  }): Promise<Written> {
    const { issues } = this.#octokit.rest;
    const permission = "pull-requests: write";
    const target = { ...this.#name, issue_number: number };
    const found = await this.#findOurs(
      { purpose: `read the comments of #${number}`, permission, marker },
      (paginate) => paginate.iterator(issues.listComments, { ...target, per_page: 100 }),
    );
    const text = `${marker}\n${body}`;
    if (!found) {
      const { data } = await this.#ask({ purpose: `comment on #${number}`, permission }, () =>
        issues.createComment({ ...target, body: text }),
      );
      return { action: "created", number, url: data.html_url };
    }
    if (found.body === text) return { action: "unchanged", number, url: found.html_url };
    await this.#ask({ purpose: `edit our comment on #${number}`, permission }, () =>
      issues.updateComment({ ...this.#name, comment_id: found.id, body: text }),
    );
    return { action: "updated", number, url: found.html_url };
  }

  /** Writes the open issue with this marker. */
  async upsertIssue({ marker, title, body, labels }: IssueRequest): Promise<Written> {
    const { issues } = this.#octokit.rest;
    const text = `${marker}\n${body}`;
    const found = await this.#findIssue(marker);
    if (!found) {
      const { data } = await this.#ask({ purpose: "open an issue", permission: ISSUES }, () =>
        issues.create({ ...this.#name, title, body: text, labels: [...labels] }),
      );
      return { action: "created", number: data.number, url: data.html_url };
    }
    const { number } = found;
    const written = { number, url: found.html_url };
    if (found.body === text && found.title === title) return { action: "unchanged", ...written };
    await this.#ask({ purpose: `edit issue #${number}`, permission: ISSUES }, () =>
      // Without labels in the call, those that people added stay.
      issues.update({ ...this.#name, issue_number: number, title, body: text }),
    );
    return { action: "updated", ...written };
  }

  /** Closes the open issue with this marker with a note; undefined when there is none. */
  async closeIssue({
    marker,
    note,
  }: {
    readonly marker: string;
    readonly note: string;
  }): Promise<Written | undefined> {
    const { issues } = this.#octokit.rest;
    const found = await this.#findIssue(marker);
    if (!found) return undefined;
    const { number } = found;
    const target = { ...this.#name, issue_number: number };
    await this.#ask({ purpose: `comment on issue #${number}`, permission: ISSUES }, () =>
      issues.createComment({ ...target, body: note }),
    );
    await this.#ask({ purpose: `close issue #${number}`, permission: ISSUES }, () =>
      issues.update({ ...target, state: "closed", state_reason: "completed" }),
    );
    return { action: "closed", number, url: found.html_url };
  }

  /** GitHub's status of one attempt of a workflow run; undefined when the repository has no such run. */
  runStatus({ id, attempt }: { readonly id: number; readonly attempt: number }): Promise<string | undefined> {
    return this.#ask({ purpose: `read workflow run ${id}`, permission: "actions: read" }, async () => {
      try {
        const run = { ...this.#name, run_id: id, attempt_number: attempt };
        const { data } = await this.#octokit.rest.actions.getWorkflowRunAttempt(run);
        return data.status ?? "unknown";
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw error;
      }
    });
  }

  /** The files as the open pull request of that branch has them, with what main has by now; undefined where none is open. */
  async readProposed(
    branch: string,
    paths: readonly string[],
  ): Promise<ReadonlyMap<string, string> | undefined> {
    const pull = await this.#findPull(branch);
    if (pull === undefined) return undefined;
    await this.#ask({ purpose: `bring #${pull.number} up to date`, permission: CONTENTS }, async () => {
      try {
        await this.#octokit.rest.repos.merge({ ...this.#name, base: branch, head: MAIN });
      } catch (error) {
        if (statusOf(error) !== 409) throw error;
        throw new UserError(
          `#${pull.number}: expected a pull request that takes ${MAIN} without conflicts, got conflicts; resolve them, or close it and run this again`,
          { cause: error },
        );
      }
    });
    const texts = await Promise.all(
      paths.map(async (path) => [path, await this.#file(path, branch)] as const),
    );
    return new Map(texts.flatMap(([path, file]) => (file === undefined ? [] : [[path, file.text]])));
  }

  /** Writes the files that differ into the branch, and opens its pull request; undefined where main has them so. */
  async propose({ branch, title, body, files }: Proposal): Promise<Written | undefined> {
    const open = await this.#findPull(branch);
    const written = open && { number: open.number, url: open.html_url };
    const differing = [];
    for (const [path, text] of files) {
      const file = await this.#file(path, open === undefined ? MAIN : branch);
      if (file?.text !== text) differing.push({ path, text, ...(file && { sha: file.sha }) });
    }
    if (differing.length === 0) return written && { action: "unchanged", ...written };
    if (open === undefined) await this.#resetBranch(branch);
    const { repos, pulls } = this.#octokit.rest;
    for (const { text, ...file } of differing) {
      const content = Buffer.from(text).toString("base64");
      await this.#ask({ purpose: `write ${file.path} into ${branch}`, permission: CONTENTS }, () =>
        repos.createOrUpdateFileContents({ ...this.#name, ...file, branch, message: title, content }),
      );
    }
    if (written) return { action: "updated", ...written };
    const { data } = await this.#ask({ purpose: "open a pull request", permission: PULLS }, () =>
      pulls.create({ ...this.#name, title, body, head: branch, base: MAIN }),
    );
    return { action: "created", number: data.number, url: data.html_url };
  }

  async #findPull(branch: string) {
    const head = `${this.#name.owner}:${branch}`;
    const { data } = await this.#ask({ purpose: "read the pull requests", permission: PULLS }, () =>
      this.#octokit.rest.pulls.list({ ...this.#name, head, base: MAIN, state: "open" }),
    );
    return data.find((pull) => pull.head.ref === branch);
  }

  /** What an earlier pull request has left of the branch is in main, or was refused. */
  async #resetBranch(branch: string): Promise<void> {
    const { git } = this.#octokit.rest;
    await this.#ask({ purpose: `begin the branch ${branch}`, permission: CONTENTS }, async () => {
      const { sha } = (await git.getRef({ ...this.#name, ref: `heads/${MAIN}` })).data.object;
      try {
        await git.createRef({ ...this.#name, ref: `refs/heads/${branch}`, sha });
      } catch (error) {
        if (statusOf(error) !== 422) throw error;
        await git.updateRef({ ...this.#name, ref: `heads/${branch}`, sha, force: true });
      }
    });
  }

  #file(path: string, ref: string): Promise<{ readonly text: string; readonly sha: string } | undefined> {
    return this.#ask({ purpose: `read ${path} of ${ref}`, permission: "contents: read" }, async () => {
      try {
        const { data } = await this.#octokit.rest.repos.getContent({ ...this.#name, path, ref });
        if (Array.isArray(data) || data.type !== "file") return undefined;
        return { text: Buffer.from(data.content, "base64").toString("utf8"), sha: data.sha };
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw error;
      }
    });
  }

  #findIssue(marker: string) {
    const { issues } = this.#octokit.rest;
    return this.#findOurs({ purpose: "read the issues", permission: ISSUES, marker }, (paginate) =>
      paginate.iterator(issues.listForRepo, { ...this.#name, state: "open", per_page: 100 }),
    );
  }

  /** Makes one call; a refusal becomes a `UserError` that names purpose and permission. */
  async #ask<T>(attempt: Attempt, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      const { owner, repo } = this.#name;
      throw explain(error, { ...attempt, name: `${owner}/${repo}`, baseUrl: this.#baseUrl });
    }
  }

  /** The first item that begins with the marker and is ours: anybody can write our marker. */
  async #findOurs<Found extends Item>(
    request: Attempt & { readonly marker: string },
    list: (paginate: Octokit["paginate"]) => AsyncIterable<{ readonly data: readonly Found[] }>,
  ): Promise<Found | undefined> {
    const self = await this.#login();
    const isOurs = ({ user, body, pull_request: pull }: Item) =>
      pull === undefined && user?.login === self && body?.startsWith(`${request.marker}\n`) === true;
    return this.#ask(request, async () => {
      for await (const { data } of list(this.#octokit.paginate)) {
        const found = data.find(isOurs);
        if (found) return found;
      }
      return undefined;
    });
  }

  /** Asked over GraphQL, because REST does not tell a job's token who it is. */
  #login(): Promise<string> {
    return this.#ask({ purpose: "ask whose the token is", permission: "contents: read" }, async () => {
      const query = "query { viewer { login } }";
      const { viewer } = await this.#octokit.graphql<{ viewer: { login: string } }>(query);
      return viewer.login;
    });
  }
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

/** A refusal as an error of the user; `name` is the repository's. */
function explain(
  error: unknown,
  { purpose, permission, name, baseUrl }: Attempt & { readonly name: string; readonly baseUrl: string },
): unknown {
  if (!(error instanceof Error)) return error;
  const status = statusOf(error);
  if (status === undefined) {
    // GraphQL answers a refusal with 200 and `errors`.
    if (!("errors" in error)) return error;
    return new UserError(
      `GITHUB_TOKEN: could not ${purpose}: ${error.message}; check what the token is for`,
      {
        cause: error,
      },
    );
  }
  if (!("response" in error) || error.response === undefined) {
    return new UserError(
      `GITHUB_API_URL: could not ${purpose}: ${baseUrl} does not answer (${error.message}); check that this machine can reach it`,
      { cause: error },
    );
  }
  const failure = `could not ${purpose}: ${status} ${error.message}`;
  const texts: Readonly<Record<number, string>> = {
    401: `GITHUB_TOKEN: ${failure}; create a new token, or use the job's own`,
    403: `GITHUB_TOKEN: ${failure}; give the job "${permission}" (a pull request from a fork never has it)`,
    404: `GITHUB_REPOSITORY: ${failure}; check that ${name} exists and that the token may see it`,
    422: `GitHub: ${failure}; correct what it names`,
  };
  const otherwise =
    status >= 500
      ? `GitHub: ${failure}; try again later (https://www.githubstatus.com)`
      : `GitHub: ${failure}; check the token's permission "${permission}"`;
  return new UserError(rateLimit(error.response) ?? texts[status] ?? otherwise, { cause: error });
}

function rateLimit(response: unknown): string | undefined {
  const { headers } = z
    .object({ headers: z.record(z.string(), z.unknown()) })
    .catch({ headers: {} })
    .parse(response);
  if (String(headers["x-ratelimit-remaining"]) !== "0") return undefined;
  const reset = new Date(Number(headers["x-ratelimit-reset"]) * 1000);
  const until = Number.isNaN(reset.getTime()) ? "later" : `after ${reset.toISOString()}`;
  return `GitHub: this token has no requests left; run this again ${until}`;
}

function statusOf(error: unknown): number | undefined {
  return error instanceof Error && "status" in error && typeof error.status === "number"
    ? error.status
    : undefined;
}

function fetchInTime(address: string, init: RequestInit): Promise<Response> {
  return systemFetch(address, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
}
