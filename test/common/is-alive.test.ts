import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { Readable, Writable } from "node:stream";

import { describe, expect, it } from "vitest";

import { isAlive, startOf } from "../../common/is-alive.ts";
import { until } from "../support/until.ts";

describe("isAlive", () => {
  it("is true for a running process, and for another user's", () => {
    expect([process.pid, 1].map((id) => isAlive(id))).toEqual([true, true]);
  });

  it("is false for another process that has the number of the one that was meant", () => {
    const started = startOf(process.pid);

    expect(started).toMatch(/^\d+$/);
    expect(isAlive(process.pid, started)).toBe(true);
    expect(isAlive(process.pid, `${started ?? ""}1`)).toBe(false);
  });

  it("is false for a process that has ended, even before its parent has asked", async () => {
    // What bash turns into here asks after no child of bash's. The child ends only then: bash itself would ask.
    const parent = spawn("bash", ["-c", "cat <&3 >/dev/null & echo $!; exec sleep 60"], {
      stdio: ["ignore", "pipe", "ignore", "pipe"],
    });
    const [printed] = (await once((parent.stdout as Readable).setEncoding("utf8"), "data")) as [string];
    const pid = Number(printed);
    const status = (id: number | undefined) => readFileSync(`/proc/${id ?? ""}/status`, "utf8");
    await until("bash has become sleep", () => Promise.resolve(/^Name:\s+sleep$/m.test(status(parent.pid))));
    (parent.stdio[3] as Writable).end();
    await until("its child has ended", () => Promise.resolve(/^State:\s+Z/m.test(status(pid))));

    expect(isAlive(pid)).toBe(false);
    parent.kill();
    await once(parent, "close");
    expect(isAlive(parent.pid ?? 0)).toBe(false);
  });
});
