import { describe, expect, it } from "vitest";

import { forgetReplaced, startRehearsal, takeSet } from "../../../ops/backup/before-release.ts";
import { readBackupStatus } from "../../../ops/backup/status.ts";
import type { Server, ServerCommand } from "../../../ops/server/connection.ts";
import { tryRun } from "../../../common/run.ts";
import { UserError } from "../../../common/user-error.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { fakePulumi } from "../../support/fake-pulumi.ts";
import { mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const LAST = { id: "0123456789abcdef", time: "2026-11-24T09:00:00Z" };

/** A server with this status; the program's calls are kept. */
function serverWith(status: object | undefined, answer: unknown = { forgotten: 1 }) {
  const words: string[] = [];
  const server: Server = {
    name: "server",
    run: ({ script, variables }: ServerCommand) => {
      if (!script.includes("systemd-run"))
        return Promise.resolve({
          stdout: status === undefined ? "" : JSON.stringify({ setUpAt: "2026-11-01T12:00:00Z", ...status }),
          stderr: "",
        });
      words.push(variables?.["WORDS"] ?? "");
      return answer instanceof Error
        ? Promise.reject(answer)
        : Promise.resolve({ stdout: JSON.stringify(answer), stderr: "" });
    },
    logInForDocker: () => Promise.resolve(),
    close: () => undefined,
  };
  return { server, words };
}

const request = (server: Server, backup: object) => ({
  ...{
    environment: environmentWith({ backup }),
    secrets: {},
    server,
    pulumi: fakePulumi(() => ({})).pulumi,
    tag: "release-2",
  },
  ...{ signal: new AbortController().signal, fetch, say: () => undefined },
});

describe("takeSet", () => {
  it("makes none without backups in the settings, or before the program is on the server", async () => {
    const place = { project: "0".repeat(32), region: "RBX" };
    const [off, absent] = [serverWith({ last: LAST }), serverWith(undefined)];

    expect(await takeSet(request(off.server, {}))).toBeUndefined();
    expect(await takeSet(request(absent.server, place))).toBeUndefined();
    expect([...off.words, ...absent.words]).toEqual([]);
  });
});

describe("forgetReplaced", () => {
  it("removes what restores have replaced, and calls nobody where nothing was", async () => {
    const [some, none, under] = [
      serverWith({ kept: [{ set: "a" }] }),
      serverWith({ kept: [] }),
      serverWith({ kept: [{ set: "a" }], restoring: "b" }),
    ];
    for (const { server } of [some, none, under]) await forgetReplaced(server, { say: () => undefined });

    expect([some.words, none.words, under.words]).toEqual([["forget"], [], []]);
  });

  it("does not fail a release that is verified", async () => {
    const said: string[] = [];
    await forgetReplaced(serverWith({ kept: [{ set: "a" }] }, new UserError("no answer")).server, {
      say: (line) => said.push(line),
    });

    expect(said).toEqual(["what restores have replaced stays on the server: no answer"]);
  });
});

describe("startRehearsal", () => {
  const place = { project: "0".repeat(32), region: "RBX" };
  const started = async (status: object | undefined, { backup = place, answer = {} } = {}) => {
    const scripts: string[] = [];
    const said: string[] = [];
    const { server } = serverWith(status, answer);
    const run = (command: ServerCommand) => {
      if (command.script.includes("systemd-run"))
        scripts.push(`${command.script}\n${command.variables?.["TAG"]}`);
      return server.run(command);
    };
    const say = (line: string) => said.push(line);
    await startRehearsal({ ...request({ ...server, run }, backup), say });
    return { scripts, said };
  };

  it("starts it at the lowest priority and does not wait, of a set that is made for it", async () => {
    const { scripts, said } = await started({ last: LAST });

    expect(scripts).toHaveLength(1);
    expect(scripts[0]).toMatch(
      /--no-block .*Nice=19[^]*IOSchedulingClass=idle.* drill --make "after-\$TAG"\nrelease-2$/,
    );
    expect(said).toEqual([
      "the server rehearses the restore of a set of the new versions; npm run backups -- test shows how that ended",
    ]);
  });

  it("starts none without backups, and does not fail a release when it cannot start", async () => {
    expect(await started(undefined)).toEqual({ scripts: [], said: [] });
    expect((await started({ last: LAST }, { answer: new UserError("no answer") })).said).toEqual([
      "no rehearsal of a restore was started: no answer; type npm run drill -- test",
    ]);
  });
});

describe("readBackupStatus", () => {
  it("reads the status and the journal of a restore with the real script", async () => {
    const folder = await mkdtemp(join(tmpdir(), "technicia-status-"));
    const server = (program: string) => ({
      run: async ({ script }: ServerCommand) => {
        const given = `FOLDER='${folder}'; PROGRAM='${program}'; PASSWORD='${folder}/password'`;
        const { code, stdout, stderr } = await tryRun([
          "bash",
          "-euo",
          "pipefail",
          "-c",
          `${given}\n${script}`,
        ]);
        if (code !== 0) throw new Error(stderr);
        return { stdout, stderr };
      },
    });

    expect(await readBackupStatus(server("/nowhere"))).toBeUndefined();
    await writeFile(join(folder, "password"), "");
    await utimes(join(folder, "password"), 0, Date.parse("2026-11-01T12:00:00Z") / 1000);
    const setUpAt = "2026-11-01T12:00:00Z";
    expect(await readBackupStatus(server("/bin/sh"))).toEqual({
      ...{ drills: [], kept: [], restoring: null, finishedBy: null, setUpAt },
    });
    await writeFile(join(folder, "status.json"), JSON.stringify({ last: LAST }));
    await writeFile(join(folder, "restore.json"), JSON.stringify({ set: "abc" }));
    expect(await readBackupStatus(server("/bin/sh"))).toMatchObject({ last: LAST, restoring: "abc" });
    await rm(folder, { recursive: true });
  });
});
