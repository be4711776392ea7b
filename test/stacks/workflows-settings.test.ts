import { describe, expect, it } from "vitest";

import { environmentWith } from "../support/fixtures.ts";

const refusal = (workflows: object) => {
  try {
    environmentWith({ workflows });
  } catch (error) {
    return (error as Error).message;
  }
  return "";
};

describe("the settings of workflows", () => {
  it("are off by default, with the project's own folder", () => {
    expect(environmentWith().workflows).toEqual({
      enabled: false,
      folder: "workflows",
      keyDays: 30,
      webhookSeconds: 60,
    });
  });

  it("may name a folder of a repository at a commit", () => {
    const source = { repository: "https://github.com/exemple/workflows.git", commit: "0".repeat(40) };

    expect(environmentWith({ workflows: { folder: ".", source } }).workflows).toMatchObject({
      folder: ".",
      source,
    });
  });

  it.each([
    [{ folder: "../autre" }, "workflows.folder: expected a folder in the project or repository"],
    [{ folder: "/etc" }, "workflows.folder: expected a folder in the project or repository"],
    [
      { source: { repository: "https://alice:secret@exemple.fr/x.git", commit: "0".repeat(40) } },
      "workflows.source.repository: expected the address of a git repository",
    ],
    [
      { source: { repository: "https://exemple.fr/x.git", commit: "main" } },
      "workflows.source.commit: expected the full hash of a commit",
    ],
    [{ source: { repository: "https://exemple.fr/x.git" } }, "workflows.source.commit: expected"],
    [{ keyDays: 1 }, "workflows.keyDays: expected a whole number of days from 2 to 365"],
    [{ webhookSeconds: 1 }, "workflows.webhookSeconds: expected a whole number of seconds from 5 to 600"],
  ])("refuse %j", (workflows, text) => {
    expect(refusal(workflows)).toContain(text);
  });
});
