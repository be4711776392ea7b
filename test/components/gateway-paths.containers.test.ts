import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { OpenablePath } from "../../common/services.ts";
import { closedRequests } from "../../ops/checks/public/closed-paths.ts";
import { untilN8n } from "../ops/checks/system-in-containers.ts";
import { imageOf } from "../support/containers.ts";
import { defineGateway, startGateway } from "./gateway-in-container.ts";
import { createStage, type Stage } from "./nginx.ts";
import { askRaw, getOverHttp2, getRaw, type RawAnswer } from "./raw-request.ts";

const name = "technicia.exemple.fr";
const EDITOR = `n8n.${name}`;
const ALL: readonly OpenablePath[] = ["forms", "waiting", "mcp", "chat"];
const CHAT = { path: "/chat?sessionId=a&executionId=999999", upgrade: true };

let stage: Stage;
let closed: { readonly address: string; readonly name: string };
let open: { readonly address: string; readonly name: string };

beforeAll(async () => {
  stage = await createStage({});
  const n8n = await stage.network.start("n8n", [
    ...["--network-alias", "n8n", "--env", "N8N_METRICS=true", "--env", "N8N_DIAGNOSTICS_ENABLED=false"],
    await imageOf("n8n"),
  ]);
  await untilN8n(`http://${n8n}:5678`);
  const files = await defineGateway({ editorDomain: EDITOR, editorCidrs: [stage.network.subnet] });
  await stage.write("routes/n8n.conf", files.route.content);
  closed = { name, address: await startGateway(stage, { files }) };
  const all = await defineGateway({ openPaths: ALL });
  open = { name, address: await startGateway(stage, { files: all, role: "open" }) };
});

afterAll(() => stage.remove());

/** nginx signs its pages; n8n's answers are JSON or pages of its own. 301: nginx adds the slash that a location's name ends in. */
function isOfNginx({ status, body }: Pick<RawAnswer, "status" | "body">): boolean {
  return [301, 308, 400, 404, 405].includes(status) && body.includes("<center>nginx</center>");
}

describe("a path that is not open", () => {
  it("is written in more than a hundred ways here, many of them as an upgrade", () => {
    const requests = closedRequests([]);

    expect(requests.length).toBeGreaterThan(100);
    expect(requests.filter(({ upgrade }) => upgrade).length).toBeGreaterThan(40);
    expect(new Set(requests.map((request) => JSON.stringify(request))).size).toBe(requests.length);
  });

  it.each(closedRequests([]))("never reaches n8n: $path, upgrade $upgrade", async (request) => {
    const answer = await getRaw(closed, request);

    expect(isOfNginx(answer), `${answer.head}\n\n${answer.body.slice(0, 300)}`).toBe(true);
  });

  it.each(closedRequests(ALL))(
    "stays closed when n8n's public paths are open: $path, $upgrade",
    async (request) => {
      const answer = await getRaw(open, request);

      expect(isOfNginx(answer), `${answer.head}\n\n${answer.body.slice(0, 300)}`).toBe(true);
    },
  );

  it.each([
    ["a whole address", "GET https://technicia.exemple.fr/rest/login HTTP/1.1"],
    ["a whole address of n8n", "GET http://n8n:5678/rest/login HTTP/1.1"],
    ["a whole address that climbs", "GET https://technicia.exemple.fr/webhook/..%2frest/login HTTP/1.1"],
    ["a whole address without a path", "GET https://technicia.exemple.fr?x HTTP/1.1"],
    ["no slash", "GET rest/login HTTP/1.1"],
    ["a part of a page", "GET /rest/login#/webhook/x HTTP/1.1"],
    ["a part of a page behind a webhook", "GET /webhook/x#/../../rest/login HTTP/1.1"],
    ["a question mark before the climb", "GET /webhook?/../rest/login HTTP/1.1"],
    ["a semicolon", "GET /webhook/x;/../../rest/login HTTP/1.1"],
    ["a tab", "GET /webhook/\t../../rest/login HTTP/1.1"],
    ["a space", "GET /webhook/ /../rest/login HTTP/1.1"],
    ["a byte of another alphabet", "GET /webhook/\u00e9/../../rest/login HTTP/1.1"],
    ["a trailing slash", "GET /webhook/x/ HTTP/1.1"],
    ["a dot in a word", "GET /webhook/x.json HTTP/1.1"],
    ["an encoded letter", "GET /webhook/%78 HTTP/1.1"],
    ["an encoded letter of the API", "GET /api/%75pload HTTP/1.1"],
    ["a tunnel", "CONNECT n8n:5678 HTTP/1.1"],
    ["the whole server", "OPTIONS * HTTP/1.1"],
    ["a trace", "TRACE /webhook/x HTTP/1.1"],
    ["a protocol of a server", "PRI * HTTP/2.0"],
    ["an old version", "GET /rest/login HTTP/1.0"],
  ])("never reaches n8n as a request line with %s", async (_what, line) => {
    const answer = await askRaw({ ...closed, line, headers: [`Host: ${name}`, "User-Agent: Mozilla/5.0"] });

    expect(
      answer.status === 0 || answer.status === 421 || isOfNginx(answer),
      `${answer.head}\n${answer.body}`,
    ).toBe(true);
  });

  it("never reaches n8n over HTTP/2 either", async () => {
    const paths = closedRequests([]).flatMap(({ path, upgrade }) => (upgrade ? [] : [path]));
    const answers: Record<string, boolean> = {};
    // One visitor has no more answered at a time.
    for (let first = 0; first < paths.length; first += 20) {
      const some = paths.slice(first, first + 20);
      for (const [index, answer] of (await getOverHttp2(closed, some)).entries()) {
        answers[some[index]!] = isOfNginx(answer);
      }
    }

    expect(Object.keys(answers).filter((path) => !answers[path])).toEqual([]);
    expect((await getOverHttp2(closed, ["/webhook/x"]))[0]?.body).toContain("is not registered");
  });

  it.each([
    ["two lengths", ["Content-Length: 4", "Content-Length: 60"]],
    ["a length and chunks", ["Content-Length: 4", "Transfer-Encoding: chunked"]],
    ["an unknown coding", ["Transfer-Encoding: xchunked"]],
    ["a folded header", ["X-A: b", " Transfer-Encoding: chunked"]],
  ])("never reaches n8n behind a request with %s", async (_what, headers) => {
    const answer = await askRaw({
      ...closed,
      line: "POST /webhook/x HTTP/1.1",
      headers: [`Host: ${name}`, ...headers],
      body: `0\r\n\r\nGET /rest/settings HTTP/1.1\r\nHost: ${name}\r\n\r\n`,
    });

    expect(`${answer.head}${answer.body}`).not.toContain("userManagement");
    expect([400, 501]).toContain(answer.status);
  });
});

describe("a path that is open", () => {
  it.each(["/webhook/x", "/api/question", "/webhook/document-status/document/1_a-b~c/status?x=%2f..%2f"])(
    "reaches n8n's webhooks: %s",
    async (path) => {
      const answer = await getRaw(closed, { path });

      expect(answer.status).toBe(404);
      expect(answer.body).toContain("is not registered");
    },
  );

  it.each(["/webhook/x", "/api/question", "/api/upload", "/healthz", "/"])(
    "is answered at %s although the request asks for a web socket",
    async (path) => {
      expect((await getRaw(closed, { path, upgrade: true })).status).not.toBe(101);
    },
  );

  it.each(["/form/x", "/form-waiting/1", "/webhook-waiting/1", "/webhook-waiting/1/suffix", "/mcp/x"])(
    "reaches n8n once its setting opens it: %s",
    async (path) => {
      expect(isOfNginx(await getRaw(closed, { path }))).toBe(true);
      const answer = await getRaw(open, { path });
      expect(isOfNginx(answer), `${answer.head}\n${answer.body}`).toBe(false);
      expect(answer.status).not.toBe(503);
    },
  );

  it("is a web socket for chats, and nothing else, once its setting opens it", async () => {
    expect(isOfNginx(await getRaw(closed, CHAT))).toBe(true);
    expect((await getRaw(open, CHAT)).status).toBe(101);
    expect(isOfNginx(await getRaw(open, { path: CHAT.path }))).toBe(true);
  });
});

describe("the editor", () => {
  const ask = (path: string, upgrade = false) =>
    getRaw({ address: closed.address, name: EDITOR }, { path, upgrade });

  it("has n8n's pages and its web socket", async () => {
    expect((await ask("/rest/settings")).body).toContain("userManagement");
    expect((await ask("/rest/push?pushRef=a", true)).head).not.toContain("nginx/");
    expect((await ask("/chat?sessionId=a&executionId=1", true)).status).toBe(101);
  });

  it("answers a request for a web socket anywhere else as any other", async () => {
    expect((await ask("/rest/settings", true)).body).toContain("userManagement");
  });

  it("forwards no path that n8n would read in another way", async () => {
    for (const path of [
      "//rest/settings",
      "/x/..%2frest/settings",
      "/x/../rest/settings",
      "/x/%2e%2e/rest/settings",
    ]) {
      expect(isOfNginx(await ask(path)), path).toBe(true);
    }
  });
});
