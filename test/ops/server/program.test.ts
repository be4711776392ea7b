import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";

import type { ServerCommand } from "../../../ops/server/connection.ts";
import { callOnServer, type Program } from "../../../ops/server/program.ts";
import { startLocalServer, type LocalServer } from "./local-server.ts";

const ANSWER = z.object({ words: z.array(z.string()) });

let server: LocalServer;
let program: Program;
let said: string[];

beforeEach(async () => {
  server = await startLocalServer();
  const path = join(server.folder, "..", "main.sh");
  program = { path, missing: "no program is set up on this server" };
  said = [];
});
afterEach(() => server[Symbol.asyncDispose]());

async function install(lines: string): Promise<void> {
  await writeFile(program.path, `#!/bin/bash\n${lines}\n`);
  await chmod(program.path, 0o755);
}

/** The server says each line of both outputs, as the connection does. */
async function runAloud(command: ServerCommand) {
  const printed = await server.run(command);
  for (const line of `${printed.stderr}${printed.stdout}`.trimEnd().split("\n")) command.onLine?.(line);
  return printed;
}

function call(start?: string) {
  return callOnServer(
    { name: server.name, run: runAloud },
    { ...program, ...(start !== undefined && { start }) },
    {
      purpose: "count the words",
      words: ["two words", "$HOME", ""],
      answer: ANSWER,
      timeoutSeconds: 10,
      say: (line) => void said.push(line),
    },
  );
}

const ECHO = `jq --compact-output --null-input '{words: $ARGS.positional}' --args -- "$@"`;

describe("a program on the server", () => {
  it("gets its words as they are, says its progress, and answers", async () => {
    await install(`echo counting >&2\n${ECHO}`);

    expect(await call()).toEqual({ words: ["two words", "$HOME", ""] });
    // This machine's own bash may say more.
    expect(said).toContain("counting");
    expect(said.filter((line) => line.startsWith("{"))).toEqual([]);
  });

  it("is started as its caller wants", async () => {
    await install(ECHO);

    expect(await call('exec "$program" before "${words[@]}"')).toEqual({
      words: ["before", "two words", "$HOME", ""],
    });
  });

  it("is missed with the reason where it is not installed", async () => {
    await expect(call()).rejects.toThrow("no program is set up on this server");
  });

  it("fails with what it says", async () => {
    await install(`echo "no space is left" >&2\nexit 1`);

    await expect(call()).rejects.toThrow("no space is left");
  });

  it("is refused where its answer is another version's, which names what is wrong", async () => {
    await install(`echo '{"words":3}'`);

    await expect(call()).rejects.toThrow(
      "could not count the words: expected the answer of this version of the program, got one with problems in words; run pulumi up first",
    );
  });
});
