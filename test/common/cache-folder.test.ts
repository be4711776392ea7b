import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { cacheFolder } from "../../common/cache-folder.ts";

const ROOT = join(import.meta.dirname, "../..");

const cases = [
  { name: "XDG_CACHE_HOME is set", variables: { XDG_CACHE_HOME: "/cache" }, folder: "/cache/technicia" },
  {
    name: "XDG_CACHE_HOME is empty",
    variables: { XDG_CACHE_HOME: "" },
    folder: "/home/ada/.cache/technicia",
  },
  { name: "XDG_CACHE_HOME is unset", variables: {}, folder: "/home/ada/.cache/technicia" },
];

describe("cacheFolder", () => {
  it.each(cases)("is $folder when $name", ({ variables, folder }) => {
    expect(cacheFolder({ HOME: "/home/ada", ...variables })).toBe(folder);
  });
});

describe("the launchers, which cannot import cacheFolder", () => {
  const checkout = mkdtempSync(join(tmpdir(), "technicia-launchers-"));
  const write = (path: string, content: string) => {
    mkdirSync(join(checkout, path, ".."), { recursive: true });
    writeFileSync(join(checkout, path), content);
  };

  beforeAll(() => {
    for (const launcher of ["rehearsal/bootstrap.mjs", "provider/pulumi-resource-technicia"]) {
      cpSync(join(ROOT, launcher), join(checkout, launcher));
    }
    write("node_modules/.bin/node", '#!/bin/sh\nprintf %s "$NODE_COMPILE_CACHE"\n');
    chmodSync(join(checkout, "node_modules/.bin/node"), 0o755);
    // As npm ci left it: nothing has to be installed.
    write("package-lock.json", "{}");
    write("node_modules/.installed-from", createHash("sha256").update("{}").digest("hex"));
  });
  afterAll(() => rmSync(checkout, { recursive: true }));

  const launchers = [
    { launcher: "bootstrap.mjs", command: [process.execPath, "rehearsal/bootstrap.mjs"] },
    { launcher: "pulumi-resource-technicia", command: ["sh", "provider/pulumi-resource-technicia"] },
  ];

  it.each(launchers.flatMap((launcher) => cases.map((one) => ({ ...launcher, ...one }))))(
    "$launcher keeps compiled code in the same folder when $name",
    ({ command: [program = "", ...args], variables, folder }) => {
      const env = { PATH: process.env["PATH"], HOME: "/home/ada", ...variables };

      const compiled = execFileSync(program, args, { cwd: checkout, env, encoding: "utf8" });

      expect(compiled).toBe(join(folder, "node"));
    },
  );
});
