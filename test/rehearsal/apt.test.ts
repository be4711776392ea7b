import { describe, expect, it } from "vitest";

import { aptCommand } from "../../rehearsal/apt.ts";
import { run } from "../../common/run.ts";

describe("packages of this machine", () => {
  // APT refuses the second of two that read the package lists; on a fresh machine several images need them at once.
  it("can be asked for by several at the same time", async () => {
    const asked = [1, 2, 3].map(() => run(aptCommand(["mmdebstrap"])));
    for (const printed of await Promise.all(asked)) expect(printed).toContain("mmdebstrap");
  });

  it("fail by name when they cannot be had", async () => {
    await expect(run(aptCommand(["no-such-package-of-debian"]))).rejects.toThrow("no-such-package-of-debian");
  });
});
