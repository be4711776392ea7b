import { describe, expect, it } from "vitest";

import { environmentWith } from "../support/fixtures.ts";

const holdOf = (hold: object) => environmentWith({ "services.gateway.hold": hold }).services.gateway.hold;

describe("services.gateway.hold", () => {
  it("is off unless it is switched on", () => {
    expect(environmentWith().services.gateway.hold).toEqual({
      ...{ enabled: false, maxSeconds: 60, drainSeconds: 20, exclude: [], probes: [] },
    });
  });

  it("fails when a request would have to wait for the drain longer than it may wait", () => {
    expect(holdOf({ maxSeconds: 40, drainSeconds: 30 })).toMatchObject({ drainSeconds: 30 });
    expect(() => holdOf({ maxSeconds: 40, drainSeconds: 31 })).toThrow(
      /services\.gateway\.hold\.drainSeconds: expected at most 30, 10 s less than maxSeconds/,
    );
  });

  it.each(["webhook/crm", "/webhook/*", "/webhook/a;b", "/webhook/", "/a$b"])(
    "fails when %s is excluded, which is no public path of plain words",
    (path) => {
      expect(() => holdOf({ exclude: [path] })).toThrow(/expected a public path of n8n of plain words/);
    },
  );
});
