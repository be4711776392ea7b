import { describe, expect, it } from "vitest";

import { enabledServices, serviceNames, swarmName } from "../../common/services.ts";
import { environmentWith } from "../support/fixtures.ts";
import { deploy, everything, least } from "../support/technicia.ts";

describe("enabledServices", () => {
  it.each([
    ["everything", everything],
    ["the least", least],
  ])("lists the services that the program deploys with %s", async (_, variant) => {
    const { registrations } = await deploy(variant);
    const deployed = registrations.filter(({ type }) => type === "docker:index/service:Service");

    expect(enabledServices(environmentWith(variant.settings)).map(swarmName).sort()).toEqual(
      deployed.map(({ inputs }) => inputs["name"]).sort(),
    );
  });

  it("lists every service when everything is on", () => {
    expect(enabledServices(environmentWith(everything.settings))).toEqual(serviceNames);
  });
});
