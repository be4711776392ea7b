/** First deployments on the other releases of Debian; the end-to-end suite has the one on Debian 12. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { SYSTEM_NAMES, USUAL_SYSTEM } from "../../rehearsal/images/catalog.ts";
import { expectSound, startFirst, stopRehearsal } from "./first-deployment.ts";
import { askHealth, expectQuiet, npm, onServer, QUIET, restart, until } from "./rehearsal.ts";

const OTHERS = SYSTEM_NAMES.filter((name) => name !== USUAL_SYSTEM);

afterAll(stopRehearsal);

describe.each(OTHERS)("a server with %s", (system) => {
  beforeAll(stopRehearsal);

  it("is deployed from nothing until it answers over HTTPS", async () => {
    await startFirst(system, "--image", system);

    expect(await onServer(". /etc/os-release; echo $PRETTY_NAME")).toContain(
      `Debian GNU/Linux ${system.replace("Debian ", "")} (`,
    );
  });

  it("stays what it is in the next start, which asks for nothing", async () => {
    const { code, stdout, stderr } = await npm("start");

    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(stdout).toMatch(QUIET);
  });

  it("has nothing on it that nobody declared, and passes every gate of a deployment", expectSound);

  it("answers again after a reboot, with nothing to repair", async () => {
    await restart();
    await until("TechnicIA answers again", () => askHealth().then(() => true), 180);
    await expectQuiet();
  });
});
