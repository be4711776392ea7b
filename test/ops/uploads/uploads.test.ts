/** The command against the real program on a server that is a folder, with a Qdrant and an n8n of the test. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import type { Effects } from "../../../ops/effects.ts";
import type { ServerCommand } from "../../../ops/server/connection.ts";
import { readHistory } from "../../../ops/server/records.ts";
import { commands } from "../../../ops/uploads/commands.ts";
import { deleteDocument, listDocuments, reindexDocuments } from "../../../ops/uploads/uploads.ts";
import { describeAccess, describeStatus } from "../../../stacks/deployment-status.ts";
import { FakeServer } from "../../components/documents/fake-server.ts";
import { fakePulumi } from "../../support/fake-pulumi.ts";
import { deploymentFacts, environmentWith } from "../../support/fixtures.ts";
import { startLocalServer, type LocalServer } from "../server/local-server.ts";

let server: FakeServer;
let local: LocalServer;
let program: string;
let said: string[];
let asked: string[];
let agrees: boolean;

beforeEach(async () => {
  [server, local] = [await FakeServer.start(), await startLocalServer()];
  program = await server.program();
  [said, asked, agrees] = [[], [], true];
  await server.keep("a", "i1", { state: "ready", pages: 3, passages: 3, at: "2026-11-27T10:00:00Z" });
  server.store("a", { ingestion: "i1", pages: 3 });
});
afterEach(async () => {
  await server.close();
  await local[Symbol.asyncDispose]();
});

function world(): Effects {
  const environment = environmentWith();
  const outputs = {
    deploymentStatus: describeStatus(environment, deploymentFacts()),
    ...describeAccess(environment, "203.0.113.10", "ssh-ed25519 AAAA"),
    url: "https://x",
    ipv4: "203.0.113.10",
  };
  const { pulumi } = fakePulumi(() => ({ stdout: JSON.stringify(outputs) }));
  return {
    pulumi,
    openServer: () => ({
      ...local,
      run: (command: ServerCommand) =>
        local.run({
          ...command,
          script: command.script.replace("/opt/technicia/documents/main.py", program),
        }),
    }),
    identity: { who: "alice" },
    now: () => new Date("2026-11-28T09:00:00Z"),
    say: (line: string) => void said.push(line),
    confirm(question: string) {
      asked.push(question);
      return Promise.resolve(agrees);
    },
  } as unknown as Effects;
}

const history = async () =>
  (await readHistory(local)).events.map(({ action, detail }) => `${action}: ${detail}`);

describe("npm run documents -- <stack> list", () => {
  it("prints a line for each document, and ends well where all of them fit", async () => {
    const { text, exitCode } = await listDocuments({ stack: "prod", json: false }, world());

    expect(exitCode).toBe(0);
    expect(text).toMatch(/^a +a ! +3 +3 +1 +0\.0 MiB +2026-11-27 10:00 +ready$/m);
  });

  it("ends with 1 and says what to do where something does not fit", async () => {
    server.store("orphan", { pages: 2 });
    const { text, exitCode } = await listDocuments({ stack: "prod", json: false }, world());

    expect(exitCode).toBe(1);
    expect(text).toMatch(/^orphan +orphan\.pdf .*unknown; points without a file$/m);
    expect(text).toContain("1 of 2 documents need attention: npm run documents -- prod reindex <id>");
  });

  it("gives the same as JSON", async () => {
    const { text } = await listDocuments({ stack: "prod", json: true }, world());

    expect(JSON.parse(text)).toMatchObject([{ id: "a", title: "a !", points: 3, bytes: 7, problems: [] }]);
  });

  it("says what to do where no files are kept, and where Qdrant does not answer", async () => {
    server.broken = 503;
    await expect(listDocuments({ stack: "prod", json: false }, world())).rejects.toThrow(
      /could not list the documents: .*expected the status 200, got 503/s,
    );
    program = "/nonexistent/main.py";
    await expect(listDocuments({ stack: "prod", json: false }, world())).rejects.toThrow(
      "set documents.enabled to true and deploy",
    );
  });
});

describe("npm run documents -- <stack> delete", () => {
  it("asks, deletes, says what it deleted, and records the id without the title", async () => {
    const { text, exitCode } = await deleteDocument({ stack: "prod", id: "a", yes: false }, world());

    expect(exitCode).toBe(0);
    expect(said[0]).toBe("a ! (a): 3 pages, 3 points, 1 images, 0.0 MiB");
    expect(asked).toEqual(["delete it from prod, with all its points, files and images?"]);
    expect(text).toContain("a is deleted: 3 points, 2 files (1 images), 0.0 MiB");
    expect([server.points, await server.files()]).toEqual([[], []]);
    expect(await history()).toEqual(["document: document a supprimé"]);
  });

  it("changes nothing without an agreement, and asks nobody with --yes", async () => {
    agrees = false;
    expect((await deleteDocument({ stack: "prod", id: "a", yes: false }, world())).exitCode).toBe(1);
    expect(server.points).toHaveLength(3);
    asked = [];
    expect((await deleteDocument({ stack: "prod", id: "a", yes: true }, world())).exitCode).toBe(0);
    expect(asked).toEqual([]);
  });

  it("refuses an id that nobody knows, before it asks", async () => {
    await expect(deleteDocument({ stack: "prod", id: "b", yes: false }, world())).rejects.toThrow(
      "b: expected a document of prod, got none",
    );
    expect(asked).toEqual([]);
  });
});

describe("npm run documents -- <stack> reindex", () => {
  it("says of each document how it ended, and ends with 1 where one failed", async () => {
    await server.keep("b", "i1", { state: "failed" });
    server.reindex = async ({ documentId }) => {
      const isGood = documentId === "a";
      if (isGood) server.store("a", { ingestion: "i2", pages: 4 });
      const card = isGood ? { state: "ready", passages: 4 } : { state: "failed", reason: "Extraire : 500" };
      await server.keep(documentId, "i2", card);
      return "i2";
    };
    const { text, exitCode } = await reindexDocuments({ stack: "prod", ids: [] }, world());

    expect(exitCode).toBe(1);
    expect(text).toMatch(/^a +a ! +3 +4 +indexed$/m);
    expect(text).toMatch(/^b +b ! +0 +0 +Extraire : 500$/m);
    expect(await history()).toEqual(["document: 1 documents réindexés, 1 en échec"]);
  });
});

describe("npm run documents", () => {
  it.each([
    [["prod"], "expected one of list, delete, reindex"],
    [["prod", "delete"], "expected the id of a document"],
    [["prod", "delete", "../a"], "expected the id of a document"],
    [["prod", "reindex"], "expected the id of a document"],
    [["prod", "reindex", "a", "--all"], "expected an id or --all, got both"],
    [["prod", "delete", "a", "b"], "expected one id, got several"],
    [["prod", "list", "a"], "list takes no id"],
    [["prod", "list", "--yes"], "--yes belongs to delete"],
    [["prod", "delete", "a", "--json"], "--json belongs to list"],
    [["prod", "list", "--all"], "--all belongs to reindex"],
  ])("refuses %j", async (args, reason) => {
    await expect(commands["documents"]!.run(args)).rejects.toThrow(reason);
  });
});
