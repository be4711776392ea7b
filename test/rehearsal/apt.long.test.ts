import { describe, expect, it } from "vitest";

import { aptCommand } from "../../rehearsal/apt.ts";
import { run } from "../../common/run.ts";

describe("packages of this machine", () => {
  // APT refuses the second of two that read the package lists; on a fresh machine several images need them at once.
  it("are installed by several commands at the same time", async () => {
    const asked = [1, 2, 3].map(() => run(aptCommand(["mmdebstrap"])));
    for (const printed of await Promise.all(asked)) expect(printed).toContain("mmdebstrap");
  });

  it("are named in the error when they are not available", async () => {
    await expect(run(aptCommand(["no-such-package-of-debian"]))).rejects.toThrow("no-such-package-of-debian");
  });
});
