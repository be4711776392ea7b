import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { silencesFor } from "../../common/planned-alerts.ts";
import { tryRun } from "../../common/run.ts";

const FOLDER = fileURLToPath(new URL("../../components/scripts/backup/", import.meta.url));

/** The drill's own step, with a line instead of the rehearsal. */
const PROGRAM = `
import json, os, sys
sys.path.insert(0, os.environ["FOLDER"])
import silence
silence.settings = lambda: json.loads(os.environ["SETTINGS"])
with silence.silenced():
    print("rehearsed", flush=True)
    if os.environ.get("FAILS"):
        raise SystemExit("the copy is damaged")
`;

const MATCHERS = silencesFor({ kind: "drill" });

let alerts: Server;
let address: string;
let received: { readonly method: string; readonly path: string; readonly body: string }[];
let answer: (path: string) => { readonly status: number; readonly body: string };

beforeEach(async () => {
  received = [];
  answer = () => ({ status: 200, body: JSON.stringify({ silenceID: `aaaaaaaa-${received.length}` }) });
  alerts = createServer((request, response) => {
    let body = "";
    request.on("data", (text: Buffer) => (body += text.toString()));
    request.on("end", () => {
      const path = request.url ?? "";
      received.push({ method: request.method ?? "", path, body });
      const { status, body: text } = answer(path);
      response.writeHead(status).end(text);
    });
  });
  await new Promise<void>((resolve) => alerts.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(alerts.address() as AddressInfo).port}`;
});
afterEach(async () => {
  alerts.closeAllConnections();
  await new Promise((resolve) => alerts.close(resolve));
});

const rehearse = (settings: object, environment: Readonly<Record<string, string>> = {}) =>
  tryRun(["python3", "-B", "-"], {
    input: PROGRAM,
    // No proxy leads to the server's own loopback.
    environment: {
      FOLDER,
      SETTINGS: JSON.stringify(settings),
      http_proxy: "http://127.0.0.1:9",
      ...environment,
    },
  });

const watched = () => ({ silence: { address, comment: "planned: rehearsal", matchers: MATCHERS } });

describe("a drill on the server", () => {
  it("silences the alerts of its load while it runs, visibly, and for two hours at most", async () => {
    expect(await rehearse(watched())).toMatchObject({ code: 0, stdout: "rehearsed\n" });

    expect(received.map(({ method, path }) => `${method} ${path}`)).toEqual([
      ...["POST /api/v2/silences", "POST /api/v2/silences"],
      ...["DELETE /api/v2/silence/aaaaaaaa-1", "DELETE /api/v2/silence/aaaaaaaa-2"],
    ]);
    const made = received.slice(0, 2).map(({ body }) => JSON.parse(body) as Record<string, string>);
    expect(made.map(({ matchers }) => matchers)).toEqual(MATCHERS);
    for (const { startsAt = "", endsAt = "", comment } of made) {
      expect(Date.parse(endsAt) - Date.parse(startsAt)).toBe(2 * 3600 * 1000);
      expect(comment).toBe("planned: rehearsal");
    }
  });

  it("ends its silences also where it fails", async () => {
    expect(await rehearse(watched(), { FAILS: "yes" })).toMatchObject({ code: 1 });

    expect(received.filter(({ method }) => method === "DELETE")).toHaveLength(2);
  });

  it("runs where Alertmanager does not answer, and says that nothing is silenced", async () => {
    const nobody = { silence: { ...watched().silence, address: "http://127.0.0.1:9" } };
    const { code, stdout, stderr } = await rehearse(nobody);

    expect({ code, stdout }).toEqual({ code: 0, stdout: "rehearsed\n" });
    expect(stderr).toMatch(/the alerts about the drill's load are not silenced: .*refused/);
  });

  it("runs where Alertmanager answers something else", async () => {
    answer = (path) =>
      path.endsWith("/silences") ? { status: 200, body: "<html>" } : { status: 500, body: "" };

    expect(await rehearse(watched())).toMatchObject({
      ...{ code: 0, stdout: "rehearsed\n" },
      stderr: expect.stringContaining("are not silenced") as string,
    });
  });

  it("asks nobody where the server is not watched", async () => {
    expect(await rehearse({})).toMatchObject({ code: 0, stdout: "rehearsed\n", stderr: "" });
    expect(received).toEqual([]);
  });
});
