import { expect, it } from "vitest";

import { killAtEveryCall } from "./kill-at-call.ts";

it("buys, pays and installs one server when the provider is killed between any call and the next", async () => {
  expect(await killAtEveryCall("before the next call")).toEqual([]);
});
