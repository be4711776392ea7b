/**
 * A fake of the part of GitHub's API that we use: comments, issues, runs and the owner of a token.
 *
 * Bodies and errors are GitHub's own; every list comes in small pages.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export const TOKEN = "ghs_canary0123456789abcdefghijklmnop";
export const SELF = "github-actions[bot]";
export const REPOSITORY = "technicia/infrastructure";

export interface Comment {
  readonly id: number;
  readonly issue: number;
  readonly login: string;
  body: string;
}

export interface Issue {
  readonly number: number;
  readonly login: string;
  title: string;
  body: string;
  state: "open" | "closed";
  stateReason: string | null;
  labels: string[];
  readonly isPullRequest: boolean;
}

export interface Pull {
  readonly number: number;
  readonly head: string;
  readonly title: string;
  readonly body: string;
  state: "open" | "closed";
}

export interface Refusal {
  readonly status: number;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly errors?: readonly object[];
}

export interface FakeGithub {
  readonly url: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly comments: Comment[];
  readonly issues: Issue[];
  /** `<run>/<attempt>` → status. */
  readonly runs: Map<string, string>;
  /** Branch → path → text. */
  readonly branches: Map<string, Map<string, string>>;
  readonly pulls: Pull[];
  /** Method and path of every request, in order. */
  readonly requests: string[];
  /** Refuses requests whose method and path match. */
  refuse(pattern: RegExp, refusal: Refusal): void;
  close(): Promise<void>;
}

const MOST_CHARACTERS = 65_536;
/** GitHub gives up to 100 items; with so few, every longer list has several pages. */
const MOST_PER_PAGE = 3;

export async function startGithub(): Promise<FakeGithub> {
  const comments: Comment[] = [];
  const issues: Issue[] = [];
  const runs = new Map<string, string>();
  const branches = new Map([["main", new Map<string, string>()]]);
  const pulls: Pull[] = [];
  const requests: string[] = [];
  const refusals: { readonly pattern: RegExp; readonly refusal: Refusal }[] = [];
  // Ids of comments and issues never coincide, so that a test notices a mix-up.
  let lastId = 1_000 + Math.floor(Math.random() * 1_000_000);

  const server = createServer((request, response) => {
    void answer(request, response).catch((error: unknown) => {
      response.writeHead(500).end(JSON.stringify({ message: String(error) }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const web = `https://github.example/${REPOSITORY}`;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url: target = "/" } = request;
    const { pathname, searchParams } = new URL(target, url);
    requests.push(`${method} ${pathname}`);
    const send = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
      response
        .writeHead(status, { "content-type": "application/json; charset=utf-8", ...headers })
        .end(JSON.stringify(body));
    const refuse = ({ status, headers, ...body }: Refusal) =>
      send(
        status,
        { ...body, documentation_url: "https://docs.github.com/rest", status: String(status) },
        headers,
      );

    const refused = refusals.find(({ pattern }) => pattern.test(`${method} ${pathname}`));
    if (refused) return void refuse(refused.refusal);
    if (
      request.headers.authorization !== `token ${TOKEN}` &&
      request.headers.authorization !== `bearer ${TOKEN}`
    ) {
      return void refuse({ status: 401, message: "Bad credentials" });
    }
    const input = JSON.parse((await bodyOf(request)) || "{}") as Record<string, unknown>;
    if (typeof input["body"] === "string" && [...input["body"]].length > MOST_CHARACTERS) {
      const message = `Body is too long (maximum is ${MOST_CHARACTERS} characters)`;
      return void refuse({ status: 422, message: "Validation Failed", errors: [{ field: "body", message }] });
    }
    if (pathname === "/graphql") return void send(200, { data: { viewer: { login: SELF } } });

    const [, owner, repository, ...path] = pathname.split("/").slice(1);
    if (`${owner}/${repository}` !== REPOSITORY) return void refuse({ status: 404, message: "Not Found" });
    const page = (items: readonly unknown[]) => {
      const size = Math.min(Number(searchParams.get("per_page") ?? 30), MOST_PER_PAGE);
      const number = Number(searchParams.get("page") ?? 1);
      const next = new URL(target, url);
      next.searchParams.set("page", String(number + 1));
      const isLast = number * size >= items.length;
      const link = isLast ? {} : { link: `<${next.href}>; rel="next"` };
      send(200, items.slice((number - 1) * size, number * size), link);
    };
    const asked = `${method} ${path.join("/")}`;
    const [, issueNumber = ""] = /^(?:GET|POST|PATCH) issues\/(\d+)/.exec(asked) ?? [];
    const [, commentId = ""] = /^PATCH issues\/comments\/(\d+)$/.exec(asked) ?? [];
    const [, run, attempt] = /^GET actions\/runs\/(\d+)\/attempts\/(\d+)$/.exec(asked) ?? [];
    const issue = issues.find(({ number }) => number === Number(issueNumber));

    if (asked === "GET issues") {
      const state = searchParams.get("state") ?? "open";
      return void page(
        issues
          .filter((one) => state === "all" || one.state === state)
          .map(issueView)
          .reverse(),
      );
    }
    if (asked === "POST issues") {
      const made: Issue = {
        number: ++lastId,
        login: SELF,
        title: String(input["title"]),
        body: typeof input["body"] === "string" ? input["body"] : "",
        state: "open",
        stateReason: null,
        labels: (input["labels"] as string[] | undefined) ?? [],
        isPullRequest: false,
      };
      issues.push(made);
      return void send(201, issueView(made));
    }
    if (commentId !== "") {
      const found = comments.find(({ id }) => id === Number(commentId));
      if (!found) return void refuse({ status: 404, message: "Not Found" });
      if (found.login !== SELF)
        return void refuse({ status: 403, message: "Resource not accessible by integration" });
      found.body = String(input["body"]);
      return void send(200, commentView(found));
    }
    if (run !== undefined) {
      const status = runs.get(`${run}/${attempt ?? ""}`);
      return void (status === undefined
        ? refuse({ status: 404, message: "Not Found" })
        : send(200, { id: Number(run), status }));
    }
    const filesAnswer = answerFiles(decodeURIComponent(asked), { input, searchParams });
    if (filesAnswer !== undefined) {
      const { status, body } = filesAnswer;
      return void (status < 400 ? send(status, body) : refuse({ status, message: String(body) }));
    }
    if (!issue) return void refuse({ status: 404, message: "Not Found" });
    if (asked === `GET issues/${issueNumber}/comments`) {
      return void page(comments.filter((one) => one.issue === issue.number).map(commentView));
    }
    if (asked === `POST issues/${issueNumber}/comments`) {
      const made = { id: ++lastId, issue: issue.number, login: SELF, body: String(input["body"]) };
      comments.push(made);
      return void send(201, commentView(made));
    }
    if (asked === `PATCH issues/${issueNumber}`) {
      const { title, body, state, state_reason: reason } = input;
      if (typeof title === "string") issue.title = title;
      if (typeof body === "string") issue.body = body;
      if (state === "open" || state === "closed") issue.state = state;
      if (typeof reason === "string") issue.stateReason = reason;
      return void send(200, issueView(issue));
    }
    refuse({ status: 404, message: "Not Found" });
  }

  /** Branches, files and pull requests; undefined for what is none of them. */
  function answerFiles(
    asked: string,
    given: { readonly input: Record<string, unknown>; readonly searchParams: URLSearchParams },
  ): { readonly status: number; readonly body?: unknown } | undefined {
    const { input, searchParams } = given;
    const [, ref = ""] = /^(?:GET git\/ref|PATCH git\/refs)\/heads\/(.+)$/.exec(asked) ?? [];
    const [, path = ""] = /^(?:GET|PUT) contents\/(.+)$/.exec(asked) ?? [];
    const text = (name: string) => input[name] as string;
    const copyOf = (sha: string) => new Map(branches.get(sha.replace("sha-of-", "")));
    if (asked.startsWith("GET git/ref/")) return { status: 200, body: { object: { sha: `sha-of-${ref}` } } };
    if (asked === "POST git/refs") {
      const name = text("ref").replace("refs/heads/", "");
      if (branches.has(name)) return { status: 422, body: "Reference already exists" };
      branches.set(name, copyOf(text("sha")));
      return { status: 201, body: {} };
    }
    if (asked.startsWith("PATCH git/refs/")) {
      if (input["force"] !== true) return { status: 422, body: "Update is not a fast forward" };
      branches.set(ref, copyOf(text("sha")));
      return { status: 200, body: {} };
    }
    if (asked === "POST merges") return { status: 201, body: {} };
    if (path !== "") {
      const branch = branches.get(searchParams.get("ref") ?? text("branch"));
      const found = branch?.get(path);
      if (asked.startsWith("GET")) {
        if (found === undefined) return { status: 404, body: "Not Found" };
        const content = Buffer.from(found).toString("base64");
        return { status: 200, body: { type: "file", content, sha: blobOf(found) } };
      }
      // GitHub refuses a change of a version that is not the newest.
      if (input["sha"] !== (found === undefined ? undefined : blobOf(found)))
        return { status: 409, body: "does not match" };
      branch?.set(path, Buffer.from(text("content"), "base64").toString());
      return { status: 200, body: {} };
    }
    if (asked === "GET pulls")
      return { status: 200, body: pulls.filter(({ state }) => state === "open").map(pullView) };
    if (asked === "POST pulls") {
      const head = text("head");
      const made: Pull = { number: ++lastId, head, title: text("title"), body: text("body"), state: "open" };
      pulls.push(made);
      return { status: 201, body: pullView(made) };
    }
    return undefined;
  }

  function pullView({ number, head, title }: Pull) {
    return { number, title, html_url: `${web}/pull/${number}`, head: { ref: head } };
  }

  function commentView({ id, issue, login, body }: Comment) {
    return { id, body, user: { login }, html_url: `${web}/pull/${issue}#issuecomment-${id}` };
  }

  function issueView(issue: Issue) {
    return {
      number: issue.number,
      title: issue.title,
      body: issue.body,
      state: issue.state,
      labels: issue.labels.map((name) => ({ name })),
      user: { login: issue.login },
      html_url: `${web}/issues/${issue.number}`,
      // GitHub's lists of issues contain the pull requests, too.
      ...(issue.isPullRequest ? { pull_request: { url: `${url}/pulls/${issue.number}` } } : {}),
    };
  }

  return {
    url,
    environment: { GITHUB_API_URL: url, GITHUB_REPOSITORY: REPOSITORY, GITHUB_TOKEN: TOKEN },
    comments,
    issues,
    runs,
    branches,
    pulls,
    requests,
    refuse: (pattern, refusal) => void refusals.push({ pattern, refusal }),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A pull request (or an issue) to comment on. */
export function pullRequest(number: number): Issue {
  return {
    number,
    login: "alice",
    title: "Change it",
    body: "",
    state: "open",
    stateReason: null,
    labels: [],
    isPullRequest: true,
  };
}

function blobOf(text: string): string {
  return createHash("sha1").update(text).digest("hex");
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
