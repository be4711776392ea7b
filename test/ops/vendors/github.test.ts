import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { openGithub, readPullRequest, type Github } from "../../../ops/vendors/github.ts";
import { pullRequest, REPOSITORY, SELF, startGithub, TOKEN, type FakeGithub } from "./fake-github.ts";

const MARKER = "<!-- technicia-preview:test -->";

let fake: FakeGithub;
let github: Github;

beforeEach(async () => {
  fake = await startGithub();
  fake.issues.push(pullRequest(7), pullRequest(8));
  github = openGithub(fake.environment);
});

afterEach(() => fake.close());

function bodies(issue = 7): string[] {
  return fake.comments.filter((comment) => comment.issue === issue).map(({ body }) => body);
}

describe("upsertComment", () => {
  it("writes a comment the first time, and edits it afterwards", async () => {
    const first = await github.upsertComment({ number: 7, marker: MARKER, body: "one" });
    const second = await github.upsertComment({ number: 7, marker: MARKER, body: "two" });
    const third = await github.upsertComment({ number: 7, marker: MARKER, body: "two" });

    expect([first, second, third].map(({ action }) => action)).toEqual(["created", "updated", "unchanged"]);
    expect(new Set([first, second, third].map(({ url }) => url)).size).toBe(1);
    expect(bodies()).toEqual([`${MARKER}\ntwo`]);
  });

  it("leaves the comments of other stacks alone, even when one stack's name begins with the other's", async () => {
    for (const stack of ["prod", "prod-eu", "staging"]) {
      await github.upsertComment({ number: 7, marker: `<!-- technicia-preview:${stack} -->`, body: stack });
    }
    await github.upsertComment({ number: 7, marker: "<!-- technicia-preview:prod -->", body: "new" });

    expect(bodies().map((body) => body.split("\n")[1])).toEqual(["new", "prod-eu", "staging"]);
  });

  it("never edits a comment of another author, even with our marker", async () => {
    const quoted = `${MARKER}\nI say so`;
    fake.comments.push({ id: 1, issue: 7, login: "mallory", body: quoted });

    await github.upsertComment({ number: 7, marker: MARKER, body: "one" });

    expect(bodies()).toEqual([quoted, `${MARKER}\none`]);
  });

  it("ignores a comment of its own that only quotes the marker", async () => {
    fake.comments.push({ id: 1, issue: 7, login: SELF, body: `> ${MARKER}\n${MARKER}\nquoted` });

    await github.upsertComment({ number: 7, marker: MARKER, body: "one" });

    expect(bodies()).toHaveLength(2);
  });

  it("finds its comment on a later page", async () => {
    for (let id = 1; id <= 10; id++) fake.comments.push({ id, issue: 7, login: "alice", body: `talk ${id}` });
    fake.comments.push({ id: 11, issue: 7, login: SELF, body: `${MARKER}\nold` });

    expect(await github.upsertComment({ number: 7, marker: MARKER, body: "new" })).toMatchObject({
      action: "updated",
    });
    expect(bodies().at(-1)).toBe(`${MARKER}\nnew`);
    expect(
      fake.requests.filter((request) => request === `GET /repos/${REPOSITORY}/issues/7/comments`),
    ).toHaveLength(4);
  });

  it("keeps pull requests apart", async () => {
    await github.upsertComment({ number: 7, marker: MARKER, body: "seven" });
    await github.upsertComment({ number: 8, marker: MARKER, body: "eight" });

    expect([bodies(7), bodies(8)]).toEqual([[`${MARKER}\nseven`], [`${MARKER}\neight`]]);
  });
});

describe("upsertIssue and closeIssue", () => {
  const drift = {
    marker: "<!-- technicia-drift:prod -->",
    title: "Drift of prod",
    body: "one difference",
    labels: ["drift", "prod"],
  };

  function own() {
    return fake.issues.filter(({ isPullRequest }) => !isPullRequest);
  }

  it("opens one issue, edits it, closes it with a note, and opens another one afterwards", async () => {
    const opened = await github.upsertIssue(drift);
    await github.upsertIssue({ ...drift, body: "two differences", title: "Drift of prod (2)" });
    expect(
      await github.upsertIssue({ ...drift, body: "two differences", title: "Drift of prod (2)" }),
    ).toMatchObject({
      action: "unchanged",
    });
    expect(own()).toMatchObject([
      { number: opened.number, title: "Drift of prod (2)", labels: ["drift", "prod"], state: "open" },
    ]);

    const closed = await github.closeIssue({ marker: drift.marker, note: "clean again" });
    expect(closed).toMatchObject({ action: "closed", number: opened.number });
    expect(own()).toMatchObject([{ state: "closed", stateReason: "completed" }]);
    expect(bodies(opened.number)).toEqual(["clean again"]);

    expect((await github.upsertIssue(drift)).number).not.toBe(opened.number);
    expect(own().map(({ state }) => state)).toEqual(["closed", "open"]);
  });

  it("writes nothing when there is no issue to close", async () => {
    expect(await github.closeIssue({ marker: drift.marker, note: "clean" })).toBeUndefined();
    expect(fake.requests.filter((request) => !/^(GET|POST \/graphql)/.test(request))).toEqual([]);
  });

  it("keeps stacks apart, and leaves pull requests and other authors' issues alone", async () => {
    const foreign = { ...pullRequest(50), isPullRequest: false, body: `${drift.marker}\nmine` };
    const pull = { ...pullRequest(51), login: SELF, body: `${drift.marker}\nours` };
    fake.issues.push(foreign, pull);
    for (let number = 60; number < 70; number++)
      fake.issues.push({ ...pullRequest(number), isPullRequest: false });

    await github.upsertIssue(drift);
    await github.upsertIssue({ ...drift, marker: "<!-- technicia-drift:test -->", title: "Drift of test" });
    await github.upsertIssue({ ...drift, body: "again" });

    expect(
      own()
        .filter(({ login }) => login === SELF)
        .map(({ title, body }) => [title, body.split("\n")[1]]),
    ).toEqual([
      ["Drift of prod", "again"],
      ["Drift of test", "one difference"],
    ]);
    expect(foreign.body).toBe(`${drift.marker}\nmine`);
    expect(pull.body).toBe(`${drift.marker}\nours`);
  });

  it("leaves the labels that people gave meanwhile", async () => {
    await github.upsertIssue(drift);
    own()[0]?.labels.push("seen");
    await github.upsertIssue({ ...drift, body: "more" });

    expect(own()[0]?.labels).toEqual(["drift", "prod", "seen"]);
  });
});

describe("runStatus", () => {
  it("says how an attempt stands, and undefined of what the repository does not have", async () => {
    fake.runs.set("77/1", "completed").set("77/2", "in_progress");

    expect(await github.runStatus({ id: 77, attempt: 1 })).toBe("completed");
    expect(await github.runStatus({ id: 77, attempt: 2 })).toBe("in_progress");
    expect(await github.runStatus({ id: 78, attempt: 1 })).toBeUndefined();
  });
});

describe("openGithub after a refusal", () => {
  const comment = () => github.upsertComment({ number: 7, marker: MARKER, body: "one" });
  const comments = /issues\/7\/comments/;

  it("names the variable of an invalid token, and hides the token", async () => {
    const wrong = openGithub({ ...fake.environment, GITHUB_TOKEN: "ghs_wrongcanary" });

    const failure = wrong.upsertComment({ number: 7, marker: MARKER, body: "one" });
    await expect(failure).rejects.toThrow(
      /^GITHUB_TOKEN: could not ask whose the token is: 401 Bad credentials.*; create a new token, or use the job\'s own$/,
    );
    await expect(failure).rejects.not.toThrow(/wrongcanary/);
  });

  it("names the permission that the job lacks", async () => {
    fake.refuse(comments, { status: 403, message: "Resource not accessible by integration" });

    await expect(comment()).rejects.toThrow(
      /^GITHUB_TOKEN: could not read the comments of #7: 403 Resource not accessible by integration.*; give the job "pull-requests: write" \(a pull request from a fork never has it\)$/,
    );
  });

  it("names the time when the limit of requests ends", async () => {
    fake.refuse(comments, {
      status: 403,
      message: "API rate limit exceeded",
      headers: { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795243659" },
    });

    await expect(comment()).rejects.toThrow(
      "GitHub: this token has no requests left; run this again after 2026-11-21T06:47:39.000Z",
    );
  });

  it("names a repository that the token may not see", async () => {
    const other = openGithub({ ...fake.environment, GITHUB_REPOSITORY: "technicia/other" });

    await expect(other.upsertComment({ number: 7, marker: MARKER, body: "one" })).rejects.toThrow(
      /^GITHUB_REPOSITORY: could not read the comments of #7: 404 Not Found.*; check that technicia\/other exists and that the token may see it$/,
    );
  });

  it("repeats what GitHub rejects", async () => {
    const long = github.upsertComment({ number: 7, marker: MARKER, body: "x".repeat(65_536) });

    await expect(long).rejects.toThrow(
      /^GitHub: could not comment on #7: 422 Validation Failed: .*Body is too long \(maximum is 65536 characters\)/,
    );
  });

  it("asks for another try when GitHub has a fault", async () => {
    fake.refuse(comments, { status: 502, message: "Server Error" });

    await expect(comment()).rejects.toThrow(
      /^GitHub: could not read the comments of #7: 502 Server Error.*; try again later/,
    );
  });

  it("names the address that does not answer", async () => {
    const silent = createServer((request) => request.socket.destroy());
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const address = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const nowhere = openGithub({ ...fake.environment, GITHUB_API_URL: address });

    await expect(nowhere.upsertComment({ number: 7, marker: MARKER, body: "one" })).rejects.toThrow(
      new RegExp(`^GITHUB_API_URL: could not ask whose the token is: ${address} does not answer `),
    );
    silent.close();
  });
});

describe("openGithub", () => {
  it("reports every missing variable at once", () => {
    expect(() => openGithub({ GITHUB_REPOSITORY: "technicia", GITHUB_API_URL: "api" })).toThrow(
      [
        "GITHUB_TOKEN: expected a token, got nothing; pass it in the step's env, never as an argument",
        'GITHUB_REPOSITORY: expected <owner>/<name>, got "technicia"; export it',
        'GITHUB_API_URL: expected an address, got "api"; correct it or leave it out',
      ].join("\n"),
    );
  });

  it("keeps its token out of the addresses that it calls", async () => {
    await github.upsertComment({ number: 7, marker: MARKER, body: "one" });

    expect(fake.requests.join("\n")).not.toContain(TOKEN);
  });
});

describe("readPullRequest", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "github-event-"));
  });

  afterEach(() => rm(folder, { recursive: true }));

  async function eventOf(text: string) {
    const file = join(folder, "event.json");
    await writeFile(file, text);
    return { GITHUB_EVENT_PATH: file };
  }

  it("reads the number of the pull request", async () => {
    expect(await readPullRequest(await eventOf('{"action":"opened","pull_request":{"number":12}}'))).toBe(12);
  });

  it("fails when the job runs for no pull request", async () => {
    await expect(readPullRequest(await eventOf('{"ref":"refs/heads/main"}'))).rejects.toThrow(
      /event\.json: expected pull_request\.number, got an event without it; run this in a workflow that pull_request starts$/,
    );
    await expect(readPullRequest(await eventOf("{"))).rejects.toThrow(
      /event\.json: expected the event in JSON/,
    );
    await expect(readPullRequest({})).rejects.toThrow(/^GITHUB_EVENT_PATH: expected the file/);
  });
});
