import { expect, it } from "vitest";

import { ELSEWHERE, readCommands, RUNS, UNTRIED } from "./documented-commands.ts";

it("documents no command without a test, and tests none that is not documented", async () => {
  expect([...(await readCommands())].sort()).toEqual(
    [...Object.keys(RUNS), ...Object.keys(ELSEWHERE), ...Object.keys(UNTRIED)].sort(),
  );
});
