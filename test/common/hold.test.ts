import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { answerHold, askToHold, isHoldAsked } from "../../common/hold.ts";
import { until } from "../support/until.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hold-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("askToHold", () => {
  it("waits until the command answers", async () => {
    let isOver = false;
    expect(await isHoldAsked(folder)).toBe(false);
    const asked = askToHold({ folder }).then(() => (isOver = true));
    await until("it is asked", () => isHoldAsked(folder));
    expect(isOver).toBe(false);

    await answerHold(folder);
    await asked;
  });

  it("goes on when the command has ended, before and while it asks", async () => {
    const asked = askToHold({ folder });
    await until("it is asked", () => isHoldAsked(folder));
    await rm(folder, { recursive: true });

    await asked;
    await askToHold({ folder });
  });

  it("goes on without an answer after two minutes, because a command that was killed never gives one", async () => {
    let passed = 0;
    const clock = {
      now: () => passed,
      wait: (milliseconds: number) => Promise.resolve(void (passed += milliseconds)),
    };
    await askToHold({ folder, clock });

    expect(passed).toBe(120_000);
  });
});
